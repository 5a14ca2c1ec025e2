//! Reports over drawn histories: each grouping adds up to the total, and to the finer groupings.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::testing::micros as usd;
use crate::domain::usage::days::{Days, KeyCounters};

const FIRST: Date = date(2026, 11, 1);

fn day(number: i64) -> Date {
    FIRST.saturating_add(number.days())
}

fn used(micros: i64, requests: u64) -> Sums {
    Sums { spent: usd(micros), byok: Usd::ZERO, requests }
}

/// A report over days whose use by model is all known.
fn report_of(by: Grouping, (from, to): (i64, i64)) -> SpendingReport {
    SpendingReport::new(by, (day(from), day(to)), (from..=to).map(day).collect())
}

fn source(grant: u8) -> UseSource<'static> {
    // The grant with the number 0 stands for a key without a grant, in a programme of its own.
    let group = match grant {
        0 => None,
        _ if grant.is_multiple_of(3) => None,
        _ if grant.is_multiple_of(2) => Some("A"),
        _ => Some("B"),
    };
    UseSource { programme: u16::from(grant.is_multiple_of(4)), group, grant: (grant > 0).then_some([grant; 8]) }
}

fn grouping(bits: u8) -> Grouping {
    Grouping { day: bits & 1 > 0, group: bits & 2 > 0, model: bits & 4 > 0, person: bits & 8 > 0 }
}

/// What a line is of, with everything left out that this grouping does not have.
type Place = (Option<Date>, u16, Option<String>, Option<String>, Option<GrantBytes>);

fn place(line: &ReportLine<'_>, by: Grouping) -> Place {
    (
        line.day.filter(|_| by.day),
        line.programme,
        line.group.filter(|_| by.group).map(str::to_owned),
        line.model.filter(|_| by.model).map(str::to_owned),
        line.grant.filter(|_| by.person),
    )
}

fn summed(report: &SpendingReport, by: Grouping) -> BTreeMap<Place, (Usd, u64)> {
    let mut sums: BTreeMap<Place, (Usd, u64)> = BTreeMap::new();
    for line in report.lines() {
        let sum = sums.entry(place(&line, by)).or_default();
        *sum = (sum.0 + line.spent, sum.1 + line.requests.unwrap());
    }
    sums.retain(|_, sum| *sum != (Usd::ZERO, 0));
    sums
}

/// The use of keys by grant and day, and rows of model use that need not fit them.
#[derive(Debug, Clone)]
struct History {
    keys: Vec<(u8, i64, i64)>,
    models: Vec<(u8, i64, u8, i64, u64)>,
    range: (i64, i64),
}

impl History {
    fn report(&self, by: Grouping) -> SpendingReport {
        let mut report = report_of(by, self.range);
        for (grant, on, micros) in &self.keys {
            report.add(source(*grant), &DailyUse::on_one(day(*on), usd(*micros)));
        }
        for (grant, on, model, micros, requests) in &self.models {
            let name = ["", "a/small", "b/large"][usize::from(*model)];
            report.divide(source(*grant), day(*on), name, used(*micros, *requests));
        }
        report
    }

    fn total(&self) -> Usd {
        let within = self.keys.iter().filter(|(_, on, _)| self.range.0 <= *on && *on <= self.range.1);
        within.map(|(.., micros)| usd(*micros)).sum()
    }
}

prop_compose! {
    fn any_history()(
        keys in prop::collection::vec((0_u8..8, 0_i64..12, 0_i64..9_000), 0..40),
        models in prop::collection::vec((0_u8..8, 0_i64..12, 0_u8..3, 0_i64..9_000, 0_u64..5), 0..40),
        from in 0_i64..12, length in 0_i64..12,
    ) -> History {
        History { keys, models, range: (from, from + length) }
    }
}

proptest! {
    #[test]
    fn any_grouping_adds_up_to_what_the_keys_used_and_is_the_sum_of_each_finer_one(history in any_history()) {
        let finest = history.report(grouping(15));
        for bits in 0..16 {
            let by = grouping(bits);
            let report = history.report(by);
            prop_assert_eq!(report.lines().iter().map(|line| line.spent).sum::<Usd>(), history.total());
            prop_assert_eq!(report.total(), history.total());
            prop_assert_eq!(summed(&report, by), summed(&finest, by));
        }
    }
}

#[test]
fn what_no_model_is_known_of_is_a_line_without_a_model_also_where_models_tell_more() {
    let by = Grouping { model: true, ..Grouping::default() };
    let mut report = report_of(by, (0, 3));
    report.add(source(1), &DailyUse::on_one(day(1), usd(1_000_000)));
    report.divide(source(1), day(1), "a/small", used(600_000, 3));
    report.divide(source(1), day(1), "", used(100_000, 1));
    for outside in [-1, 4] {
        report.divide(source(1), day(outside), "a/small", used(100_000, 1));
    }
    let lines = |report: &SpendingReport| -> Vec<_> {
        let lines = report.lines();
        lines.iter().map(|line| (line.model.map(str::to_owned), line.spent.micros(), line.requests)).collect()
    };
    let small = Some("a/small".to_owned());
    assert_eq!(lines(&report), [(small.clone(), 600_000, Some(3)), (None, 400_000, Some(1))]);
    report.divide(source(1), day(2), "a/small", used(400_002, 1));
    assert_eq!(lines(&report), [(small, 1_000_002, Some(4)), (None, -2, Some(1))]);
    assert_eq!(report.total(), usd(1_000_000));
}

#[test]
fn requests_are_left_out_where_a_day_is_not_known_by_model() {
    let lines = |by: Grouping, unknown: i64| {
        let mut report = report_of(by, (0, 4));
        report.add(source(1), &DailyUse::on_one(day(1), usd(10)));
        report.add(source(1), &DailyUse::on_one(day(2), usd(20)));
        report.divide(source(1), day(1), "a/small", used(10, 7));
        report.known.remove(&day(unknown));
        let lines = report.lines();
        lines.iter().map(|line| (line.spent.micros(), line.requests)).collect::<Vec<_>>()
    };
    let none = Grouping::default();
    assert_eq!(lines(none, 9), [(30, Some(7))]);
    assert_eq!(lines(none, 2), [(30, None)]);
    assert_eq!(lines(none, 0), [(30, Some(7))], "before the first use nothing has to be known");
    assert_eq!(lines(Grouping { day: true, ..none }, 2), [(10, Some(7)), (20, None)]);
    assert_eq!(lines(Grouping { model: true, ..none }, 2), [(20, None), (10, Some(7))]);
}

#[test]
fn what_only_a_sum_is_known_of_is_named_and_what_is_of_no_day_or_another_bill_is_told_apart() {
    let mut report = report_of(Grouping::default(), (2, 9));
    let counted = |lifetime, on| KeyCounters { lifetime: usd(lifetime), today: Some(Usd::ZERO), on: day(on) };
    for (known, on) in [(1, 4), (3, 6), (8, 12)] {
        let missed = Days::on_one(day(0), usd(5)).with(counted(25, on), Some(day(known)));
        report.add(source(1), &DailyUse { credits: missed, byok: Days::on_one(day(3), usd(7)) });
    }
    assert_eq!(report.estimated(), [(day(1), day(5)), (day(8), day(11))]);
    // Of the last key's twenty, all lie on the eleventh day.
    assert_eq!((report.total(), report.byok, report.undated), (usd(40), usd(21), Usd::ZERO));
    let found = Days::default().with(counted(500, 6), None);
    report.add(source(0), &DailyUse { credits: found, byok: Days::default() });
    assert_eq!((report.total(), report.undated), (usd(40), usd(500)));
    report.known.retain(|on| *on < day(8));
    assert_eq!(report.unknown(), [(day(8), day(9))]);
}
