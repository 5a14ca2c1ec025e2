//! What is kept of the account as a whole: how the sync stands, what the account's money came to on each day, and the keys that
//! nobody here made. What is written there is for the sync to say.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::commit::number;
use super::held_back::HeldBack;
use super::items::{self, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::id::KeyName;
use crate::domain::key::KeyHash;
use crate::domain::money::Usd;
use crate::domain::reading::Used;
use crate::domain::reconciliation::{KnownResidual, Opening};

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
    pub strangers: Vec<Stranger>,
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
pub struct Stranger {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
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
    /// What no key explains: from before the first complete run, at least, and since.
    pub opening: Usd,
    pub residual: Usd,
    /// What was spent while keys were read and is in no reading yet.
    pub unsettled: Usd,
    /// So much of the residual may come from rounding.
    pub tolerance: Usd,
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

    /// Forgets a key that is a grant's after all.
    pub async fn forget_foreign_key(&self, key: &KeyHash, deadline: Deadline) -> Result<(), StoreError> {
        self.delete(&keys::foreign_key(key), deadline).await
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
