//! Runs the stream, the work and the drain until nothing is due: every record is delivered, and a round of
//! work and drain changed nothing. Whatever is due later stays.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::aws::pump::Pump;
use crate::aws::schedules::Schedules;
use crate::base::function::FunctionName;

/// The limit in real time.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The first pause after a round that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The parts that settling needs. Clones settle one stack.
#[derive(Clone)]
pub struct Settle {
    pump: Pump,
    schedules: Schedules,
}

#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    #[error("after {} s something was still due", .0.as_secs())]
    InTime(Duration),
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Settle {
    pub fn new(pump: Pump, schedules: Schedules) -> Settle {
        Settle { pump, schedules }
    }

    /// Returns when nothing is due any more, or after the limit.
    pub async fn settle(&self, limit: Duration) -> Result<(), NotSettled> {
        match tokio::time::timeout(limit, self.rounds()).await {
            Ok(settled) => Ok(settled?),
            Err(_) => Err(NotSettled::InTime(limit)),
        }
    }

    async fn rounds(&self) -> Result<()> {
        let _hurry = self.pump.hurry();
        let mut pause = FIRST_PAUSE;
        loop {
            self.pump.drained().await?;
            let before = self.pump.changes();
            let work = self.schedules.run_now(FunctionName::Console, json!({"task": "work"})).await;
            let drain = self.schedules.run_now(FunctionName::Mail, json!({"task": "drain"})).await;
            self.pump.drained().await?;
            if let Some(error) = work.err().or(drain.err()) {
                tracing::warn!(%error, "a round of settling failed and is repeated");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else if self.pump.changes() == before {
                return Ok(());
            } else {
                pause = FIRST_PAUSE;
            }
        }
    }
}
