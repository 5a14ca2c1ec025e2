//! Reading the usage of one key from the provider: for a student's request, and before a key is replaced.

use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Attempt, Order, Reading, View};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::provider::ProviderError;
use bursar_core::provider::keys::KeyPresence;
use bursar_core::web::Site;

/// The result of looking a key up at the provider.
pub(super) enum KeyLookup {
    Reading(Box<Reading>),
    /// The provider knows no such key.
    Gone,
    /// The provider's answer does not say what the key used.
    Silent,
}

/// Asks the provider for the usage of one key. The caller records the reading.
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
        // Without the time of the last listing the usage is split into days less exactly, and the reading
        // is marked so.
        Err(error) => {
            tracing::warn!(%error, "when the last sync looked could not be read");
            None
        }
    };
    Ok(match view.reading_after(attempt, &told, asked, listed_at) {
        // Where the provider now says less, the figure on record stands: it came from an equally good
        // reading.
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
