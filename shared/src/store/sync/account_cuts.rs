//! Cuts through the books: what each programme, the keys without an owner and the account had come to in their whole lives when a
//! complete run listed the keys. Statements are the differences of two cuts.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::reconciliation::AccountSpending;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::table::{StoreError, Table, keys};

/// The books as one complete run found them. What programmes' keys and keys without an owner spent, the opening, the residual and what
/// is unsettled make up what the account had spent after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCut {
    /// When the run began.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// What the account had bought and spent, which no run of ours decides.
    pub bought: Usd,
    pub spent: AccountSpending,
    pub programmes: Vec<ProgrammeCut>,
    /// What keys spent that nobody here made.
    pub unowned: Usd,
    pub opening: Usd,
    pub residual: Usd,
    pub unsettled: Usd,
}

/// What the keys of a programme's own grants had spent of the account's money, and with keys of other providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammeCut {
    pub programme: ProgrammeId,
    pub keys: Usd,
    pub byok: Usd,
}

impl Table {
    /// Every cut, oldest first.
    pub async fn cuts(&self) -> Result<Vec<AccountCut>, StoreError> {
        self.query(keys::ACCOUNT, keys::CUTS).await
    }
}
