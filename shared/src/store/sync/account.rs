//! What is kept of the account as a whole: what its money came to on each day, and the foreign keys. What is written there is for
//! the sync to say.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::store::table::{StoreError, Table, keys};

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
    pub ours: DailyUse,
    pub foreign: DailyUse,
}

/// A key of the account that no attempt of ours made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Usd>,
    pub used: DailyUse,
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
}
