//! What was used by model: an item for each day of a programme, and one for what is nobody's. Whose use is whose is decided in
//! `domain::models`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::items::Stored;
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::domain::id::ProgrammeId;
use crate::domain::models::{GroupUse, NobodysUse};

/// What a programme used on a completed UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDay {
    pub programme: ProgrammeId,
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<GroupUse>,
}

/// What was used on a completed UTC day and is no programme's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NobodysDay {
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<NobodysUse>,
}

impl Table {
    /// What a programme used by model, oldest day first.
    pub async fn model_days(&self, programme: &ProgrammeId) -> Result<Vec<ModelDay>, StoreError> {
        self.query(&keys::programme_partition(programme), keys::MODEL_DAYS).await
    }

    /// What is no programme's, oldest day first.
    pub async fn nobodys_days(&self) -> Result<Vec<NobodysDay>, StoreError> {
        self.query(keys::ACCOUNT, keys::MODEL_DAYS).await
    }

    /// Writes a day of a programme, if that is news and nothing later is written.
    pub async fn note_model_day(&self, day: &ModelDay) -> Result<(), StoreError> {
        let known: Option<ModelDay> = self.get(&day.key()).await?;
        match known.is_some_and(|known| known.by == day.by) {
            true => Ok(()),
            false => self.put_later(day, day.as_of).await,
        }
    }

    /// The same of what is nobody's.
    pub async fn note_nobodys_day(&self, day: &NobodysDay) -> Result<(), StoreError> {
        let known: Option<NobodysDay> = self.get(&day.key()).await?;
        match known.is_some_and(|known| known.by == day.by) {
            true => Ok(()),
            false => self.put_later(day, day.as_of).await,
        }
    }
}

impl Stored for ModelDay {
    const KIND: &'static str = "model-day";
    fn key(&self) -> Key {
        keys::model_day(&self.programme, self.day)
    }
}

impl Stored for NobodysDay {
    const KIND: &'static str = "nobodys-day";
    fn key(&self) -> Key {
        keys::nobodys_day(self.day)
    }
}
