//! A management key of another account: its notice on the page, and the form by which an admin confirms
//! that it is of this one.

use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::store::SyncState;
use bursar_core::web::{Answer, AppError, Site};

use crate::access::{Admins, Form};
use crate::paths;
use crate::show::utc;

/// A management key of another account, as the page shows it.
pub(super) struct AnotherAccount {
    /// The key's fingerprint. The form carries it, so that no other key is confirmed.
    pub(super) management_key: String,
    pub(super) short: String,
    pub(super) found_at: String,
    /// Whether it is the secret's pending key, and the current one is another.
    pub(super) is_pending: bool,
    /// The number of listed keys by which it was tested; none until a sync of an account with keys was
    /// complete.
    pub(super) listed: usize,
}

impl AnotherAccount {
    /// The key that an alarm is about, while it is in the secret and nothing has proved it to be of this
    /// account.
    pub(super) async fn of(
        site: &Site,
        alarms: &[Alarm],
        state: &SyncState,
    ) -> Result<Option<AnotherAccount>, AppError> {
        let mut refused = alarms.iter().filter_map(|alarm| match &alarm.cause {
            Cause::AnotherAccount { management_key } => Some((management_key, alarm.found_at)),
            _ => None,
        });
        let Some(first) = refused.next() else { return Ok(None) };
        let Some(meta) = site.table.known_meta().await? else { return Ok(None) };
        let (confirmed, listed) = match &meta.account {
            Some(account) if account.listed.is_empty() => return Ok(None),
            Some(account) => (Some(&account.management_key), account.listed.len()),
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
            listed,
        }))
    }
}

/// Records an admin's word that a management key is of this deployment's account.
pub(super) async fn confirm(form: &Form<Admins>, shown: &str) -> Answer {
    let Form { site, person, now, deadline, .. } = form;
    let meta = site.table.meta(*now).await?;
    let in_secret = SecretKeys::of(site, &meta.deployment).await;
    let sentence =
        "The management key that the page showed is not in the secret any more. Open the page of the account again.";
    let key = [in_secret.current, in_secret.pending].into_iter().flatten().find(|key| key.as_str() == shown);
    let key = key.ok_or_else(|| AppError::conflict(sentence))?;
    site.table.confirm_account(&key, person, *now, *deadline).await?;
    Ok(Redirect::to(paths::ACCOUNT).into_response())
}

/// The fingerprints of the management keys in the secret; `None` for one that cannot be read.
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
