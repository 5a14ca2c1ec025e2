//! The statement of the account: as a page and as CSV.

mod files;
mod mailed;
mod page;

use bursar_core::domain::ledger::statement::StatementDays;
use bursar_core::domain::values::window::utc_date;
use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use files::csv;
pub(crate) use page::page;

/// The days as a query asks for them; without any, the last month.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DaysQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// What is wrong with days that were asked for, in a sentence.
const NOT_DAYS: &str = "Type two dates such as 2026-10-01 and 2026-10-31, the first no later than the last.";

impl DaysQuery {
    fn days(&self, now: Timestamp) -> Result<StatementDays, &'static str> {
        if self.from.is_empty() && self.to.is_empty() {
            return Ok(StatementDays::month_before(utc_date(now)));
        }
        match (self.from.trim().parse(), self.to.trim().parse()) {
            (Ok(from), Ok(to)) => StatementDays::new(from, to).ok_or(NOT_DAYS),
            _ => Err(NOT_DAYS),
        }
    }
}
