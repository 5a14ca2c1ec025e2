//! Reading what one key has used, for whoever pressed for it and before a key is replaced.

use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Attempt, Order, Reading, View};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::provider::ProviderError;
use bursar_core::provider::keys::KeyPresence;
use bursar_core::web::Site;

/// What came of looking at a key.
pub(super) enum KeyLookup {
    Reading(Box<Reading>),
    /// The provider knows no such key.
    Gone,
    /// The provider does not say what it used.
    Silent,
}

/// Why it is not sure that the management key is of this deployment's account, before anything is written that a call to it follows.
/// What else is wrong with the key shows when it is used.
pub(super) async fn unproved(site: &Site, deadline: Deadline) -> Option<ProviderError> {
    let proved = site.provider.prove_account(deadline).await;
    proved.err().filter(|error| !matches!(error, ProviderError::ManagementKey { .. }))
}

/// What a key has used.
pub(super) async fn read(
    site: &Site,
    view: &View,
    attempt: &Attempt,
    key: &KeyHash,
    patience: Deadline,
) -> Result<KeyLookup, ProviderError> {
    let (asked, found) = site.provider.get_key_in_a_day(key, &site.clock, patience).await?;
    let KeyPresence::Key(found) = found else { return Ok(KeyLookup::Gone) };
    let Some(told) = found.usage_report(view.programme.settings.reset) else { return Ok(KeyLookup::Silent) };
    let listed_at = match site.table.sync_state().await {
        Ok(sync) => sync.listed_at,
        // Without it the days since the last reading are told apart less well, and that is said of them.
        Err(error) => {
            tracing::warn!(%error, "when the last sync looked could not be read");
            None
        }
    };
    Ok(match view.reading_after(attempt, &told, asked, listed_at) {
        // What is on record stands where less is said now: that was read as well as any other sum.
        Ok((reading, doubt)) => {
            if let Some(doubt) = doubt {
                tracing::warn!(%doubt, "a counter of a key went back");
            }
            KeyLookup::Reading(Box::new(reading))
        }
        Err(doubtful) => {
            tracing::warn!(%doubtful, "a key could not be read");
            KeyLookup::Silent
        }
    })
}

pub(super) async fn read_and_note(site: &Site, view: &View, order: &Order, deadline: Deadline) {
    let Some(attempt) = view.grant.attempt(order.epoch) else { return };
    if let Ok(KeyLookup::Reading(reading)) = read(site, view, attempt, &order.key, deadline).await
        && let Err(error) = site.table.note_reading(&reading, deadline).await
    {
        tracing::warn!(%error, "a reading could not be written");
    }
}
