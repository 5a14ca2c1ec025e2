//! The table's machinery: keys and items, reads, single writes, transactions, leases. It knows no acts of the
//! product.

pub mod items;
pub mod keys;
pub(super) mod meta;
mod read;
pub(super) mod write;

use aws_sdk_dynamodb::Client;

use crate::aws::AwsAccess;
use crate::aws::SdkFailure;
use crate::config::Config;
use crate::store::keys::ItemKey;

/// The table of this deployment.
#[derive(Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    /// A handle that connects on first use.
    pub fn new(config: &Config) -> Table {
        Table { client: config.aws.dynamodb(), name: config.table.clone() }
    }

    /// A handle on a table by its name, without the rest of a function's configuration.
    pub fn named(name: &str, aws: &AwsAccess) -> Table {
        Table { client: aws.dynamodb(), name: name.to_owned() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this table is a copy of the one that the deployment's own item names.
    pub fn is_copy(&self, meta: &meta::Meta) -> bool {
        meta.table != self.name
    }
}

/// A fault between the code and the table. Outcomes that a caller chooses between are enums of the acts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not do it, or did not say whether it did.
    #[error("the table: {0}")]
    Service(SdkFailure),
    /// An item does not fit its key or type. It is never taken for absent.
    #[error("an item of the kind {kind} is corrupt ({shape}): {why}")]
    Corrupt { kind: &'static str, shape: String, why: String },
    /// Conflicts with other writers went on until the time was up.
    #[error("the same items were changed by others until the time was up")]
    Contended,
}

impl StoreError {
    /// Whether a later try may succeed.
    pub fn may_pass(&self) -> bool {
        match self {
            StoreError::Service(failure) => failure.retryable,
            StoreError::Contended => true,
            StoreError::Corrupt { .. } => false,
        }
    }

    /// A corrupt item's error, with only the prefixes of its key: keys can hold addresses.
    pub(crate) fn corrupt(key: &ItemKey, kind: &'static str, why: &dyn std::fmt::Display) -> StoreError {
        let begins = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
        StoreError::Corrupt { kind, shape: format!("{}/{}", begins(&key.pk), begins(&key.sk)), why: why.to_string() }
    }
}
