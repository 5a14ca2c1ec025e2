//! The statement of a month as it was mailed to finance: which months are due, which rows are
//! whose, and what differs since. The store keeps it, and the mail function words it.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::statement::{Statement, StatementDays, StatementRow};
use crate::clock::Moment;
use crate::domain::programme::Programme;
use crate::domain::programme::role::is_among;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::PersonId;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;
use crate::schema::{ACCOUNT, begin, key, stored};

/// The days of a month that pass before the statement of the month before is mailed: it goes out on
/// the third.
const DAYS_BEFORE: i64 = 2;
/// The most months that are made up for, where no sync was complete for long.
const MOST_MONTHS: usize = 12;

/// The statement of a month as it was mailed, whatever cost codes, names and owners are since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailedStatement {
    /// With all rows, also those of no programme, which nobody was mailed.
    pub statement: Statement,
    pub mailed_at: Moment,
    /// The finance people who get their rows of it; the store fills them in, with how many have a
    /// mail queued.
    pub recipients: Vec<PersonId>,
    pub queued: u32,
}

stored! {
    // The statement of a month as it was mailed. There is one key, so it is mailed once.
    MailedStatement |mailed| (month: Date = mailed.statement.days.first) => key(ACCOUNT, format!("STATEMENT#{month}"));
    list all() => begin(ACCOUNT, "STATEMENT#")
}

#[derive(Debug)]
pub struct RowDifference {
    /// As it was mailed, if it was.
    pub row: StatementRow,
    pub what: ChangedCell,
}

/// The cell that differs: as it was mailed, and as it is now.
#[derive(Debug)]
pub enum ChangedCell {
    Name(Option<String>, Option<String>),
    CostCode(Option<String>, Option<String>),
    Spent(Usd, Usd),
}

/// The months that may be mailed at this time, oldest first: those after the newest one that was,
/// or since the first cut of the account.
pub fn months_due(newest: Option<Date>, first_cut: Moment, now: Moment) -> Vec<StatementDays> {
    let mut months = Vec::new();
    let today = utc_date(now)
        .checked_sub(DAYS_BEFORE.days())
        .unwrap_or(Date::MIN);
    let mut month = StatementDays::month_before(today);
    while months.len() < MOST_MONTHS
        && month.first >= utc_date(first_cut).first_of_month()
        && newest.is_none_or(|newest| newest < month.first)
    {
        months.push(month);
        month = StatementDays::month_before(month.first);
    }
    months.reverse();
    months
}

impl MailedStatement {
    /// The statement of a month as it is mailed now.
    pub fn new(statement: Statement, now: Moment) -> MailedStatement {
        MailedStatement {
            statement,
            mailed_at: now,
            recipients: Vec::new(),
            queued: 0,
        }
    }

    /// The rows of the programmes that name this address for finance. A programme that was over
    /// before the statement begins has none unless something was spent.
    pub fn rows_of(
        &self,
        address: &MatchedAddress,
        programmes: &[Programme],
    ) -> Vec<&StatementRow> {
        let rows = self.statement.rows.iter().filter(|row| {
            let programme = programmes
                .iter()
                .find(|programme| Some(&programme.id) == row.programme.as_ref());
            programme.is_some_and(|programme| {
                is_among(address, &programme.settings.people.finance)
                    && (!row.spent.is_zero() || programme.over_since() >= self.statement.from)
            })
        });
        rows.collect()
    }

    /// Row by row, what is otherwise in the statement that is made of the same days now. A row that
    /// is not there has spent nothing.
    pub fn differences(&self, now: &Statement) -> Vec<RowDifference> {
        let mailed = &self.statement.rows;
        let new = now
            .rows
            .iter()
            .filter(|row| row_like(mailed, row).is_none());
        let mut differences = Vec::new();
        for (before, after) in mailed
            .iter()
            .map(|before| (Some(before), row_like(&now.rows, before)))
            .chain(new.map(|row| (None, Some(row))))
        {
            let Some(row) = before.or(after) else {
                continue;
            };
            let mut differs = |what| {
                differences.push(RowDifference {
                    row: row.clone(),
                    what,
                });
            };
            if let (Some(before), Some(after)) = (before, after) {
                if before.name != after.name {
                    differs(ChangedCell::Name(before.name.clone(), after.name.clone()));
                }
                if before.cost_code != after.cost_code {
                    differs(ChangedCell::CostCode(
                        before.cost_code.clone(),
                        after.cost_code.clone(),
                    ));
                }
            }
            let [was_spent, is_spent] =
                [before, after].map(|row| row.map_or(Usd::ZERO, |row| row.spent));
            if was_spent != is_spent {
                differs(ChangedCell::Spent(was_spent, is_spent));
            }
        }
        differences
    }
}

fn row_like<'a>(rows: &'a [StatementRow], like: &StatementRow) -> Option<&'a StatementRow> {
    rows.iter()
        .find(|row| (&row.programme, row.kind) == (&like.programme, like.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{at, date};

    /// A month is due once, from the third of the next month on, and not before the first complete
    /// check.
    #[test]
    fn a_month_is_due_once() {
        let due = |newest: Option<&str>, first_cut, now| {
            let months = months_due(newest.map(date), at(first_cut), at(now));
            months
                .iter()
                .map(|days| days.first.strftime("%Y-%m").to_string())
                .collect::<Vec<_>>()
        };
        let first_cut = "2026-10-14T00:20:00Z";
        assert!(due(None, first_cut, "2026-11-02T23:59:59Z").is_empty());
        assert_eq!(due(None, first_cut, "2026-11-03T00:00:00Z"), ["2026-10"]);
        assert_eq!(
            due(None, first_cut, "2026-12-02T23:59:59Z"),
            ["2026-10"],
            "until the next is due it waits alone"
        );
        assert_eq!(
            due(None, first_cut, "2027-01-03T00:00:00Z"),
            ["2026-10", "2026-11", "2026-12"]
        );
        assert_eq!(
            due(Some("2026-11-01"), first_cut, "2027-01-30T00:00:00Z"),
            ["2026-12"]
        );
        assert!(due(Some("2026-12-01"), first_cut, "2027-02-02T23:59:59Z").is_empty());
        assert_eq!(due(None, first_cut, "2029-01-03T00:00:00Z").len(), 12);
        assert!(
            due(None, "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z").is_empty(),
            "October had no cut"
        );
    }
}
