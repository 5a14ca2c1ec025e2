//! Everything the simulator remembers, in memory for reading and written through document by document. It keeps documents and
//! indexes in step; rules about what may change live with the routes.

use std::collections::HashMap;

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::days::Days;
use super::errors::Refusal;
use super::guardrail::Guardrail;
use super::ids;
use super::key::Key;
use super::lag::Past;
use super::money::Nano;
use super::quirks::Quirks;
use super::rate::Bucket;
use super::shelf::Shelf;
use super::workspaces::Workspace;
use crate::kept::Kept;

const ACCOUNT: &str = "provider-account";
const GUARDRAILS: &str = "provider-guardrails";
const KEYS: &str = "provider-keys";
const MANAGEMENT: &str = "provider-management-keys";
const WORKSPACES: &str = "provider-workspaces";

pub(super) struct Memory {
    pub(super) kept: Kept,
    pub(super) quirks: Quirks,
    account: Account,
    management: HashMap<String, ManagementKey>,
    /// By place; a deleted key stays where it is.
    pub(super) keys: Vec<Key>,
    pub(super) days: Days,
    by_hash: HashMap<String, usize>,
    in_workspace: HashMap<String, Shelf>,
    with_guardrail: HashMap<String, Shelf>,
    assigned: Shelf,
    workspaces: Vec<Workspace>,
    guardrails: Vec<Guardrail>,
    spent_by_keys: Nano,
    /// What was used before it became more, for answers that lag (a quirk, so not kept).
    pub(super) past: Past,
    /// Inference calls that a disabled key has left (a quirk, so not kept).
    pub(super) reprieves: HashMap<usize, u32>,
    /// What is left of the rate (a quirk, so not kept).
    pub(super) bucket: Bucket,
    pub(super) held: Vec<Charge>,
    pub(super) completions: u64,
}

/// What belongs to no key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) credits: Nano,
    /// Spent without a key: the provider's chat room, fees.
    pub(super) elsewhere: Nano,
    /// Models for which the account brought a key of its own.
    pub(super) own_models: Vec<String>,
    /// The newest day with free requests, and how many.
    pub(super) free: Option<(Date, u64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ManagementKey {
    pub(super) label: String,
}

/// A completion's price, owed to a key.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) place: usize,
    pub(super) credit: Nano,
    pub(super) byok: Nano,
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

impl Memory {
    pub(super) fn open(kept: Kept, now: Timestamp) -> Result<Memory> {
        let mut keys: Vec<Key> = kept.all(KEYS)?.into_iter().map(|(_, key)| key).collect();
        keys.sort_by_key(|key| key.place);
        let account = kept.get(ACCOUNT, "account")?;
        let first_start = account.is_none();
        let mut memory = Memory {
            quirks: Quirks::default(),
            account: account.unwrap_or(Account {
                credits: Nano::usd(1_000),
                elsewhere: Nano::ZERO,
                own_models: Vec::new(),
                free: None,
            }),
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
            reprieves: HashMap::new(),
            held: Vec::new(),
            completions: 0,
            kept,
        };
        for (place, mut key) in keys.into_iter().enumerate() {
            key.place = place;
            // The guardrail was deleted, and the process ended before the key was told.
            key.assignment = key.assignment.filter(|assignment| memory.guardrail(&assignment.guardrail).is_some());
            memory.index(&key);
            memory.by_hash.insert(key.hash.clone(), place);
            memory.keys.push(key);
        }
        memory.days = Days::open(&memory.kept, &memory.by_hash)?;
        if first_start {
            if memory.workspaces.is_empty() {
                memory.put_workspace(Workspace::default_one(now)?)?;
            }
            let account = memory.account.clone();
            memory.put_account(account)?;
        }
        Ok(memory)
    }

    // Keys

    pub(super) fn key(&self, place: usize) -> &Key {
        &self.keys[place]
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key of that hash, unless it was deleted.
    pub(super) fn find(&self, hash: &str) -> Result<usize, Refusal> {
        let place = self.by_hash.get(hash).copied().filter(|place| !self.keys[*place].deleted);
        place.ok_or_else(Refusal::not_found)
    }

    /// The key of that hash, if a request may know it by now.
    pub(super) fn find_by_now(&self, hash: &str, now: Timestamp) -> Result<usize, Refusal> {
        let place = self.find(hash)?;
        let known_from = self.keys[place].created_at + self.quirks.found_after;
        if now < known_from { Err(Refusal::not_found()) } else { Ok(place) }
    }

    pub(super) fn add_key(&mut self, mut key: Key) -> Result<usize> {
        key.place = self.keys.len();
        key.asked_limit = key.limit;
        self.kept.put(KEYS, &key.hash, &key)?;
        self.index(&key);
        self.by_hash.insert(key.hash.clone(), key.place);
        self.keys.push(key);
        Ok(self.keys.len() - 1)
    }

    /// The only way in which a key changes: its document first, then memory and whatever index it stands in.
    pub(super) fn change_key(&mut self, place: usize, edit: impl FnOnce(&mut Key)) -> Result<()> {
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

    pub(super) fn shelf(&self, workspace: &str) -> Option<&Shelf> {
        self.in_workspace.get(workspace)
    }

    /// The keys that have a guardrail, or that one.
    pub(super) fn assigned(&self, guardrail: Option<&str>) -> Option<&Shelf> {
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

    // Account

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn used(&self) -> Nano {
        self.account.elsewhere + self.spent_by_keys
    }

    pub(super) fn put_account(&mut self, account: Account) -> Result<()> {
        self.kept.put(ACCOUNT, "account", &account)?;
        self.account = account;
        Ok(())
    }

    pub(super) fn management_key(&self, hash: &str) -> Option<&ManagementKey> {
        self.management.get(hash)
    }

    pub(super) fn put_management_key(&mut self, plaintext: &str) -> Result<()> {
        let (hash, key) = (ids::sha256(plaintext), ManagementKey { label: ids::label(plaintext) });
        self.kept.put(MANAGEMENT, &hash, &key)?;
        self.management.insert(hash, key);
        Ok(())
    }

    pub(super) fn remove_management_key(&mut self, plaintext: &str) -> Result<()> {
        let hash = ids::sha256(plaintext);
        self.kept.remove(MANAGEMENT, &hash)?;
        self.management.remove(&hash);
        Ok(())
    }

    // Workspaces and guardrails: few, so plain lists

    pub(super) fn workspaces(&self) -> &[Workspace] {
        &self.workspaces
    }

    pub(super) fn put_workspace(&mut self, workspace: Workspace) -> Result<()> {
        self.kept.put(WORKSPACES, &workspace.id, &workspace)?;
        self.workspaces.retain(|other| other.id != workspace.id);
        self.workspaces.push(workspace);
        Ok(())
    }

    /// The workspace goes with its guardrails; its keys stay where nobody lists them.
    pub(super) fn remove_workspace(&mut self, id: &str) -> Result<()> {
        let guardrails = self.guardrails.iter().filter(|guardrail| guardrail.workspace == id);
        for guardrail in guardrails.map(|guardrail| guardrail.id.clone()).collect::<Vec<_>>() {
            self.remove_guardrail(&guardrail)?;
        }
        self.kept.remove(WORKSPACES, id)?;
        self.workspaces.retain(|workspace| workspace.id != id);
        Ok(())
    }

    pub(super) fn guardrails(&self) -> &[Guardrail] {
        &self.guardrails
    }

    pub(super) fn guardrail(&self, id: &str) -> Option<&Guardrail> {
        self.guardrails.iter().find(|guardrail| guardrail.id == id)
    }

    pub(super) fn put_guardrail(&mut self, guardrail: Guardrail) -> Result<()> {
        self.kept.put(GUARDRAILS, &guardrail.id, &guardrail)?;
        self.guardrails.retain(|other| other.id != guardrail.id);
        self.guardrails.push(guardrail);
        Ok(())
    }

    pub(super) fn remove_guardrail(&mut self, id: &str) -> Result<()> {
        self.kept.remove(GUARDRAILS, id)?;
        self.guardrails.retain(|guardrail| guardrail.id != id);
        let places: Vec<usize> =
            self.assigned(Some(id)).map(|shelf| shelf.newest_first().collect()).unwrap_or_default();
        for place in places {
            self.change_key(place, |key| key.assignment = None)?;
        }
        Ok(())
    }
}
