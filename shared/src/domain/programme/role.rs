//! Roles: what a person may do on a programme. Being on a roster is no role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::programme::{People, Settings};
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::address_partition;
use crate::schema::{begin, key, stored};

/// The most items that one edit may write for people whose roles it changes, so that all of it fits
/// into one transaction.
pub const MOST_ROLE_WRITES: usize = 88;

crate::named! {
    /// A role on a programme, the least first.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Role: as_str {
        /// An assistant sees the programme, and may pause, resume what an assistant paused, and
        /// send a mail again.
        Assistant = "assistant",
        Faculty = "faculty",
        Admin = "admin",
    }
}

impl Role {
    /// The highest role of this address on a programme. Admins have theirs on every programme.
    pub fn find(address: &MatchedAddress, settings: &Settings, is_admin: bool) -> Option<Role> {
        if is_admin {
            Some(Role::Admin)
        } else if is_among(address, &settings.people.faculty) {
            Some(Role::Faculty)
        } else if is_among(address, &settings.people.assistants) {
            Some(Role::Assistant)
        } else {
            None
        }
    }

    /// How a person in this role gets a larger budget: this one, if it is known how much is needed.
    pub fn explain_raise(self, budget: Option<Usd>) -> String {
        let amount = budget.map(|budget| budget.up_to_the_cent().to_dollars());
        match (self, amount) {
            (Role::Admin, Some(budget)) => format!("Raise the budget to {budget} in the settings."),
            (Role::Admin, None) => "Raise the budget in the settings.".to_owned(),
            (Role::Faculty, amount) => format!(
                "Ask the admins for {} in the settings.",
                amount.map_or("a larger budget".to_owned(), |budget| format!(
                    "a budget of {budget}"
                ))
            ),
            (Role::Assistant, amount) => format!(
                "Faculty can ask the admins for {}.",
                amount.map_or("more".to_owned(), |budget| format!("a budget of {budget}"))
            ),
        }
    }
}

/// The roles in which a programme's settings name one person. They are a copy, so that a person's
/// roles are found under their address; what the person may do is decided on the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roles {
    /// The address in the settings' spelling, to which mail goes.
    pub address: EmailAddress,
    pub programme: ProgrammeId,
    pub faculty: bool,
    pub assistant: bool,
    pub finance: bool,
}

stored! {
    Roles |roles| (address: &MatchedAddress = roles.address.matched(), programme: &ProgrammeId) => key(address_partition(address), format!("R#{programme}"));
    list of_address(address: &MatchedAddress) => begin(address_partition(address), "R#")
}

/// The changes that an edit makes to people's roles.
#[derive(Debug)]
pub struct RoleChanges {
    /// People with another role than before, or another spelling of their address.
    pub set: Vec<Roles>,
    pub unset: Vec<MatchedAddress>,
    /// People of whom the console has nothing of the programme any more. Their sessions end.
    pub lost: Vec<MatchedAddress>,
}

impl Roles {
    /// The roles of everybody whom the settings of a programme name, each person once.
    pub fn collect(programme: &ProgrammeId, people: &People) -> BTreeMap<MatchedAddress, Roles> {
        type Flag = fn(&mut Roles) -> &mut bool;
        let lists: [(&[EmailAddress], Flag); 3] = [
            (&people.faculty, |roles| &mut roles.faculty),
            (&people.assistants, |roles| &mut roles.assistant),
            (&people.finance, |roles| &mut roles.finance),
        ];
        let mut named = BTreeMap::new();
        for (list, flag) in lists {
            for address in list {
                let roles = named
                    .entry(address.matched().clone())
                    .or_insert_with(|| Roles {
                        address: address.clone(),
                        programme: programme.clone(),
                        faculty: false,
                        assistant: false,
                        finance: false,
                    });
                *flag(roles) = true;
            }
        }
        named
    }

    /// Whether the console has anything for this person.
    pub fn is_staff(&self) -> bool {
        self.faculty || self.assistant
    }
}

impl RoleChanges {
    /// The changes of roles when settings are replaced, or set for the first time.
    pub fn between(
        programme: &ProgrammeId,
        before: Option<&People>,
        after: &People,
    ) -> RoleChanges {
        let before = before
            .map(|before| Roles::collect(programme, before))
            .unwrap_or_default();
        let after = Roles::collect(programme, after);
        let unset = before
            .keys()
            .filter(|address| !after.contains_key(*address))
            .cloned()
            .collect();
        let is_staff = |roles: Option<&Roles>| roles.is_some_and(Roles::is_staff);
        let lost = before
            .iter()
            .filter(|(address, roles)| roles.is_staff() && !is_staff(after.get(*address)));
        let lost = lost.map(|(address, _)| address.clone()).collect();
        let set = after.into_values().filter(|roles| {
            let was = before.get(roles.address.matched());
            was.is_none_or(|was| {
                was != roles || was.address.as_written() != roles.address.as_written()
            })
        });
        RoleChanges {
            set: set.collect(),
            unset,
            lost,
        }
    }

    /// How many items a transaction writes for them.
    pub fn writes(&self) -> usize {
        self.set.len() + self.unset.len() + self.lost.len()
    }
}

pub fn is_among(address: &MatchedAddress, people: &[EmailAddress]) -> bool {
    people.iter().any(|person| person.matched() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::a_programme;

    fn people(names: &[&str]) -> Vec<EmailAddress> {
        names
            .iter()
            .map(|name| EmailAddress::parse(&format!("{name}@uni.edu")).unwrap())
            .collect()
    }

    #[test]
    fn the_highest_role_counts_and_admins_have_theirs_everywhere() {
        let mut settings = a_programme().settings;
        settings.people.faculty = people(&["faye", "adam"]);
        settings.people.assistants = people(&["asta", "faye"]);
        let role = |name: &str| Role::find(people(&[name])[0].matched(), &settings, name == "adam");
        assert_eq!(role("adam"), Some(Role::Admin));
        assert_eq!(role("faye"), Some(Role::Faculty));
        assert_eq!(role("asta"), Some(Role::Assistant));
        assert_eq!(role("stu"), None);
        assert!(Role::Assistant < Role::Faculty && Role::Faculty < Role::Admin);
    }
}
