//! The table's machinery: keys and items, reads, single writes, transactions, leases. It knows no acts of the
//! product.

mod error;
pub mod items;
pub mod keys;
pub(super) mod meta;
mod read;
pub(super) mod write;

use aws_sdk_dynamodb::Client;

use crate::aws::AwsAccess;
use crate::config::Config;

pub use error::StoreError;

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
