//! Use by model of foreign keys that programmes own. It is recorded as unattributed, by the names of keys, and divided when it
//! is read.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;

use super::UnattributedDay;
use crate::domain::usage::models::{GroupUse, cut, divide_by_owner};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::key::KeyHash;
use crate::store::ledger::owners::OwnedKey;
use crate::store::sync::account::ForeignKey;
use crate::store::table::{StoreError, Table};

/// The unattributed use of some days, after programmes took what their foreign keys used.
#[derive(Debug, Default)]
pub struct AssignedModels {
    owned: Vec<(Date, ProgrammeId, GroupUse)>,
    /// What is no programme's.
    pub rest: Vec<UnattributedDay>,
}

/// The owners of foreign keys by name. Where keys of one name have different owners, or some have none, nobody
/// can say whose the use of that name is.
struct NameOwners<'a> {
    owners: HashMap<String, (&'a ProgrammeId, Date)>,
}

impl Table {
    /// The use by model of foreign keys on these days, both included, and the rest of what is unattributed.
    pub async fn assigned_models(&self, range: (Date, Date)) -> Result<AssignedModels, StoreError> {
        let (owned, days) = tokio::try_join!(self.owned_keys(), self.unattributed_days(range))?;
        if owned.is_empty() {
            return Ok(AssignedModels { owned: Vec::new(), rest: days });
        }
        let owners = NameOwners::of(&owned, &self.foreign_keys().await?);
        let mut divided = AssignedModels::default();
        for day in days {
            let (of_owners, rest) = divide_by_owner(day.by, |name| owners.on(name, day.day));
            divided.owned.extend(of_owners.into_iter().map(|(owner, used)| (day.day, owner, used)));
            divided.rest.push(UnattributedDay { by: rest, ..day });
        }
        Ok(divided)
    }
}

impl AssignedModels {
    /// What the foreign keys of one programme used.
    pub fn of_programme(&self, programme: &ProgrammeId) -> impl Iterator<Item = (Date, &GroupUse)> {
        self.owned.iter().filter(move |(_, owner, _)| owner == programme).map(|(day, _, used)| (*day, used))
    }
}

impl NameOwners<'_> {
    fn of<'a>(owned: &'a [OwnedKey], foreign: &[ForeignKey]) -> NameOwners<'a> {
        let mut owners: HashMap<String, (&ProgrammeId, Date)> = HashMap::new();
        let mut doubtful: HashSet<String> = HashSet::new();
        for OwnedKey { owner, key } in owned {
            let name = cut(&key.name);
            let (of, from) = *owners.entry(name.clone()).or_insert((&owner.owner, owner.from));
            if *of != owner.owner || from != owner.from {
                doubtful.insert(name);
            }
        }
        let with_owner: HashSet<&KeyHash> = owned.iter().map(|owned| &owned.key.key).collect();
        doubtful.extend(foreign.iter().filter(|key| !with_owner.contains(&key.key)).map(|key| cut(&key.name)));
        owners.retain(|name, _| !doubtful.contains(name));
        NameOwners { owners }
    }

    /// The owner of all use under a name on a day.
    fn on(&self, name: &str, day: Date) -> Option<ProgrammeId> {
        self.owners.get(name).filter(|(_, from)| *from <= day).map(|(owner, _)| (*owner).clone())
    }
}
