//! The account's allowance of free models, as the last sync read it.

use crate::domain::credit::free::FreeAllowance;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn free_allowance(&self) -> Result<Option<FreeAllowance>, StoreError> {
        self.get(&keys::free_allowance()).await
    }
}
