//! The account's keys at one moment, for tests that check invariants.

use jiff::Timestamp;

use super::handle::Provider;
use super::memory::key::{Key, ModelUse};
use super::values::money::Nano;
use super::values::windows::Interval;

/// The state of one key, deleted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySnapshot {
    pub hash: String,
    pub name: String,
    pub label: String,
    pub workspace_id: String,
    pub guardrail_id: Option<String>,
    pub disabled: bool,
    pub deleted: bool,
    pub limit: Option<Nano>,
    pub limit_reset: Option<Interval>,
    pub include_byok_in_limit: bool,
    /// The usage that counts against the limit in its current window.
    pub spent_in_window: Nano,
    pub usage: Nano,
    pub usage_daily: Nano,
    pub usage_weekly: Nano,
    pub usage_monthly: Nano,
    pub byok_usage: Nano,
    pub models: Vec<(String, ModelUse)>,
    /// The limit as last requested over HTTP, whatever was changed by hand since.
    pub asked_limit: Option<Nano>,
    /// Whether the last request over HTTP disabled it, whatever was changed by hand since.
    pub asked_disabled: bool,
    /// The different changes that were requested over HTTP: bodies of patches, `deletion`, `guardrail` with its id.
    pub asked_changes: Vec<String>,
    /// The usage beyond the limit that had been requested by then.
    pub overshot: Nano,
    /// The other usage that was charged after its end, later than usage settles.
    pub settled_late: Nano,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl Provider {
    /// Every key ever made, oldest first.
    pub fn keys(&self) -> Vec<KeySnapshot> {
        let (now, memory) = (self.now(), self.memory());
        memory.keys().iter().map(|key| snapshot(key, now)).collect()
    }

    /// The lifetime usage that answers by hash reported of a key, of the kinds that its limit counts, each
    /// time that it had grown.
    pub fn told(&self, hash: &str) -> Vec<(Timestamp, Nano)> {
        let memory = self.memory();
        memory.find(hash).map(|place| memory.told(place).to_vec()).unwrap_or_default()
    }
}

fn snapshot(key: &Key, now: Timestamp) -> KeySnapshot {
    KeySnapshot {
        hash: key.hash.clone(),
        name: key.name.clone(),
        label: key.label.clone(),
        workspace_id: key.workspace.clone(),
        guardrail_id: key.assignment.as_ref().map(|assignment| assignment.guardrail.clone()),
        disabled: key.disabled,
        deleted: key.deleted,
        limit: key.limit,
        limit_reset: key.reset,
        include_byok_in_limit: key.byok_in_limit,
        spent_in_window: key.spent_in_window(now),
        usage: key.credit.total(),
        usage_daily: key.credit.within(Some(Interval::Daily), now),
        usage_weekly: key.credit.within(Some(Interval::Weekly), now),
        usage_monthly: key.credit.within(Some(Interval::Monthly), now),
        byok_usage: key.byok.total(),
        models: key.models.iter().map(|(model, used)| (model.clone(), used.clone())).collect(),
        asked_limit: key.asked_limit,
        asked_disabled: key.asked_disabled,
        asked_changes: key.asked_changes.iter().cloned().collect(),
        overshot: key.overshot,
        settled_late: key.settled_late,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
    }
}
