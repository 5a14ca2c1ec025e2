//! The forms by which an admin releases what was held back, and confirms that a management key is
//! of this account.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::programme::role::Roles;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::store::SyncState;
use bursar_core::web::{Answer, AppError, Flash, Result, Site};

use crate::kit::access::{Admins, Post};
use crate::kit::paths;
use crate::kit::show::utc;

/// Releases what the form names: disables for the next sync, work with another management key, or
/// an address whose mail came back.
pub(crate) async fn release(form: Post<Admins>) -> Answer {
    let Post {
        site,
        fields,
        person,
        now,
        deadline,
        ..
    } = &form;
    if let Some(address) = fields
        .filled("address")
        .and_then(|address| EmailAddress::parse(address).ok())
    {
        return try_again(&form, &address).await;
    }
    if let Some(shown) = fields.filled("account") {
        return confirm(&form, shown).await;
    }
    let sentence = "The form did not say what to release. Open the account page again.";
    let shown = fields
        .filled("held")
        .and_then(|held| held.parse::<Moment>().ok());
    let shown = shown.ok_or_else(|| AppError::unprocessable(sentence))?;
    if !site
        .table
        .release_held_back(shown, person, *now, *deadline)
        .await?
    {
        let sentence =
            "The safety limit holds back something else by now. Open the account page again.";
        return Err(AppError::conflict(sentence));
    }
    Ok(site.done(paths::ACCOUNT, &Flash::Released))
}

/// Takes the mark off a person with a role, or a finance address, whose mail came back, so that
/// mail is tried again.
async fn try_again(form: &Post<Admins>, address: &EmailAddress) -> Answer {
    let Post {
        site,
        now,
        deadline,
        ..
    } = form;
    let person = site.table.known(address.matched()).await?;
    let roles = site
        .table
        .list(Roles::of_address(address.matched()))
        .await?;
    // The console has nothing for finance, so finance alone is no role of it.
    if person.is_none_or(|person| !person.has_role) && !roles.iter().any(|roles| roles.finance) {
        return Err(AppError::not_found());
    }
    let Some(mark) = site.table.undeliverable(address.matched(), *now).await? else {
        return Ok(site.done(paths::ACCOUNT, &Flash::Already));
    };
    let whom = site.table.person_of(address, *deadline).await?;
    site.table
        .allow_mail_to(&mark, &whom, form.author())
        .await?;
    Ok(site.done(paths::ACCOUNT, &Flash::MailTriedAgain))
}

/// A management key of another account, as the page shows it.
pub(super) struct AnotherAccount {
    /// The key's fingerprint. The form carries it, so that no other key is confirmed.
    pub(super) management_key: String,
    pub(super) short: String,
    pub(super) found_at: String,
    /// Whether it is the secret's pending key, and the current one is another.
    pub(super) is_pending: bool,
    /// The number of listed keys by which it was tested; none until a sync of an account with keys
    /// was complete.
    pub(super) listed: usize,
}

impl AnotherAccount {
    /// The key that an alarm is about, while it is in the secret and nothing has proved it to be of
    /// this account.
    pub(super) async fn find(
        site: &Site,
        alarms: &[Alarm],
        state: &SyncState,
    ) -> Result<Option<AnotherAccount>> {
        let mut refused = alarms.iter().filter_map(|alarm| {
            let Cause::AnotherAccount { management_key } = &alarm.cause else {
                return None;
            };
            Some((management_key, alarm.found_at))
        });
        let Some(first) = refused.next() else {
            return Ok(None);
        };
        let Some(meta) = site.table.find_meta().await? else {
            return Ok(None);
        };
        let account = meta.account.as_ref();
        if account.is_some_and(|account| account.listed.is_empty()) {
            return Ok(None);
        }
        let confirmed = account.map(|account| &account.management_key);
        let in_secret = SecretKeys::read(site, &meta.deployment).await;
        let suspect = std::iter::once(first)
            .chain(refused)
            .find(|(key, found_at)| {
                in_secret.has(key)
                    && (Some(*key) != confirmed
                        || state
                            .completed_at
                            .is_none_or(|completed_at| completed_at < *found_at))
            });
        Ok(suspect.map(|(key, found_at)| AnotherAccount {
            management_key: key.as_str().to_owned(),
            short: key.short().to_owned(),
            found_at: utc(found_at),
            is_pending: in_secret.current.as_ref() != Some(key),
            listed: account.map_or(0, |account| account.listed.len()),
        }))
    }
}

/// Records an admin's word that a management key is of this deployment's account.
pub(super) async fn confirm(form: &Post<Admins>, shown: &str) -> Answer {
    let Post { site, now, .. } = form;
    let meta = site.table.meta(*now).await?;
    let in_secret = SecretKeys::read(site, &meta.deployment).await;
    let sentence = "The management key that the page showed is no longer in the secret. Open the account page again.";
    let key = [in_secret.current, in_secret.pending]
        .into_iter()
        .flatten()
        .find(|key| key.as_str() == shown);
    let key = key.ok_or_else(|| AppError::conflict(sentence))?;
    site.table.confirm_account(&key, form.author()).await?;
    Ok(site.done(paths::ACCOUNT, &Flash::AccountConfirmed))
}

/// The fingerprints of the management keys in the secret; `None` for one that cannot be read.
struct SecretKeys {
    current: Option<Fingerprint>,
    pending: Option<Fingerprint>,
}

impl SecretKeys {
    async fn read(site: &Site, deployment: &DeploymentId) -> SecretKeys {
        let keys = site.provider.management_keys();
        SecretKeys {
            current: keys
                .read_secret()
                .await
                .ok()
                .map(|key| key.fingerprint(deployment)),
            pending: keys
                .pending()
                .await
                .ok()
                .flatten()
                .map(|pending| pending.key.fingerprint(deployment)),
        }
    }

    fn has(&self, key: &Fingerprint) -> bool {
        self.current.as_ref() == Some(key) || self.pending.as_ref() == Some(key)
    }
}
