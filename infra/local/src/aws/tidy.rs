//! What forgets for good where the table is this process' own, and keeps it small.

use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::store::{Erasure, Table};
use jiff::SignedDuration;

use crate::aws::engine::Engine;
use crate::aws::pump::Pump;
use crate::base::clock::StackClock;
use crate::base::state_file::StateFile;

const LOOKS_EACH: Duration = Duration::from_secs(60);
/// What has expired is read by nobody, so it may stay for a day.
const AT_LEAST_EACH: SignedDuration = SignedDuration::from_hours(24);
const LAST: (&str, &str) = ("tidy", "last");

/// Tidies each day, and within a minute of an erasure's end.
pub async fn as_time_passes(
    table: Table,
    engine: Engine,
    pump: Pump,
    clock: StackClock,
    kept: StateFile,
) {
    loop {
        if let Err(error) = tidy_if_due(&table, &engine, &pump, clock.now(), &kept).await {
            tracing::error!(
                error = format!("{error:#}"),
                "what was deleted may still be in a file"
            );
        }
        tokio::time::sleep(LOOKS_EACH).await;
    }
}

async fn tidy_if_due(
    table: &Table,
    engine: &Engine,
    pump: &Pump,
    now: Moment,
    kept: &StateFile,
) -> Result<()> {
    let last: Option<Moment> = kept.get(LAST.0, LAST.1)?;
    let erasures = table.list(Erasure::all()).await?.into_iter();
    let erased_at = erasures
        .filter(|erasure| erasure.again_at.is_none())
        .map(|erasure| erasure.advanced_at)
        .max();
    if last.is_some_and(|last| {
        now < last + AT_LEAST_EACH && erased_at.is_none_or(|erased_at| erased_at < last)
    }) {
        return Ok(());
    }
    engine.sweep().await?;
    tidy(engine, pump).await?;
    kept.put(LAST.0, LAST.1, &now)
}

/// Leaves nothing in the table's files of what was deleted from it, once all readers of its stream
/// have heard of that.
pub async fn tidy(engine: &Engine, pump: &Pump) -> Result<()> {
    tokio::time::timeout(LOOKS_EACH, pump.drained()).await??;
    engine.trim(pump.passed()).await?;
    engine.rewrite().await
}
