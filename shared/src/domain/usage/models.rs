//! Use by model: rows by key and model, turned into sums of programmes and groups, and into unattributed use.
//! The provider module reads the rows, and the store keeps the sums.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::values::id::{DeploymentId, GrantId, KeyName, ProgrammeId};
use crate::domain::values::money::Usd;

pub mod rows;
mod sums;

pub use rows::GrantUse;
pub use sums::{NOT_BY_MODEL, Sums, beyond_models, by_model, cost_in_words, named};

/// The most entries of one programme's day, and of a day's unattributed use, before the smallest are put
/// together. An item of the table has room for twice as many.
pub const MOST_ENTRIES: usize = 500;
/// The bytes after which names of models and of foreign keys are cut.
const LONGEST_NAME: usize = 100;
/// The beginning of the name of every key that any deployment of Bursar made.
const MADE_BY_BURSAR: &str = "bursar/";

/// The use of one model on one UTC day by all keys of one name. Both names are empty where the provider has
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRow {
    pub key_name: String,
    pub model: String,
    pub day: Date,
    pub spent: Usd,
    pub byok: Usd,
    pub requests: u64,
}

/// The account's use of one model on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    pub day: Date,
    pub model: String,
    /// The model's lasting name; empty where the provider gives none.
    pub permaslug: String,
    pub spent: Usd,
    pub byok: Usd,
    pub requests: u64,
}

/// The use of one group and model in a programme's day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupUse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The model's name; empty for models that are not told apart.
    pub model: String,
    pub spent: Usd,
    pub byok: Usd,
    pub requests: u64,
}

/// The use of one name and model in a day's unattributed use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnattributedUse {
    pub why: UnattributedReason,
    /// The name of the key, or programme and grant; `None` for names that are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model's name; empty for models that are not told apart.
    pub model: String,
    pub spent: Usd,
    pub byok: Usd,
    pub requests: u64,
}

/// The reason that use is not attributed to a programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnattributedReason {
    /// The key is foreign. Whether a programme owns it is applied when this is read.
    Foreign,
    /// The name looks like ours, but is another deployment's or was tampered with.
    NotOurs,
    /// The name is ours, but no such grant is known.
    UnknownGrant,
    /// The provider names no key.
    NoKey,
    /// The account's activity has this use, and no row says by which key.
    Rest,
}

/// The owners of keys, by grant and by name.
pub struct Owners<'a> {
    pub deployment: &'a DeploymentId,
    /// The group of a grant, if there is such a grant; the inner `None` is a grant without a group.
    pub group_of: &'a dyn Fn(&ProgrammeId, &GrantId) -> Option<Option<String>>,
}

/// The use of some days, with each cent either attributed to one programme or unattributed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    pub programmes: BTreeMap<(Date, ProgrammeId), Vec<GroupUse>>,
    pub unattributed: BTreeMap<Date, Vec<UnattributedUse>>,
    /// The programmes' use again, by grant.
    pub grants: BTreeMap<Date, Vec<GrantUse>>,
}

/// Sums by group and model.
type ByGroup = BTreeMap<(Option<String>, String), Sums>;
/// Sums by programme, grant and model.
type ByGrant = BTreeMap<(ProgrammeId, GrantId, String), Sums>;
/// Sums by reason, name and model.
type ByName = BTreeMap<(UnattributedReason, Option<String>, String), Sums>;

/// Attributes use to programmes. `activity` is empty when the rows are known to be complete; otherwise it
/// shows, for its days, the use that the rows lack.
pub fn attribute(rows: &[ModelRow], activity: &[ActivityRow], owners: &Owners<'_>) -> Attribution {
    let mut programmes: BTreeMap<(Date, ProgrammeId), ByGroup> = BTreeMap::new();
    let mut nobodys: BTreeMap<Date, ByName> = BTreeMap::new();
    let mut grants: BTreeMap<Date, ByGrant> = BTreeMap::new();
    for row in rows {
        let used = Sums { spent: row.spent, byok: row.byok, requests: row.requests };
        match owners.owner_of(&row.key_name) {
            UseOwner::Programme(programme, group, grant) => {
                let of = (programme.clone(), grant, cut(&row.model));
                *grants.entry(row.day).or_default().entry(of).or_default() += used;
                let day = programmes.entry((row.day, programme)).or_default();
                *day.entry((group, cut(&row.model))).or_default() += used;
            }
            UseOwner::Unattributed(why, name) => {
                let day = nobodys.entry(row.day).or_default();
                *day.entry((why, name, cut(&row.model))).or_default() += used;
            }
        }
    }
    let days: BTreeSet<Date> = activity.iter().map(|row| row.day).collect();
    for day in days {
        for (model, used) in rest_of(day, rows, activity) {
            *nobodys.entry(day).or_default().entry((UnattributedReason::Rest, None, cut(model))).or_default() += used;
        }
    }
    Attribution {
        programmes: programmes.into_iter().map(|(day, by)| (day, group_uses(by))).collect(),
        unattributed: nobodys.into_iter().map(|(day, by)| (day, unattributed_uses(by))).collect(),
        grants: grants.into_iter().map(|(day, by)| (day, grant_uses(by))).collect(),
    }
}

/// Divides a day's unattributed use into that of programmes that own the foreign keys, and the rest. Only whoever reads it
/// applies owners, so what is recorded stays as it is when a key is taken back.
pub fn divide_by_owner(
    by: Vec<UnattributedUse>,
    owner_of: impl Fn(&str) -> Option<ProgrammeId>,
) -> (Vec<(ProgrammeId, GroupUse)>, Vec<UnattributedUse>) {
    let (mut owned, mut rest) = (Vec::new(), Vec::new());
    for used in by {
        let name = used.name.as_deref().filter(|_| used.why == UnattributedReason::Foreign);
        match name.and_then(&owner_of) {
            Some(owner) => {
                let UnattributedUse { model, spent, byok, requests, .. } = used;
                owned.push((owner, GroupUse { group: None, model, spent, byok, requests }));
            }
            None => rest.push(used),
        }
    }
    (owned, rest)
}

enum UseOwner {
    /// A programme, with the group and the grant whose key it is.
    Programme(ProgrammeId, Option<String>, GrantId),
    Unattributed(UnattributedReason, Option<String>),
}

impl Owners<'_> {
    fn owner_of(&self, key_name: &str) -> UseOwner {
        if key_name.is_empty() {
            return UseOwner::Unattributed(UnattributedReason::NoKey, None);
        }
        let name = key_name.parse::<KeyName>().ok().filter(|name| name.deployment == *self.deployment);
        let Some(KeyName { programme, grant, .. }) = name else {
            let why = if key_name.starts_with(MADE_BY_BURSAR) {
                UnattributedReason::NotOurs
            } else {
                UnattributedReason::Foreign
            };
            return UseOwner::Unattributed(why, Some(cut(key_name)));
        };
        match (self.group_of)(&programme, &grant) {
            Some(group) => UseOwner::Programme(programme, group, grant),
            None => UseOwner::Unattributed(UnattributedReason::UnknownGrant, Some(format!("{programme}/{grant}"))),
        }
    }
}

/// The account's use of a day beyond the rows, by model, unless that is more than all models together leave.
/// Then rows and activity name or count models differently, and some use would count twice; so there is one
/// sum without a model.
fn rest_of<'a>(day: Date, rows: &'a [ModelRow], activity: &'a [ActivityRow]) -> Vec<(&'a str, Sums)> {
    let mut account: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for row in activity.iter().filter(|row| row.day == day) {
        *account.entry(&row.model).or_default() += Sums { spent: row.spent, byok: row.byok, requests: row.requests };
        if !row.permaslug.is_empty() {
            names.insert(&row.permaslug, &row.model);
        }
    }
    let mut told: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut rounded_up = Usd::ZERO;
    for row in rows.iter().filter(|row| row.day == day) {
        let by_its_lasting_name = || names.get(&*row.model).copied().unwrap_or(&row.model);
        let model = if account.contains_key(&*row.model) { &row.model } else { by_its_lasting_name() };
        *told.entry(model).or_default() += Sums { spent: row.spent, byok: row.byok, requests: row.requests };
        // Each row was rounded up to the micro-dollar, so many of them may be slightly above the account's
        // one.
        rounded_up += Usd::from_micros(1);
    }
    let mut rest: Vec<(&str, Sums)> =
        account.iter().map(|(model, used)| (*model, used.beyond(told.get(model).copied()))).collect();
    let together = Sums::of_all(account.values()).beyond(Some(Sums::of_all(told.values())));
    let by_model = Sums::of_all(rest.iter().map(|(_, used)| used));
    let is_more = by_model.spent > together.spent + rounded_up
        || by_model.byok > together.byok + rounded_up
        || by_model.requests > together.requests;
    if is_more {
        rest = vec![("", together)];
    }
    rest.retain(|(_, used)| *used != Sums::default());
    rest
}

/// A name as it is recorded.
pub fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(LONGEST_NAME)].to_owned()
}

fn group_uses(by: ByGroup) -> Vec<GroupUse> {
    let by = with_the_smallest_together(by, |(group, _)| (group.clone(), String::new()));
    let uses = by.into_iter().map(|((group, model), Sums { spent, byok, requests })| GroupUse {
        group,
        model,
        spent,
        byok,
        requests,
    });
    uses.collect()
}

fn unattributed_uses(by: ByName) -> Vec<UnattributedUse> {
    let by = with_the_smallest_together(by, |(why, _, _)| (*why, None, String::new()));
    let uses = by.into_iter().map(|((why, name, model), Sums { spent, byok, requests })| UnattributedUse {
        why,
        name,
        model,
        spent,
        byok,
        requests,
    });
    uses.collect()
}

fn grant_uses(by: ByGrant) -> Vec<GrantUse> {
    let uses = by.into_iter().map(|((programme, grant, model), used)| GrantUse { programme, grant, model, used });
    uses.collect()
}

/// The entries with the smallest put together, so that they fit into an item. The choice does not depend on
/// the order of the rows.
fn with_the_smallest_together<K: Ord>(sums: BTreeMap<K, Sums>, together: impl Fn(&K) -> K) -> BTreeMap<K, Sums> {
    if sums.len() <= MOST_ENTRIES {
        return sums;
    }
    let mut largest: Vec<(K, Sums)> = sums.into_iter().collect();
    // The sort is stable, so equal ones stay in the order of their names.
    largest.sort_by_key(|(_, used)| std::cmp::Reverse(used.spent + used.byok));
    let smallest = largest.split_off(MOST_ENTRIES);
    let mut sums: BTreeMap<K, Sums> = largest.into_iter().collect();
    for (key, used) in smallest {
        *sums.entry(together(&key)).or_default() += used;
    }
    sums
}

#[cfg(test)]
mod tests;
