//! The use by model that runs of the sync read; [`models`](crate::domain::usage::models) decides
//! whose it is.

use std::collections::HashMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::ledger::foreign::KeyOwner;
use crate::domain::programme::rules::ListedModel;
use crate::domain::usage::models::{GrantRows, ModelUse, cut};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::programme_partition;
use crate::schema;
use crate::schema::{ACCOUNT, Range, Stored, begin, key, stored};
use crate::store::items::MOST_IN_A_PART;
use crate::store::{Result, StoreError, Table};

/// The use of a completed UTC day by model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelDay {
    /// `None` for what is no programme's. It has the names of keys, so that an owner is applied
    /// when it is read, and what is recorded stays as it is when a key is taken back.
    pub programme: Option<ProgrammeId>,
    pub day: Date,
    pub as_of: Moment,
    pub uses: Vec<ModelUse>,
}

stored! {
    ModelDay |model_day| (programme: Option<&ProgrammeId> = model_day.programme.as_ref(), day: Date = model_day.day) =>
        key(programme.map_or_else(|| ACCOUNT.to_owned(), programme_partition), format!("M#{day}"));
    list between(programme: Option<&ProgrammeId>, days: (Date, Date)) =>
        Range::between(ModelDay::key_of(programme, days.0), ModelDay::key_of(programme, days.1))
}

/// A packed part of each grant's use on a completed UTC day. Packed, a night of very many grants is
/// one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRows {
    pub day: Date,
    /// The number of the part, and of all parts.
    pub part: u32,
    pub parts: u32,
    pub as_of: Moment,
    /// The end of retention for anything about a person.
    pub until: Moment,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The version of the packed rows.
const FORM: u8 = 1;

stored! {
    ModelRows |model_rows| (day: Date = model_rows.day, part: u32 = model_rows.part) => key(format!("MODELS#{day}"), format!("R#{part:05}"));
    list of_day(day: Date) => begin(format!("MODELS#{day}"), "R#");
    expires |model_rows| model_rows.until
}

/// The models of the provider's list.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListedModels {
    pub models: Vec<ListedModel>,
    pub as_of: Moment,
}

stored! {
    ListedModels () => key(ACCOUNT, "MODELS")
}

impl ListedModels {
    /// The model of this slug, as long as it is offered.
    pub fn offered(&self, slug: &str, today: Date) -> Option<&ListedModel> {
        self.models
            .iter()
            .find(|model| model.is_named(slug) && !model.is_gone(today))
    }

    /// The most that an answer of this model costs which is as long as coding agents ask for.
    pub fn long_answer(&self, slug: &str) -> Option<Usd> {
        let price = self.price_of(slug)?;
        Some(Usd::from_micros(
            price.micros().saturating_mul(LONG_ANSWER) / PRICED,
        ))
    }

    /// What a million tokens of its answers cost.
    pub fn price_of(&self, slug: &str) -> Option<Usd> {
        self.models
            .iter()
            .find(|model| model.is_named(slug))?
            .answer_price
    }

    /// These models, each with its signs where its price is known.
    pub fn beside<'a>(
        prices: Option<&ListedModels>,
        models: &'a [String],
    ) -> Vec<(&'a str, &'static str)> {
        let price = |model: &String| prices?.price_of(model);
        models
            .iter()
            .map(|model| (model.as_str(), price(model).map_or("", dollar_signs)))
            .collect()
    }

    /// What the signs say; nothing where there are none.
    pub fn legend(models: &[(&str, &'static str)]) -> &'static str {
        if models.iter().all(|(_, signs)| signs.is_empty()) {
            return "";
        }
        "Less than $2 for a million tokens of answer is $, less than $10 is $$, and more is $$$."
    }
}

fn dollar_signs(price: Usd) -> &'static str {
    if price < Usd::from_dollars(2) {
        "$"
    } else if price < Usd::from_dollars(10) {
        "$$"
    } else {
        "$$$"
    }
}

/// The tokens of answer that coding agents ask for with each request, and those that a price is
/// for.
const LONG_ANSWER: i64 = 32_000;
const PRICED: i64 = 1_000_000;

/// The use of what is no programme's on some days, after programmes took what keys of their own
/// used.
#[derive(Debug, Default)]
pub struct ForeignModels {
    pub owned: Vec<(ProgrammeId, Date, ModelUse)>,
    pub unowned: Vec<ModelUse>,
}

impl Table {
    /// The use of a programme on these days, that of foreign keys which it owned then included.
    pub async fn models_of(
        &self,
        programme: &ProgrammeId,
        had_owned_keys: bool,
        range: (Date, Date),
    ) -> Result<Vec<ModelUse>> {
        let days = self.list(ModelDay::between(Some(programme), range)).await?;
        let mut uses: Vec<ModelUse> = days.into_iter().flat_map(|day| day.uses).collect();
        if had_owned_keys {
            let owned = self.foreign_models(range).await?.owned;
            uses.extend(
                owned
                    .into_iter()
                    .filter(|(owner, ..)| owner == programme)
                    .map(|(_, _, used)| used),
            );
        }
        Ok(uses)
    }

    /// The use of what is no programme's on these days, divided by the owners of keys.
    pub async fn foreign_models(&self, range: (Date, Date)) -> Result<ForeignModels> {
        let owners = self.key_owners().await?;
        let days = self.list(ModelDay::between(None, range)).await?;
        let foreign = if owners.is_empty() {
            Vec::new()
        } else {
            self.foreign_keys().await?
        };
        let mut by_name: HashMap<String, Vec<&[KeyOwner]>> = HashMap::new();
        for key in &foreign {
            by_name
                .entry(cut(&key.name))
                .or_default()
                .push(owners.get(&key.key).map_or(&[], Vec::as_slice));
        }
        let mut models = ForeignModels::default();
        for (day, used) in days.into_iter().flat_map(|model_day| {
            model_day
                .uses
                .into_iter()
                .map(move |used| (model_day.day, used))
        }) {
            match used
                .whose
                .as_ref()
                .and_then(|name| owner_on(day, by_name.get(name)?))
            {
                Some(owner) => models.owned.push((
                    owner.clone(),
                    day,
                    ModelUse {
                        whose: None,
                        ..used
                    },
                )),
                None => models.unowned.push(used),
            }
        }
        Ok(models)
    }

    /// The use of each grant on a day; none where nothing was used, or it is not kept any more.
    pub async fn model_rows(&self, day: Date, now: Moment) -> Result<GrantRows> {
        let parts = self.list(ModelRows::of_day(day)).await?;
        let Some(first) = parts.first().filter(|first| now < first.until) else {
            return Ok(GrantRows::default());
        };
        // A new answer with fewer parts leaves the last parts of the one before it in the table.
        let of_it = parts.iter().filter(|part| part.part < first.parts);
        let bytes: Vec<u8> = of_it.flat_map(|part| part.bytes.iter().copied()).collect();
        schema::unpack(FORM, &bytes)
            .map_err(|error| StoreError::corrupt(&first.key(), ModelRows::KIND, &error))
    }
    /// Writes each grant's use by model on a day, if it changed. The first part comes last: it
    /// holds the number of parts.
    pub async fn note_model_rows(&self, parts: &[ModelRows], deadline: Deadline) -> Result<()> {
        for part in parts.iter().rev() {
            let stored: Option<ModelRows> = self.get(part.key()).await?;
            if stored.is_none_or(|stored| {
                ModelRows {
                    as_of: part.as_of,
                    ..stored
                } != *part
            }) {
                self.put_later(part, part.as_of, deadline).await?;
            }
        }
        Ok(())
    }
}

impl ModelRows {
    /// The use of grants on a day, in as many parts as it takes; in none where they used nothing.
    pub fn pack(day: Date, rows: &GrantRows, as_of: Moment, until: Moment) -> Vec<ModelRows> {
        let bytes = if rows.is_empty() {
            Vec::new()
        } else {
            schema::packed(FORM, rows)
        };
        let chunks: Vec<&[u8]> = bytes.chunks(MOST_IN_A_PART).collect();
        let parts = chunks.len() as u32;
        let rows = chunks.iter().zip(0..);
        rows.map(|(bytes, part)| ModelRows {
            day,
            part,
            parts,
            as_of,
            until,
            bytes: bytes.to_vec(),
        })
        .collect()
    }
}

/// The programme that had all keys of one name on a whole day. Where one had no owner then, or
/// another one, or changed it on that day, nobody can say whose the use of that name is.
fn owner_on<'a>(day: Date, keys: &[&'a [KeyOwner]]) -> Option<&'a ProgrammeId> {
    let mut owners = keys.iter().map(|owners| {
        owners
            .iter()
            .find(|owner| owner.has_all_of(day))
            .map(|key_owner| &key_owner.owner)
    });
    let first = owners.next()??;
    owners.all(|owner| owner == Some(first)).then_some(first)
}
