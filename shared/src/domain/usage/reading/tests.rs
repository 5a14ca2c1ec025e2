//! Readings from the provider's answers: the record after them, and their shortfalls.

use super::*;
use crate::domain::testing::at;

fn told(lifetime: i32, today: i32, in_window: i32) -> UsageReport {
    let dollars = |number| Some(Usd::from_dollars(number));
    UsageReport {
        lifetime: Usd::from_dollars(lifetime),
        today: dollars(today),
        in_window: dollars(in_window),
        byok: dollars(0),
        byok_today: dollars(0),
        byok_in_window: dollars(0),
        off_the_limit: None,
        last_used_at: None,
    }
}

/// The reading after answers at these times, and the shortfall of the last of them.
fn read(
    reset: Reset,
    byok: Byok,
    answers: &[(&str, UsageReport)],
) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
    let (programme, grant) = ("cs-pilot".parse().unwrap(), "0123456789abcdef".parse().unwrap());
    let (made_at, basis) = (at(answers[0].0), Basis { reset, byok });
    let of = KeyUseContext { programme: &programme, grant: &grant, epoch: Epoch::new(1), basis, made_at };
    let mut last: Option<(Reading, Option<Shortfall>)> = None;
    for (time, told) in answers {
        last = Some(Reading::after(last.as_ref().map(|(reading, _)| reading), of, told, at(time), None)?);
    }
    Ok(last.unwrap())
}

/// The counts of the window and of the lifetime, in dollars, after answers at these times.
fn after(reset: Reset, byok: Byok, answers: &[(&str, UsageReport)]) -> Result<(Usd, Usd), UnusableReport> {
    let (reading, _) = read(reset, byok, answers)?;
    assert_eq!(reading.window, reset.window_at(reading.as_of));
    Ok((reading.in_window, reading.used.counted(byok)))
}

fn dollars(in_window: i32, ever: i32) -> Result<(Usd, Usd), UnusableReport> {
    Ok((Usd::from_dollars(in_window), Usd::from_dollars(ever)))
}

const MONDAY: &str = "2026-11-16T12:00:00Z";
const TUESDAY: &str = "2026-11-17T12:00:00Z";

#[test]
fn the_larger_of_the_limits_own_count_and_the_windows_counter_was_used_and_never_more_than_ever() {
    let off_the_limit = Some(Usd::from_dollars(3));
    let daily = |told| after(Reset::Daily, Byok::Outside, &[(MONDAY, told)]);
    assert_eq!(daily(UsageReport { off_the_limit, ..told(9, 2, 2) }), dollars(3, 9));
    assert_eq!(daily(told(9, 4, 4)), dollars(4, 9));
    assert_eq!(daily(UsageReport { off_the_limit, in_window: None, ..told(1, 1, 0) }), dollars(1, 1));
    let without = UsageReport { in_window: None, ..told(9, 1, 0) };
    assert_eq!(after(Reset::None, Byok::Outside, &[(MONDAY, without)]), dollars(9, 9));
}

#[test]
fn a_counter_that_has_not_turned_yet_says_no_more_than_was_used_since() {
    let stale = [(MONDAY, told(9, 9, 9)), (TUESDAY, told(10, 10, 10))];
    assert_eq!(after(Reset::Daily, Byok::Outside, &stale), dollars(1, 10));
    let later = [stale[0], stale[1], ("2026-11-17T18:00:00Z", told(12, 12, 12))];
    assert_eq!(after(Reset::Daily, Byok::Outside, &later), dollars(3, 12));
}

#[test]
fn own_keys_count_where_the_programme_says_so_and_are_apart_everywhere() {
    let byok = Some(Usd::from_dollars(4));
    let told = UsageReport { byok, byok_today: byok, byok_in_window: byok, ..told(5, 5, 5) };
    assert_eq!(after(Reset::Weekly, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
    assert_eq!(after(Reset::Weekly, Byok::Outside, &[(MONDAY, told)]), dollars(5, 5));
    assert_eq!(after(Reset::None, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
}

#[test]
fn a_number_that_is_missing_or_negative_is_never_taken_for_another() {
    let daily = |answers: &[_]| after(Reset::Daily, Byok::Outside, answers);
    assert_eq!(daily(&[(MONDAY, UsageReport { in_window: None, ..told(9, 1, 0) })]), Err(UnusableReport::NoWindow));
    assert_eq!(daily(&[(MONDAY, told(9, -1, 1))]), Err(UnusableReport::Negative));
    assert_eq!(daily(&[(MONDAY, told(-9, 0, 0))]), Err(UnusableReport::Negative));
}

#[test]
fn a_reading_whose_sums_are_not_its_days_is_not_believed() {
    let (reading, _) = read(Reset::None, Byok::Outside, &[(MONDAY, told(1, 1, 1))]).unwrap();
    let mut kept = serde_json::to_value(&reading).unwrap();
    assert_eq!(serde_json::from_value::<Reading>(kept.clone()).unwrap(), reading);
    kept["lifetime"] = 0.into();
    assert!(serde_json::from_value::<Reading>(kept).is_err());
}

fn micros(lifetime: i64) -> UsageReport {
    let used = Usd::from_micros(lifetime);
    UsageReport { lifetime: used, today: Some(used), in_window: Some(used), ..told(0, 0, 0) }
}

#[test]
fn a_counter_that_goes_back_stands_as_it_is_on_record_and_the_other_one_moves_on() {
    let byok = |lifetime: i32| Some(Usd::from_dollars(lifetime));
    let first = UsageReport { byok: byok(4), byok_today: byok(4), byok_in_window: byok(4), ..told(5, 5, 5) };
    let corrected = UsageReport { byok: byok(3), byok_today: byok(0), byok_in_window: byok(3), ..told(9, 4, 9) };
    let (reading, doubt) = read(Reset::None, Byok::Inside, &[(MONDAY, first), (TUESDAY, corrected)]).unwrap();
    assert_eq!((reading.lifetime(), reading.used.byok.total()), (Usd::from_dollars(9), Usd::from_dollars(4)));
    assert_eq!(reading.in_window, Usd::from_dollars(13), "a whole term never shrinks");
    assert_eq!(doubt, Some(Shortfall { credits: Usd::ZERO, byok: Usd::from_dollars(1) }));
}

#[test]
fn a_difference_of_two_micro_dollars_is_neither_doubt_nor_news() {
    for reset in [Reset::None, Reset::Daily] {
        let (known, _) = read(reset, Byok::Outside, &[(MONDAY, micros(5_000_001))]).unwrap();
        for (later, is_doubt) in [(5_000_000, false), (4_999_999, false), (4_999_998, true)] {
            let answers = [(MONDAY, micros(5_000_001)), ("2026-11-16T12:15:00Z", micros(later))];
            let (reading, doubt) = read(reset, Byok::Outside, &answers).unwrap();
            assert_eq!(reading.lifetime(), known.lifetime());
            assert_eq!(doubt.is_some(), is_doubt, "{later}");
            assert_eq!(reading.differs_from(&known), is_doubt && reset == Reset::Daily, "{later}");
        }
    }
}

#[test]
fn what_was_used_in_a_window_may_go_down_within_it_and_is_news() {
    let monthly = |answers: &[_]| read(Reset::Monthly, Byok::Outside, answers).unwrap();
    // The counter of January, reported on the first night of February, and its value after the turn.
    let january = ("2026-01-31T00:20:00Z", told(2, 2, 2));
    let (late, turned) = (("2026-02-01T00:20:00Z", told(19, 0, 19)), ("2026-02-02T00:20:00Z", told(19, 0, 0)));
    let stuck = monthly(&[january, late]).0;
    assert_eq!((stuck.in_window, stuck.window.begins()), (Usd::from_dollars(17), Some("2026-02-01".parse().unwrap())));
    let (after, doubt) = monthly(&[january, late, turned]);
    assert_eq!((after.in_window, after.lifetime(), doubt), (Usd::ZERO, Usd::from_dollars(19), None));
    assert!(after.differs_from(&stuck), "else the old month's money would stay for the whole new one");
    // A turned window without any use yet is no difference.
    let next = monthly(&[january, late, turned, ("2026-03-01T00:20:00Z", told(19, 0, 0))]).0;
    assert!(!next.differs_from(&after));
    // A correction within the window.
    let corrected = monthly(&[("2026-02-03T12:00:00Z", told(9, 9, 9)), ("2026-02-04T12:00:00Z", told(8, 0, 8))]);
    assert_eq!((corrected.0.in_window, corrected.0.lifetime()), (Usd::from_dollars(8), Usd::from_dollars(9)));
}

#[test]
fn an_answer_that_is_behind_the_one_before_lowers_no_window_until_use_has_settled() {
    for (asked, in_window) in [("2026-02-03T12:14:59Z", 9), ("2026-02-03T12:15:00Z", 5)] {
        let answers = [("2026-02-03T12:00:00Z", told(9, 9, 9)), (asked, told(5, 5, 5))];
        let (reading, doubt) = read(Reset::Monthly, Byok::Outside, &answers).unwrap();
        assert_eq!(Ok((reading.in_window, reading.lifetime())), dollars(in_window, 9), "{asked}");
        assert!(doubt.is_some());
    }
}

#[test]
fn who_asked_earlier_says_nothing_of_the_window_and_of_a_lifetime_only_more_and_at_one_instant_the_second_counts() {
    let (noon, earlier) = ("2026-11-16T12:00:00Z", "2026-11-16T11:59:00Z");
    for (asked, told_then, in_window, ever) in
        [(earlier, told(7, 7, 7), 9, 9), (earlier, told(11, 11, 11), 9, 11), (noon, told(9, 3, 3), 3, 9)]
    {
        let (reading, doubt) = read(Reset::Daily, Byok::Outside, &[(noon, told(9, 9, 9)), (asked, told_then)]).unwrap();
        assert_eq!((reading.in_window, reading.lifetime()), (Usd::from_dollars(in_window), Usd::from_dollars(ever)));
        assert_eq!((reading.as_of, doubt), (at(noon), None), "of what is older it is no wonder");
    }
}

#[test]
fn two_readings_of_a_key_come_to_the_same_in_either_order() {
    let one = read(Reset::Daily, Byok::Outside, &[(MONDAY, told(9, 9, 9))]).unwrap().0;
    let other = read(Reset::Daily, Byok::Outside, &[(TUESDAY, told(7, 2, 2))]).unwrap().0;
    let both = one.joined(&other);
    assert_eq!(both, other.joined(&one));
    assert_eq!((Ok((both.in_window, both.lifetime())), both.window), (dollars(2, 9), other.window));
    assert_eq!(both.joined(&other), both);
}
