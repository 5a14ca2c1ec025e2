//! What the last sync read of the named models in the provider's list.

use crate::domain::programme::named_models::NamedModels;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn named_models(&self) -> Result<Option<NamedModels>, StoreError> {
        self.get(&keys::named_models()).await
    }
}
