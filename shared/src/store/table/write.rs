//! One conditional write of a single item, sent again while the table throttles it or another write
//! conflicts.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::items::Stored;
use crate::store::table::keys::ItemKey;
use crate::store::table::transaction::{key_item, number};
use crate::store::table::{StoreError, Table, items};

impl Table {
    /// Writes an item that must not be there yet. Returns `false` when there is one, perhaps from a try of
    /// its own whose answer was lost.
    pub(in crate::store) async fn put_new<T: Stored>(&self, value: &T, deadline: Deadline) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(value)?));
        let put = put.condition_expression("attribute_not_exists(pk)");
        Ok(self.write(deadline, || put.clone().send()).await?.is_some())
    }

    /// Replaces an item on condition that its version is still this one. Returns `false` when another writer was faster.
    pub(in crate::store) async fn replace<T: Stored>(
        &self,
        value: &T,
        version: u64,
        why: Unaudited,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let replaced = self.transaction().replace(value, version)?.unaudited(why);
        Ok(self.commit(replaced, &mut Pauses::until(deadline)).await? == Commit::Done)
    }

    /// Removes an item, if it is there.
    pub(in crate::store) async fn delete(&self, key: &ItemKey, deadline: Deadline) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key_item(key)));
        self.write(deadline, || delete.clone().send()).await.map(drop)
    }

    pub(in crate::store) async fn put_later<T: Stored>(
        &self,
        value: &T,
        as_of: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(items::to_item(value)?))
            .condition_expression("attribute_not_exists(pk) OR as_of <= :as_of")
            .expression_attribute_values(":as_of", number(as_of.as_millisecond()));
        self.write(deadline, || put.clone().send()).await.map(drop)
    }
}
