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
fn read(
    reset: Reset,
    answers: &[(&str, UsageReport)],
) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
    let programme = "cs-pilot".parse().unwrap();
    let grant = "0123456789abcdef".parse().unwrap();
    let mut last = (
        Reading::new(&programme, &grant, Epoch::new(1), at(answers[0].0)),
        None,
    );
    for (time, told) in answers {
        last = last.0.after(told, at(time), None, reset)?;
    }
    Ok(last)
}

const MONDAY: &str = "2026-11-16T12:00:00Z";
const TUESDAY: &str = "2026-11-17T12:00:00Z";

/// Each day's use in dollars, and whether it is exact.
fn days(reading: &Reading) -> Vec<(String, i64, bool)> {
    let days = reading
        .used
        .credits
        .each()
        .filter(|(_, spent, _)| *spent > Usd::ZERO);
    days.map(|(day, spent, exact)| (day.to_string(), spent.micros() / 1_000_000, exact))
        .collect()
}

/// The use after answers at these times: of each day (`~` where it is estimated), of the window and
/// of all time, without and with own provider keys; and the shortfall.
fn draw(reset: Reset, answers: &[(&str, UsageReport)]) -> String {
    let (reading, shortfall) = match read(reset, answers) {
        Ok(known) => known,
        Err(refused) => return format!("{refused:?}"),
    };
    let days = days(&reading)
        .into_iter()
        .map(|(day, spent, exact)| format!("{day} ${spent}{}", if exact { "" } else { "~" }));
    let sums = [Byok::Outside, Byok::Inside].map(|byok| {
        let in_window = reading.used.in_window(Basis { reset, byok }, reading.as_of);
        format!(
            "{} of {}",
            in_window.to_dollars(),
            reading.used.counted(byok).to_dollars()
        )
    });
    let known = [Vec::from_iter(days).join(", "), sums.join(", inside ")].join("; ");
    match shortfall {
        Some(Shortfall { credits, byok }) => {
            format!("{known}; {credits:?} and {byok:?} too little")
        }
        None => known,
    }
}

#[test]
fn answers_come_to_days_and_sums() {
    let monday = (MONDAY, told(9, 9, 9));
    let stale = (TUESDAY, told(10, 10, 10));
    let used_at = |time| {
        (
            TUESDAY,
            UsageReport {
                last_used_at: Some(at(time)),
                ..stale.1
            },
        )
    };
    let thursday = ("2026-01-29T12:00:00Z", told(2, 2, 2));
    let on_tuesday = |told| [thursday, ("2026-02-03T12:00:00Z", told)];
    let idle = UsageReport {
        last_used_at: Some(at("2026-01-31T22:00:00Z")),
        ..told(20, 18, 20)
    };
    let unsaid = UsageReport {
        in_window: None,
        ..told(20, 0, 0)
    };
    let without_today = |told| UsageReport {
        today: None,
        ..told
    };
    let midnight = ("2026-02-01T00:05:00Z", told(2, 0, 0));
    let turned = ("2026-02-03T12:00:00Z", told(10, 0, 5));
    let own = |(lifetime, today, in_window), credits| {
        let [byok, byok_today, byok_in_window] =
            [lifetime, today, in_window].map(|dollars| Some(Usd::from_dollars(dollars)));
        UsageReport {
            byok,
            byok_today,
            byok_in_window,
            ..credits
        }
    };
    let both = (MONDAY, own((4, 4, 4), told(5, 5, 5)));
    let noon = (TUESDAY, told(9, 5, 5));
    let before = "2026-11-16T23:59:00Z";
    let lines = [
        (
            "a counter that has not reset yet",
            Reset::Daily,
            &[monday, stale][..],
        ),
        (
            "and later",
            Reset::Daily,
            &[monday, stale, ("2026-11-17T18:00:00Z", told(12, 12, 12))],
        ),
        (
            "not used since midnight",
            Reset::Daily,
            &[monday, used_at("2026-11-16T23:59:59Z")],
        ),
        (
            "used at midnight",
            Reset::Daily,
            &[monday, used_at("2026-11-17T00:00:00Z")],
        ),
        (
            "the month turned on Sunday",
            Reset::Monthly,
            &on_tuesday(told(20, 3, 8)),
        ),
        (
            "the week turned on Monday",
            Reset::Weekly,
            &on_tuesday(told(20, 3, 8)),
        ),
        ("nothing turns", Reset::None, &on_tuesday(told(20, 3, 8))),
        (
            "last month's counter of an idle key",
            Reset::Monthly,
            &on_tuesday(idle),
        ),
        (
            "the window is not told",
            Reset::Monthly,
            &on_tuesday(unsaid),
        ),
        (
            "nor the day",
            Reset::Daily,
            &on_tuesday(without_today(unsaid)),
        ),
        (
            "the day is not told",
            Reset::Daily,
            &on_tuesday(without_today(told(20, 0, 4))),
        ),
        (
            "it settles after a turn",
            Reset::Monthly,
            &[("2026-01-31T12:00:00Z", told(2, 2, 2)), midnight, turned],
        ),
        (
            "no turn in between",
            Reset::Monthly,
            &[
                thursday,
                midnight,
                turned,
                ("2026-02-05T12:00:00Z", told(20, 0, 8)),
            ],
        ),
        ("own keys", Reset::Weekly, &[both]),
        ("own keys, whole term", Reset::None, &[both]),
        (
            "each by its own counter",
            Reset::Weekly,
            &[
                both,
                ("2026-11-25T12:00:00Z", own((9, 0, 1), told(15, 0, 3))),
            ],
        ),
        (
            "one goes back, the other moves on",
            Reset::None,
            &[both, (TUESDAY, own((3, 0, 3), told(9, 4, 9)))],
        ),
        ("a negative day", Reset::Daily, &[(MONDAY, told(9, -1, 1))]),
        (
            "a negative lifetime",
            Reset::Daily,
            &[(MONDAY, told(-9, 0, 0))],
        ),
        (
            "a late answer",
            Reset::Daily,
            &[(MONDAY, told(4, 4, 4)), noon, (before, told(7, 7, 7))],
        ),
        (
            "a late answer with more",
            Reset::Daily,
            &[(MONDAY, told(4, 4, 4)), noon, (before, told(11, 11, 11))],
        ),
    ]
    .map(|(words, reset, answers)| format!("{words}: {}", draw(reset, answers)));
    insta::assert_snapshot!(lines.join("\n"), @"
    a counter that has not reset yet: 2026-11-16 $9, 2026-11-17 $1; $1 of $10, inside $1 of $10
    and later: 2026-11-16 $9, 2026-11-17 $3; $3 of $12, inside $3 of $12
    not used since midnight: 2026-11-16 $10; $0 of $10, inside $0 of $10
    used at midnight: 2026-11-16 $9, 2026-11-17 $1; $1 of $10, inside $1 of $10
    the month turned on Sunday: 2026-01-29 $2~, 2026-01-31 $10~, 2026-02-02 $5~, 2026-02-03 $3; $8 of $20, inside $8 of $20
    the week turned on Monday: 2026-01-29 $2~, 2026-02-01 $10~, 2026-02-02 $5, 2026-02-03 $3; $8 of $20, inside $8 of $20
    nothing turns: 2026-01-29 $2~, 2026-02-02 $15~, 2026-02-03 $3; $20 of $20, inside $20 of $20
    last month's counter of an idle key: 2026-01-29 $2~, 2026-01-31 $18~; $0 of $20, inside $0 of $20
    the window is not told: 2026-01-29 $2~, 2026-01-31 $18~; $0 of $20, inside $0 of $20
    nor the day: 2026-01-29 $2~, 2026-02-02 $18~; $0 of $20, inside $0 of $20
    the day is not told: 2026-01-29 $2~, 2026-02-02 $14~, 2026-02-03 $4; $4 of $20, inside $4 of $20
    it settles after a turn: 2026-01-31 $5, 2026-02-02 $5~; $5 of $10, inside $5 of $10
    no turn in between: 2026-01-29 $2, 2026-01-31 $3, 2026-02-02 $5~, 2026-02-04 $10~; $15 of $20, inside $15 of $20
    own keys: 2026-11-16 $5; $5 of $5, inside $9 of $9
    own keys, whole term: 2026-11-16 $5; $5 of $5, inside $9 of $9
    each by its own counter: 2026-11-16 $5~, 2026-11-22 $7~, 2026-11-24 $3~; $3 of $15, inside $4 of $24
    one goes back, the other moves on: 2026-11-16 $5, 2026-11-17 $4; $9 of $9, inside $13 of $13; $0.000000 and $1.000000 too little
    a negative day: Negative
    a negative lifetime: Negative
    a late answer: 2026-11-16 $4, 2026-11-17 $5; $5 of $9, inside $5 of $9
    a late answer with more: 2026-11-16 $6~, 2026-11-17 $5~; $5 of $11, inside $5 of $11
    ");
}

#[test]
fn a_reading_whose_sums_are_not_its_days_is_not_believed() {
    let (reading, _) = read(Reset::None, &[(MONDAY, told(1, 1, 1))]).unwrap();
    let mut kept = serde_json::to_value(&reading).unwrap();
    assert_eq!(
        serde_json::from_value::<Reading>(kept.clone()).unwrap(),
        reading
    );
    kept["lifetime"] = 0.into();
    assert!(serde_json::from_value::<Reading>(kept).is_err());
}

fn micros(lifetime: i64) -> UsageReport {
    let used = Usd::from_micros(lifetime);
    UsageReport {
        lifetime: used,
        today: Some(used),
        in_window: Some(used),
        ..told(0, 0, 0)
    }
}

#[test]
fn a_difference_of_two_micro_dollars_is_neither_doubt_nor_news() {
    for reset in [Reset::None, Reset::Daily] {
        let (known, _) = read(reset, &[(MONDAY, micros(5_000_001))]).unwrap();
        for (later, is_doubt) in [(5_000_000, false), (4_999_999, false), (4_999_998, true)] {
            let answers = [
                (MONDAY, micros(5_000_001)),
                ("2026-11-16T12:15:00Z", micros(later)),
            ];
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
    let late = read(Reset::Monthly, &[january, (noon, told(19, 17, 19))])
        .unwrap()
        .0;
    let turned = read(
        Reset::Monthly,
        &[january, (noon, told(19, 17, 19)), (later, told(19, 0, 0))],
    )
    .unwrap()
    .0;
    assert_eq!(days(&turned), [("2026-01-31".to_owned(), 19, true)]);
    assert!(
        turned.differs_from(&late),
        "else the old month's money would stay for the whole new one"
    );
}

#[test]
fn two_readings_of_a_key_come_to_the_same_in_either_order() {
    let one = read(Reset::Daily, &[(MONDAY, told(9, 9, 9))]).unwrap().0;
    for (ever, shown) in [(7, MONDAY), (9, TUESDAY), (10, TUESDAY)] {
        let other = read(Reset::Daily, &[(TUESDAY, told(ever, 2, 2))])
            .unwrap()
            .0;
        let both = one.joined(&other);
        assert_eq!(
            (&both, both.joined(&other)),
            (&other.joined(&one), both.clone())
        );
        let last = both.used.credits.each().last().unwrap().0;
        assert_eq!(
            (last, both.as_of),
            (utc_date(at(shown)), other.as_of),
            "of equal ones the later counts"
        );
    }
}
