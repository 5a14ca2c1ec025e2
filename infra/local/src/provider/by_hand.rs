//! Events at the provider that are no calls of ours: spending, keys and workspaces changed by hand,
//! corrections, management keys.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use super::handle::Provider;
use super::memory::account::{Account, Charge};
use super::memory::days::DayUse;
use super::memory::key::Key;
use super::memory::workspace::Workspace;
use super::values::asked::Fields;
use super::values::ids;
use super::values::money::Nano;
use super::values::windows::Interval;

/// A key that was made without HTTP.
pub struct MadeKey {
    pub hash: String,
    pub plaintext: String,
}

impl Provider {
    /// Makes a key in the default workspace by hand, at any time.
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

    /// Adds a workspace, and returns its id.
    pub fn add_workspace(&self, name: &str) -> Result<String> {
        let (now, mut memory) = (self.now(), self.memory());
        let workspace = Workspace::new(name, now)?;
        let id = workspace.id.clone();
        memory.put_workspace(workspace)?;
        Ok(id)
    }

    /// Removes a key from its guardrail.
    pub fn unassign(&self, hash: &str) -> Result<()> {
        let mut memory = self.memory();
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| key.assignment = None)
    }

    /// Deletes a guardrail, which then restricts no key any more.
    pub fn delete_guardrail(&self, id: &str) -> Result<()> {
        self.memory().remove_guardrail(id)
    }

    /// The models that a guardrail allows, as they were sent; `None` if it allows all, or is not there.
    pub fn allowed_models(&self, id: &str) -> Option<Vec<String>> {
        self.memory().guardrail(id)?.allowed_models().cloned()
    }

    /// Sets how the limit of a key made without HTTP counts: its window, whether it includes BYOK, and its
    /// expiry.
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

    /// Records usage without checking a limit.
    pub fn spend(&self, hash: &str, amount: Nano, when: Timestamp, model: &str) -> Result<()> {
        self.charge(hash, amount, Nano::ZERO, when, model)
    }

    /// Records a whole history of one key, oldest first, in few writes.
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

    /// Records BYOK usage, which the account's own key at the model's maker paid.
    pub fn spend_byok(&self, hash: &str, amount: Nano, when: Timestamp, model: &str) -> Result<()> {
        self.charge(hash, Nano::ZERO, amount, when, model)
    }

    /// Subtracts usage from a key, including its lifetime counter: a refund, or the charge for a failed
    /// request.
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

    /// Spends money of the account without a key or model, such as fees. Analytics do not include it.
    pub fn spend_elsewhere(&self, amount: Nano) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        memory.note_spending(now);
        let mut account = memory.account();
        account.elsewhere += amount;
        memory.put_account(account)
    }

    /// Deletes a key by hand.
    pub fn delete(&self, hash: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| key.end(now, |key| key.deleted = true))
    }

    /// Disables a key by hand.
    pub fn disable(&self, hash: &str) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        memory.change_key(place, |key| key.end(now, |key| key.disabled = true))
    }

    /// Changes a key by hand, with the body of a PATCH. It does not count as a request over HTTP.
    pub fn change_by_hand(&self, hash: &str, change: &Value) -> Result<()> {
        let (now, mut memory) = (self.now(), self.memory());
        let place = memory.find(hash).map_err(|_| unknown(hash))?;
        let fields = Fields::parse(change.to_string().as_bytes());
        let changed = fields.and_then(|fields| memory.update_key(place, &fields, now));
        changed.map_err(|refused| anyhow::anyhow!("the simulated provider refuses {change}: {refused:?}"))
    }

    /// Sets the credits that the account has ever bought.
    pub fn set_credits(&self, credits: Nano) -> Result<()> {
        let mut memory = self.memory();
        let account = Account { credits, ..memory.account() };
        memory.put_account(account)
    }

    /// Adds a management key, as a rotation needs.
    pub fn add_management_key(&self, plaintext: &str) -> Result<()> {
        self.memory().put_management_key(plaintext)
    }

    pub fn revoke_management_key(&self, plaintext: &str) -> Result<()> {
        self.memory().remove_management_key(plaintext)
    }

    /// Charges the completions that `hold_settlement` held back, and returns their number.
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
        memory.settle(&Charge { place, credit, byok, model }, when, now)
    }
}

fn unknown(hash: &str) -> anyhow::Error {
    anyhow::anyhow!("the simulated provider has no key {hash}")
}
