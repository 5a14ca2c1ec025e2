//! A management key that is of another account: what the page says of it, and the press by which an admin says that it is this one.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::id::{DeploymentId, PersonId};
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::store::SyncState;
use bursar_core::web::{Answer, Fault, Site};

use crate::paths;
use crate::show::utc;

/// A management key of another account, as the page shows it.
pub(super) struct AnotherAccount {
    /// The form says which it is, so that no other is confirmed.
    pub(super) management_key: String,
    pub(super) short: String,
    pub(super) found_at: String,
    /// It waits for its rotation, and the current one is another.
    pub(super) is_pending: bool,
    /// How many keys it was asked for; none as long as no sync of an account with keys was complete.
    pub(super) witnesses: usize,
}

impl AnotherAccount {
    /// The key that an alarm is about, as long as it is in the secret and nothing has shown since that it is of this account.
    pub(super) async fn of(site: &Site, alarms: &[Alarm], state: &SyncState) -> Result<Option<AnotherAccount>, Fault> {
        let mut refused = alarms.iter().filter_map(|alarm| match &alarm.cause {
            Cause::AnotherAccount { management_key } => Some((management_key, alarm.found_at)),
            _ => None,
        });
        let Some(first) = refused.next() else { return Ok(None) };
        let Some(meta) = site.table.known_meta().await? else { return Ok(None) };
        let (confirmed, witnesses) = match &meta.account {
            Some(account) if account.witnesses.is_empty() => return Ok(None),
            Some(account) => (Some(&account.management_key), account.witnesses.len()),
            None => (None, 0),
        };
        let in_secret = SecretKeys::of(site, &meta.deployment).await;
        let is_so = |(key, found_at): &(&Fingerprint, _)| {
            in_secret.has(key) && (Some(*key) != confirmed || state.completed_at.is_none_or(|at| at < *found_at))
        };
        let found = std::iter::once(first).chain(refused).find(is_so);
        Ok(found.map(|(key, found_at)| AnotherAccount {
            management_key: key.as_str().to_owned(),
            short: key.short().to_owned(),
            found_at: utc(found_at),
            is_pending: in_secret.current.as_ref() != Some(key),
            witnesses,
        }))
    }
}

/// An admin says that a management key is of this deployment's account.
pub(super) async fn confirm(site: &Site, shown: &str, by: &PersonId, deadline: Deadline) -> Answer {
    let meta = site.table.meta(site.clock.now()).await?;
    let in_secret = SecretKeys::of(site, &meta.deployment).await;
    let Some(key) = [in_secret.current, in_secret.pending].into_iter().flatten().find(|key| key.as_str() == shown)
    else {
        let sentence = "The management key that the page showed is not in the secret any more. Open the page of the account again.";
        return Ok(site.refuse(StatusCode::CONFLICT, "Nothing was done", sentence));
    };
    site.table.confirm_account(&key, by, site.clock.now(), deadline).await?;
    Ok(Redirect::to(paths::ACCOUNT).into_response())
}

/// The management keys of the secret; one that cannot be read is none.
struct SecretKeys {
    current: Option<Fingerprint>,
    pending: Option<Fingerprint>,
}

impl SecretKeys {
    async fn of(site: &Site, deployment: &DeploymentId) -> SecretKeys {
        let keys = site.provider.management_keys();
        SecretKeys {
            current: keys.in_secret().await.ok().map(|key| key.fingerprint(deployment)),
            pending: keys.pending().await.ok().flatten().map(|pending| pending.key.fingerprint(deployment)),
        }
    }

    fn has(&self, key: &Fingerprint) -> bool {
        self.current.as_ref() == Some(key) || self.pending.as_ref() == Some(key)
    }
}
