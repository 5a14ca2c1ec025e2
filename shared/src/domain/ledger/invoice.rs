//! The provider's invoice for some days, which an admin types in so that it stands beside the statement.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::values::id::PersonId;
use crate::domain::values::money::Usd;

/// The invoice of the days from one to another, both included. There is one for each range of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub from: Date,
    pub to: Date,
    pub number: String,
    pub amount: Usd,
    #[serde(with = "millisecond::required")]
    pub noted_at: Timestamp,
    pub noted_by: PersonId,
    pub version: u64,
}
