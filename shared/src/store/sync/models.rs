//! What was used by model: an item for each day of a programme, one for what is nobody's, and the rows of each grant, which expire.
//! Whose use is whose is decided in `domain::usage::models`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::models::rows::{self, GrantUse};
use crate::domain::usage::models::{GroupUse, Sums, UnattributedUse};
use crate::domain::values::id::ProgrammeId;
use crate::store::table::items::{MOST_IN_A_PART, Stored};
use crate::store::table::{StoreError, Table, keys};

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
pub struct UnattributedDay {
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<UnattributedUse>,
    /// What programmes used on the day, in sum: with the rest it is all that the provider told of it.
    pub of_programmes: Sums,
}

/// Some of what each grant used on a completed UTC day, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRows {
    pub day: Date,
    /// Which of how many parts it is.
    pub part: u32,
    pub parts: u32,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// Nothing of a person is kept for longer.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
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

    /// What each grant used by model on a day, if that is kept still.
    pub async fn model_rows(&self, day: Date) -> Result<Vec<GrantUse>, StoreError> {
        let parts: Vec<ModelRows> = self.query(&keys::model_rows(day, 0).pk, keys::MODEL_ROWS).await?;
        let Some(first) = parts.first() else { return Ok(Vec::new()) };
        // An answer that has fewer parts than one before it leaves the last of those.
        let of_it = parts.iter().filter(|part| part.part < first.parts);
        let bytes: Vec<u8> = of_it.flat_map(|part| part.bytes.iter().copied()).collect();
        rows::unpack(&bytes).map_err(|error| StoreError::corrupt(&first.key(), ModelRows::KIND, &error))
    }

    /// What is no programme's on a day, and how much the provider told of that day in all, if it told anything.
    pub async fn unattributed_day(&self, day: Date) -> Result<Option<UnattributedDay>, StoreError> {
        self.get(&keys::unattributed_day(day)).await
    }

    /// What is no programme's on these days, both included, oldest first.
    pub async fn unattributed_days(&self, (from, to): (Date, Date)) -> Result<Vec<UnattributedDay>, StoreError> {
        self.query_between(&keys::unattributed_day(from), &keys::unattributed_day(to)).await
    }
}

impl UnattributedDay {
    /// All that the provider told of the day.
    pub fn in_all(&self) -> Sums {
        Sums::of_all([self.of_programmes, Sums::of_all(&self.by)])
    }
}

impl ModelRows {
    /// What grants used on a day, in as many parts as it takes: in none where they used nothing.
    pub fn of(day: Date, uses: &[GrantUse], as_of: Timestamp, until: Timestamp) -> Vec<ModelRows> {
        let bytes = if uses.is_empty() { Vec::new() } else { rows::pack(uses) };
        let chunks: Vec<&[u8]> = bytes.chunks(MOST_IN_A_PART).collect();
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let part = |(bytes, part): (&&[u8], u32)| ModelRows { day, part, parts, as_of, until, bytes: bytes.to_vec() };
        chunks.iter().zip(0..).map(part).collect()
    }
}
