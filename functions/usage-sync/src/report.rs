//! The report of a run, as the function answers and the table keeps it.

use jiff::Timestamp;

use crate::prelude::*;

/// Amounts are strings with six decimals.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SyncReport {
    pub(crate) keys_listed: usize,
    pub(crate) readings_recorded: usize,
    pub(crate) orphans_disabled: usize,
    pub(crate) keys_missing: usize,
    pub(crate) residual_usd: Option<String>,
    pub(crate) account_balance_usd: Option<String>,
    pub(crate) complete: bool,
    /// The earliest time at which the run is resumed; `None` when it has ended.
    pub(crate) goes_on_at: Option<Timestamp>,
    pub(crate) duration_ms: u64,
    /// The number of obstacles that it met.
    pub(crate) tries: u32,
    pub(crate) problems: Vec<String>,
}
