//! Runs of the sync that ended, each with its report.
use crate::clock::Moment;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::values::id::new_ulid;
use crate::store::items::stored;
use crate::store::keys::{RUNS, key};
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table, keys};

/// One run of the sync that ended: its report, kept for a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: Ulid,
    pub began_at: Moment,
    pub ended_at: Moment,
    pub complete: bool,
    /// The report, as JSON text.
    pub report: String,
}

stored! {
    "run" Run |it| (run: Ulid = it.run) => key(RUNS, run.to_string());
    expires it.ended_at + RUN_KEPT
}

pub(in crate::store) const RUN_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

impl Run {
    /// A run that ended now. Runs sort by when they ended.
    pub fn ended(began_at: Moment, ended_at: Moment, complete: bool, report: String) -> Run {
        Run { run: new_ulid(ended_at), began_at, ended_at, complete, report }
    }
}

impl Table {
    /// The last run that ended.
    pub async fn latest_run(&self) -> Result<Option<Run>, StoreError> {
        self.last(keys::RUNS, "").await
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, limit: i32) -> Result<Vec<Run>, StoreError> {
        self.newest(keys::RUNS, "", limit).await
    }

    async fn last<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Option<T>, StoreError> {
        Ok(self.newest(pk, sk_begins, 1).await?.pop())
    }
}
