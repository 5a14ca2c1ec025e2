//! The amount that the balance must cover, the credit to be bought, and what the admins were last told of the
//! balance. That stays recorded when it is over, so that a later check does not report it twice.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::credit::balance::{BalanceNeed, BalanceNotice};
use crate::domain::credit::purchase::{CreditFacts, Purchase};
use crate::domain::programme::Programme;
use crate::domain::usage::days::Days;
use crate::domain::values::money::Usd;
use crate::store::Account;
use crate::store::table::commit::Unaudited;
use crate::store::table::{StoreError, Table};

impl Table {
    /// The amount that the balance must cover soon, given what is reserved and not spent yet.
    pub async fn need(&self, to_come: Usd) -> Result<BalanceNeed, StoreError> {
        let (account, sync) = tokio::try_join!(self.get(Account::key_of()), self.sync_state())?;
        let (ours, foreign) =
            account.map(|account| (account.ours.credits, account.foreign.credits)).unwrap_or_default();
        Ok(BalanceNeed::of(&ours, &foreign, to_come, sync.listed_at))
    }

    /// The credit that must be bought for all programmes, given what is reserved and not spent yet.
    pub async fn purchase(
        &self,
        programmes: &[Programme],
        to_come: Usd,
        balance: Usd,
        now: Moment,
    ) -> Result<Purchase, StoreError> {
        let (account, sync) = tokio::try_join!(self.get(Account::key_of()), self.sync_state())?;
        let (ours, foreign): (Days, Days) =
            account.map(|account| (account.ours.credits, account.foreign.credits)).unwrap_or_default();
        let going_on = programmes.iter().filter(|programme| !programme.is_over(now));
        let ends_at = going_on.map(|programme| programme.settings.term.ends_at()).max();
        let listed_at = sync.listed_at;
        let facts = CreditFacts { balance, to_come, ours: &ours, foreign: &foreign, listed_at, ends_at };
        Ok(Purchase::of(&facts))
    }

    /// Records what the admins are told, on condition of its version. Returns `false` when another writer was
    /// faster; that one reports it.
    pub async fn note_balance(&self, notice: &BalanceNotice, deadline: Deadline) -> Result<bool, StoreError> {
        match notice.version {
            ..=1 => self.put_new(notice, deadline).await,
            version => self.replace(notice, version - 1, Unaudited::Notification, deadline).await,
        }
    }
}
