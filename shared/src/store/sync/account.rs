//! The account's money as it was read last, and the foreign keys that runs of the sync found.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::ledger::foreign::{ForeignKey, KeyOwner};
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::KeyHash;
use crate::domain::values::money::Usd;
use crate::schema::{ACCOUNT, SHARDS, Stored, key, stored};
use crate::store::table::collect_reads;
use crate::store::{Result, Table};

/// The account's credit as it was read last, each quarter of an hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BalanceReading {
    pub as_of: Moment,
    pub bought: Usd,
    pub spent: Usd,
    /// Since when it could not be read any more.
    pub failing_since: Option<Moment>,
}

impl BalanceReading {
    pub fn balance(&self) -> Usd {
        self.bought - self.spent
    }
}

stored! {
    BalanceReading () => key(ACCOUNT, "BALANCE")
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    pub as_of: Moment,
    pub ours: DailyUse,
    pub foreign: DailyUse,
}

stored! {
    Account () => key(ACCOUNT, "NOW")
}

impl Table {
    pub async fn foreign_keys(&self) -> Result<Vec<ForeignKey>> {
        collect_reads(
            SHARDS
                .into_iter()
                .map(|shard| self.list(ForeignKey::of_shard(shard))),
        )
        .await
    }

    /// Removes a foreign key that turned out to be a grant's, and its owners.
    pub async fn forget_foreign_key(&self, key: &KeyHash, deadline: Deadline) -> Result<()> {
        for owner in self.list(KeyOwner::of_key(key)).await? {
            self.delete(&owner.key(), deadline).await?;
        }
        self.delete(&ForeignKey::key_of(key), deadline).await
    }
}
