//! Cuts through the books: lifetime spending of each programme, of foreign keys and of the account when a
//! complete run listed the keys. Statements are the differences of two cuts.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::reconciliation::AccountSpending;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::table::{StoreError, Table, keys};

/// The books as one complete run found them. The spending of programmes' and foreign keys, the opening, the
/// residual and the unsettled amount add up to the account's spending after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCut {
    /// When the run began.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// What the account had bought and spent, as the provider reports it.
    pub bought: Usd,
    pub spent: AccountSpending,
    pub programmes: Vec<ProgrammeCut>,
    /// The spending of foreign keys.
    pub unowned: Usd,
    pub opening: Usd,
    pub residual: Usd,
    pub unsettled: Usd,
}

/// The spending of a programme's keys from the account's money, and with keys of other providers.
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
