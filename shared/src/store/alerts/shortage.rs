//! The amount that the balance must cover, and the shortfall that was last reported. The shortfall stays
//! recorded when it is over, so that a later check does not report it twice.

use crate::deadline::Deadline;
use crate::domain::usage::balance::{BalanceNeed, Shortage};
use crate::domain::values::money::Usd;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn shortage(&self) -> Result<Option<Shortage>, StoreError> {
        self.get(&keys::shortage()).await
    }

    /// The amount that the balance must cover soon, given what is reserved and not spent yet.
    pub async fn need(&self, to_come: Usd) -> Result<BalanceNeed, StoreError> {
        let (account, sync) = tokio::try_join!(self.account(), self.sync_state())?;
        let (ours, foreign) =
            account.map(|account| (account.ours.credits, account.foreign.credits)).unwrap_or_default();
        Ok(BalanceNeed::of(&ours, &foreign, to_come, sync.listed_at))
    }

    /// Records the shortfall on condition of its version. Returns `false` when another writer was faster;
    /// that one reports it.
    pub async fn note_shortage(&self, shortage: &Shortage, deadline: Deadline) -> Result<bool, StoreError> {
        match shortage.version {
            ..=1 => self.put_new(shortage, deadline).await,
            version => self.replace(shortage, version - 1, deadline).await,
        }
    }
}
