//! The disables that are still owed: whoever owed them told the provider at once, and this repeats what failed.

use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::id::Epoch;
use bursar_core::domain::key::KeyHash;
use bursar_core::provider::Provider;
use bursar_core::provider::keys::KeyPatch;
use bursar_core::store::{At, Table};
use jiff::Timestamp;
use serde::Serialize;

/// What one round of work did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) disabled: u32,
    pub(crate) still_owed: u32,
}

/// More wait for the next minute.
const AT_ONCE: i32 = 100;
/// A round ends before the invocation does.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);

/// Tells the provider to disable each key that is owed it, oldest debt first.
pub(crate) async fn owed_disables(
    table: &Table,
    provider: &Provider,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Report> {
    let mut report = Report::default();
    for grant in table.grants_owing_disables(AT_ONCE).await? {
        for (epoch, key, _) in grant.owed_disables() {
            match disable(table, provider, &grant, epoch, key, now, deadline).await {
                Ok(()) => report.disabled += 1,
                Err(error) => {
                    report.still_owed += 1;
                    tracing::warn!(grant = %grant.id, epoch = epoch.number(), error = format!("{error:#}"), "a disable is still owed");
                }
            }
        }
    }
    Ok(report)
}

async fn disable(
    table: &Table,
    provider: &Provider,
    grant: &Grant,
    epoch: Epoch,
    key: &KeyHash,
    now: Timestamp,
    deadline: Deadline,
) -> Result<()> {
    anyhow::ensure!(deadline.leaves(ENOUGH_FOR_ONE), "the time is up for this round");
    // A key that the provider does not know any more cannot be spent either.
    provider.patch_key(key, KeyPatch::disabled(true), deadline).await?;
    let at = At { programme: &grant.programme, grant: &grant.id, now, deadline };
    table.disabled(at, epoch).await?;
    Ok(())
}
