//! Changes of the roster's line for somebody who is on it already: another name or address, another group.

use crate::domain::grant::{Change, DependsOn, Person};
use crate::prelude::*;

/// Somebody's line on the roster, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterLine {
    pub person: Person,
    pub group: Option<String>,
}

/// The reason that a roster line is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineRefused {
    Unchanged,
    /// The grant is revoked or ended, so its line is history.
    Over,
    /// Somebody else on the roster has the address.
    AddressTaken,
    /// The new group's cap is higher, and the budget has no room for it.
    BudgetExhausted,
}

impl View {
    /// Changes who a grant is for and in which group. The reservation in the budget follows the new group's cap, as it
    /// follows a cap of the grant's own.
    pub fn describe(&self, line: &RosterLine, by: &Actor, now: Moment) -> Result<Change, LineRefused> {
        let (was, becomes) = (&self.grant.person, &line.person);
        let same_spelling = was.address.as_written() == becomes.address.as_written();
        let moves = self.grant.group != line.group;
        if same_spelling && was == becomes && !moves {
            return Err(LineRefused::Unchanged);
        }
        if self.grant.is_over() {
            return Err(LineRefused::Over);
        }
        let mut change = self.change(by, DependsOn::GrantAlone);
        change.grant.person = becomes.clone();
        change.grant.group.clone_from(&line.group);
        if moves {
            change.depends_on = DependsOn::Settings;
            change = change.with_limit(self, false, now).with_rules(self, now);
            change = change.with_room(self, now).ok_or(LineRefused::BudgetExhausted)?;
        }
        // An audit entry holds no personal data, so it only says that the name or address changed.
        let changed = [
            ("address", !same_spelling),
            ("name", was.name != becomes.name),
            ("id", was.roster_id != becomes.roster_id),
        ];
        let changed: Vec<&str> = changed.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
        let note = (!changed.is_empty()).then(|| changed.join(", "));
        if !moves {
            return Ok(change.audited(Act::Described, &self.grant, note));
        }
        let group = |group: &Option<String>| group.clone().unwrap_or_default();
        Ok(change.audited_from(Act::Moved, group(&self.grant.group), group(&line.group), note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{a_view, at};

    #[test]
    fn a_line_that_says_the_same_changes_nothing_and_that_of_a_grant_that_is_over_stays() {
        let mut view = a_view();
        let mut line = RosterLine { person: view.grant.person.clone(), group: None };
        let described = |view: &View, line: &RosterLine| view.describe(line, &Actor::Rule, at("2026-02-01T00:00:00Z"));
        assert_eq!(described(&view, &line), Err(LineRefused::Unchanged));
        view.grant.state = GrantState::Revoked;
        line.group = Some("B".to_owned());
        assert_eq!(described(&view, &line), Err(LineRefused::Over));
    }

    #[test]
    fn an_entry_tells_that_a_name_or_an_address_changed_and_neither_of_them() {
        let view = a_view();
        let mut line = RosterLine { person: view.grant.person.clone(), group: view.grant.group.clone() };
        line.person.name = Some("Ada Lovelace".to_owned());
        line.person.address = EmailAddress::parse("countess@uni.edu").unwrap();
        let change = view.describe(&line, &Actor::Rule, at("2026-02-01T00:00:00Z")).unwrap();
        let entry = serde_json::to_string(change.audit().unwrap()).unwrap();
        assert!(entry.contains("address, name") && !entry.contains("countess") && !entry.contains("Ada"), "{entry}");
    }
}
