//! Who may do what: the roles of a person on a programme. Being on a roster is no role.

use super::address::{EmailAddress, MatchedAddress};
use super::programme::Settings;

/// What somebody may do on a programme, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees the programme, and may pause, resume what an assistant paused, and send a mail again.
    Assistant,
    Faculty,
    Admin,
}

impl Role {
    /// The highest role of this address on a programme. Admins have theirs on every one.
    pub fn of(address: &MatchedAddress, settings: &Settings, admins: &[EmailAddress]) -> Option<Role> {
        if is_among(address, admins) {
            Some(Role::Admin)
        } else if is_among(address, &settings.faculty) {
            Some(Role::Faculty)
        } else if is_among(address, &settings.assistants) {
            Some(Role::Assistant)
        } else {
            None
        }
    }
}

/// Whether one of these is the address.
pub fn is_among(address: &MatchedAddress, people: &[EmailAddress]) -> bool {
    people.iter().any(|person| person.matched() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::testing::a_programme;

    #[test]
    fn the_highest_role_counts_and_admins_have_theirs_everywhere() {
        let people = |names: &[&str]| -> Vec<EmailAddress> {
            names.iter().map(|name| EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()).collect()
        };
        let mut settings = a_programme().settings;
        settings.faculty = people(&["faye", "adam"]);
        settings.assistants = people(&["asta", "faye"]);
        let role = |name: &str| Role::of(people(&[name])[0].matched(), &settings, &people(&["ADAM"]));
        assert_eq!(role("adam"), Some(Role::Admin));
        assert_eq!(role("faye"), Some(Role::Faculty));
        assert_eq!(role("asta"), Some(Role::Assistant));
        assert_eq!(role("stu"), None);
        assert!(Role::Assistant < Role::Faculty && Role::Faculty < Role::Admin);
    }
}
