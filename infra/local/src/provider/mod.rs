//! The provider on one machine: a stateful simulator of its management API, the traps of the real one included, and enough of chat
//! completions to spend money on a key. It knows nothing of Bursar and injects no fault.

mod access;
mod accounts;
mod activity;
mod analytics;
mod asked;
mod assignments;
mod completions;
mod credits;
mod days;
mod errors;
mod guardrail;
mod guardrails;
mod ids;
mod key;
mod keys;
mod lag;
mod limits;
mod memory;
mod models;
mod money;
mod named_quirks;
mod quirks;
mod rate;
mod report;
mod shelf;
#[cfg(test)]
mod tests;
mod windows;
mod workspaces;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::{Router, middleware};
use bursar_core::clock::Clock;
use jiff::Timestamp;
use serde_json::Value;

pub use self::ids::sha256 as hash_of;
pub use self::key::{ModelUse, SETTLES_WITHIN};
pub use self::money::Nano;
pub use self::named_quirks::{NamedQuirk, NamedQuirks};
pub use self::quirks::{Cents, Differ, Lag, ModelNames, Quirks, Times};
pub use self::rate::Rate;
pub use self::windows::Interval;

use self::asked::Fields;
use self::days::DayUse;
use self::errors::Refusal;
use self::key::Key;
use self::memory::{Account, Charge, Memory};
use crate::kept::Kept;

/// The only person of the account.
const USER_ID: &str = "user_2simulated0000000000000000";

/// A handle to one account of the simulator. Clones share it.
#[derive(Clone)]
pub struct Provider {
    memory: Arc<Mutex<Memory>>,
    clock: Clock,
    /// Further accounts that are reached at the same address.
    others: Arc<Mutex<Vec<Provider>>>,
}

/// A key that was made without HTTP.
pub struct MadeKey {
    pub hash: String,
    pub plaintext: String,
}

/// What is known of a key at one moment, for whoever checks what must hold. Deleted keys are there too.
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
    /// What counts against the limit in its current window.
    pub spent_in_window: Nano,
    pub usage: Nano,
    pub usage_daily: Nano,
    pub usage_weekly: Nano,
    pub usage_monthly: Nano,
    pub byok_usage: Nano,
    pub models: Vec<(String, ModelUse)>,
    /// The limit and the switch as they were last asked for over HTTP, whatever was done by hand since.
    pub asked_limit: Option<Nano>,
    pub asked_disabled: bool,
    /// What it used beyond the limit that was asked for by then.
    pub overshot: Nano,
    /// What else it used and was charged for after its end, later than use settles.
    pub settled_late: Nano,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl Provider {
    /// Goes on with what is kept; at the very first start that is a default workspace and credits of 1,000 dollars. The
    /// management key works from now on; of it, as of every key, only the hash is kept.
    pub fn new(kept: Kept, clock: Clock, management_key: &str) -> Result<Provider> {
        let mut memory = Memory::open(kept, clock.now()).context("what the simulated provider kept cannot be read")?;
        memory.put_management_key(management_key)?;
        Ok(Provider { memory: Arc::new(Mutex::new(memory)), clock, others: Arc::default() })
    }

    /// Everything under `/api/v1`.
    pub fn router(&self) -> Router {
        let management = Router::new()
            .merge(keys::routes())
            .merge(credits::routes())
            .merge(analytics::routes())
            .merge(activity::routes())
            .merge(workspaces::routes())
            .merge(assignments::routes())
            .merge(guardrails::routes())
            .merge(models::routes())
            .layer(middleware::from_fn_with_state(self.clone(), rate::let_in));
        Router::new()
            .nest("/api/v1", management.merge(completions::routes()))
            .fallback(|| async { Refusal::not_found() })
            .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
            .layer(middleware::from_fn_with_state(self.clone(), accounts::choose))
            .with_state(self.clone())
    }

    /// Changes how the simulator behaves where the provider's description leaves it open.
    pub fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.memory().quirks);
    }

    /// Every key ever made, oldest first.
    pub fn keys(&self) -> Vec<KeySnapshot> {
        let (now, memory) = (self.now(), self.memory());
        memory.keys().iter().map(|key| snapshot(key, now)).collect()
    }

    /// What answers by its hash said that a key had used, ever, of what its limit counts: each time that they said more.
    pub fn told(&self, hash: &str) -> Vec<(Timestamp, Nano)> {
        let memory = self.memory();
        memory.find(hash).map(|place| memory.told(place).to_vec()).unwrap_or_default()
    }

    /// A key that somebody made by hand in the default workspace, at any time.
    pub fn add_foreign_key(&self, name: &str, limit: Option<Nano>, created_at: Timestamp) -> Result<MadeKey> {
        let mut memory = self.memory();
        let workspace = memory.workspace_asked(None).map_err(|_| anyhow::anyhow!("there is no default workspace"))?;
        let plaintext = ids::fresh_key()?;
        let mut key = Key::blank(ids::sha256(&plaintext), ids::label(&plaintext), workspace.id.clone(), created_at);
        name.clone_into(&mut key.name);
        key.limit = limit;
        let hash = key.hash.clone();
        memory.add_key(key)?;
        Ok(MadeKey { hash, plaintext })
    }

    /// Says of a key that was made without HTTP how its limit counts: its window, whether use of a key of one's own counts, and
    /// until when.
    pub fn count_limit(
        &self,
        hash: &str,
        reset: Option<Interval>,
        include_byok: bool,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        let mut memory = self.memory();
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| {
            (key.reset, key.byok_in_limit, key.expires_at) = (reset, include_byok, expires_at);
        })
    }

    /// Use that nobody checked against any limit.
    pub fn spend(&self, hash: &str, amount: Nano, when: Timestamp, model: &str) -> Result<()> {
        self.charge(hash, amount, Nano::ZERO, when, model)
    }

    /// The same for a whole history of one key, oldest first, in few writes.
    pub fn spend_history(&self, hash: &str, history: &[(Timestamp, Nano)], model: &str) -> Result<()> {
        let mut memory = self.memory();
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| {
            for (when, amount) in history {
                key.used(*amount, Nano::ZERO, *when, model);
            }
        })?;
        let requests = history.iter().map(|(when, amount)| (*when, model, DayUse::request(*amount, Nano::ZERO)));
        memory.remember(place, requests)
    }

    /// Use that was paid to the model's maker, with a key that the account brought.
    pub fn spend_byok(&self, hash: &str, amount: Nano, when: Timestamp, model: &str) -> Result<()> {
        self.charge(hash, Nano::ZERO, amount, when, model)
    }

    /// Takes use off a key again, its lifetime counter included: a refund, or a request that was charged and failed.
    pub fn refund(&self, hash: &str, credit: Nano, byok: Nano, model: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.note_use(place, now);
        memory.change_key(place, |key| {
            key.credit.take_off(credit, now);
            key.byok.take_off(byok, now);
        })?;
        let off = [(credit, Nano::ZERO), (Nano::ZERO, byok)].into_iter().filter(|(credit, byok)| credit != byok);
        let off = off.map(|(credit, byok)| (now, model, DayUse::correction(credit, byok)));
        memory.remember(place, off.collect::<Vec<_>>())
    }

    /// Money that the account spends without any key, and without a model: fees, say. No analytics tell of it.
    pub fn spend_elsewhere(&self, amount: Nano) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        memory.note_spending(now);
        let mut account = memory.account().clone();
        account.elsewhere += amount;
        memory.put_account(account)
    }

    /// Deletes a key as somebody would by hand.
    pub fn delete(&self, hash: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| key.end(now, |key| key.deleted = true))
    }

    /// Disables a key as somebody would by hand.
    pub fn disable(&self, hash: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| key.end(now, |key| key.disabled = true))
    }

    /// Changes a key as somebody does by hand: with the body of a PATCH, and without being taken for what was asked for over HTTP.
    pub fn change_by_hand(&self, hash: &str, change: &Value) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        let fields = Fields::parse(change.to_string().as_bytes());
        let changed = fields.and_then(|fields| memory.update_key(place, &fields, now));
        changed.map_err(|refused| anyhow::anyhow!("the simulated provider refuses {change}: {refused:?}"))
    }

    /// All credits the account ever bought.
    pub fn set_credits(&self, credits: Nano) -> Result<()> {
        let mut memory = self.memory();
        let account = Account { credits, ..memory.account().clone() };
        memory.put_account(account)
    }

    /// From now on the account pays the makers of these models itself.
    pub fn bring_own_key(&self, models: &[&str]) -> Result<()> {
        let mut memory = self.memory();
        let own_models = models.iter().map(|model| (*model).to_owned()).collect();
        let account = Account { own_models, ..memory.account().clone() };
        memory.put_account(account)
    }

    /// A further management key, as one is needed for a rotation.
    pub fn add_management_key(&self, plaintext: &str) -> Result<()> {
        self.memory().put_management_key(plaintext)
    }

    pub fn revoke_management_key(&self, plaintext: &str) -> Result<()> {
        self.memory().remove_management_key(plaintext)
    }

    /// How many calls came faster than the rate allows.
    pub fn refused_for_rate(&self) -> u64 {
        self.memory().bucket.refused
    }

    /// Charges what `hold_settlement` held back; returns how many completions it was.
    pub fn settle(&self) -> Result<usize> {
        let (now, mut memory) = (self.now(), self.memory());
        let held = std::mem::take(&mut memory.held);
        for charge in &held {
            memory.settle(charge, now, now)?;
        }
        Ok(held.len())
    }

    fn charge(&self, hash: &str, credit: Nano, byok: Nano, when: Timestamp, model: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        let model = model.to_owned();
        memory.settle(&Charge { place, credit, byok, model, prompt_tokens: 0, completion_tokens: 0 }, when, now)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn unknown(hash: &str) -> anyhow::Error {
    anyhow::anyhow!("the simulated provider has no key {hash}")
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
        overshot: key.overshot,
        settled_late: key.settled_late,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
    }
}
