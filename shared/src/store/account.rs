//! What is kept of the account as a whole: how the sync stands, what the account's money came to on each day, and the keys that
//! nobody here made. What is written there is for the sync to say.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::act::new_ulid;
use super::commit::{Commit, Pauses, number};
use super::items::{self, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, What};
use crate::domain::id::{KeyName, PersonId};
use crate::domain::key::KeyHash;
use crate::domain::money::Usd;
use crate::domain::reading::Used;

/// How the sync stands, from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// When the last listing of every key began: what was not written after it had not changed by then.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
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
    pub opening: Option<Usd>,
    /// When the last complete run began that left nothing new unexplained: what keys that are gone had left is free since.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub explained_at: Option<Timestamp>,
    /// When a table that went back was last recovered: keys are not deleted for some time after it.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Timestamp>,
    /// Recorded keys that the provider does not know any more, and since when it says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<KeyHash, Timestamp>,
    /// Keys that bear names of ours whose grant is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Stranger>,
    /// What the last run would have disabled and did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    pub version: u64,
}

/// A key with a name of ours and no grant that it could be of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
}

/// More disables than one run does on its own judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Attempts that would be swept, and keys that a recovery would disable.
    pub sweeps: u32,
    pub recoveries: u32,
    /// How many a run of so many keys may disable.
    pub bound: u32,
    /// Which keys they are, those that a recovery would end first; of very many not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<HeldKey>,
    /// Who let the next run do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<PersonId>,
}

/// A key that would have been disabled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    pub name: String,
    pub key: KeyHash,
    /// Whether a recovery would end it. Otherwise nobody was shown it.
    pub by_recovery: bool,
}

/// What became of letting the next run do what was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Done,
    Already,
    /// It is not what is held back now.
    NotThis,
}

/// What the account spent until a day, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDay {
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// All that was ever bought, and all that was ever spent, as the provider says.
    pub bought: Usd,
    pub spent: Usd,
    /// What keys of ours used that are still there, and those that are gone.
    pub ours: Usd,
    pub ours_gone: Usd,
    /// The same of keys that nobody here made.
    pub foreign: Usd,
    pub foreign_gone: Usd,
    /// What the account spent and no key explains: from before the first complete run, and since.
    pub opening: Usd,
    pub residual: Usd,
}

/// What all keys of the account used, day by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub ours: Used,
    pub foreign: Used,
}

/// A key of the account that no attempt of ours made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Usd>,
    pub used: Used,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub first_seen_at: Timestamp,
    /// When the account did not have it any more.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
}

impl Table {
    /// How the sync stands; as at first when it never ran.
    pub async fn sync_state(&self) -> Result<SyncState, StoreError> {
        Ok(self.get(&keys::sync_state()).await?.unwrap_or_default())
    }

    /// Replaces how the sync stands as it was read. False when somebody was faster.
    pub async fn set_sync_state(&self, after: &SyncState, deadline: Deadline) -> Result<bool, StoreError> {
        match after.version {
            0 | 1 => self.put_new(after, deadline).await,
            version => self.replace(after, version - 1, deadline).await,
        }
    }

    /// Lets the next run do what was held back at this instant, and nothing that was held back since.
    pub async fn release_held_back(
        &self,
        shown: Timestamp,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Release, StoreError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let state = self.sync_state().await?;
            let is_shown = |held: &&HeldBack| held.at.as_millisecond() == shown.as_millisecond();
            let Some(held) = state.held_back.as_ref().filter(is_shown) else {
                // The next run may have done it already: then the press that let it is on record.
                let entries: Vec<AccountEntry> = self.query(keys::ACCOUNT, keys::AUDIT).await?;
                let told = Some(shown.to_string());
                let is_done = |entry: &AccountEntry| entry.what.act == Act::GuardReleased && entry.what.from == told;
                return Ok(if entries.iter().any(is_done) { Release::Already } else { Release::NotThis });
            };
            if held.released_by.is_some() {
                return Ok(Release::Already);
            }
            let what = What::new(Act::GuardReleased).changing(held.at, "released").noting(held.words());
            let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Person(by.clone()), what };
            let held_back = Some(HeldBack { released_by: Some(by.clone()), ..held.clone() });
            let released = SyncState { held_back, ..state }.next();
            let transaction = self.transaction().replace(&released, released.version - 1)?.witnessed_by(&entry)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(Release::Done);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// What the account's money came to, oldest day first.
    pub async fn account_days(&self) -> Result<Vec<AccountDay>, StoreError> {
        self.query(keys::ACCOUNT, keys::ACCOUNT_DAYS).await
    }

    /// What it came to on the newest days, newest first.
    pub async fn newest_account_days(&self, limit: i32) -> Result<Vec<AccountDay>, StoreError> {
        self.newest(keys::ACCOUNT, keys::ACCOUNT_DAYS, limit).await
    }

    pub async fn account(&self) -> Result<Option<Account>, StoreError> {
        self.get(&keys::account()).await
    }

    /// What the account's money came to on a day.
    pub async fn account_day(&self, day: Date) -> Result<Option<AccountDay>, StoreError> {
        self.get(&keys::account_day(day)).await
    }

    /// Writes the sums of the account, unless later ones are written.
    pub async fn note_account(&self, account: &Account, deadline: Deadline) -> Result<(), StoreError> {
        self.put_later(account, account.as_of, deadline).await
    }

    /// Writes what the account's money came to on a day, unless it is written later.
    pub async fn note_account_day(&self, day: &AccountDay, deadline: Deadline) -> Result<(), StoreError> {
        self.put_later(day, day.as_of, deadline).await
    }

    /// Every key of the account that no attempt of ours made, a sixteenth at a time.
    pub async fn foreign_keys_of_shard(&self, shard: char) -> Result<Vec<ForeignKey>, StoreError> {
        self.query(&keys::foreign_partition(shard), keys::FOREIGN_KEYS).await
    }

    /// Every key of the account that no attempt of ours made.
    pub async fn foreign_keys(&self) -> Result<Vec<ForeignKey>, StoreError> {
        let shards = keys::SHARDS.iter().map(|shard| self.foreign_keys_of_shard(*shard));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// Writes what is known of a foreign key, unless something later is written.
    pub async fn note_foreign_key(&self, key: &ForeignKey, deadline: Deadline) -> Result<(), StoreError> {
        self.put_later(key, key.as_of, deadline).await
    }

    pub(super) async fn put_later<T: Stored>(
        &self,
        value: &T,
        as_of: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(items::to_item(value)?))
            .condition_expression("attribute_not_exists(pk) OR as_of <= :as_of")
            .expression_attribute_values(":as_of", number(as_of.as_millisecond()));
        self.write(deadline, || put.clone().send()).await.map(drop)
    }
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

impl HeldBack {
    /// What was held back, in words.
    pub fn words(&self) -> String {
        let keys = |count: u32| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
        match (self.sweeps, self.recoveries) {
            (sweeps, 0) => format!("{} to be swept", keys(sweeps)),
            (0, recoveries) => format!("{} to be disabled by a recovery", keys(recoveries)),
            (sweeps, recoveries) => {
                format!("{} to be swept and {} to be disabled by a recovery", keys(sweeps), keys(recoveries))
            }
        }
    }

    /// How many keys it is about.
    pub fn count(&self) -> u32 {
        self.sweeps.saturating_add(self.recoveries)
    }
}

impl Stranger {
    pub fn of(key: &KeyHash, name: &KeyName, enabled: bool) -> Stranger {
        Stranger { key: key.clone(), name: name.to_string(), enabled }
    }
}

impl Stored for SyncState {
    const KIND: &'static str = "sync";
    fn key(&self) -> Key {
        keys::sync_state()
    }
}

impl Stored for AccountDay {
    const KIND: &'static str = "account-day";
    fn key(&self) -> Key {
        keys::account_day(self.day)
    }
}

impl Stored for Account {
    const KIND: &'static str = "account";
    fn key(&self) -> Key {
        keys::account()
    }
}

impl Stored for ForeignKey {
    const KIND: &'static str = "foreign-key";
    fn key(&self) -> Key {
        keys::foreign_key(&self.key)
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
