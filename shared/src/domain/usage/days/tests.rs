//! Days compared with what was really used.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::testing::micros as usd;

fn day(number: i64) -> Date {
    date(2026, 2, 25).checked_add(number.days()).unwrap()
}

fn counted(lifetime: i64, today: i64, on: i64) -> KeyCounters {
    KeyCounters { lifetime: usd(lifetime), today: Some(usd(today)), on: day(on) }
}

fn exact(days: &Days) -> Vec<(i64, bool)> {
    days.each().map(|(_, spent, exact)| (spent.micros(), exact)).collect()
}

#[test]
fn an_answer_of_each_day_tells_every_day_whenever_in_the_day_it_came() {
    let first = Days::default().with(counted(5, 5, 0), Some(day(0)));
    let again = first.with(counted(7, 7, 0), Some(day(0)));
    // The use on the first day after the last answer follows from the difference.
    let next = again.with(counted(12, 3, 1), Some(day(0)));
    assert_eq!(exact(&next), [(9, true), (3, true)]);
    // A day without use and without an answer is a day of zero.
    let later = next.with(counted(13, 1, 3), Some(day(2)));
    assert_eq!(exact(&later), [(9, true), (3, true), (0, true), (1, true)]);
    assert_eq!((later.total(), later.on(day(1)), later.on(day(9))), (usd(13), usd(3), Usd::ZERO));
}

#[test]
fn after_missed_nights_the_sum_is_known_and_not_how_it_is_spread() {
    let before = Days::default().with(counted(5, 5, 0), Some(day(0)));
    let after = before.with(counted(25, 4, 4), Some(day(0)));
    assert_eq!(exact(&after), [(5, false), (0, false), (0, false), (16, false), (4, true)]);
    let sum = |from, to| after.between(day(from), day(to), Some(day(4)));
    assert_eq!(sum(0, 3), Sum { spent: usd(21), known: Accuracy::Exactly });
    assert_eq!(sum(3, 4), Sum { spent: usd(20), known: Accuracy::Estimated });
    assert_eq!(sum(4, 4), Sum { spent: usd(4), known: Accuracy::Exactly });
    assert_eq!(sum(4, 5).known, Accuracy::Partly, "the day is not over");
    // Nothing was used in the nights that were missed, so nothing has to be estimated.
    let still = before.with(counted(9, 4, 4), Some(day(0)));
    assert_eq!(exact(&still), [(5, true), (0, true), (0, true), (0, true), (4, true)]);
}

#[test]
fn what_was_used_before_anybody_looked_is_on_no_day() {
    let foreign = Days::default().with(counted(1000, 2, 4), None);
    assert_eq!((foreign.opening(), foreign.total(), foreign.on(day(4))), (usd(998), usd(1000), usd(2)));
    assert_eq!(foreign.between(day(0), day(4), Some(day(4))).known, Accuracy::Partly);
    assert_eq!(foreign.between(day(4), day(4), Some(day(4))).known, Accuracy::Exactly);
    let next = foreign.with(counted(1010, 4, 5), Some(day(4)));
    assert_eq!((next.opening(), next.on(day(4)), next.on(day(5))), (usd(998), usd(8), usd(4)));
    // In a sum it is the last key with a past that says from when on all days are known.
    let mut both = Days::on_one(day(1), usd(5));
    both.add(&foreign);
    assert_eq!(
        [3, 4].map(|from| both.between(day(from), day(4), Some(day(4))).known),
        [Accuracy::Partly, Accuracy::Exactly]
    );
    let Packed(bytes) = both.clone().into();
    assert_eq!(Days::try_from(Packed(bytes)), Ok(both));
}

#[test]
fn less_than_before_changes_nothing_more_from_the_past_is_estimated_and_a_missing_day_is_not_nothing() {
    let before = Days::default().with(counted(5, 5, 2), Some(day(2)));
    assert_eq!(before.with(counted(4, 4, 3), Some(day(2))), before);
    assert_eq!(before.with(counted(5, 1, 1), Some(day(2))), before);
    let late = before.with(counted(6, 1, 1), Some(day(2)));
    assert_eq!((exact(&late), late.total()), (vec![(6, false)], usd(6)));
    // A counter that was corrected downwards grows again: only what exceeds the record is new.
    let corrected = before.with(counted(4, 0, 3), Some(day(2))).with(counted(7, 3, 3), Some(day(3)));
    assert_eq!(exact(&corrected), [(4, true), (3, true)]);
    let without = KeyCounters { today: None, ..counted(9, 0, 3) };
    let after = before.with(without, Some(day(2)));
    assert_eq!(exact(&after), [(5, false), (4, false)]);
    assert_eq!(exact(&before.with(KeyCounters { on: day(2), ..without }, Some(day(2)))), [(9, true)]);
}

#[test]
fn a_term_of_days_takes_less_than_half_a_kilobyte() {
    let mut days = Days::default();
    for number in 0..130 {
        days.add(&Days::on_one(day(number), usd(900_000 + number)));
    }
    let Packed(bytes) = days.clone().into();
    assert!(bytes.len() < 512, "{}", bytes.len());
    assert_eq!(Days::try_from(Packed(bytes)), Ok(days));
    assert!(Days::try_from(Packed(ByteBuf::from([1, 2, 3, 255]))).is_err());
}

/// The use of a key in parts of each day, and the parts of which days after which a sync read it.
fn histories() -> impl Strategy<Value = (Vec<[i64; 3]>, Vec<Vec<usize>>)> {
    (5_usize..40).prop_flat_map(|days| {
        let used = prop::collection::vec([0_i64..4, 0_i64..4, 0_i64..4], days);
        let looks = prop::collection::vec(prop::collection::vec(0_usize..=3, 0..3), days);
        (used, looks)
    })
}

proptest! {
    #[test]
    fn sums_over_days_equal_what_was_used_however_many_nights_were_missed(
        (used, looks) in histories(), spans in prop::collection::vec((0_i64..40, 0_i64..31), 8),
    ) {
        let mut days = Days::default();
        let (mut lifetime, mut known) = (0, day(0));
        for (number, (used, looks)) in (0_i64..).zip(used.iter().zip(&looks)) {
            let mut looks = looks.clone();
            looks.sort_unstable();
            for part in looks {
                let today: i64 = used[..part].iter().sum();
                days = days.with(counted(lifetime + today, today, number), Some(known));
                prop_assert_eq!(days.total(), usd(lifetime + today));
                known = day(number);
            }
            lifetime += used.iter().sum::<i64>();
        }
        let complete = known.yesterday().unwrap();
        let Packed(bytes) = days.clone().into();
        prop_assert_eq!(Days::try_from(Packed(bytes)).unwrap(), days.clone());
        for (from, length) in spans {
            let sum = days.between(day(from), day(from + length), Some(complete));
            let truth: i64 = (from..=from + length)
                .filter_map(|number| used.get(usize::try_from(number).ok()?))
                .flatten()
                .sum();
            if sum.known == Accuracy::Exactly {
                prop_assert_eq!(sum.spent, usd(truth), "{} for {}", from, length);
            }
        }
    }
}
