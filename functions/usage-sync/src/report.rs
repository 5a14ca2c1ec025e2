//! What a run found, as it is answered and kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The report of one run. Amounts are strings with six decimals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) keys_listed: usize,
    pub(crate) readings_recorded: usize,
    pub(crate) orphans_disabled: usize,
    pub(crate) keys_missing: usize,
    pub(crate) residual_usd: Option<String>,
    pub(crate) account_balance_usd: Option<String>,
    pub(crate) complete: bool,
    /// From when on the rest of the run may be gone on with; none when it has ended.
    pub(crate) goes_on_at: Option<Timestamp>,
    pub(crate) duration_ms: u64,
    /// How often something was in the way that time might heal.
    pub(crate) tries: u32,
    /// How many requests to the provider were under way at once in the end.
    pub(crate) at_once: Option<usize>,
    pub(crate) problems: Vec<String>,
}

/// More would say nothing more, and would not fit into the item that keeps the report.
const MOST_PROBLEMS: usize = 200;

impl Report {
    /// Says something before what was said so far.
    pub(crate) fn first_problem(&mut self, what: String) {
        self.problems.insert(0, what);
        self.problems.truncate(MOST_PROBLEMS);
    }

    /// Says what went wrong. Of very many the first are said.
    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(what.into());
        }
    }
}
