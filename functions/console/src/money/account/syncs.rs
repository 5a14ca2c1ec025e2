//! The last runs of the sync, from their reports, and the account's spending up to each day, by
//! owner.

use std::collections::BTreeMap;

use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::window::days_between;
use bursar_core::store::Run;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::kit::listing::{Cell, Column, Listing, Part, column};
use crate::kit::show;

pub(super) struct SyncRun {
    pub(super) run: Run,
    pub(super) report: RecordedReport,
}

/// The fields of a report that the page shows. A report of another version may lack some.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RecordedReport {
    pub(super) keys_listed: Option<u64>,
    pub(super) readings_recorded: Option<u64>,
    pub(super) orphans_disabled: Option<u64>,
    pub(super) keys_missing: Option<u64>,
    pub(super) residual_usd: Option<String>,
    pub(super) account_balance_usd: Option<String>,
    pub(super) duration_ms: Option<u64>,
    pub(super) problems: Vec<String>,
}

impl SyncRun {
    pub(super) fn new(run: Run) -> SyncRun {
        let why = if run.ended_at.is_none() {
            "it has not ended"
        } else {
            "the report of this run cannot be read"
        };
        let report = serde_json::from_str(&run.report).unwrap_or_else(|_| RecordedReport {
            problems: vec![why.to_owned()],
            ..RecordedReport::default()
        });
        SyncRun { run, report }
    }

    fn count(&self, of: fn(&RecordedReport) -> Option<u64>) -> Cell {
        Cell::exact(Some(show::show_count(of(&self.report))))
    }
}

/// An amount of a report.
fn usd(text: Option<&str>) -> Option<Usd> {
    text.and_then(|usd| Usd::parse_floor(usd).ok())
}

const COLUMNS: [Column<SyncRun>; 10] = [
    column("Began (UTC)")
        .class("date")
        .cell(|sync| Cell::At(Some(sync.run.began_at))),
    column("Took")
        .class("number")
        .cell(|sync| Cell::exact(sync.report.duration_ms.map(length))),
    column("Keys")
        .class("number")
        .cell(|sync| sync.count(|report| report.keys_listed)),
    column("Newly read")
        .class("number")
        .cell(|sync| sync.count(|report| report.readings_recorded)),
    column("Disabled")
        .class("number")
        .cell(|sync| sync.count(|report| report.orphans_disabled)),
    column("Missing")
        .class("number")
        .cell(|sync| sync.count(|report| report.keys_missing)),
    column("Not explained")
        .class("money")
        .cell(|sync| usd(sync.report.residual_usd.as_deref()).map_or_else(not_known, Cell::money)),
    column("Balance").class("money").cell(|sync| {
        let balance = usd(sync.report.account_balance_usd.as_deref());
        balance.map_or_else(not_known, |usd| Cell::money(usd.whole_cents()))
    }),
    column("Complete").cell(|sync| {
        if sync.run.complete {
            Cell::badge("good", "yes")
        } else {
            Cell::badge("warning", "no")
        }
    }),
    column("Problems").cell(|sync| {
        Cell::Shown(
            None,
            vec![Part::Folded("problem", sync.report.problems.clone())],
        )
    }),
];

fn not_known() -> Cell {
    Cell::exact(Some("not known"))
}

pub(super) fn listing(syncs: Vec<SyncRun>) -> Listing<SyncRun> {
    Listing::new(("The last checks", "sync"), COLUMNS, syncs, &TimeZone::UTC)
}

fn length(ms: u64) -> String {
    match (ms / 60_000, ms / 1_000) {
        (0, 0) => format!("{ms} ms"),
        (0, seconds) => format!("{seconds}.{} s", ms % 1_000 / 100),
        (minutes, seconds) => format!("{minutes} min {} s", seconds % 60),
    }
}

pub(super) struct Day {
    pub(super) day: Date,
    /// The number of days over which the sums grew, if more than one.
    pub(super) nights: Option<i32>,
    /// The sums: the account; keys of grants; foreign keys; deleted keys of grants; deleted foreign
    /// keys; and the residual. Beside each its growth since the previous day on record, if there is
    /// one.
    pub(super) cells: [(String, Option<String>); 6],
}

/// The newest cut of each day, newest first.
pub(super) fn keep_last_of_each_day(cuts: Vec<AccountCut>) -> Vec<AccountCut> {
    let by_day: BTreeMap<Date, AccountCut> = cuts.into_iter().map(|cut| (cut.day(), cut)).collect();
    by_day.into_values().rev().collect()
}

/// The `most` newest days on record, newest first. `days` holds one more, from which the last one's
/// growth is taken.
pub(super) fn keep_newest_days(days: &[AccountCut], most: usize) -> Vec<Day> {
    let before = days.iter().skip(1).map(Some).chain([None]);
    days.iter()
        .zip(before)
        .take(most)
        .map(|(day, before)| Day::new(day, before))
        .collect()
}

impl Day {
    fn new(day: &AccountCut, before: Option<&AccountCut>) -> Day {
        let sums = in_cents(day);
        let sums_before = before.map(in_cents);
        let cells = std::array::from_fn(|column| {
            let grew = sums_before
                .as_ref()
                .map(|before| sums[column] - before[column]);
            (
                sums[column].to_cents(),
                grew.filter(|grew| *grew != Usd::ZERO).map(with_sign),
            )
        });
        let nights = before.map(|before| days_between(before.day(), day.day()));
        Day {
            day: day.day(),
            nights: nights.filter(|nights| *nights != 1),
            cells,
        }
    }
}

/// What the account spent, and its parts in the order of the columns; with the opening and what is
/// unsettled they add up to it.
fn in_cents(cut: &AccountCut) -> Vec<Usd> {
    let AccountCut {
        spent,
        ours_gone,
        foreign,
        foreign_gone,
        residual,
        opening,
        unsettled,
        ..
    } = *cut;
    let ours = cut.ours() - ours_gone;
    let foreign = foreign - foreign_gone;
    let parts = round_to_cents([
        ours,
        foreign,
        ours_gone,
        foreign_gone,
        residual,
        opening,
        unsettled,
    ]);
    round_to_cents([spent.after])
        .into_iter()
        .chain(parts)
        .collect()
}

fn with_sign(amount: Usd) -> String {
    if amount < Usd::ZERO {
        amount.to_cents()
    } else {
        format!("+{}", amount.to_cents())
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::store::BegunBy;

    use super::*;

    /// A run takes milliseconds, seconds or minutes, and a report that cannot be read is shown as a
    /// problem.
    #[test]
    fn runs_show_length_and_problems() {
        assert_eq!(
            [length(250), length(1_250), length(185_000)],
            ["250 ms", "1.2 s", "3 min 5 s"]
        );
        let at = "2026-11-20T00:20:00Z".parse().unwrap();
        let of = |report: &str| {
            SyncRun::new(Run {
                ended_at: Some(at),
                report: report.to_owned(),
                ..Run::begun(at, at, BegunBy::Night)
            })
        };
        assert_eq!(
            of("<html>").report.problems,
            ["the report of this run cannot be read"]
        );
        assert_eq!(
            usd(of(r#"{"account_balance_usd": null}"#)
                .report
                .account_balance_usd
                .as_deref()),
            None
        );
        assert_eq!(
            usd(of(r#"{"account_balance_usd": "-1.500000"}"#)
                .report
                .account_balance_usd
                .as_deref()),
            Some(Usd::from_micros(-1_500_000))
        );
    }
}
