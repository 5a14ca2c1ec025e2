//! Use by model: the days of programmes and of what is no programme's, which pages show, and the rows of each grant, which expire.
//! `domain::usage::models` decides whose use it is.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::models::{GrantRows, ModelUse, cut};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::key::KeyHash;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, Range, begin, key, programme_partition};
use crate::store::ledger::owners::OwnedKey;
use crate::store::sync::account::ForeignKey;
use crate::store::table::items::{MOST_IN_A_PART, Stored};
use crate::store::table::{StoreError, Table};

/// The use of a completed UTC day by model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDay {
    /// `None` for what is no programme's. It has the names of keys, so that an owner is applied when it is read, and what is
    /// recorded stays as it is when a key is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programme: Option<ProgrammeId>,
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub by: Vec<ModelUse>,
}

stored! {
    "model-day" ModelDay |it| (programme: Option<&ProgrammeId> = it.programme.as_ref(), day: Date = it.day) =>
        key(programme.map_or_else(|| ACCOUNT.to_owned(), programme_partition), format!("M#{day}"));
    list between(programme: Option<&ProgrammeId>, days: (Date, Date)) =>
        Range::between(ModelDay::key_of(programme, days.0), ModelDay::key_of(programme, days.1))
}

/// A packed part of each grant's use on a completed UTC day. Packed, a night of very many grants is one part.
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
    "model-rows" ModelRows |it| (day: Date = it.day, part: u32 = it.part) => key(format!("MODELS#{day}"), format!("R#{part:05}"));
    list of_day(day: Date) => begin(format!("MODELS#{day}"), "R#");
    expires it.until
}

/// The use of what is no programme's on some days, after programmes took what keys of their own used.
#[derive(Debug, Default)]
pub struct ForeignModels {
    pub owned: Vec<(ProgrammeId, Date, ModelUse)>,
    pub unowned: Vec<ModelUse>,
}

impl Table {
    /// The use of a programme on these days, that of foreign keys which it owns included.
    pub async fn models_of(
        &self,
        programme: &ProgrammeId,
        owns_keys: bool,
        range: (Date, Date),
    ) -> Result<Vec<ModelUse>, StoreError> {
        let days = self.list(ModelDay::between(Some(programme), range)).await?;
        let mut uses: Vec<ModelUse> = days.into_iter().flat_map(|day| day.by).collect();
        if owns_keys {
            let owned = self.foreign_models(range).await?.owned;
            uses.extend(owned.into_iter().filter(|(owner, ..)| owner == programme).map(|(_, _, used)| used));
        }
        Ok(uses)
    }

    /// The use of what is no programme's on these days, divided by the owners of keys.
    pub async fn foreign_models(&self, range: (Date, Date)) -> Result<ForeignModels, StoreError> {
        let (keys, days) = tokio::try_join!(self.owned_keys(), self.list(ModelDay::between(None, range)))?;
        let foreign = if keys.is_empty() { Vec::new() } else { self.foreign_keys().await? };
        let owners = owners_of_names(&keys, &foreign);
        let mut models = ForeignModels::default();
        for (day, used) in days.into_iter().flat_map(|of| of.by.into_iter().map(move |used| (of.day, used))) {
            match used.whose.as_ref().and_then(|name| owners.get(name)) {
                Some((owner, from)) if *from <= day => {
                    models.owned.push(((*owner).clone(), day, ModelUse { whose: None, ..used }));
                }
                _ => models.unowned.push(used),
            }
        }
        Ok(models)
    }

    /// The use of each grant on a day; none where nothing was used, or it is not kept any more.
    pub async fn model_rows(&self, day: Date, now: Timestamp) -> Result<GrantRows, StoreError> {
        let parts = self.list(ModelRows::of_day(day)).await?;
        let Some(first) = parts.first().filter(|first| now < first.until) else { return Ok(GrantRows::default()) };
        // A new answer with fewer parts leaves the last parts of the one before it in the table.
        let of_it = parts.iter().filter(|part| part.part < first.parts);
        let bytes: Vec<u8> = of_it.flat_map(|part| part.bytes.iter().copied()).collect();
        postcard::from_bytes(&bytes).map_err(|error| StoreError::corrupt(&first.key(), ModelRows::KIND, &error))
    }
}

impl ModelRows {
    /// The use of grants on a day, in as many parts as it takes; in none where they used nothing.
    pub fn of(day: Date, rows: &GrantRows, as_of: Timestamp, until: Timestamp) -> Vec<ModelRows> {
        // Numbers and texts can always be written.
        let bytes = if rows.is_empty() { Vec::new() } else { postcard::to_allocvec(rows).unwrap_or_default() };
        let chunks: Vec<&[u8]> = bytes.chunks(MOST_IN_A_PART).collect();
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let part = |(bytes, part): (&&[u8], u32)| ModelRows { day, part, parts, as_of, until, bytes: bytes.to_vec() };
        chunks.iter().zip(0..).map(part).collect()
    }
}

/// The owners of foreign keys by name, and since when. Where keys of one name have different owners, or some have none, nobody can
/// say whose the use of that name is.
fn owners_of_names<'a>(owned: &'a [OwnedKey], foreign: &[ForeignKey]) -> HashMap<String, (&'a ProgrammeId, Date)> {
    let mut owners: HashMap<String, (&ProgrammeId, Date)> = HashMap::new();
    let mut doubtful: HashSet<String> = HashSet::new();
    for OwnedKey { owner, key } in owned {
        let (name, of_key) = (cut(&key.name), (&owner.owner, owner.from));
        if *owners.entry(name.clone()).or_insert(of_key) != of_key {
            doubtful.insert(name);
        }
    }
    let with_owner: HashSet<&KeyHash> = owned.iter().map(|owned| &owned.key.key).collect();
    doubtful.extend(foreign.iter().filter(|key| !with_owner.contains(&key.key)).map(|key| cut(&key.name)));
    owners.retain(|name, _| !doubtful.contains(name));
    owners
}
