//! The state of the sync from one run to the next, with what the last run held back.

use crate::clock::Moment;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::usage::reconciliation::Opening;
use crate::domain::values::id::{KeyName, PersonId};
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, key};
use crate::store::table::{StoreError, Table};

/// The state of the sync from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// When the last listing of every key began. A reading that was not written after it had not changed by
    /// then.
    pub listed_at: Option<Moment>,
    /// When the last complete run began.
    pub completed_at: Option<Moment>,
    /// The first and the last day with known use by model.
    pub models_since: Option<Date>,
    pub models_until: Option<Date>,
    /// Days between these that were never queried: pairs of first and last day, both included.
    pub models_missed: Vec<(Date, Date)>,
    /// The account's spending beyond all known keys at the first complete run.
    pub opening: Option<Opening>,
    /// The residual that admins were told last.
    pub residual_told: Usd,
    /// When the last complete run began that found no residual but the one told. What was left on keys that
    /// are gone by then is free.
    pub matched_at: Option<Moment>,
    /// When a restored table was last recovered; keys are not deleted for some time after it.
    pub restored_at: Option<Moment>,
    /// Keys that bear a grant's name where there is no such grant.
    pub orphan_names: Vec<OrphanName>,
    /// What the last run held back.
    pub held_back: Option<HeldBack>,
    /// The marks of what was released and is not done yet.
    pub let_through: Option<Ulid>,
    pub version: u64,
}

stored! {
    "sync" SyncState |_| () => key(ACCOUNT, "SYNC")
}

/// A key that bears a grant's name where there is no such grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanName {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
}

impl SyncState {
    /// The state to write over the one that was read.
    #[must_use]
    pub fn next(self) -> SyncState {
        SyncState { version: self.version + 1, ..self }
    }

    /// The state with these days known by model as well.
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

    /// Whether the use by model of a day is known.
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

/// More acts than one run does on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    pub at: Moment,
    /// The held back acts by kind: attempts to sweep, keys for a recovery to disable, and live grants to
    /// stop.
    pub sweeps: u32,
    pub recoveries: u32,
    pub stops: u32,
    /// How many of them a run over so many keys may do.
    pub bound: u32,
    /// The keys, those first that may be in use; when there are very many, not all.
    pub keys: Vec<HeldKey>,
    /// The name of the marks of all of them.
    pub marks: Ulid,
    /// The person who released them.
    pub released_by: Option<PersonId>,
}

/// A key with the act that was held back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    pub act: HeldAct,
    pub name: String,
    pub key: KeyHash,
}

/// An act of a run on its own. Those sort first whose keys may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldAct {
    /// A recovery disables the key.
    Recovery,
    /// Its grant is stopped, because the key is gone or disabled at the provider.
    Stop,
    /// The key is disabled, because nobody was shown it.
    Sweep,
}

impl Table {
    /// The state of the sync; the default before its first run.
    pub async fn sync_state(&self) -> Result<SyncState, StoreError> {
        Ok(self.get(SyncState::key_of()).await?.unwrap_or_default())
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
