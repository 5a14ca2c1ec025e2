//! How the sync stands from one run to the next, with what the last run held back.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::usage::reconciliation::{KnownResidual, Opening};
use crate::domain::values::id::{KeyName, PersonId};
use crate::domain::values::key::KeyHash;
use crate::store::table::{StoreError, Table, keys};

/// How the sync stands, from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// When the last listing of every key began: what was not written after it had not changed by then.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Timestamp>,
    /// When the last complete run began.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The first and the last day of which it is known who used which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_since: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_until: Option<Date>,
    /// Days between these that were never asked for: from one to another, both included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models_missed: Vec<(Date, Date)>,
    /// What the account had spent beyond all known keys when a run was complete for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// What it spent since that no key explains, and is no news.
    #[serde(default)]
    pub residual: KnownResidual,
    /// When the last complete run began that left nothing new unexplained: what keys that are gone had left is free since.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub explained_at: Option<Timestamp>,
    /// When a table that went back was last recovered: keys are not deleted for some time after it.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Timestamp>,
    /// Keys that bear names of ours whose grant is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<OrphanName>,
    /// What the last run would have done and did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    /// What was let through and is not seen to yet: where its marks lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_through: Option<Ulid>,
    pub version: u64,
}

/// A key with a name of ours and no grant that it could be of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanName {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
}

impl SyncState {
    /// To be written over what was read.
    #[must_use]
    pub fn next(self) -> SyncState {
        SyncState { version: self.version + 1, ..self }
    }

    /// With these days known by model as well.
    #[must_use]
    pub fn with_models_of(mut self, from: Date, until: Date) -> SyncState {
        self.models_since.get_or_insert(from);
        let last = self.models_until.unwrap_or(from);
        if let Some((first, end)) = last.tomorrow().ok().zip(from.yesterday().ok()).filter(|(first, end)| first <= end)
        {
            self.models_missed.push((first, end));
        }
        self.models_until = Some(last.max(until));
        self
    }

    /// Whether it is known who used which model on a day.
    pub fn knows_models_of(&self, day: Date) -> bool {
        let is_between =
            self.models_since.is_some_and(|since| since <= day) && self.models_until.is_some_and(|until| day <= until);
        is_between && !self.models_missed.iter().any(|(from, to)| *from <= day && day <= *to)
    }
}

impl OrphanName {
    pub fn of(key: &KeyHash, name: &KeyName, enabled: bool) -> OrphanName {
        OrphanName { key: key.clone(), name: name.to_string(), enabled }
    }
}

/// More than one run does on its own judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Attempts that would be swept, keys that a recovery would disable, and live grants that would be stopped.
    pub sweeps: u32,
    pub recoveries: u32,
    pub stops: u32,
    /// How many of them a run of so many keys may do.
    pub bound: u32,
    /// Which keys they are, those first that may be in use; of very many not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<HeldKey>,
    /// Where the marks of all of them lie.
    pub marks: Ulid,
    /// Who let the next runs do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<PersonId>,
}

/// A key to which something would have been done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    pub act: HeldAct,
    pub name: String,
    pub key: KeyHash,
}

/// What a run does to a key on its own judgement. Those come first that may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldAct {
    /// A recovery ends it.
    Recovery,
    /// Its grant is stopped, because the key is gone or disabled at the provider.
    Stop,
    /// Nobody was shown it.
    Sweep,
}

impl Table {
    /// How the sync stands; as at first when it never ran.
    pub async fn sync_state(&self) -> Result<SyncState, StoreError> {
        Ok(self.get(&keys::sync_state()).await?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_were_never_asked_for_are_not_known_by_model() {
        let day = |day: i8| Date::constant(2026, 11, day);
        let state = SyncState::default().with_models_of(day(2), day(5)).with_models_of(day(5), day(6));
        assert_eq!((state.models_until, state.models_missed.len()), (Some(day(6)), 0));
        let state =
            state.with_models_of(day(7), day(7)).with_models_of(day(10), day(12)).with_models_of(day(12), day(13));
        let known: Vec<i8> = (1..=15).filter(|number| state.knows_models_of(day(*number))).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 10, 11, 12, 13]);
    }
}
