//! The books of the account as a whole: its money on each day, and the foreign keys. The sync decides what is
//! written.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::ledger::cut::LifetimeUse;
use crate::domain::ledger::owner::KeyOwner;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, SHARDS, begin, foreign_partition, key};
use crate::store::table::{StoreError, Table};

/// The account's spending up to a day, by the keys that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDay {
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// All credit ever bought and spent, as the provider reports it.
    pub bought: Usd,
    pub spent: Usd,
    /// The use of grants' keys that exist, and of those that are gone.
    pub ours: Usd,
    pub ours_gone: Usd,
    /// The use of foreign keys that exist, and of those that are gone.
    pub foreign: Usd,
    pub foreign_gone: Usd,
    /// Spending that no key explains: at least so much before the first complete run, and since then.
    pub opening: Usd,
    pub residual: Usd,
    /// Spending while the keys were read, which is in no reading yet.
    pub unsettled: Usd,
    /// The part of the residual that may come from rounding.
    pub tolerance: Usd,
}

stored! {
    "account-day" AccountDay |it| (day: Date = it.day) => key(ACCOUNT, format!("D#{day}"));
    list all() => begin(ACCOUNT, "D#")
}

/// The use of all keys of the account, day by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub ours: DailyUse,
    pub foreign: DailyUse,
}

stored! {
    "account" Account |_| () => key(ACCOUNT, "NOW")
}

/// A key of the account that no attempt made.
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
    /// When it was first missing from the account.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// When the run began that recorded this use.
    #[serde(with = "millisecond::required")]
    pub recorded_by: Timestamp,
    /// The lifetime use in the newest cut before that run.
    pub in_cut: LifetimeUse,
}

stored! {
    "foreign-key" ForeignKey |it| (hash: &KeyHash = &it.key) => {
        let shard = hash.as_str().chars().next().unwrap_or('0');
        key(foreign_partition(shard), format!("F#{hash}"))
    };
    list of_shard(shard: char) => begin(foreign_partition(shard), "F#")
}

impl ForeignKey {
    /// The lifetime use in the newest cut, which was made then.
    pub fn used_by(&self, cut: Option<Timestamp>) -> LifetimeUse {
        match cut {
            Some(cut) if self.recorded_by <= cut => LifetimeUse::of(&self.used),
            Some(_) => self.in_cut,
            None => LifetimeUse::default(),
        }
    }
}

impl Table {
    /// Every foreign key of the account.
    pub async fn foreign_keys(&self) -> Result<Vec<ForeignKey>, StoreError> {
        let shards = SHARDS.map(|shard| self.list(ForeignKey::of_shard(shard)));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// Removes a foreign key that turned out to be a grant's, and its owner.
    pub async fn forget_foreign_key(&self, key: &KeyHash, deadline: Deadline) -> Result<(), StoreError> {
        self.delete(&KeyOwner::key_of(key), deadline).await?;
        self.delete(&ForeignKey::key_of(key), deadline).await
    }
}
