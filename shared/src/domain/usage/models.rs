//! Use by model: rows by key and model, and whose use they are. The provider module reads the rows, and the store keeps what
//! programmes, foreign keys and grants used.

use std::cmp::Reverse;

use crate::domain::values::id::{GrantBytes, KeyName};
use crate::prelude::*;

mod sums;

pub use sums::{NOT_BY_MODEL, Sums, beyond_models, cost_in_words, lines};

/// The most entries of one day before the smallest are put together. An item of the table has room for twice
/// as many.
pub const MOST_ENTRIES: usize = 500;
/// The bytes after which names of models and of keys are cut.
const LONGEST_NAME: usize = 100;

/// The use of one model on one UTC day by all keys of one name. Both names are empty where the provider has
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRow {
    pub key_name: String,
    pub model: String,
    pub day: Date,
    pub used: Sums,
}

/// The use of one model on a day, or over the days of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    /// The group within a programme, or of what is no programme's the name of the key; `None` without either.
    pub whose: Option<String>,
    /// The model's name; empty for models that are not told apart.
    pub model: String,
    pub used: Sums,
}

/// The use of each grant on a day, by programme and model. A grant's id stands for its person.
pub type GrantRows = BTreeMap<ProgrammeId, BTreeMap<String, BTreeMap<GrantBytes, Sums>>>;

/// The use of programmes and of none, by day.
pub type UseByDay = BTreeMap<(Date, Option<ProgrammeId>), Vec<ModelUse>>;

/// Sums by group or name, and by model.
type SumsByName = BTreeMap<(Option<String>, String), Sums>;

/// The use of some days, each cent of it of one programme or of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    pub days: UseByDay,
    /// The programmes' use again, by grant.
    pub grants: BTreeMap<Date, GrantRows>,
}

/// Attributes use to programmes, by the names of keys. `group_of` knows the group of a grant, if there is such a grant; the inner
/// `None` is a grant without a group.
pub fn attribute(
    rows: &[ModelRow],
    deployment: &DeploymentId,
    group_of: impl Fn(&ProgrammeId, &GrantId) -> Option<Option<String>>,
) -> Attribution {
    let mut days: BTreeMap<(Date, Option<ProgrammeId>), SumsByName> = BTreeMap::new();
    let mut grants: BTreeMap<Date, GrantRows> = BTreeMap::new();
    for row in rows {
        let model = cut(&row.model);
        let ours = row.key_name.parse::<KeyName>().ok().filter(|name| name.deployment == *deployment);
        let known = ours.and_then(|name| Some((group_of(&name.programme, &name.grant)?, name)));
        let (programme, whose) = match known {
            Some((group, name)) => {
                let of_day = grants.entry(row.day).or_default().entry(name.programme.clone()).or_default();
                let of_model = of_day.entry(model.clone()).or_default();
                *of_model.entry(name.grant.to_bytes()).or_default() += row.used;
                (Some(name.programme), group)
            }
            None => (None, Some(cut(&row.key_name)).filter(|name| !name.is_empty())),
        };
        *days.entry((row.day, programme)).or_default().entry((whose, model)).or_default() += row.used;
    }
    let entries = |(of, sums): ((Date, Option<ProgrammeId>), _)| {
        let entries = entries(sums, of.1.is_some());
        (of, entries)
    };
    Attribution { days: days.into_iter().map(entries).collect(), grants }
}

/// A name as it is recorded.
pub fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(LONGEST_NAME)].to_owned()
}

/// The entries of a day in the order of their names, with the smallest put together, those of each group apart, so that they fit
/// into an item. The choice does not depend on the order of the rows.
fn entries(sums: SumsByName, are_groups: bool) -> Vec<ModelUse> {
    let mut largest: Vec<_> = sums.into_iter().collect();
    // The sort is stable, so equal ones stay in the order of their names.
    largest.sort_by_key(|(_, used)| Reverse(used.in_all()));
    let smallest = largest.split_off(largest.len().min(MOST_ENTRIES));
    let mut sums: SumsByName = largest.into_iter().collect();
    for ((whose, _), used) in smallest {
        *sums.entry((whose.filter(|_| are_groups), String::new())).or_default() += used;
    }
    sums.into_iter().map(|((whose, model), used)| ModelUse { whose, model, used }).collect()
}

#[cfg(test)]
mod tests;
