//! Runs the stream, the work and the drain until nothing is due: every record is delivered, and a
//! round of work and drain changed nothing. Whatever is due later stays.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::aws::pump::Pump;
use crate::aws::schedules::Schedules;
use crate::base::function::FunctionName;

pub const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The parts that settling needs. Clones settle one stack.
#[derive(Clone)]
pub struct Settle {
    pump: Pump,
    schedules: Schedules,
}

impl Settle {
    pub fn new(pump: Pump, schedules: Schedules) -> Settle {
        Settle { pump, schedules }
    }

    /// Returns when nothing is due any more; after the limit it is an error of type `Elapsed`.
    pub async fn settle(&self, limit: Duration) -> Result<()> {
        let settled = tokio::time::timeout(limit, self.rounds()).await;
        settled.with_context(|| format!("after {} s something was still due", limit.as_secs()))?
    }

    async fn rounds(&self) -> Result<()> {
        let _hurry = self.pump.hurry();
        loop {
            self.pump.drained().await?;
            let before = self.pump.changes();
            let work = self
                .schedules
                .run_now(FunctionName::Console, json!({"task": "work"}))
                .await;
            let drain = self
                .schedules
                .run_now(FunctionName::Mail, json!({"task": "drain"}))
                .await;
            self.pump.drained().await?;
            if let Some(error) = work.err().or(drain.err()) {
                tracing::warn!(%error, "a round of settling failed and is repeated");
                tokio::time::sleep(PAUSE).await;
            } else if self.pump.changes() == before {
                return Ok(());
            }
        }
    }
}
