//! The simulator's memory: read in memory and written through by document. It keeps documents and indexes
//! consistent.

pub(crate) mod account;
mod answers;
mod bucket;
mod changes;
pub(crate) mod days;
pub(crate) mod guardrail;
pub(crate) mod key;
mod past;
pub(crate) mod shelf;
pub(crate) mod workspace;

use std::collections::HashMap;

use anyhow::Result;
use jiff::Timestamp;

use self::account::{Account, Charge, ManagementKey};
use self::bucket::Bucket;
use self::days::{DayUse, Days};
use self::guardrail::Guardrail;
use self::key::Key;
use self::past::Past;
use self::shelf::Shelf;
use self::workspace::Workspace;
use super::quirks::Quirks;
use super::values::ids;
use super::values::money::Nano;
use super::values::refusal::Refusal;
use crate::base::state_file::StateFile;

const ACCOUNT: &str = "provider-account";
const GUARDRAILS: &str = "provider-guardrails";
const KEYS: &str = "provider-keys";
const MANAGEMENT: &str = "provider-management-keys";
const WORKSPACES: &str = "provider-workspaces";

pub(crate) struct Memory {
    kept: StateFile,
    pub(crate) quirks: Quirks,
    account: Account,
    management: HashMap<String, ManagementKey>,
    /// The keys by place; a deleted key keeps its place.
    keys: Vec<Key>,
    pub(crate) days: Days,
    by_hash: HashMap<String, usize>,
    in_workspace: HashMap<String, Shelf>,
    with_guardrail: HashMap<String, Shelf>,
    assigned: Shelf,
    workspaces: Vec<Workspace>,
    guardrails: Vec<Guardrail>,
    spent_by_keys: Nano,
    /// Former usage, for answers that lag (a quirk, so not stored).
    past: Past,
    /// The state of the rate limit (a quirk, so not stored).
    pub(crate) bucket: Bucket,
    pub(crate) held: Vec<Charge>,
    pub(crate) completions: u64,
}

impl Memory {
    pub(crate) fn open(kept: StateFile, now: Timestamp) -> Result<Memory> {
        let mut keys: Vec<Key> = kept.all(KEYS)?.into_iter().map(|(_, key)| key).collect();
        keys.sort_by_key(|key| key.place);
        let account = kept.get(ACCOUNT, "account")?;
        let first_start = account.is_none();
        let mut memory = Memory {
            quirks: Quirks::default(),
            account: account.unwrap_or(Account { credits: Nano::usd(1_000), elsewhere: Nano::ZERO }),
            management: kept.all(MANAGEMENT)?.into_iter().collect(),
            keys: Vec::new(),
            days: Days::default(),
            by_hash: HashMap::new(),
            in_workspace: HashMap::new(),
            with_guardrail: HashMap::new(),
            assigned: Shelf::default(),
            workspaces: kept.all(WORKSPACES)?.into_iter().map(|(_, workspace)| workspace).collect(),
            guardrails: kept.all(GUARDRAILS)?.into_iter().map(|(_, guardrail)| guardrail).collect(),
            spent_by_keys: keys.iter().map(|key| key.credit.total()).sum(),
            past: Past::default(),
            bucket: Bucket::default(),
            held: Vec::new(),
            completions: 0,
            kept,
        };
        for (place, mut key) in keys.into_iter().enumerate() {
            key.place = place;
            memory.index(&key);
            memory.by_hash.insert(key.hash.clone(), place);
            memory.keys.push(key);
        }
        memory.days = Days::open(&memory.kept, &memory.by_hash)?;
        if first_start {
            if memory.workspaces.is_empty() {
                memory.put_workspace(Workspace::default_one(now)?)?;
            }
            memory.put_account(memory.account)?;
        }
        Ok(memory)
    }

    // Keys

    pub(crate) fn key(&self, place: usize) -> &Key {
        &self.keys[place]
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key of that hash, unless it was deleted.
    pub(crate) fn find(&self, hash: &str) -> Result<usize, Refusal> {
        let place = self.by_hash.get(hash).copied().filter(|place| !self.keys[*place].deleted);
        place.ok_or_else(Refusal::not_found)
    }

    pub(crate) fn add_key(&mut self, mut key: Key) -> Result<usize> {
        key.place = self.keys.len();
        key.asked_limit = key.limit;
        self.kept.put(KEYS, &key.hash, &key)?;
        self.index(&key);
        self.by_hash.insert(key.hash.clone(), key.place);
        self.keys.push(key);
        Ok(self.keys.len() - 1)
    }

    /// Changes a key, the only way to do so: its document first, then memory and the indexes that contain
    /// it.
    pub(crate) fn change_key(&mut self, place: usize, edit: impl FnOnce(&mut Key)) -> Result<()> {
        let mut key = self.keys[place].clone();
        edit(&mut key);
        self.kept.put(KEYS, &key.hash, &key)?;
        let old = std::mem::replace(&mut self.keys[place], key.clone());
        self.spent_by_keys = self.spent_by_keys - old.credit.total() + key.credit.total();
        if (&old.workspace, old.deleted, &old.assignment) != (&key.workspace, key.deleted, &key.assignment) {
            self.unindex(&old);
            self.index(&key);
        }
        Ok(())
    }

    pub(crate) fn shelf(&self, workspace: &str) -> Option<&Shelf> {
        self.in_workspace.get(workspace)
    }

    /// The keys that have this guardrail, or any.
    pub(crate) fn assigned(&self, guardrail: Option<&str>) -> Option<&Shelf> {
        guardrail.map_or(Some(&self.assigned), |id| self.with_guardrail.get(id))
    }

    fn index(&mut self, key: &Key) {
        if key.deleted {
            return;
        }
        self.in_workspace.entry(key.workspace.clone()).or_default().insert(key.created_at, key.place);
        if let Some(assignment) = &key.assignment {
            self.assigned.insert(assignment.at, key.place);
            let shelf = self.with_guardrail.entry(assignment.guardrail.clone()).or_default();
            shelf.insert(assignment.at, key.place);
        }
    }

    fn unindex(&mut self, key: &Key) {
        if let Some(shelf) = self.in_workspace.get_mut(&key.workspace) {
            shelf.remove(key.created_at, key.place);
        }
        if let Some(assignment) = &key.assignment {
            self.assigned.remove(assignment.at, key.place);
            if let Some(shelf) = self.with_guardrail.get_mut(&assignment.guardrail) {
                shelf.remove(assignment.at, key.place);
            }
        }
    }

    // Use

    /// Records the counters of a key; to be called before its usage changes.
    pub(crate) fn note_use(&mut self, place: usize, at: Timestamp) {
        self.note_spending(at);
        self.past.note_key(&self.keys[place], at);
    }

    /// Records the account's spending; to be called before it grows.
    pub(crate) fn note_spending(&mut self, at: Timestamp) {
        let used = self.used();
        self.past.note_account(used, at);
    }

    /// Charges a key, even one that was disabled or deleted meanwhile.
    pub(crate) fn settle(&mut self, charge: &Charge, at: Timestamp, now: Timestamp) -> Result<()> {
        self.note_use(charge.place, at);
        self.change_key(charge.place, |key| {
            key.charged(charge.credit, charge.byok, at, &charge.model, now);
        })?;
        self.remember(charge.place, [(at, &*charge.model, DayUse::request(charge.credit, charge.byok))])
    }

    /// Adds requests to the history of a key.
    pub(crate) fn remember<'a>(
        &mut self,
        place: usize,
        requests: impl IntoIterator<Item = (Timestamp, &'a str, DayUse)>,
    ) -> Result<()> {
        self.days.add(&self.kept, (place, &self.keys[place].hash), requests)
    }

    /// The usage that answers by hash reported of a key, each time that it had grown.
    pub(crate) fn told(&self, place: usize) -> &[(Timestamp, Nano)] {
        self.past.told(place)
    }

    // Account

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    pub(crate) fn used(&self) -> Nano {
        self.account.elsewhere + self.spent_by_keys
    }

    pub(crate) fn put_account(&mut self, account: Account) -> Result<()> {
        self.kept.put(ACCOUNT, "account", &account)?;
        self.account = account;
        Ok(())
    }

    pub(crate) fn management_key(&self, hash: &str) -> Option<&ManagementKey> {
        self.management.get(hash)
    }

    pub(crate) fn put_management_key(&mut self, plaintext: &str) -> Result<()> {
        let (hash, key) = (ids::sha256(plaintext), ManagementKey { label: ids::label(plaintext) });
        self.kept.put(MANAGEMENT, &hash, &key)?;
        self.management.insert(hash, key);
        Ok(())
    }

    pub(crate) fn remove_management_key(&mut self, plaintext: &str) -> Result<()> {
        let hash = ids::sha256(plaintext);
        self.kept.remove(MANAGEMENT, &hash)?;
        self.management.remove(&hash);
        Ok(())
    }

    // Workspaces and guardrails: few, so plain lists.

    pub(crate) fn workspaces(&self) -> &[Workspace] {
        &self.workspaces
    }

    pub(crate) fn put_workspace(&mut self, workspace: Workspace) -> Result<()> {
        self.kept.put(WORKSPACES, &workspace.id, &workspace)?;
        self.workspaces.retain(|other| other.id != workspace.id);
        self.workspaces.push(workspace);
        Ok(())
    }

    pub(crate) fn guardrails(&self) -> &[Guardrail] {
        &self.guardrails
    }

    pub(crate) fn guardrail(&self, id: &str) -> Option<&Guardrail> {
        self.guardrails.iter().find(|guardrail| guardrail.id == id)
    }

    pub(crate) fn put_guardrail(&mut self, guardrail: Guardrail) -> Result<()> {
        self.kept.put(GUARDRAILS, &guardrail.id, &guardrail)?;
        self.guardrails.retain(|other| other.id != guardrail.id);
        self.guardrails.push(guardrail);
        Ok(())
    }

    /// Deletes a guardrail, and removes its keys from it.
    pub(crate) fn remove_guardrail(&mut self, id: &str) -> Result<()> {
        self.kept.remove(GUARDRAILS, id)?;
        self.guardrails.retain(|guardrail| guardrail.id != id);
        let places = self.assigned(Some(id)).map(|shelf| shelf.newest_first().collect::<Vec<usize>>());
        for place in places.unwrap_or_default() {
            self.change_key(place, |key| key.assignment = None)?;
        }
        Ok(())
    }
}
