//! What of the account belongs to no key: its money, its management keys, and charges that are still to reach a key.

use serde::{Deserialize, Serialize};

use crate::provider::values::money::Nano;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) credits: Nano,
    /// Spent without a key: the provider's chat room, fees.
    pub(crate) elsewhere: Nano,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManagementKey {
    pub(crate) label: String,
}

/// A completion's price, owed to a key.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) place: usize,
    pub(crate) credit: Nano,
    pub(crate) byok: Nano,
    pub(crate) model: String,
}
