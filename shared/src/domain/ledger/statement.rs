//! The statement of an account: what it spent between two cuts, by cost code and programme, and what no key explains.
//!
//! Each cut's parts add up to what the account had spent, so their differences add up to what it spent in between. Cost codes are
//! those of today.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::cut::{AccountCut, LifetimeUse};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;

/// The whole UTC days that a statement is asked for, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementDays {
    pub from: Date,
    pub to: Date,
}

/// A statement: the difference of two cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub days: StatementDays,
    /// The instants of the two cuts.
    pub from: Timestamp,
    pub to: Timestamp,
    pub rows: Vec<StatementRow>,
    /// What the account spent from the first cut to the second, as the provider reports it.
    pub change: Usd,
    pub bought: Usd,
}

/// A part of what the account spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRow {
    /// The programme and its cost code; `None` for what is no programme's.
    pub programme: Option<ProgrammeId>,
    pub cost_code: Option<String>,
    pub kind: RowKind,
    pub spent: Usd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// The use of keys that people got here.
    Keys,
    /// The provider's estimate of what people's own provider keys were billed elsewhere. It is in no sum.
    Byok,
    /// The use of foreign keys without an owner.
    Unowned,
    /// The spending while the last listing was under way.
    Unsettled,
    Residual,
    Opening,
}

/// Why a statement does not begin or end at the edge of its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeNote {
    /// No complete sync began on the first day; the statement begins with this later cut.
    BeginsLate(Timestamp),
    /// No complete sync began on the day after the last; the statement ends with this later cut.
    EndsLate(Timestamp),
    /// No complete sync has begun since the last day was over; the statement ends with the newest cut.
    NotOver(Timestamp),
}

impl StatementDays {
    /// The days, if they are in order.
    pub fn new(from: Date, to: Date) -> Option<StatementDays> {
        (from <= to && to < Date::MAX).then_some(StatementDays { from, to })
    }

    /// The calendar month before the one of this day.
    pub fn month_before(today: Date) -> StatementDays {
        let last = today.first_of_month().yesterday().unwrap_or(today);
        StatementDays { from: last.first_of_month(), to: last }
    }

    /// Whether it is whole months.
    pub fn are_whole_months(self) -> bool {
        self.from == self.from.first_of_month() && self.to == self.to.last_of_month()
    }

    pub fn begin(self) -> Timestamp {
        start_of(self.from)
    }

    pub fn end(self) -> Timestamp {
        start_of(day_after(self.to))
    }
}

impl RowKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RowKind::Keys => "keys",
            RowKind::Byok => "byok",
            RowKind::Unowned => "unowned",
            RowKind::Unsettled => "unsettled",
            RowKind::Residual => "residual",
            RowKind::Opening => "opening",
        }
    }

    /// Whether it is part of what the account spent.
    pub fn counts(self) -> bool {
        self != RowKind::Byok
    }
}

impl Statement {
    /// The statement of these days, from the cuts since their beginning, oldest first. `None` without any cut.
    pub fn of(
        days: StatementDays,
        cuts: &[AccountCut],
        cost_code: impl Fn(&ProgrammeId) -> Option<String>,
    ) -> Option<Statement> {
        let last = cuts.last()?;
        let since = |instant: Timestamp| cuts.iter().find(|cut| cut.as_of >= instant).unwrap_or(last);
        Some(Statement::between(days, since(days.begin()), since(days.end()), cost_code))
    }

    fn between(
        days: StatementDays,
        from: &AccountCut,
        to: &AccountCut,
        cost_code: impl Fn(&ProgrammeId) -> Option<String>,
    ) -> Statement {
        let mut rows = Vec::new();
        for after in &to.programmes {
            let before = from.programmes.iter().find(|before| before.programme == after.programme);
            let used = after.used - before.map_or(LifetimeUse::default(), |before| before.used);
            let row = |kind, spent| StatementRow {
                programme: Some(after.programme.clone()),
                cost_code: cost_code(&after.programme),
                kind,
                spent,
            };
            rows.push(row(RowKind::Keys, used.credits));
            if used.byok != Usd::ZERO {
                rows.push(row(RowKind::Byok, used.byok));
            }
        }
        rows.sort_by(|one, other| {
            let place =
                |row: &StatementRow| (row.cost_code.is_none(), row.cost_code.clone(), row.programme.clone(), row.kind);
            place(one).cmp(&place(other))
        });
        let of_nobody = [
            (RowKind::Unowned, to.foreign - from.foreign),
            (RowKind::Unsettled, to.unsettled - from.unsettled),
            (RowKind::Residual, to.residual - from.residual),
            (RowKind::Opening, to.opening - from.opening),
        ];
        rows.extend(of_nobody.map(|(kind, spent)| StatementRow { programme: None, cost_code: None, kind, spent }));
        let (change, bought) = (to.spent.after - from.spent.after, to.bought - from.bought);
        Statement { days, from: from.as_of, to: to.as_of, rows, change, bought }
    }

    /// The sum of all rows but the estimates of other bills.
    pub fn total(&self) -> Usd {
        self.rows.iter().filter(|row| row.kind.counts()).map(|row| row.spent).sum()
    }

    /// The spending of one kind.
    pub fn of_kind(&self, kind: RowKind) -> Usd {
        self.rows.iter().filter(|row| row.kind == kind).map(|row| row.spent).sum()
    }

    /// Where it does not begin or end at the edges of its days.
    pub fn notes(&self) -> Vec<EdgeNote> {
        let mut notes = Vec::new();
        if self.from >= start_of(day_after(self.days.from)) {
            notes.push(EdgeNote::BeginsLate(self.from));
        }
        if self.to < self.days.end() {
            notes.push(EdgeNote::NotOver(self.to));
        } else if self.to >= self.days.end() + 24.hours() {
            notes.push(EdgeNote::EndsLate(self.to));
        }
        notes
    }
}

fn day_after(day: Date) -> Date {
    day.tomorrow().unwrap_or(day)
}

/// 00:00 UTC of a day. Every day that a statement can name has one.
fn start_of(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |start| start.timestamp())
}

#[cfg(test)]
mod tests;
