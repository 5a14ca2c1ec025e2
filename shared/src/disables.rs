//! What a grant owes the provider, carried out: each key disabled, and the debt marked as paid. It is owed before it is asked for, so
//! whatever fails here is repeated by the work of the next minutes.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::key::KeyHash;
use crate::provider::Provider;
use crate::provider::keys::KeyPatch;
use crate::store::{At, Outcome, Table};
use anyhow::{Result, ensure};

/// What one disable may take, the provider's and the table's answers included.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);

/// Carries out what a grant owes as part of what caused it. A failure is told in the log only, since the work repeats it.
pub async fn now_or_later(table: &Table, provider: &Provider, at: At<'_>) {
    if let Err(error) = disable_all(table, provider, at).await {
        tracing::warn!(grant = %at.grant, error = format!("{error:#}"), "a disable is left to the work");
    }
}

/// Carries out what one grant owes, as it stands now, and says how many keys that were.
pub async fn disable_all(table: &Table, provider: &Provider, at: At<'_>) -> Result<u32> {
    ensure!(at.deadline.leaves(ENOUGH_FOR_ONE), "the time is up for this round");
    let patience = Deadline::after(at.deadline.left().saturating_sub(LEFT_FOR_THE_TABLE).min(ENOUGH_FOR_ONE));
    let mut disabled = 0;
    // Read again: it may have been released since the index named it.
    let Some(grant) = table.grant(at.programme, at.grant).await? else { return Ok(0) };
    for debt in grant.owed_disables() {
        provider.disable_key(&debt.key, patience).await?;
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
