//! Writes of the sync's one runner on condition of its lease: a runner that wakes late, after another took
//! over, changes nothing. The sync decides what is written and when.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::ledger::cut::AccountCut;
use crate::domain::programme::Budget;
use crate::domain::values::money::Usd;
use crate::store::sync::checkpoints::Checkpoint;
use crate::store::sync::models::ModelRows;
use crate::store::sync::runs::Run;
use crate::store::sync::state::SyncState;
use crate::store::sync::totals::{GroupTotals, KeptTotals, Totals};
use crate::store::table::items::Stored;
use crate::store::table::lease::Lease;
use crate::store::table::meta::{KnownAccount, Meta, SET_ACCOUNT, attribute_of};
use crate::store::table::write::{Transaction, Unaudited, number};
use crate::store::table::{StoreError, Table};

/// The table while a lease is held.
#[derive(Clone, Copy)]
pub struct FencedTable<'a> {
    table: &'a Table,
    lease: &'a Lease,
    deadline: Deadline,
}

impl Table {
    /// The table with writes under this lease. Conflicts are retried until shortly before the deadline.
    pub fn under<'a>(&'a self, lease: &'a Lease, deadline: Deadline) -> FencedTable<'a> {
        FencedTable { table: self, lease, deadline }
    }
}

impl FencedTable<'_> {
    pub(crate) fn table(&self) -> &Table {
        self.table
    }
}

/// Each write returns `false` when another runner has taken over, or what it rests on was changed since it
/// was read.
impl FencedTable<'_> {
    /// Writes the totals of a programme, then each of its groups' that changed, where groups have items of
    /// their own. So groups never add up to more than their programme.
    pub async fn note_totals(&self, totals: &Totals) -> Result<bool, StoreError> {
        let (kept, groups) = KeptTotals::of(totals);
        if !self.put_later(&kept, totals.as_of).await? {
            return Ok(false);
        }
        let mut known = match kept.groups_apart {
            true => self.table.list(GroupTotals::of_programme(&totals.programme)).await?,
            false => Vec::new(),
        };
        for group in groups {
            let place = known.iter().position(|known| known.group == group.group);
            let is_known = place.map(|place| known.swap_remove(place)).is_some_and(|known| known.used == group.used);
            if !is_known && !self.put_later(&group, group.as_of).await? {
                return Ok(false);
            }
        }
        for gone in known {
            let as_of = [(":as_of", number(totals.as_of.as_millisecond()))];
            let condition = "attribute_not_exists(pk) OR as_of <= :as_of";
            if !self.commit(self.begun()?.remove(&gone.key(), condition, &as_of)?).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what a budget's grants reserve at an instant, summed after the budget was read. Returns `false` also
    /// when a place was taken or given back since, which the sum may have missed.
    pub async fn recompute_reserved(&self, read: &Budget, reserved: Usd, at: Timestamp) -> Result<bool, StoreError> {
        let values = [
            (":reserved", number(reserved.micros())),
            (":at", number(at.as_millisecond())),
            (":one", number(1)),
            (":version", number(read.version)),
        ];
        let transaction = self.begun()?.update(
            &Budget::key_of(&read.programme),
            "SET reserved = :reserved, counted_at = :at ADD version :one",
            "version = :version",
            &values,
        )?;
        self.commit(transaction).await
    }

    /// Writes the cut of a complete run. A written cut stays, also when the run ends a second time.
    pub async fn note_cut(&self, cut: &AccountCut) -> Result<bool, StoreError> {
        if self.table.get::<AccountCut>(cut.key()).await?.is_some() {
            return Ok(true);
        }
        self.commit(self.begun()?.create(cut)?).await
    }

    /// Writes each grant's use by model on a day, if it changed. The first part comes last: it holds the
    /// number of parts.
    pub async fn note_model_rows(&self, parts: &[ModelRows]) -> Result<bool, StoreError> {
        for part in parts.iter().rev() {
            let known: Option<ModelRows> = self.table.get(part.key()).await?;
            let is_known = known.is_some_and(|known| ModelRows { as_of: part.as_of, ..known } == *part);
            if !is_known && !self.put_later(part, part.as_of).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces the state of the sync as it was read. Returns `false` also when an admin was faster.
    pub async fn set_sync_state(&self, after: &SyncState) -> Result<bool, StoreError> {
        self.commit(self.begun()?.replace(after, after.version.saturating_sub(1))?).await
    }

    /// Records what identifies the account of this deployment from now on.
    pub async fn know_account(&self, account: &KnownAccount) -> Result<bool, StoreError> {
        let values = [(":account", attribute_of(account)?)];
        self.commit(self.begun()?.update(&Meta::key_of(), SET_ACCOUNT, "attribute_exists(pk)", &values)?).await
    }

    /// Removes what identifies the account.
    pub async fn forget_account(&self) -> Result<bool, StoreError> {
        self.commit(self.begun()?.update(&Meta::key_of(), "REMOVE account", "attribute_exists(pk)", &[])?).await
    }

    /// Records a run.
    pub async fn record_run(&self, run: &Run) -> Result<bool, StoreError> {
        self.commit(self.begun()?.create(run)?).await
    }

    /// Saves the checkpoint of the run.
    pub async fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let fence = [(":fence", number(self.lease.fence))];
        self.commit(self.begun()?.create_or_replace(checkpoint, "fence <= :fence", &fence)?).await
    }

    /// Removes the checkpoint of a run that has ended. Its parts expire.
    pub async fn forget_checkpoint(&self) -> Result<bool, StoreError> {
        let fence = [(":fence", number(self.lease.fence))];
        let condition = "attribute_not_exists(pk) OR fence <= :fence";
        self.commit(self.begun()?.remove(&Checkpoint::key_of(), condition, &fence)?).await
    }

    /// Writes an item, unless there is one of a later instant.
    pub async fn put_later<T: Stored>(&self, value: &T, as_of: Timestamp) -> Result<bool, StoreError> {
        let as_of = [(":as_of", number(as_of.as_millisecond()))];
        self.commit(self.begun()?.create_or_replace(value, "as_of <= :as_of", &as_of)?).await
    }

    pub(crate) fn begun(&self) -> Result<Transaction, StoreError> {
        let values = [(":holder", AttributeValue::S(self.lease.holder.clone())), (":fence", number(self.lease.fence))];
        let lease = Lease::key_of(&self.lease.lease);
        self.table.transaction().check(&lease, "holder = :holder AND fence = :fence", &values)
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<bool, StoreError> {
        self.table.commit_once(transaction.unaudited(Unaudited::Sync), self.deadline).await
    }
}
