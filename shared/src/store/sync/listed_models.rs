//! What the last sync read of models: the account's allowance of free ones, and the named ones in the provider's list.

use crate::domain::credit::free::FreeAllowance;
use crate::domain::programme::named_models::NamedModels;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn free_allowance(&self) -> Result<Option<FreeAllowance>, StoreError> {
        self.get(&keys::free_allowance()).await
    }

    pub async fn named_models(&self) -> Result<Option<NamedModels>, StoreError> {
        self.get(&keys::named_models()).await
    }
}
