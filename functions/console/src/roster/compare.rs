//! The comparison of a roster file with the current roster: the steps that applying it would take.

use std::collections::HashSet;

use bursar_core::domain::grant::Person;
use bursar_core::domain::values::address::MatchedAddress;
use bursar_core::domain::values::token::sha256_hex;
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
    /// The rows of the file in their order, then who is dropped.
    pub(super) rows: Vec<PlannedRow>,
    /// The grants that are neither revoked nor ended.
    pub(super) standing: usize,
    pub(super) groups: usize,
}

/// A row of the file with what it changes, or a person whom the file does not name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PlannedRow {
    pub(super) line: Option<u64>,
    /// None: everything is as it was.
    pub(super) changes: Vec<Change>,
    pub(super) address: Option<EmailAddress>,
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    pub(super) id: Option<String>,
    /// Why it is refused, or what was so before.
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    /// The name, the id or the address.
    Changed,
    /// The group.
    Moved,
    /// They were dropped before.
    Returned,
    Dropped,
    Refused,
}

impl Change {
    pub(super) const ALL: [Change; 6] =
        [Change::Added, Change::Changed, Change::Moved, Change::Returned, Change::Dropped, Change::Refused];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Moved => "moved",
            Change::Returned => "returned",
            Change::Dropped => "dropped",
            Change::Refused => "refused",
        }
    }

    /// The heading of such rows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::Added => "Added",
            Change::Changed => "Changed",
            Change::Moved => "Moved",
            Change::Returned => "Returned",
            Change::Dropped => "Dropped",
            Change::Refused => "Refused",
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Change::Added => "each gets a mail",
            Change::Changed => "name, id or address",
            Change::Moved => "another group",
            Change::Returned => "dropped before",
            Change::Dropped => "keys are switched off at once",
            Change::Refused => "rows that change nothing",
        }
    }
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

    pub(super) fn replacing(replaces: bool) -> AbsentRows {
        if replaces { AbsentRows::Replace } else { AbsentRows::Add }
    }
}

impl ImportPlan {
    pub(super) fn of(&self, change: Change) -> impl Iterator<Item = &PlannedRow> {
        self.rows.iter().filter(move |row| row.changes.contains(&change))
    }

    pub(super) fn count(&self, change: Change) -> usize {
        self.of(change).count()
    }

    pub(super) fn unchanged(&self) -> usize {
        self.rows.iter().filter(|row| row.changes.is_empty()).count()
    }

    /// Whether so many people would be dropped that the visitor must type the number.
    pub(super) fn drops_many(&self) -> bool {
        self.count(Change::Dropped) * 5 > self.standing
    }

    /// How many rows give an address to another person than had it.
    pub(super) fn conflicts(&self) -> usize {
        let is_one = |row: &&PlannedRow| row.reason.contains(line::ANOTHER_ID) || row.reason.contains("two people");
        self.of(Change::Refused).filter(is_one).count()
    }

    /// How many people of each domain the file names.
    pub(super) fn domains(&self) -> BTreeMap<&str, usize> {
        let mut domains = BTreeMap::new();
        let named = self.rows.iter().filter(|row| !row.changes.contains(&Change::Dropped));
        for address in named.filter_map(|row| row.address.as_ref()) {
            *domains.entry(domain(address)).or_default() += 1;
        }
        domains
    }
}

pub(super) fn domain(address: &EmailAddress) -> &str {
    address.matched().as_str().rsplit_once('@').unwrap_or_default().1
}

impl PlannedRow {
    fn refused(refused: RefusedRow) -> PlannedRow {
        PlannedRow {
            line: Some(refused.line),
            changes: vec![Change::Refused],
            address: refused.names,
            reason: refused.why,
            ..PlannedRow::default()
        }
    }

    fn of(row: &RosterRow, changes: Vec<Change>, reason: String) -> PlannedRow {
        let RosterRow { line, address, name, group, id } = row.clone();
        PlannedRow { line: Some(line), changes, address: Some(address), name, group, id, reason }
    }
}

pub(super) fn plan(file: RosterFile, grants: &[Grant], mode: AbsentRows) -> ImportPlan {
    let roster = Roster::of(grants);
    let standing = grants.iter().filter(|grant| !grant.is_over()).count();
    let mut plan = ImportPlan { standing, ..ImportPlan::default() };
    let mut seen_people = HashSet::new();
    let mut seen_ids = HashSet::new();
    let mut named: HashSet<&GrantId> = HashSet::new();
    for refused in file.refused {
        let of = refused.names.as_ref().and_then(|address| roster.by_address.get(address.matched()));
        named.extend(of.map(|grant| &grant.id));
        plan.rows.push(PlannedRow::refused(refused));
    }
    for row in &file.rows {
        let mut refuse = |why: String| plan.rows.push(PlannedRow::of(row, vec![Change::Refused], why));
        let known = match roster.find(row) {
            Ok(known) => known,
            Err(why) => {
                named.extend(roster.by_address.get(row.address.matched()).map(|grant| &grant.id));
                refuse(why);
                continue;
            }
        };
        let again = !seen_people.insert(row.address.matched())
            || row.id.as_ref().is_some_and(|id| !seen_ids.insert(id))
            || known.is_some_and(|grant| named.contains(&grant.id));
        if again {
            refuse("An earlier row is for the same person.".to_owned());
            continue;
        }
        let Some(grant) = known else {
            let person = Person { address: row.address.clone(), name: row.name.clone(), roster_id: row.id.clone() };
            plan.steps.push(Step::Add { person, group: row.group.clone() });
            plan.rows.push(PlannedRow::of(row, vec![Change::Added], String::new()));
            continue;
        };
        named.insert(&grant.id);
        let person = Person {
            address: row.address.clone(),
            name: row.name.clone().or_else(|| grant.person.name.clone()),
            roster_id: row.id.clone().or_else(|| grant.person.roster_id.clone()),
        };
        let group = if file.has_group { row.group.clone() } else { grant.group.clone() };
        let changes = [
            (Change::Changed, before(&grant.person, &person)),
            (Change::Moved, (group != grant.group).then(|| format!("group {}", or_none(grant.group.as_deref())))),
            (Change::Returned, grant.holds.dropped.map(|_| "dropped".to_owned())),
        ];
        let changes = changes.into_iter().filter(|_| !grant.is_over());
        let (changes, was): (Vec<Change>, Vec<String>) =
            changes.filter_map(|(change, was)| Some((change, was?))).unzip();
        // The group comes first, because its cap decides what the reservation costs.
        if changes.iter().any(|change| *change != Change::Returned) {
            plan.steps.push(Step::Change { grant: grant.id.clone(), person, group });
        }
        if changes.contains(&Change::Returned) {
            plan.steps.push(Step::Return { grant: grant.id.clone() });
        }
        let reason = if was.is_empty() { String::new() } else { format!("before: {}", was.join(", ")) };
        plan.rows.push(PlannedRow::of(row, changes, reason));
    }
    plan.rows.sort_by_key(|row| row.line);
    plan.groups = groups_after(grants, &plan.steps);
    if mode == AbsentRows::Replace {
        let stays = |grant: &&Grant| grant.is_over() || grant.holds.dropped.is_some() || named.contains(&grant.id);
        let mut dropped: Vec<&Grant> = grants.iter().filter(|grant| !stays(grant)).collect();
        dropped.sort_by_key(|grant| grant.person.address.matched().as_str());
        for grant in dropped {
            plan.steps.push(Step::Drop { grant: grant.id.clone() });
            let Person { address, name, roster_id } = grant.person.clone();
            plan.rows.push(PlannedRow {
                changes: vec![Change::Dropped],
                address: Some(address),
                name,
                group: grant.group.clone(),
                id: roster_id,
                ..PlannedRow::default()
            });
        }
    }
    plan
}

/// What of a person was otherwise before, if anything was.
fn before(was: &Person, is: &Person) -> Option<String> {
    let written = was.address.as_written();
    let differs = [
        (written != is.address.as_written()).then(|| format!("address {written}")),
        (was.name != is.name).then(|| format!("name {}", or_none(was.name.as_deref()))),
        (was.roster_id != is.roster_id).then(|| format!("id {}", or_none(was.roster_id.as_deref()))),
    ];
    let differs: Vec<String> = differs.into_iter().flatten().collect();
    (!differs.is_empty()).then(|| differs.join(", "))
}

fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("none")
}

/// The version of a roster, which is another as soon as a file may mean something else to it.
pub(super) fn version(grants: &[Grant]) -> String {
    let mut people: Vec<[String; 5]> = grants
        .iter()
        .map(|grant| {
            let Person { address, name, roster_id } = &grant.person;
            let standing = (grant.is_over(), grant.holds.dropped.is_some());
            let [name, group, id] = [name, &grant.group, roster_id].map(|text| text.clone().unwrap_or_default());
            [grant.id.to_string(), address.as_written().to_owned(), name, group, format!("{id} {standing:?}")]
        })
        .collect();
    people.sort_unstable();
    let parts: Vec<&str> = people.iter().flatten().map(String::as_str).collect();
    sha256_hex(&parts).chars().take(12).collect()
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
        let [added, changed, moved, _, dropped, refused] = Change::ALL.map(|change| plan.count(change));
        [added, changed, moved, dropped, plan.unchanged(), refused]
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
            assert_eq!((counts(&plan), plan.count(Change::Returned)), ([0, 0, 1, 0, 1, 0], 2));
            assert!(
                matches!(&plan.steps[..], [one, Step::Change { .. }, other] if [one, other] == [&returns(1), &returns(2)])
            );
        }
        let plan = planned("email,name,id\nada2@uni.edu,ada,s1\ncid@uni.edu,\u{202E}x,s3\n", AbsentRows::Add);
        assert_eq!(
            (counts(&plan), plan.count(Change::Returned)),
            ([0, 1, 0, 0, 0, 1], 1),
            "nobody returns by a row that is refused"
        );
        assert_eq!(self::planned("email\neve@uni.edu\n", AbsentRows::Add).steps, [], "what is over is over");
    }

    #[test]
    fn an_address_that_belonged_to_somebody_with_another_id_is_refused_and_its_holder_stays() {
        let plan = planned("email,id\nada@uni.edu,s9\nbob@uni.edu,s3\ncid@uni.edu,\n", AbsentRows::Replace);
        let why: Vec<&str> = plan.of(Change::Refused).map(|refused| refused.reason.as_str()).collect();
        let expected = ["ada@uni.edu", "bob@uni.edu"]
            .map(|address| format!("{address}: this address belonged to somebody with another id."));
        assert_eq!(why, expected);
        assert_eq!((plan.unchanged(), plan.steps), (1, vec![]));
    }

    #[test]
    fn of_two_rows_for_one_person_the_later_is_refused() {
        let text = "email,id\nada@uni.edu,s1\nADA@uni.edu,\nlove@uni.edu,s1\nnew@uni.edu,s9\nnewer@uni.edu,s9\nbob@uni.edu,s3\n";
        let plan = planned(text, AbsentRows::Add);
        assert_eq!(plan.of(Change::Refused).filter_map(|refused| refused.line).collect::<Vec<_>>(), [3, 4, 6, 7]);
        assert_eq!(plan.count(Change::Added), 1);
    }

    #[test]
    fn replacing_drops_whom_no_row_names_but_nobody_for_a_mistake_in_their_row() {
        let plan = planned("email,name\nada@uni.edu,\u{202E}x\nbob@uni.edu,bob\n", AbsentRows::Replace);
        assert_eq!((counts(&plan), plan.standing), ([0, 0, 0, 1, 1, 1], 3));
        assert!(plan.drops_many());
        assert_eq!(plan.steps, [Step::Drop { grant: format!("{:016x}", 3).parse().unwrap() }]);
    }
}
