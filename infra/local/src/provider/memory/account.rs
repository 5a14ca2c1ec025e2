//! The state of the account apart from its keys: money, management keys, and charges that have not reached
//! a key yet.

use serde::{Deserialize, Serialize};

use crate::provider::values::money::Nano;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) credits: Nano,
    /// The spending without a key: the provider's chat room, fees.
    pub(crate) elsewhere: Nano,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManagementKey {
    pub(crate) label: String,
}

/// The price of a completion that a key is still to be charged.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) place: usize,
    pub(crate) credit: Nano,
    pub(crate) byok: Nano,
    pub(crate) model: String,
}
