//! What happens at the provider without a call of ours, as by a person on its site, and the view
//! that tests have of it.

use anyhow::{Context, Result};
use bursar_core::clock::Moment;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::account::{ManagementKey, fresh_key, label};
use super::guardrails::Workspace;
use super::keys::{Key, KeySettings, patched};
use super::windows::{Interval, Nano, Use};
use super::{Provider, hash_of};

pub struct MadeKey {
    pub hash: String,
    pub plaintext: String,
}

/// One key at one moment, deleted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySnapshot {
    pub hash: String,
    pub name: String,
    pub guardrail_id: Option<String>,
    pub disabled: bool,
    pub deleted: bool,
    pub limit: Option<Nano>,
    pub limit_reset: Option<Interval>,
    pub include_byok_in_limit: bool,
    /// The usage that counts against the limit in its current window.
    pub spent_in_window: Nano,
    pub usage: Nano,
    pub byok_usage: Nano,
    /// The limit as last requested over HTTP, whatever was changed by hand since.
    pub asked_limit: Option<Nano>,
    /// Whether the last request over HTTP disabled it, whatever was changed by hand since.
    pub asked_disabled: bool,
    /// The different changes that were requested over HTTP: bodies of patches, `deletion`,
    /// `guardrail` with its id.
    pub asked_changes: Vec<String>,
    /// The usage beyond the limit that had been requested by then.
    pub overshot: Nano,
    /// The other usage that was charged after its end, later than usage settles.
    pub settled_late: Nano,
    pub created_at: Moment,
    pub expires_at: Option<Moment>,
}

/// What tests read.
impl Provider {
    /// Every key ever made, oldest first.
    pub fn keys(&self) -> Vec<KeySnapshot> {
        let now = self.now();
        self.account()
            .keys()
            .iter()
            .map(|key| snapshot(key, now))
            .collect()
    }

    /// The lifetime usage that answers by hash told of a key, of the kinds that its limit counts,
    /// each time that it had grown.
    pub fn told(&self, hash: &str) -> Vec<(Moment, Nano)> {
        let account = self.account();
        let Ok(place) = account.find(hash) else {
            return Vec::new();
        };
        account
            .key(place)
            .reports
            .iter()
            .map(|(answered_at, used)| (Moment::from(*answered_at), *used))
            .collect()
    }

    /// The models that a guardrail allows, as they were sent; `None` if it allows all, or is not
    /// there.
    pub fn allowed_models(&self, id: &str) -> Option<Vec<String>> {
        self.account().guardrail(id)?.rules.allowed_models.clone()
    }
}

fn snapshot(key: &Key, now: Timestamp) -> KeySnapshot {
    let used = key.used.days.within(None, now);
    let KeySettings {
        name,
        disabled,
        limit,
        limit_reset,
        include_byok_in_limit,
        ..
    } = key.settings.clone();
    KeySnapshot {
        hash: key.hash.clone(),
        name,
        guardrail_id: key
            .assignment
            .as_ref()
            .map(|assignment| assignment.guardrail.clone()),
        disabled,
        deleted: key.deleted,
        limit,
        limit_reset,
        include_byok_in_limit,
        spent_in_window: key.spent_in_window(now),
        usage: used.credit,
        byok_usage: used.byok,
        asked_limit: key.asked.limit,
        asked_disabled: key.asked.disabled,
        asked_changes: key.asked.changes.iter().cloned().collect(),
        overshot: key.overshot,
        settled_late: key.settled_late,
        created_at: key.created_at.into(),
        expires_at: key.expires_at.map(Moment::from),
    }
}

impl Provider {
    /// Makes a key in the default workspace, at any time.
    pub fn add_foreign_key(
        &self,
        name: &str,
        limit: Option<Nano>,
        created_at: impl Into<Timestamp>,
    ) -> Result<MadeKey> {
        self.add_key(name, limit, created_at, fresh_key())
    }

    /// The same of a key that is known.
    pub fn add_key(
        &self,
        name: &str,
        limit: Option<Nano>,
        created_at: impl Into<Timestamp>,
        plaintext: String,
    ) -> Result<MadeKey> {
        let mut account = self.account();
        let workspace_id = account.workspace(None, &None)?;
        let settings = KeySettings {
            name: name.to_owned(),
            limit,
            workspace_id,
            ..KeySettings::default()
        };
        let key = Key::new(&plaintext, settings, created_at.into());
        let hash = key.hash.clone();
        account.add(key)?;
        Ok(MadeKey { hash, plaintext })
    }

    /// Changes a key with the body of a PATCH. It does not count as requested over HTTP.
    pub fn change_by_hand(&self, hash: &str, change: &Value) -> Result<()> {
        let now = self.now();
        let mut account = self.account();
        let place = account.find(hash)?;
        let body = change.as_object().context("a change has fields")?;
        let settings = patched(&account, place, body, &None)?;
        account.change(place, |key| key.change(settings, now))
    }

    pub fn disable(&self, hash: &str) -> Result<()> {
        self.change_by_hand(hash, &json!({ "disabled": true }))
    }

    pub fn delete(&self, hash: &str) -> Result<()> {
        self.change(hash, Key::delete)
    }

    pub fn unassign(&self, hash: &str) -> Result<()> {
        self.change(hash, |key, _| key.assignment = None)
    }

    pub fn delete_guardrail(&self, id: &str) -> Result<()> {
        self.account().delete_guardrail(id)
    }

    fn change(&self, hash: &str, change: impl FnOnce(&mut Key, Timestamp)) -> Result<()> {
        let now = self.now();
        let mut account = self.account();
        let place = account.find(hash)?;
        account.change(place, |key| change(key, now))
    }

    /// Records usage without checking a limit.
    pub fn spend(
        &self,
        hash: &str,
        amount: Nano,
        when: impl Into<Timestamp>,
        model: &str,
    ) -> Result<()> {
        self.change(hash, |key, now| {
            key.charge(model, Use::request(amount, Nano::ZERO), when.into(), now);
        })
    }

    /// Records BYOK usage, which the account's own key at the model's maker paid.
    pub fn spend_byok(
        &self,
        hash: &str,
        amount: Nano,
        when: impl Into<Timestamp>,
        model: &str,
    ) -> Result<()> {
        self.change(hash, |key, now| {
            key.charge(model, Use::request(Nano::ZERO, amount), when.into(), now);
        })
    }

    /// Records the usage of so many requests, of which no counter for judges is kept.
    pub fn spend_many(
        &self,
        hash: &str,
        credit: Nano,
        requests: u64,
        when: impl Into<Timestamp>,
        model: &str,
    ) -> Result<()> {
        self.change(hash, |key, _| {
            key.note(
                model,
                Use {
                    credit,
                    byok: Nano::ZERO,
                    requests,
                },
                when.into(),
            );
        })
    }

    /// Spends money of the account without a key or model, such as fees. Reports do not include it.
    pub fn spend_elsewhere(&self, amount: Nano) -> Result<()> {
        self.account()
            .change_books(|books| books.elsewhere += amount)
    }

    pub fn set_credits(&self, credits: Nano) -> Result<()> {
        self.account().change_books(|books| books.credits = credits)
    }

    pub fn add_workspace(&self, name: &str) -> Result<String> {
        let workspace = Workspace::new(name, self.now());
        let id = workspace.id.clone();
        self.account()
            .change_books(|books| books.workspaces.push(workspace))?;
        Ok(id)
    }

    pub fn add_management_key(&self, plaintext: &str) -> Result<()> {
        self.manage_by(plaintext, None)
    }

    /// Restricts a management key to the default workspace.
    pub fn scope_management_key(&self, plaintext: &str) -> Result<()> {
        let default = self.account().workspace(None, &None)?;
        self.manage_by(plaintext, Some(default))
    }

    fn manage_by(&self, plaintext: &str, scope: Option<String>) -> Result<()> {
        let key = ManagementKey {
            label: label(plaintext),
            scope,
        };
        self.account()
            .change_books(|books| _ = books.management_keys.insert(hash_of(plaintext), key))
    }

    pub fn revoke_management_key(&self, plaintext: &str) -> Result<()> {
        self.account()
            .change_books(|books| _ = books.management_keys.remove(&hash_of(plaintext)))
    }
}
