//! The state of one account, in memory and written through: one document for each key, and one for
//! all the rest.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::guardrails::{Guardrail, Workspace};
use super::in_flight::InFlight;
use super::keys::Key;
use super::quirks::{Quirks, Turns};
use super::windows::Nano;
use super::{Refusal, refuse};
use crate::base::state_file::StateFile;

const BOOKS: (&str, &str) = ("provider", "books");
const KEYS: &str = "provider-keys";

pub(super) struct Account {
    kept: StateFile,
    pub(super) books: Books,
    /// Oldest first. A deleted key stays, since its usage remains the account's.
    keys: Vec<Key>,
    places: HashMap<String, usize>,
    pub(super) quirks: Quirks,
    pub(super) turns: Turns,
    pub(super) in_flight: InFlight,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Books {
    /// What was ever bought.
    pub(super) credits: Nano,
    /// Spending without a key: the provider's chat room, fees.
    pub(super) elsewhere: Nano,
    /// By their hash.
    pub(super) management_keys: BTreeMap<String, ManagementKey>,
    /// Oldest first, from the default one.
    pub(super) workspaces: Vec<Workspace>,
    /// Oldest first.
    pub(super) guardrails: Vec<Guardrail>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ManagementKey {
    pub(super) label: String,
    /// The only workspace that it may manage, if it is scoped.
    pub(super) scope: Option<String>,
}

impl Account {
    pub(super) fn open(kept: StateFile, now: Timestamp) -> Result<Account> {
        let books = kept.get(BOOKS.0, BOOKS.1)?.unwrap_or_else(|| Books {
            credits: Nano::usd(1_000),
            elsewhere: Nano::ZERO,
            management_keys: BTreeMap::new(),
            workspaces: vec![Workspace::new("Default", now)],
            guardrails: Vec::new(),
        });
        let mut keys: Vec<Key> = kept.list(KEYS)?.into_iter().map(|(_, key)| key).collect();
        keys.sort_by_key(|key| key.created_at);
        let places = keys
            .iter()
            .enumerate()
            .map(|(place, key)| (key.hash.clone(), place))
            .collect();
        Ok(Account {
            kept,
            books,
            keys,
            places,
            quirks: Quirks::default(),
            turns: Turns::default(),
            in_flight: InFlight::default(),
        })
    }

    pub(super) fn change_books(&mut self, change: impl FnOnce(&mut Books)) -> Result<()> {
        change(&mut self.books);
        self.kept.put(BOOKS.0, BOOKS.1, &self.books)
    }

    pub(super) fn knows(&self, hash: &str) -> bool {
        self.books.management_keys.contains_key(hash) || self.find(hash).is_ok()
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn key(&self, place: usize) -> &Key {
        &self.keys[place]
    }

    /// The place of a key, unless it was deleted.
    pub(super) fn find(&self, hash: &str) -> Result<usize, Refusal> {
        let place = self
            .places
            .get(hash)
            .copied()
            .filter(|place| !self.keys[*place].deleted);
        place.ok_or_else(|| refuse(404, "Resource not found"))
    }

    /// The place of a key of the workspace that a scoped management key is for.
    pub(super) fn find_within(&self, scope: &Option<String>, hash: &str) -> Result<usize, Refusal> {
        let place = self.find(hash)?;
        within(scope, &self.keys[place].settings.workspace_id)?;
        Ok(place)
    }

    /// The place of a key that may be used. Unknown, deleted, expired and disabled ones get one and
    /// the same refusal.
    pub(super) fn usable(&self, hash: &str, now: Timestamp) -> Result<usize, Refusal> {
        let is_usable = |place: &usize| {
            !self.keys[*place].settings.disabled && !self.keys[*place].has_expired(now)
        };
        self.find(hash)
            .ok()
            .filter(is_usable)
            .ok_or_else(|| refuse(401, "User not found."))
    }

    pub(super) fn add(&mut self, key: Key) -> Result<usize> {
        self.kept.put(KEYS, &key.hash, &key)?;
        let place = self
            .keys
            .partition_point(|older| older.created_at <= key.created_at);
        self.keys.insert(place, key);
        for (place, key) in self.keys.iter().enumerate().skip(place) {
            self.places.insert(key.hash.clone(), place);
        }
        Ok(place)
    }

    pub(super) fn change(&mut self, place: usize, change: impl FnOnce(&mut Key)) -> Result<()> {
        let key = &mut self.keys[place];
        change(key);
        self.kept.put(KEYS, &key.hash, key)
    }

    /// Notes what an answer by hash tells of a key. It changes nothing that is kept.
    pub(super) fn note_told(&mut self, place: usize, now: Timestamp, used: Nano) {
        let reports = &mut self.keys[place].reports;
        if reports.last().is_none_or(|(_, before)| *before < used) {
            reports.push((now, used));
        }
    }

    /// What the account used, as it was known then.
    pub(super) fn used(&self, as_of: Timestamp) -> Nano {
        let by_keys = self
            .keys
            .iter()
            .map(|key| key.used_as_of(as_of).days.within(None, as_of).credit);
        self.books.elsewhere + by_keys.sum()
    }

    /// The workspace that a request names: without an id the one that the management key is for, or
    /// the default.
    pub(super) fn workspace(
        &self,
        id: Option<&str>,
        scope: &Option<String>,
    ) -> Result<String, Refusal> {
        let id = id.or(scope.as_deref());
        let mut workspaces = self.books.workspaces.iter();
        let workspace = workspaces.find(|workspace| id.is_none_or(|id| workspace.id == id));
        let workspace = workspace.ok_or_else(|| refuse(404, "Workspace not found"))?;
        within(scope, &workspace.id)?;
        Ok(workspace.id.clone())
    }

    pub(super) fn guardrail(&self, id: &str) -> Option<&Guardrail> {
        self.books
            .guardrails
            .iter()
            .find(|guardrail| guardrail.id == id)
    }

    pub(super) fn delete_guardrail(&mut self, id: &str) -> Result<()> {
        self.change_books(|books| books.guardrails.retain(|guardrail| guardrail.id != id))?;
        for place in 0..self.keys.len() {
            if self.keys[place]
                .assignment
                .as_ref()
                .is_some_and(|assignment| assignment.guardrail == id)
            {
                self.change(place, |key| key.assignment = None)?;
            }
        }
        Ok(())
    }
}

/// Refuses a scoped management key whatever is in another workspace.
pub(super) fn within(scope: &Option<String>, workspace: &str) -> Result<(), Refusal> {
    match scope {
        Some(scope) if scope != workspace => Err(refuse(403, "This key is for another workspace")),
        _ => Ok(()),
    }
}

/// A new key in the provider's format: 73 characters.
pub(crate) fn fresh_key() -> String {
    format!(
        "sk-or-v1-{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    )
}

/// The masked form of a key: `sk-or-v1-0e6...1c96`.
pub(super) fn label(key: &str) -> String {
    match (
        key.get(..12),
        key.len().checked_sub(4).and_then(|end| key.get(end..)),
    ) {
        (Some(start), Some(end)) => format!("{start}...{end}"),
        _ => "...".to_owned(),
    }
}
