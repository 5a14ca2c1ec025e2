//! The comparison of a roster file with the current roster: the steps that applying it would take.

use std::collections::HashSet;

use bursar_core::domain::grant::Person;
use bursar_core::domain::values::address::MatchedAddress;
use bursar_core::store::Step;

use super::line;
use super::parse::{RefusedRow, RosterFile, RosterRow};
use crate::prelude::*;

/// The treatment of people whom the file does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AbsentRows {
    Add,
    /// Drops them.
    Replace,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ImportPlan {
    pub(super) steps: Vec<Step>,
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) moved: usize,
    /// The people who were dropped before and return.
    pub(super) returned: usize,
    pub(super) dropped: usize,
    pub(super) unchanged: usize,
    /// The refused rows, in the order of their lines.
    pub(super) refused: Vec<RefusedRow>,
    /// The grants that are neither revoked nor ended.
    pub(super) standing: usize,
    pub(super) groups: usize,
}

/// The current roster, by address and by id.
struct Roster<'a> {
    by_address: HashMap<&'a MatchedAddress, &'a Grant>,
    by_id: HashMap<&'a str, &'a Grant>,
}

impl AbsentRows {
    pub(super) fn of(text: Option<&str>) -> Option<AbsentRows> {
        match text {
            None | Some("add") => Some(AbsentRows::Add),
            Some("replace") => Some(AbsentRows::Replace),
            Some(_) => None,
        }
    }
}

impl ImportPlan {
    /// Whether so many people would be dropped that the visitor must type the number.
    pub(super) fn drops_many(&self) -> bool {
        self.dropped * 5 > self.standing
    }
}

pub(super) fn plan(file: RosterFile, grants: &[Grant], mode: AbsentRows) -> ImportPlan {
    let roster = Roster::of(grants);
    let mut plan =
        ImportPlan { standing: grants.iter().filter(|grant| !grant.is_over()).count(), ..ImportPlan::default() };
    let mut seen_people = HashSet::new();
    let mut seen_ids = HashSet::new();
    let mut named: HashSet<&GrantId> = HashSet::new();
    plan.refused = file.refused;
    for refused in &plan.refused {
        let of = refused.names.as_ref().and_then(|address| roster.by_address.get(address.matched()));
        named.extend(of.map(|grant| &grant.id));
    }
    for row in &file.rows {
        let mut refuse = |why: &str| {
            let (line, why) = (row.line, why.to_owned());
            plan.refused.push(RefusedRow { line, why, names: None });
        };
        let known = match roster.find(row) {
            Ok(known) => known,
            Err(why) => {
                named.extend(roster.by_address.get(row.address.matched()).map(|grant| &grant.id));
                refuse(&why);
                continue;
            }
        };
        let again = !seen_people.insert(row.address.matched())
            || row.id.as_ref().is_some_and(|id| !seen_ids.insert(id))
            || known.is_some_and(|grant| named.contains(&grant.id));
        if again {
            refuse("An earlier row is for the same person.");
            continue;
        }
        let Some(grant) = known else {
            let person = Person { address: row.address.clone(), name: row.name.clone(), roster_id: row.id.clone() };
            plan.steps.push(Step::Add { person, group: row.group.clone() });
            plan.added += 1;
            continue;
        };
        named.insert(&grant.id);
        let person = Person {
            address: row.address.clone(),
            name: row.name.clone().or_else(|| grant.person.name.clone()),
            roster_id: row.id.clone().or_else(|| grant.person.roster_id.clone()),
        };
        let group = if file.has_group { row.group.clone() } else { grant.group.clone() };
        let is_changed = person != grant.person || person.address.as_written() != grant.person.address.as_written();
        let is_moved = group != grant.group;
        let returns = grant.holds.dropped.is_some();
        if grant.is_over() || !(is_changed || is_moved || returns) {
            plan.unchanged += 1;
            continue;
        }
        plan.changed += usize::from(is_changed);
        plan.moved += usize::from(is_moved);
        plan.returned += usize::from(returns);
        // The group comes first, because its cap decides what the reservation costs.
        let change = Step::Change { grant: grant.id.clone(), person, group };
        plan.steps.extend((is_changed || is_moved).then_some(change));
        plan.steps.extend(returns.then(|| Step::Return { grant: grant.id.clone() }));
    }
    plan.refused.sort_by_key(|refused| refused.line);
    plan.groups = groups_after(grants, &plan.steps);
    if mode == AbsentRows::Replace {
        let dropped = grants
            .iter()
            .filter(|grant| !grant.is_over() && grant.holds.dropped.is_none() && !named.contains(&grant.id));
        plan.steps.extend(dropped.map(|grant| Step::Drop { grant: grant.id.clone() }));
        plan.dropped = plan.steps.iter().filter(|step| matches!(step, Step::Drop { .. })).count();
    }
    plan
}

impl<'a> Roster<'a> {
    fn of(grants: &'a [Grant]) -> Roster<'a> {
        let by_address = grants.iter().map(|grant| (grant.person.address.matched(), grant)).collect();
        let by_id = grants.iter().filter_map(|grant| Some((grant.person.roster_id.as_deref()?, grant))).collect();
        Roster { by_address, by_id }
    }

    /// The grant that a row is about, found by the address or else by the id. A reused address gives its
    /// new owner nothing of the former one.
    fn find(&self, row: &RosterRow) -> Result<Option<&'a Grant>, String> {
        let by_address = self.by_address.get(row.address.matched()).copied();
        let by_id = row.id.as_deref().and_then(|id| self.by_id.get(id).copied());
        match (by_address, by_id) {
            (Some(one), _) if line::is_another(one.person.roster_id.as_deref(), row.id.as_deref()) => {
                Err(format!("{}: {}.", row.address.as_written(), line::ANOTHER_ID))
            }
            (Some(one), Some(other)) if one.id != other.id => {
                Err("On the roster the address and the id belong to two people.".to_owned())
            }
            (one, other) => Ok(one.or(other)),
        }
    }
}

/// The number of groups after the import. Groups of people who left count too, since their usage stays in
/// the group's sums.
fn groups_after(grants: &[Grant], steps: &[Step]) -> usize {
    let (mut groups, mut moved) = (HashSet::new(), HashSet::new());
    for step in steps {
        match step {
            Step::Add { group, .. } => groups.extend(group.as_deref()),
            Step::Change { grant, group, .. } => {
                groups.extend(group.as_deref());
                moved.insert(grant);
            }
            Step::Return { .. } | Step::Drop { .. } | Step::Act { .. } => {}
        }
    }
    let stay = grants.iter().filter(|grant| !moved.contains(&grant.id));
    groups.extend(stay.filter_map(|grant| grant.group.as_deref()));
    groups.len()
}

#[cfg(test)]
mod tests {
    use bursar_core::clock::Moment;
    use bursar_core::domain::grant::GrantState;
    use bursar_core::domain::values::address::EmailAddress;

    use super::super::parse;
    use super::*;

    fn grant(number: u8, name: &str, group: &str) -> Grant {
        let person = Person {
            address: EmailAddress::parse(&format!("{name}@uni.edu")).unwrap(),
            name: Some(name.to_owned()),
            roster_id: Some(format!("s{number}")),
        };
        let id = format!("{number:016x}").parse().unwrap();
        Grant::invited("cs".parse().unwrap(), id, person, Some(group.to_owned()))
    }

    fn planned(text: &str, mode: AbsentRows) -> ImportPlan {
        let mut eve = grant(4, "eve", "B");
        (eve.holds.dropped, eve.state) = (Some(Moment::UNIX_EPOCH), GrantState::Revoked);
        let grants = [grant(1, "ada", "A"), grant(2, "bob", "A"), grant(3, "cid", "B"), eve];
        plan(parse::file(text.as_bytes()).unwrap(), &grants, mode)
    }

    fn counts(plan: &ImportPlan) -> [usize; 6] {
        [plan.added, plan.changed, plan.moved, plan.dropped, plan.unchanged, plan.refused.len()]
    }

    #[test]
    fn people_are_added_changed_moved_or_left_as_they_are() {
        let all =
            "email,name,group,id\nada@uni.edu,ada,A,s1\nbob@uni.edu,Robert,B,s2\ncid2@uni.edu,,B,s3\ndora@uni.edu,,,\n";
        for (text, expected) in [
            (all, [1, 2, 1, 0, 1, 0]),
            ("email\nada@uni.edu\n", [0, 0, 0, 0, 1, 0]),
            ("email,group\nada@uni.edu,\n", [0, 0, 1, 0, 0, 0]),
        ] {
            assert_eq!(counts(&planned(text, AbsentRows::Add)), expected, "{text}");
        }
    }

    #[test]
    fn groups_are_counted_as_they_would_be_those_of_everybody_who_stays_included() {
        let rows: String = (0..300).map(|row| format!("s{row}@uni.edu,g{row}\n")).collect();
        assert_eq!(planned(&format!("email,group\n{rows}"), AbsentRows::Add).groups, 302);
        let moved = format!("email,group\nada@uni.edu,B\nbob@uni.edu,B\n{rows}");
        assert_eq!(planned(&moved, AbsentRows::Add).groups, 301, "nobody is left in the first");
    }

    #[test]
    fn who_was_dropped_and_is_named_again_returns_also_when_something_else_is_said_of_them() {
        let mut grants = [grant(1, "ada", "A"), grant(2, "bob", "A"), grant(3, "cid", "B"), grant(4, "dan", "B")];
        grants.iter_mut().take(3).for_each(|grant| grant.holds.dropped = Some(Moment::UNIX_EPOCH));
        let planned = |text: &str, mode| plan(parse::file(text.as_bytes()).unwrap(), &grants, mode);
        let returns = |number: u8| Step::Return { grant: format!("{number:016x}").parse().unwrap() };
        for mode in [AbsentRows::Add, AbsentRows::Replace] {
            let plan = planned("email,group\nada@uni.edu,A\nbob@uni.edu,B\ndan@uni.edu,B\n", mode);
            assert_eq!((counts(&plan), plan.returned), ([0, 0, 1, 0, 1, 0], 2));
            assert!(
                matches!(&plan.steps[..], [one, Step::Change { .. }, other] if [one, other] == [&returns(1), &returns(2)])
            );
        }
        let plan = planned("email,name,id\nada2@uni.edu,ada,s1\ncid@uni.edu,\u{202E}x,s3\n", AbsentRows::Add);
        assert_eq!((counts(&plan), plan.returned), ([0, 1, 0, 0, 0, 1], 1), "nobody returns by a row that is refused");
        assert_eq!(self::planned("email\neve@uni.edu\n", AbsentRows::Add).steps, [], "what is over is over");
    }

    #[test]
    fn an_address_that_belonged_to_somebody_with_another_id_is_refused_and_its_holder_stays() {
        let plan = planned("email,id\nada@uni.edu,s9\nbob@uni.edu,s3\ncid@uni.edu,\n", AbsentRows::Replace);
        let why: Vec<&str> = plan.refused.iter().map(|refused| refused.why.as_str()).collect();
        let expected = ["ada@uni.edu", "bob@uni.edu"]
            .map(|address| format!("{address}: this address belonged to somebody with another id."));
        assert_eq!(why, expected);
        assert_eq!((plan.steps, plan.unchanged), (vec![], 1));
    }

    #[test]
    fn of_two_rows_for_one_person_the_later_is_refused() {
        let text = "email,id\nada@uni.edu,s1\nADA@uni.edu,\nlove@uni.edu,s1\nnew@uni.edu,s9\nnewer@uni.edu,s9\nbob@uni.edu,s3\n";
        let plan = planned(text, AbsentRows::Add);
        assert_eq!(plan.refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [3, 4, 6, 7]);
        assert_eq!(plan.added, 1);
    }

    #[test]
    fn replacing_drops_whom_no_row_names_but_nobody_for_a_mistake_in_their_row() {
        let plan = planned("email,name\nada@uni.edu,\u{202E}x\nbob@uni.edu,bob\n", AbsentRows::Replace);
        assert_eq!((counts(&plan), plan.standing), ([0, 0, 0, 1, 1, 1], 3));
        assert!(plan.drops_many());
        assert_eq!(plan.steps, [Step::Drop { grant: format!("{:016x}", 3).parse().unwrap() }]);
    }
}
