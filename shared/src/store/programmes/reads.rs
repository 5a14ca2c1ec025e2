//! Reads of programmes: several, all, and all that can be read.

use futures_util::future::try_join_all;

use crate::domain::programme::Programme;
use crate::domain::values::id::ProgrammeId;
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table, items};

impl Table {
    /// Every programme that can be read, in the order of their ids, and the ids of those that cannot.
    pub async fn readable_programmes(&self) -> Result<(Vec<Programme>, Vec<ProgrammeId>), StoreError> {
        let (mut programmes, mut unreadable) = (Vec::new(), Vec::new());
        let each = |item| {
            let id = items::key_of(&item).sk.parse();
            match items::from_item(item) {
                Ok(programme) => programmes.push(programme),
                Err(_) => unreadable.extend(id),
            }
            Ok(())
        };
        Self::each(self.query(&Programme::all()), each).await?;
        Ok((programmes, unreadable))
    }

    /// The programmes of these ids, in their order. None of them can be missing: a programme is never removed.
    pub async fn programmes_by_id(&self, ids: &[ProgrammeId]) -> Result<Vec<Programme>, StoreError> {
        let missing = |id| StoreError::corrupt(&Programme::key_of(id), Programme::KIND, &"it is not there");
        let each =
            ids.iter().map(|id| async move { self.get(Programme::key_of(id)).await?.ok_or_else(|| missing(id)) });
        try_join_all(each).await
    }
}
