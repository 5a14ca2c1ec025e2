//! Runs of the sync that ended, each with its report.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::values::id::new_ulid;
use crate::store::items::stored;
use crate::store::keys::{begin, key};

/// One run of the sync that ended: its report, kept for a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: Ulid,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub ended_at: Timestamp,
    pub complete: bool,
    /// The report, as JSON text.
    pub report: String,
}

stored! {
    "run" Run |it| (run: Ulid = it.run) => key("RUNS", run.to_string());
    list all() => begin("RUNS", "");
    expires it.ended_at + RUN_KEPT
}

pub(crate) const RUN_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

impl Run {
    /// A run that ended now. Runs sort by when they ended.
    pub fn ended(began_at: Timestamp, ended_at: Timestamp, complete: bool, report: String) -> Run {
        Run { run: new_ulid(ended_at), began_at, ended_at, complete, report }
    }
}
