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
    /// What a programme used by model on these days, both included, oldest first.
    pub async fn model_days(
        &self,
        programme: &ProgrammeId,
        (from, to): (Date, Date),
    ) -> Result<Vec<ModelDay>, StoreError> {
        self.query_between(&keys::model_day(programme, from), &keys::model_day(programme, to)).await
    }

    /// What is no programme's on these days, both included, oldest first.
    pub async fn nobodys_days(&self, (from, to): (Date, Date)) -> Result<Vec<NobodysDay>, StoreError> {
        self.query_between(&keys::nobodys_day(from), &keys::nobodys_day(to)).await
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
