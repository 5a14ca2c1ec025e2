//! Readings from the provider's answers: the record after them, and their shortfalls.

use super::*;
use crate::tests::values::at;

fn told(lifetime: i32, today: i32, in_window: i32) -> UsageReport {
    let dollars = |number| Some(Usd::from_dollars(number));
    UsageReport {
        lifetime: Usd::from_dollars(lifetime),
        today: dollars(today),
        in_window: dollars(in_window),
        byok: dollars(0),
        byok_today: dollars(0),
        byok_in_window: dollars(0),
        last_used_at: None,
    }
}

/// The reading after answers at these times, and the shortfall of the last of them.
fn read(reset: Reset, answers: &[(&str, UsageReport)]) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
    let programme = "cs-pilot".parse().unwrap();
    let grant = "0123456789abcdef".parse().unwrap();
    let mut last = (Reading::new(&programme, &grant, Epoch::new(1), at(answers[0].0)), None);
    for (time, told) in answers {
        last = last.0.after(told, at(time), None, reset)?;
    }
    Ok(last)
}

/// The counts of the window and of the lifetime, in dollars, after answers at these times.
fn after(reset: Reset, byok: Byok, answers: &[(&str, UsageReport)]) -> Result<(Usd, Usd), UnusableReport> {
    let (reading, _) = read(reset, answers)?;
    Ok((reading.used.in_window(Basis { reset, byok }, reading.as_of), reading.used.counted(byok)))
}

fn dollars(in_window: i32, ever: i32) -> Result<(Usd, Usd), UnusableReport> {
    Ok((Usd::from_dollars(in_window), Usd::from_dollars(ever)))
}

const MONDAY: &str = "2026-11-16T12:00:00Z";
const TUESDAY: &str = "2026-11-17T12:00:00Z";

/// Each day's use in dollars, and whether it is exact.
fn days(reading: &Reading) -> Vec<(String, i64, bool)> {
    let days = reading.used.credits.each().filter(|(_, spent, _)| *spent > Usd::ZERO);
    days.map(|(day, spent, exact)| (day.to_string(), spent.micros() / 1_000_000, exact)).collect()
}

/// A counter that has not reset yet adds no more than what was used since the last reading.
#[test]
fn stale_counters_add_new_use() {
    let stale = [(MONDAY, told(9, 9, 9)), (TUESDAY, told(10, 10, 10))];
    assert_eq!(after(Reset::Daily, Byok::Outside, &stale), dollars(1, 10));
    let later = [stale[0], stale[1], ("2026-11-17T18:00:00Z", told(12, 12, 12))];
    assert_eq!(after(Reset::Daily, Byok::Outside, &later), dollars(3, 12));
    // Of a key that was not used since midnight they say nothing.
    let idle = UsageReport { last_used_at: Some(at("2026-11-16T23:59:59Z")), ..told(10, 10, 10) };
    let (reading, _) = read(Reset::Daily, &[stale[0], (TUESDAY, idle)]).unwrap();
    assert_eq!(days(&reading), [("2026-11-16".to_owned(), 10, true)]);
    let busy = UsageReport { last_used_at: Some(at("2026-11-17T00:00:00Z")), ..idle };
    assert_eq!(after(Reset::Daily, Byok::Outside, &[stale[0], (TUESDAY, busy)]), dollars(1, 10));
}

/// The window's counter bounds how much of the use may belong to the window after a missed reset.
#[test]
fn a_missed_reset_bounds_the_window() {
    let tuesday = "2026-02-03T12:00:00Z";
    // The use in the window and on each day, after an answer on a Thursday and one on the Tuesday after.
    let late = |reset, answer| {
        let (reading, _) = read(reset, &[("2026-01-29T12:00:00Z", told(2, 2, 2)), (tuesday, answer)]).unwrap();
        let in_window = reading.used.in_window(Basis { reset, byok: Byok::Outside }, at(tuesday));
        (in_window.micros() / 1_000_000, days(&reading))
    };
    let day = |day: &str, dollars, exact| (day.to_owned(), dollars, exact);
    // The month turned on Sunday and the week on Monday, and since then eight dollars were used, three of them today.
    for (reset, last, is_monday) in [(Reset::Monthly, "2026-01-31", false), (Reset::Weekly, "2026-02-01", true)] {
        let monday = day("2026-02-02", 5, is_monday);
        let all = vec![day("2026-01-29", 2, false), day(last, 10, false), monday, day("2026-02-03", 3, true)];
        assert_eq!(late(reset, told(20, 3, 8)), (8, all));
    }
    // A counter that tells of the month before says nothing of a key that was not used since.
    let idle = UsageReport { last_used_at: Some(at("2026-01-31T22:00:00Z")), ..told(20, 18, 20) };
    let january = vec![day("2026-01-29", 2, false), day("2026-01-31", 18, false)];
    assert_eq!(late(Reset::Monthly, idle), (0, january.clone()));
    // What is not told is not taken to be of the window.
    let unsaid = UsageReport { in_window: None, ..told(20, 0, 0) };
    assert_eq!(late(Reset::Monthly, unsaid), (0, january));
    assert_eq!(late(Reset::Daily, UsageReport { today: None, ..unsaid }).0, 0);
    assert_eq!(late(Reset::Daily, UsageReport { today: None, ..told(20, 0, 4) }).0, 4);
    assert_eq!(late(Reset::None, told(20, 3, 8)).0, 20);
}

#[test]
fn what_settles_after_a_turn_is_of_the_window_before() {
    let monthly = |answers: &[_]| after(Reset::Monthly, Byok::Outside, answers);
    let january = ("2026-01-31T12:00:00Z", told(2, 2, 2));
    let midnight = ("2026-02-01T00:05:00Z", told(2, 0, 0));
    let later = ("2026-02-03T12:00:00Z", told(10, 0, 5));
    assert_eq!(monthly(&[january, midnight, later]), dollars(5, 10));
    // Without a turn in between all of it is of the window, whatever its counter says.
    let again = ("2026-02-05T12:00:00Z", told(20, 0, 8));
    assert_eq!(monthly(&[january, midnight, later, again]), dollars(15, 20));
}

/// Use of own provider keys counts where the programme says so, and is kept apart everywhere.
#[test]
fn own_keys_are_counted_apart() {
    let byok = Some(Usd::from_dollars(4));
    let told = UsageReport { byok, byok_today: byok, byok_in_window: byok, ..told(5, 5, 5) };
    assert_eq!(after(Reset::Weekly, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
    assert_eq!(after(Reset::Weekly, Byok::Outside, &[(MONDAY, told)]), dollars(5, 5));
    assert_eq!(after(Reset::None, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
    // Each is bounded by its own counter.
    let byok = Some(Usd::from_dollars(9));
    let byok_in_window = Some(Usd::from_dollars(1));
    let later = UsageReport { byok, byok_in_window, ..self::told(15, 0, 3) };
    let answers = [(MONDAY, told), ("2026-11-25T12:00:00Z", later)];
    assert_eq!(after(Reset::Weekly, Byok::Inside, &answers), dollars(4, 24));
    assert_eq!(after(Reset::Weekly, Byok::Outside, &answers), dollars(3, 15));
}

/// A report with a negative counter is refused, and no other number is taken instead.
#[test]
fn a_negative_counter_is_refused() {
    let daily = |answers: &[_]| after(Reset::Daily, Byok::Outside, answers);
    assert_eq!(daily(&[(MONDAY, told(9, -1, 1))]), Err(UnusableReport::Negative));
    assert_eq!(daily(&[(MONDAY, told(-9, 0, 0))]), Err(UnusableReport::Negative));
}

#[test]
fn a_reading_whose_sums_are_not_its_days_is_not_believed() {
    let (reading, _) = read(Reset::None, &[(MONDAY, told(1, 1, 1))]).unwrap();
    let mut kept = serde_json::to_value(&reading).unwrap();
    assert_eq!(serde_json::from_value::<Reading>(kept.clone()).unwrap(), reading);
    kept["lifetime"] = 0.into();
    assert!(serde_json::from_value::<Reading>(kept).is_err());
}

fn micros(lifetime: i64) -> UsageReport {
    let used = Usd::from_micros(lifetime);
    UsageReport { lifetime: used, today: Some(used), in_window: Some(used), ..told(0, 0, 0) }
}

/// A counter that goes back keeps its recorded value, and the other counter moves on.
#[test]
fn a_falling_counter_is_kept() {
    let byok = |lifetime: i32| Some(Usd::from_dollars(lifetime));
    let first = UsageReport { byok: byok(4), byok_today: byok(4), byok_in_window: byok(4), ..told(5, 5, 5) };
    let corrected = UsageReport { byok: byok(3), byok_today: byok(0), byok_in_window: byok(3), ..told(9, 4, 9) };
    let (reading, doubt) = read(Reset::None, &[(MONDAY, first), (TUESDAY, corrected)]).unwrap();
    assert_eq!((reading.lifetime(), reading.used.byok.total()), (Usd::from_dollars(9), Usd::from_dollars(4)));
    let whole_term = Basis { reset: Reset::None, byok: Byok::Inside };
    assert_eq!(reading.used.in_window(whole_term, reading.as_of), Usd::from_dollars(13), "it never shrinks");
    assert_eq!(doubt, Some(Shortfall { credits: Usd::ZERO, byok: Usd::from_dollars(1) }));
}

#[test]
fn a_difference_of_two_micro_dollars_is_neither_doubt_nor_news() {
    for reset in [Reset::None, Reset::Daily] {
        let (known, _) = read(reset, &[(MONDAY, micros(5_000_001))]).unwrap();
        for (later, is_doubt) in [(5_000_000, false), (4_999_999, false), (4_999_998, true)] {
            let answers = [(MONDAY, micros(5_000_001)), ("2026-11-16T12:15:00Z", micros(later))];
            let (reading, doubt) = read(reset, &answers).unwrap();
            assert_eq!(reading.lifetime(), known.lifetime());
            assert_eq!(doubt.is_some(), is_doubt, "{later}");
            assert!(!reading.differs_from(&known), "{later}");
        }
    }
}

#[test]
fn a_day_may_go_down_while_it_lasts_and_is_news() {
    let noon = "2026-02-01T12:00:00Z";
    let later = "2026-02-01T13:00:00Z";
    let january = ("2026-01-31T12:00:00Z", told(2, 2, 2));
    // The counter of January, and its value after the turn.
    let late = read(Reset::Monthly, &[january, (noon, told(19, 17, 19))]).unwrap().0;
    let turned = read(Reset::Monthly, &[january, (noon, told(19, 17, 19)), (later, told(19, 0, 0))]).unwrap().0;
    assert_eq!(days(&turned), [("2026-01-31".to_owned(), 19, true)]);
    assert!(turned.differs_from(&late), "else the old month's money would stay for the whole new one");
}

/// An answer that was requested earlier adds nothing to a later day, and only its excess to the lifetime total.
#[test]
fn late_answers_add_the_excess() {
    let noon = "2026-11-17T12:00:00Z";
    let yesterday = "2026-11-16T23:59:00Z";
    let first = [("2026-11-16T12:00:00Z", told(4, 4, 4)), (noon, told(9, 5, 5))];
    for (told_then, ever) in [(told(7, 7, 7), 9), (told(11, 11, 11), 11)] {
        let answers = [first[0], first[1], (yesterday, told_then)];
        let (reading, doubt) = read(Reset::Daily, &answers).unwrap();
        assert_eq!(after(Reset::Daily, Byok::Outside, &answers), dollars(5, ever));
        assert_eq!((reading.as_of, doubt), (at(noon), None), "of what is older it is no wonder");
    }
}

#[test]
fn two_readings_of_a_key_come_to_the_same_in_either_order() {
    let one = read(Reset::Daily, &[(MONDAY, told(9, 9, 9))]).unwrap().0;
    for (ever, shown) in [(7, MONDAY), (9, TUESDAY), (10, TUESDAY)] {
        let other = read(Reset::Daily, &[(TUESDAY, told(ever, 2, 2))]).unwrap().0;
        let both = one.joined(&other);
        assert_eq!((&both, both.joined(&other)), (&other.joined(&one), both.clone()));
        let last = both.used.credits.each().last().unwrap().0;
        assert_eq!((last, both.as_of), (utc_date(at(shown)), other.as_of), "of equal ones the later counts");
    }
}
