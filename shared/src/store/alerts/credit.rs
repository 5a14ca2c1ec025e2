//! The amount that the balance must cover, how credit is bought, and what the admins were last told of the
//! balance. That stays recorded when it is over, so that a later check does not report it twice.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::credit::balance::{BalanceNeed, BalanceNotice};
use crate::domain::credit::lots::Lot;
use crate::domain::credit::purchase::{CreditFacts, Purchase, PurchaseTerms};
use crate::domain::programme::Programme;
use crate::domain::usage::days::Days;
use crate::domain::values::id::{PersonId, new_ulid};
use crate::domain::values::money::Usd;
use crate::store::sync::account::AccountDay;
use crate::store::table::commit::Round;
use crate::store::table::{StoreError, Table, keys};

/// The outcome of setting the terms of purchases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermsOutcome {
    Set,
    /// The terms said so already.
    Unchanged,
    /// Somebody else set these since the form was shown.
    Stale(PurchaseTerms),
}

impl Table {
    pub async fn balance_notice(&self) -> Result<Option<BalanceNotice>, StoreError> {
        self.get(&keys::balance_notice()).await
    }

    /// The terms of purchases; the default before anybody set them.
    pub async fn purchase_terms(&self) -> Result<PurchaseTerms, StoreError> {
        Ok(self.get(&keys::purchase_terms()).await?.unwrap_or_default())
    }

    /// The amount that the balance must cover soon, given what is reserved and not spent yet.
    pub async fn need(&self, to_come: Usd) -> Result<BalanceNeed, StoreError> {
        let (account, sync) = tokio::try_join!(self.account(), self.sync_state())?;
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
        now: Timestamp,
    ) -> Result<Purchase, StoreError> {
        let (account, sync, terms) = tokio::try_join!(self.account(), self.sync_state(), self.purchase_terms())?;
        let (ours, foreign): (Days, Days) =
            account.map(|account| (account.ours.credits, account.foreign.credits)).unwrap_or_default();
        let going_on = programmes.iter().filter(|programme| !programme.is_over(now));
        let ends_at = going_on.map(|programme| programme.settings.term.ends_at()).max();
        let listed_at = sync.listed_at;
        let facts = CreditFacts { balance, to_come, ours: &ours, foreign: &foreign, listed_at, ends_at };
        Ok(Purchase::of(&facts, &terms))
    }

    /// The lots of credit that the account has bought, oldest first. They come from the account's days, which
    /// hold the figures of the cuts and are small.
    pub async fn lots(&self) -> Result<Vec<Lot>, StoreError> {
        let days: Vec<AccountDay> = self.query(keys::ACCOUNT, keys::ACCOUNT_DAYS).await?;
        let spent = days.last().map_or(Usd::ZERO, |day| day.spent);
        Ok(Lot::all(days.iter().map(|day| (day.day, day.bought)), spent))
    }

    /// Sets the terms of purchases over those that a form showed, whose version is given. Where it is not, it
    /// is over those of now.
    pub async fn set_purchase_terms(
        &self,
        terms: PurchaseTerms,
        shown: Option<u64>,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<TermsOutcome, StoreError> {
        self.carry_through(deadline, || async {
            let known = self.purchase_terms().await?;
            if known.are_as(&terms) {
                return Ok(Round::Over(TermsOutcome::Unchanged));
            }
            if shown.is_some_and(|shown| shown != known.version) {
                return Ok(Round::Over(TermsOutcome::Stale(known)));
            }
            let after = PurchaseTerms { version: known.version + 1, ..terms };
            let what = AuditDetail::new(Act::PurchasesSet).changing(known, after);
            let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Person(by.clone()), what };
            let transaction = match known.version {
                0 => self.transaction().create(&after)?,
                version => self.transaction().replace(&after, version)?,
            };
            Ok(Round::Write(transaction.witnessed_by(&entry)?, TermsOutcome::Set))
        })
        .await
    }

    /// Records what the admins are told, on condition of its version. Returns `false` when another writer was
    /// faster; that one reports it.
    pub async fn note_balance(&self, notice: &BalanceNotice, deadline: Deadline) -> Result<bool, StoreError> {
        match notice.version {
            ..=1 => self.put_new(notice, deadline).await,
            version => self.replace(notice, version - 1, deadline).await,
        }
    }
}
