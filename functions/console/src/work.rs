//! The disables that are still owed: whoever owed them told the provider at once, and this repeats what failed. Several at a
//! time and each within its own time, so that one key that cannot be reached does not keep the others waiting.

use std::time::Duration;

use anyhow::{Result, ensure};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::key::KeyHash;
use bursar_core::provider::Provider;
use bursar_core::provider::keys::KeyPatch;
use bursar_core::store::{At, Outcome, Table};
use futures_util::StreamExt;
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
const SIDE_BY_SIDE: usize = 8;
/// What one disable may take, the provider's and the table's answers included.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);

/// Tells the provider to disable each key that is owed it, oldest debt first.
pub(crate) async fn owed_disables(
    table: &Table,
    provider: &Provider,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Report> {
    let owing = table.grants_owing_disables(AT_ONCE).await?;
    let rounds = owing.into_iter().map(|(programme, grant)| async move {
        let at = At { programme: &programme, grant: &grant, now, deadline };
        let outcome = disable_all(table, provider, at).await;
        if let Err(error) = &outcome {
            tracing::warn!(%grant, error = format!("{error:#}"), "a disable is still owed");
        }
        outcome
    });
    let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(SIDE_BY_SIDE);
    let mut report = Report::default();
    while let Some(outcome) = rounds.next().await {
        match outcome {
            Ok(disabled) => report.disabled += disabled,
            Err(_) => report.still_owed += 1,
        }
    }
    Ok(report)
}

/// Carries out what one grant owes, as it stands now, and says how many keys that were.
async fn disable_all(table: &Table, provider: &Provider, at: At<'_>) -> Result<u32> {
    ensure!(at.deadline.leaves(ENOUGH_FOR_ONE), "the time is up for this round");
    let patience = Deadline::after(at.deadline.left().saturating_sub(LEFT_FOR_THE_TABLE).min(ENOUGH_FOR_ONE));
    let mut disabled = 0;
    // Read again: it may have been released since the index named it.
    let Some(grant) = table.grant(at.programme, at.grant).await? else { return Ok(0) };
    for debt in grant.owed_disables() {
        // A key that the provider does not know any more cannot be spent either.
        provider.patch_key(&debt.key, KeyPatch::disabled(true), patience).await?;
        match table.disabled(at, &debt).await? {
            Outcome::Done(_) => disabled += 1,
            Outcome::Refused(_) | Outcome::NoSuchGrant => undo(table, provider, at, &debt.key, patience).await?,
        }
    }
    Ok(disabled)
}

/// The debt was gone when its payment was to be marked. If that is because the hold was taken off meanwhile, the key that was
/// enabled then is enabled again.
async fn undo(table: &Table, provider: &Provider, at: At<'_>, key: &KeyHash, patience: Deadline) -> Result<()> {
    let grant = table.grant(at.programme, at.grant).await?;
    let is_in_use =
        |grant: Grant| grant.holds.is_empty() && grant.live().is_some_and(|live| live.key.as_ref() == Some(key));
    if grant.is_some_and(is_in_use) {
        provider.patch_key(key, KeyPatch::disabled(false), patience).await?;
    }
    Ok(())
}
