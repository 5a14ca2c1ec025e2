//! Use by model: an item for each day of a programme, one for unattributed use, and the rows of each grant,
//! which expire. `domain::usage::models` decides whose use it is.

pub(in crate::store) mod assigned;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::models::rows::{self, GrantRows, GrantUse};
use crate::domain::usage::models::{GroupUse, Sums, UnattributedUse};
use crate::domain::values::id::ProgrammeId;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, MODEL_DAYS, MODEL_ROWS, key, programme_partition};
use crate::store::table::items::{MOST_IN_A_PART, Stored};
use crate::store::table::{StoreError, Table, keys};

/// The use of a programme on a completed UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDay {
    pub programme: ProgrammeId,
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<GroupUse>,
}

stored! {
    "model-day" ModelDay |it| (programme: &ProgrammeId = &it.programme, day: Date = it.day) => key(programme_partition(programme), format!("{MODEL_DAYS}{day}"))
}

/// The unattributed use of a completed UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnattributedDay {
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<UnattributedUse>,
    /// The sum of programmes' use on the day; with the unattributed use it is all that the provider reported.
    pub of_programmes: Sums,
}

stored! {
    "unattributed-day" UnattributedDay |it| (day: Date = it.day) => key(ACCOUNT, format!("{MODEL_DAYS}{day}"))
}

/// A packed part of each grant's use on a completed UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRows {
    pub day: Date,
    /// The number of the part, and of all parts.
    pub part: u32,
    pub parts: u32,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// The end of retention for anything about a person.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

stored! {
    "model-rows" ModelRows |it| (day: Date = it.day, part: u32 = it.part) => key(format!("MODELS#{day}"), format!("{MODEL_ROWS}{part:05}"));
    expires it.until
}

impl Table {
    /// The use of a programme by model on these days, both included, oldest first.
    pub async fn model_days(
        &self,
        programme: &ProgrammeId,
        (from, to): (Date, Date),
    ) -> Result<Vec<ModelDay>, StoreError> {
        self.query_between(&ModelDay::key_of(programme, from), &ModelDay::key_of(programme, to)).await
    }

    /// The use of each grant by model on a day; no rows where nothing was used, or they are not kept any more.
    pub async fn model_rows(&self, day: Date, now: Timestamp) -> Result<GrantRows, StoreError> {
        let parts: Vec<ModelRows> = self.query(&ModelRows::key_of(day, 0).pk, keys::MODEL_ROWS).await?;
        let Some(first) = parts.first().filter(|first| now < first.until) else { return Ok(GrantRows::default()) };
        // A new answer with fewer parts leaves the last parts of the one before it in the table.
        let of_it = parts.iter().filter(|part| part.part < first.parts);
        let bytes: Vec<u8> = of_it.flat_map(|part| part.bytes.iter().copied()).collect();
        GrantRows::unpack(&bytes).map_err(|error| StoreError::corrupt(&first.key(), ModelRows::KIND, &error))
    }

    /// The unattributed use of these days, both included, oldest first.
    pub async fn unattributed_days(&self, (from, to): (Date, Date)) -> Result<Vec<UnattributedDay>, StoreError> {
        self.query_between(&UnattributedDay::key_of(from), &UnattributedDay::key_of(to)).await
    }
}

impl UnattributedDay {
    /// All that the provider reported of the day.
    pub fn in_all(&self) -> Sums {
        Sums::of_all([self.of_programmes, Sums::of_all(&self.by)])
    }
}

impl ModelRows {
    /// The use of grants on a day, in as many parts as it takes; in none where they used nothing.
    pub fn of(day: Date, uses: &[GrantUse], as_of: Timestamp, until: Timestamp) -> Vec<ModelRows> {
        let bytes = if uses.is_empty() { Vec::new() } else { rows::pack(uses) };
        let chunks: Vec<&[u8]> = bytes.chunks(MOST_IN_A_PART).collect();
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let part = |(bytes, part): (&&[u8], u32)| ModelRows { day, part, parts, as_of, until, bytes: bytes.to_vec() };
        chunks.iter().zip(0..).map(part).collect()
    }
}
