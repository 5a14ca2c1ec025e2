//! What a report leaves without a model or a number of requests, and what it tells apart.

use jiff::civil::date;

use super::*;
use crate::domain::testing::micros as usd;
use crate::domain::usage::days::KeyCounters;

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

/// The use of one grant's key, and that of a key without a grant.
const ADA: UseSource<'static> = UseSource { programme: 0, group: Some("A"), grant: Some([1; 8]) };
const FOREIGN: UseSource<'static> = UseSource { programme: 0, group: None, grant: None };

#[test]
fn what_no_model_is_known_of_is_a_line_without_a_model_also_where_models_tell_more() {
    let by = Grouping { model: true, ..Grouping::default() };
    let mut report = report_of(by, (0, 3));
    report.add(ADA, &DailyUse::on_one(day(1), usd(1_000_000)));
    report.divide(ADA, day(1), "a/small", used(600_000, 3));
    report.divide(ADA, day(1), "", used(100_000, 1));
    for outside in [-1, 4] {
        report.divide(ADA, day(outside), "a/small", used(100_000, 1));
    }
    let lines = |report: &SpendingReport| -> Vec<_> {
        let lines = report.lines();
        lines.iter().map(|line| (line.model.map(str::to_owned), line.spent.micros(), line.requests)).collect()
    };
    let small = Some("a/small".to_owned());
    assert_eq!(lines(&report), [(small.clone(), 600_000, Some(3)), (None, 400_000, Some(1))]);
    report.divide(ADA, day(2), "a/small", used(400_002, 1));
    assert_eq!(lines(&report), [(small, 1_000_002, Some(4)), (None, -2, Some(1))]);
    assert_eq!(report.total(), usd(1_000_000));
}

#[test]
fn requests_are_left_out_where_a_day_is_not_known_by_model() {
    let lines = |by: Grouping, unknown: i64| {
        let mut report = report_of(by, (0, 4));
        report.add(ADA, &DailyUse::on_one(day(1), usd(10)));
        report.add(ADA, &DailyUse::on_one(day(2), usd(20)));
        report.divide(ADA, day(1), "a/small", used(10, 7));
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
        report.add(ADA, &DailyUse { credits: missed, byok: Days::on_one(day(3), usd(7)) });
    }
    assert_eq!(report.estimated(), [(day(1), day(5)), (day(8), day(11))]);
    // Of the last key's twenty, all lie on the eleventh day.
    assert_eq!((report.total(), report.byok, report.undated), (usd(40), usd(21), Usd::ZERO));
    let found = Days::default().with(counted(500, 6), None);
    report.add(FOREIGN, &DailyUse { credits: found, byok: Days::default() });
    assert_eq!((report.total(), report.undated), (usd(40), usd(500)));
    report.known.retain(|on| *on < day(8));
    assert_eq!(report.unknown(), [(day(8), day(9))]);
}
