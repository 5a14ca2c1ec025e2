//! Reads of programmes: one, several, all, and all that can be read.

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::domain::audit::Entry;
use crate::domain::programme::Programme;
use crate::domain::values::id::ProgrammeId;
use crate::store::programmes::programme::ListedProgramme;
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table, keys};

/// How many programmes are read at once.
const PROGRAMMES_AT_ONCE: usize = 16;

impl Table {
    /// Every programme's id, in order.
    pub async fn programme_ids(&self) -> Result<Vec<ProgrammeId>, StoreError> {
        let listed: Vec<ListedProgramme> = self.query(keys::PROGRAMMES, "").await?;
        Ok(listed.into_iter().map(|listed| listed.programme).collect())
    }

    /// Every programme, in the order of their ids.
    pub async fn programmes(&self) -> Result<Vec<Programme>, StoreError> {
        self.programmes_by_id(&self.programme_ids().await?).await
    }

    /// Every programme that can be read, in the order of their ids, and the ids of those that cannot.
    pub async fn readable_programmes(&self) -> Result<(Vec<Programme>, Vec<ProgrammeId>), StoreError> {
        let ids = self.programme_ids().await?;
        let each: Vec<_> = ids.iter().map(|id| self.listed_programme(id)).collect();
        let read: Vec<_> = iter(each).buffered(PROGRAMMES_AT_ONCE).collect().await;
        let (mut programmes, mut unreadable) = (Vec::new(), Vec::new());
        for (id, read) in ids.into_iter().zip(read) {
            match read {
                Ok(programme) => programmes.push(programme),
                Err(StoreError::Corrupt { .. }) => unreadable.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok((programmes, unreadable))
    }

    /// The programmes of these ids, in their order. None of them can be missing: a programme is never removed.
    pub async fn programmes_by_id(&self, ids: &[ProgrammeId]) -> Result<Vec<Programme>, StoreError> {
        let each: Vec<_> = ids.iter().map(|id| self.listed_programme(id)).collect();
        iter(each).buffered(PROGRAMMES_AT_ONCE).try_collect().await
    }

    async fn listed_programme(&self, id: &ProgrammeId) -> Result<Programme, StoreError> {
        let missing = || StoreError::corrupt(&Programme::key_of(id), Programme::KIND, &"it is listed, and not there");
        self.get(Programme::key_of(id)).await?.ok_or_else(missing)
    }

    /// Every audit entry on a programme itself, oldest first.
    pub async fn entries_on_programme(&self, programme: &ProgrammeId) -> Result<Vec<Entry>, StoreError> {
        self.query(&Programme::key_of(programme).pk, keys::audit_of_programme()).await
    }
}
