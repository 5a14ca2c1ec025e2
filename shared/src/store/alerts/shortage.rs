//! What the balance must pay for, and the shortfall that was told last. It stays on record when it is over, so that nobody who looks again tells it twice.

use crate::deadline::Deadline;
use crate::domain::usage::balance::{BalanceNeed, Shortage};
use crate::domain::values::money::Usd;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn shortage(&self) -> Result<Option<Shortage>, StoreError> {
        self.get(&keys::shortage()).await
    }

    /// What the balance must pay for soon, with so much promised and not spent yet.
    pub async fn need(&self, to_come: Usd) -> Result<BalanceNeed, StoreError> {
        let (account, sync) = tokio::try_join!(self.account(), self.sync_state())?;
        let (ours, foreign) =
            account.map(|account| (account.ours.credits, account.foreign.credits)).unwrap_or_default();
        Ok(BalanceNeed::of(&ours, &foreign, to_come, sync.listed_at))
    }

    /// False when somebody was faster, and tells of it.
    pub async fn note_shortage(&self, shortage: &Shortage, deadline: Deadline) -> Result<bool, StoreError> {
        match shortage.version {
            ..=1 => self.put_new(shortage, deadline).await,
            version => self.replace(shortage, version - 1, deadline).await,
        }
    }
}
