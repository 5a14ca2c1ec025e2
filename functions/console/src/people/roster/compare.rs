//! The comparison of a roster file with the current roster: what applying it would do.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bursar_core::domain::grant::{AddressChange, Grant, Person, PersonChange};
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress, nfc};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::store::{JobPlace, Subject};
use serde::{Deserialize, Serialize};

use super::parse::{RosterFile, RosterRow};

/// The treatment of people whom the file does not name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AbsentRows {
    Add,
    /// Drops them.
    Replace,
}

/// One thing that a file says of somebody.
#[derive(Debug, PartialEq)]
pub(crate) enum RosterStep {
    /// From this line on.
    Add {
        line: u64,
        person: Person,
        group: Option<String>,
    },
    /// A change to a person on the roster, to what the file says.
    Describe {
        grant: GrantId,
        change: PersonChange,
    },
    Move {
        grant: GrantId,
        group: Option<String>,
    },
    Drop {
        grant: GrantId,
    },
    /// The loss of an address to somebody else, to whom another step gives it. Where something else
    /// was done to one of these since, it stays: to whom it would go, and from whom this one gets
    /// another in turn.
    Leave {
        grant: GrantId,
        address: MatchedAddress,
        with: Vec<GrantId>,
    },
    /// The return of a dropped person whom the file names again.
    Return {
        grant: GrantId,
    },
}

impl RosterStep {
    /// The grant that it changes; `None` for somebody who is added.
    pub(crate) fn grant(&self) -> Option<&GrantId> {
        match self {
            RosterStep::Add { .. } => None,
            RosterStep::Describe { grant, .. }
            | RosterStep::Move { grant, .. }
            | RosterStep::Drop { grant } => Some(grant),
            RosterStep::Leave { grant, .. } | RosterStep::Return { grant } => Some(grant),
        }
    }

    /// Where it comes among those of a job: whoever loses an address does so before anybody gets
    /// it. What is done to one grant then is in one place.
    pub(crate) fn place(&self) -> JobPlace {
        match self {
            RosterStep::Leave { grant, .. } => JobPlace {
                turn: 0,
                of: Subject::Grant(grant.clone()),
            },
            RosterStep::Add { line, .. } => JobPlace {
                turn: 1,
                of: Subject::Line(*line),
            },
            RosterStep::Describe { grant, .. }
            | RosterStep::Move { grant, .. }
            | RosterStep::Return { grant } => JobPlace {
                turn: 2,
                of: Subject::Grant(grant.clone()),
            },
            RosterStep::Drop { grant } => JobPlace {
                turn: 3,
                of: Subject::Grant(grant.clone()),
            },
        }
    }

    /// Whether a person on the roster gets another address, or loses theirs.
    fn changes_address(&self) -> bool {
        match self {
            RosterStep::Leave { .. } => true,
            RosterStep::Describe { change, .. } => change
                .address
                .as_ref()
                .is_some_and(|address| address.before != *address.after.matched()),
            RosterStep::Add { .. }
            | RosterStep::Move { .. }
            | RosterStep::Drop { .. }
            | RosterStep::Return { .. } => false,
        }
    }
}

/// What was confirmed of a file: where something is to be done, and how long the timelines were
/// then. A job does no more than that, whatever the file says to the roster by the time it is
/// planned anew.
#[derive(Serialize, Deserialize)]
pub(crate) struct ConfirmedImport {
    pub(crate) grants: BTreeMap<GrantId, u64>,
    pub(crate) places: BTreeSet<JobPlace>,
}

#[derive(Debug, Default)]
pub(crate) struct ImportPlan {
    pub(crate) steps: Vec<RosterStep>,
    /// The rows of the file in their order, then who is dropped.
    pub(super) rows: Vec<PlannedRow>,
    /// The grants that are neither revoked nor ended.
    pub(super) standing: usize,
    pub(super) groups: usize,
}

/// A row of the file with what it changes, or a person whom the file does not name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedRow {
    pub(super) line: Option<u64>,
    /// None: everything is as it was.
    pub(super) changes: Vec<RosterChange>,
    pub(super) address: Option<EmailAddress>,
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    pub(super) id: Option<String>,
    /// Why it is refused, or what was so before.
    pub(super) reason: String,
    /// The beginning of a refused row's address as it was typed, which is not kept.
    #[serde(skip)]
    pub(super) cell: String,
    /// The same of its name: nobody finds it by an address later.
    #[serde(skip)]
    pub(super) typed_name: Option<String>,
}

bursar_core::named! {
    #[derive(Serialize, Deserialize)]
    pub(crate) enum RosterChange: as_str, to_words {
        Added = "added", "each gets a mail";
        /// The name, the id or the address.
        Changed = "changed", "name, id or address";
        /// The group.
        Moved = "moved", "another group";
        /// They were dropped before.
        Returned = "returned", "dropped before";
        Dropped = "dropped", "keys are switched off at once";
        Refused = "refused", "rows that change nothing";
    }
}

/// The current roster, by address and by id.
struct Roster<'a> {
    by_address: HashMap<&'a MatchedAddress, &'a Grant>,
    by_id: HashMap<Cow<'a, str>, &'a Grant>,
}

impl AbsentRows {
    pub(super) fn parse(text: Option<&str>) -> Option<AbsentRows> {
        match text {
            None | Some("add") => Some(AbsentRows::Add),
            Some("replace") => Some(AbsentRows::Replace),
            Some(_) => None,
        }
    }

    pub(crate) fn from_replaces(replaces: bool) -> AbsentRows {
        if replaces {
            AbsentRows::Replace
        } else {
            AbsentRows::Add
        }
    }
}

impl ImportPlan {
    pub(super) fn rows_with(&self, change: RosterChange) -> impl Iterator<Item = &PlannedRow> {
        self.rows
            .iter()
            .filter(move |row| row.changes.contains(&change))
    }

    pub(super) fn count(&self, change: RosterChange) -> usize {
        self.rows_with(change).count()
    }

    /// The rows that change something or are refused.
    pub(super) fn changed(&self) -> Vec<&PlannedRow> {
        self.rows
            .iter()
            .filter(|row| !row.changes.is_empty())
            .collect()
    }

    pub(super) fn unchanged(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| row.changes.is_empty())
            .count()
    }

    /// Whether so many people would be dropped that the visitor must type the number.
    pub(super) fn drops_many(&self) -> bool {
        self.count(RosterChange::Dropped) * 5 > self.standing
    }

    /// How many rows give an address to another person than had it.
    pub(super) fn conflicts(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, RosterStep::Leave { .. }))
            .count()
    }

    /// How many people on the roster get another address, or lose theirs.
    pub(super) fn readdressed(&self) -> usize {
        let steps = self.steps.iter().filter(|step| step.changes_address());
        steps
            .filter_map(RosterStep::grant)
            .collect::<HashSet<_>>()
            .len()
    }

    pub(crate) fn find_confirmed(&self, grants: &[Grant]) -> ConfirmedImport {
        let changed: HashSet<&GrantId> = self.steps.iter().filter_map(RosterStep::grant).collect();
        let changed = grants.iter().filter(|grant| changed.contains(&grant.id));
        let grants = changed
            .map(|grant| (grant.id.clone(), grant.entries))
            .collect();
        ConfirmedImport {
            grants,
            places: self.steps.iter().map(RosterStep::place).collect(),
        }
    }

    /// How many people of each domain the file names.
    pub(super) fn domains(&self) -> BTreeMap<&str, usize> {
        let mut domains = BTreeMap::new();
        let named = self
            .rows
            .iter()
            .filter(|row| !row.changes.contains(&RosterChange::Dropped));
        for address in named.filter_map(|row| row.address.as_ref()) {
            *domains.entry(domain(address)).or_default() += 1;
        }
        domains
    }
}

pub(crate) fn domain(address: &EmailAddress) -> &str {
    address
        .matched()
        .as_str()
        .rsplit_once('@')
        .unwrap_or_default()
        .1
}

impl PlannedRow {
    fn new(row: &RosterRow, changes: Vec<RosterChange>, reason: String) -> PlannedRow {
        let RosterRow {
            line,
            address,
            name,
            group,
            id,
        } = row.clone();
        let line = Some(line);
        let address = Some(address);
        PlannedRow {
            line,
            changes,
            address,
            name,
            group,
            id,
            reason,
            ..PlannedRow::default()
        }
    }

    fn refused(row: &RosterRow, why: &str) -> PlannedRow {
        PlannedRow::new(row, vec![RosterChange::Refused], why.to_owned())
    }

    /// Its place in the file of all rows, whatever the roster is by the next part.
    pub(super) fn key(&self) -> String {
        let address = self
            .address
            .as_ref()
            .map_or("", |address| address.matched().as_str());
        self.line
            .map_or_else(|| format!("dropped {address}"), |line| format!("{line:08}"))
    }
}

pub(crate) fn plan(file: &RosterFile, grants: &[Grant], mode: AbsentRows) -> ImportPlan {
    let roster = Roster::new(grants);
    let standing = grants.iter().filter(|grant| !grant.is_over()).count();
    let mut plan = ImportPlan {
        standing,
        ..ImportPlan::default()
    };
    let mut seen_people = HashSet::new();
    let mut seen_ids = HashSet::new();
    let mut named: HashSet<&GrantId> = HashSet::new();
    // These come first, so that an address is nobody's when a later step gives it to somebody, in a
    // swap too.
    let mut leaves = Vec::new();
    let mut formers = HashMap::new();
    for refused in &file.refused {
        let by_address = refused
            .address
            .as_ref()
            .and_then(|address| roster.by_address.get(address.matched()));
        let by_id = refused.id.as_deref().and_then(|id| roster.by_id.get(id));
        named.extend(by_address.into_iter().chain(by_id).map(|grant| &grant.id));
        plan.rows.push(refused.clone());
    }
    for row in &file.rows {
        let grant = roster.grant(row);
        let former = roster
            .holder(row)
            .filter(|holder| grant.is_none_or(|grant| grant.id != holder.id));
        let is_repeat = !seen_people.insert(row.address.matched())
            || row.id.as_ref().is_some_and(|id| !seen_ids.insert(id))
            || grant.is_some_and(|grant| named.contains(&grant.id));
        if is_repeat {
            named.extend(former.map(|grant| &grant.id));
            plan.rows.push(PlannedRow::refused(
                row,
                "An earlier row is for the same person.",
            ));
            continue;
        }
        if grant.is_some_and(Grant::is_over) && former.is_some() {
            named.extend(former.map(|grant| &grant.id));
            let why = "The student with this id was removed or has ended, and another person has the address.";
            plan.rows.push(PlannedRow::refused(row, why));
            continue;
        }
        if let Some(former) = former {
            leaves.push((former, row, grant));
            formers.extend(grant.map(|taker| (&taker.id, &former.id)));
        }
        let taken = former.map(|holder| match &holder.person.roster_id {
            Some(id) => format!("the address was {id}'s"),
            None => "the address was a person's without an id".to_owned(),
        });
        let Some(grant) = grant else {
            let person = Person {
                address: row.address.clone(),
                name: row.name.clone(),
                roster_id: row.id.clone(),
            };
            plan.steps.push(RosterStep::Add {
                line: row.line,
                person,
                group: row.group.clone(),
            });
            plan.rows.push(PlannedRow::new(
                row,
                vec![RosterChange::Added],
                taken.unwrap_or_default(),
            ));
            continue;
        };
        named.insert(&grant.id);
        let change = described(&grant.person, row);
        let moves =
            file.has_group && row.group.as_deref() != grant.group.as_deref().map(nfc).as_deref();
        let mut changes = Vec::new();
        let mut was = Vec::new();
        for (change, text) in [
            (RosterChange::Changed, before(&grant.person, &change)),
            (
                RosterChange::Moved,
                moves.then(|| format!("group {}", or_none(grant.group.as_deref()))),
            ),
            (
                RosterChange::Returned,
                grant.holds.dropped.map(|_| "dropped".to_owned()),
            ),
        ] {
            if let Some(text) = text.filter(|_| !grant.is_over()) {
                changes.push(change);
                was.push(text);
            }
        }
        // The group comes first, because its cap decides what the reservation costs.
        if changes.contains(&RosterChange::Moved) {
            plan.steps.push(RosterStep::Move {
                grant: grant.id.clone(),
                group: row.group.clone(),
            });
        }
        if changes.contains(&RosterChange::Changed) {
            plan.steps.push(RosterStep::Describe {
                grant: grant.id.clone(),
                change,
            });
        }
        if changes.contains(&RosterChange::Returned) {
            plan.steps.push(RosterStep::Return {
                grant: grant.id.clone(),
            });
        }
        if changes.is_empty() && taken.is_some() {
            changes.push(RosterChange::Changed);
        }
        let was = (!was.is_empty()).then(|| format!("before: {}", was.join(", ")));
        let reason = was.into_iter().chain(taken).joined("; ");
        plan.rows.push(PlannedRow::new(row, changes, reason));
    }
    let leaves = leaves
        .into_iter()
        .map(|(former, row, taker)| leave(former, row, taker, &formers));
    plan.steps.splice(0..0, leaves);
    plan.rows.sort_by_key(|row| row.line);
    plan.groups = groups_after(grants, &plan.steps);
    if mode == AbsentRows::Replace {
        let standing = grants
            .iter()
            .filter(|grant| !grant.is_over() && grant.holds.dropped.is_none());
        let mut dropped: Vec<&Grant> = standing
            .filter(|grant| !named.contains(&grant.id))
            .collect();
        dropped.sort_by_key(|grant| grant.person.address.matched().as_str());
        for grant in dropped {
            plan.steps.push(RosterStep::Drop {
                grant: grant.id.clone(),
            });
            let Person {
                address,
                name,
                roster_id,
            } = grant.person.clone();
            plan.rows.push(PlannedRow {
                changes: vec![RosterChange::Dropped],
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

/// The loss of the address that a row gives to somebody else. `formers` says of each who takes an
/// address who had it.
fn leave(
    former: &Grant,
    row: &RosterRow,
    taker: Option<&Grant>,
    formers: &HashMap<&GrantId, &GrantId>,
) -> RosterStep {
    let mut with: Vec<GrantId> = taker.map(|taker| taker.id.clone()).into_iter().collect();
    let mut next = formers.get(&former.id);
    while let Some(holder) = next.filter(|holder| **holder != &former.id) {
        with.push((*holder).clone());
        next = formers.get(*holder);
    }
    RosterStep::Leave {
        grant: former.id.clone(),
        address: row.address.matched().clone(),
        with,
    }
}

/// What a row says otherwise of a person.
fn described(was: &Person, row: &RosterRow) -> PersonChange {
    let before = was.address.matched().clone();
    let after = row.address.clone();
    PersonChange {
        address: (was.address.as_written() != after.as_written())
            .then_some(AddressChange { before, after }),
        name: row.name.clone().filter(|_| row.name != was.name),
        id: row
            .id
            .clone()
            .filter(|id| Some(nfc(id)) != was.roster_id.as_deref().map(nfc)),
    }
}

/// What of a person was otherwise before, if anything was.
fn before(was: &Person, change: &PersonChange) -> Option<String> {
    let address = if was.address.is_none() {
        "none"
    } else {
        was.address.as_written()
    };
    let differs = [
        change
            .address
            .as_ref()
            .map(|_| format!("address {address}")),
        change
            .name
            .as_ref()
            .map(|_| format!("name {}", or_none(was.name.as_deref()))),
        change
            .id
            .as_ref()
            .map(|_| format!("id {}", or_none(was.roster_id.as_deref()))),
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
            let Person {
                address,
                name,
                roster_id,
            } = &grant.person;
            let standing = (grant.is_over(), grant.holds.dropped.is_some());
            let [name, group, id] =
                [name, &grant.group, roster_id].map(|text| text.clone().unwrap_or_default());
            [
                grant.id.to_string(),
                address.as_written().to_owned(),
                name,
                group,
                format!("{id} {standing:?}"),
            ]
        })
        .collect();
    people.sort_unstable();
    sha256_hex(people.iter().flatten())
        .chars()
        .take(12)
        .collect()
}

impl<'a> Roster<'a> {
    fn new(grants: &'a [Grant]) -> Roster<'a> {
        let by_address = grants
            .iter()
            .map(|grant| (grant.person.address.matched(), grant))
            .collect();
        let by_id = grants
            .iter()
            .filter_map(|grant| Some((nfc(grant.person.roster_id.as_deref()?), grant)))
            .collect();
        Roster { by_address, by_id }
    }

    /// The grant that a row is about. An id is who somebody is; only where the row or the roster
    /// has none, the address is. So a reused address gives its new owner nothing of the former one.
    fn grant(&self, row: &RosterRow) -> Option<&'a Grant> {
        let by_id = row.id.as_deref().and_then(|id| self.by_id.get(id).copied());
        by_id.or_else(|| {
            self.holder(row).filter(|holder| {
                let id = holder.person.roster_id.as_deref();
                row.id.is_none() || id.is_none() || id.map(nfc).as_deref() == row.id.as_deref()
            })
        })
    }

    /// The grant that has a row's address so far.
    fn holder(&self, row: &RosterRow) -> Option<&'a Grant> {
        self.by_address.get(row.address.matched()).copied()
    }
}

/// The number of groups after the import. Groups of people who left count too, since their usage
/// stays in the group's sums.
fn groups_after(grants: &[Grant], steps: &[RosterStep]) -> usize {
    let mut groups = HashSet::new();
    let mut moved = HashSet::new();
    for step in steps {
        match step {
            RosterStep::Add { group, .. } => groups.extend(group.as_deref()),
            RosterStep::Move { grant, group } => {
                groups.extend(group.as_deref());
                moved.insert(grant);
            }
            RosterStep::Describe { .. }
            | RosterStep::Leave { .. }
            | RosterStep::Return { .. }
            | RosterStep::Drop { .. } => {}
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
        let grants = [
            grant(1, "ada", "A"),
            grant(2, "bob", "A"),
            grant(3, "cid", "B"),
            eve,
        ];
        plan(&parse::file(text.as_bytes(), None).unwrap(), &grants, mode)
    }

    fn counts(plan: &ImportPlan) -> [usize; 6] {
        let [added, changed, moved, _, dropped, refused] =
            RosterChange::ALL.map(|change| plan.count(change));
        [added, changed, moved, dropped, plan.unchanged(), refused]
    }

    #[test]
    fn people_are_added_changed_moved_or_left_as_they_are() {
        let all = "email,name,group,id\nada@uni.edu,ada,A,s1\nbob@uni.edu,Robert,B,s2\ncid2@uni.edu,,B,s3\ndora@uni.edu,,,\n";
        for (text, expected) in [
            (all, [1, 2, 1, 0, 1, 0]),
            ("email\nada@uni.edu\n", [0, 0, 0, 0, 1, 0]),
            ("email,group\nada@uni.edu,\n", [0, 0, 1, 0, 0, 0]),
        ] {
            assert_eq!(counts(&planned(text, AbsentRows::Add)), expected, "{text}");
        }
    }

    /// Groups are counted as they would be afterwards, including those of everybody who stays.
    #[test]
    fn groups_count_those_who_stay() {
        let rows: String = (0..300)
            .map(|row| format!("s{row}@uni.edu,g{row}\n"))
            .collect();
        assert_eq!(
            planned(&format!("email,group\n{rows}"), AbsentRows::Add).groups,
            302
        );
        let moved = format!("email,group\nada@uni.edu,B\nbob@uni.edu,B\n{rows}");
        assert_eq!(
            planned(&moved, AbsentRows::Add).groups,
            301,
            "nobody is left in the first"
        );
    }

    /// A dropped person who is named again returns, even when the row changes something else about
    /// them.
    #[test]
    fn a_named_person_returns() {
        let mut grants = [
            grant(1, "ada", "A"),
            grant(2, "bob", "A"),
            grant(3, "cid", "B"),
            grant(4, "dan", "B"),
        ];
        grants
            .iter_mut()
            .take(3)
            .for_each(|grant| grant.holds.dropped = Some(Moment::UNIX_EPOCH));
        let planned =
            |text: &str, mode| plan(&parse::file(text.as_bytes(), None).unwrap(), &grants, mode);
        let returns = |number: u8| RosterStep::Return {
            grant: format!("{number:016x}").parse().unwrap(),
        };
        for mode in [AbsentRows::Add, AbsentRows::Replace] {
            let plan = planned(
                "email,group\nada@uni.edu,A\nbob@uni.edu,B\ndan@uni.edu,B\n",
                mode,
            );
            assert_eq!(
                (counts(&plan), plan.count(RosterChange::Returned)),
                ([0, 0, 1, 0, 1, 0], 2)
            );
            assert!(
                matches!(&plan.steps[..], [one, RosterStep::Move { .. }, other] if [one, other] == [&returns(1), &returns(2)])
            );
        }
        let plan = planned(
            "email,name,id\nada2@uni.edu,ada,s1\ncid@uni.edu,\u{202E}x,s3\n",
            AbsentRows::Add,
        );
        assert_eq!(
            (counts(&plan), plan.count(RosterChange::Returned)),
            ([0, 1, 0, 0, 0, 1], 1),
            "nobody returns by a row that is refused"
        );
        assert_eq!(
            self::planned("email\neve@uni.edu\n", AbsentRows::Add).steps,
            [],
            "what is over is over"
        );
    }

    /// Who has which address once the steps were taken. Nobody is given one that another has at
    /// that moment.
    fn after(plan: &ImportPlan) -> String {
        let mut has: BTreeMap<String, &str> = [
            ("s1", "ada@uni.edu"),
            ("s2", "bob@uni.edu"),
            ("s3", "cid@uni.edu"),
            ("s4", "eve@uni.edu"),
        ]
        .map(|(id, address)| (id.to_owned(), address))
        .into();
        for step in &plan.steps {
            let id = step
                .grant()
                .map(|grant| format!("s{}", grant.as_str().trim_start_matches('0')));
            let given = match step {
                RosterStep::Add { person, .. } => {
                    person.roster_id.clone().zip(Some(&person.address))
                }
                RosterStep::Describe { change: to, .. } => {
                    id.zip(to.address.as_ref().map(|change| &change.after))
                }
                RosterStep::Leave { address, .. } => {
                    assert_eq!(has.remove(&id.unwrap()), Some(address.as_str()));
                    None
                }
                RosterStep::Move { .. } | RosterStep::Drop { .. } | RosterStep::Return { .. } => {
                    None
                }
            };
            if let Some((id, address)) = given.map(|(id, address)| (id, address.as_written())) {
                assert!(has.values().all(|of| *of != address), "{:?}", plan.steps);
                has.insert(id, address);
            }
        }
        let short = |(id, address): (String, &str)| {
            format!("{id} {}", address.trim_end_matches("@uni.edu"))
        };
        has.into_iter().map(short).joined(", ")
    }

    /// An id decides who a person is, and an address under two ids belongs to the newest one.
    #[test]
    fn an_id_decides_who_it_is() {
        for (rows, expected, conflicts) in [
            ("ada@uni.edu,s9", "s2 bob, s3 cid, s4 eve, s9 ada", 1),
            (
                "ada@uni.edu,s9\nlove@uni.edu,s1",
                "s1 love, s2 bob, s3 cid, s4 eve, s9 ada",
                1,
            ),
            (
                "bob@uni.edu,s1\nada@uni.edu,s2",
                "s1 bob, s2 ada, s3 cid, s4 eve",
                2,
            ),
            (
                "bob@uni.edu,s1\ncid@uni.edu,s2\nnew@uni.edu,s3",
                "s1 bob, s2 cid, s3 new, s4 eve",
                2,
            ),
            ("eve@uni.edu,s9", "s1 ada, s2 bob, s3 cid, s9 eve", 1),
            (
                "love@uni.edu,s1\neve@uni.edu,",
                "s1 love, s2 bob, s3 cid, s4 eve",
                0,
            ),
        ] {
            let plan = planned(&format!("email,id\n{rows}\n"), AbsentRows::Add);
            let found = (
                after(&plan),
                plan.conflicts(),
                plan.count(RosterChange::Refused),
            );
            assert_eq!(found, (expected.to_owned(), conflicts, 0), "{rows}");
        }
        let plan = planned(
            "email,id\nada@uni.edu,s9\nbob@uni.edu,s3\neve@uni.edu,s2\n",
            AbsentRows::Replace,
        );
        assert_eq!(counts(&plan), [1, 2, 0, 1, 0, 0], "s1 is named no more");
        let over = planned("email,id\nada@uni.edu,s4\n", AbsentRows::Replace);
        assert_eq!(
            (after(&over), over.count(RosterChange::Refused)),
            ("s1 ada, s2 bob, s3 cid, s4 eve".to_owned(), 1)
        );
        assert_eq!(
            over.count(RosterChange::Dropped),
            2,
            "who keeps the address is not dropped for it"
        );
        let told: Vec<&str> = plan.rows.iter().map(|row| row.reason.as_str()).collect();
        let bob = "before: address cid@uni.edu; the address was s2's";
        let eve = "before: address bob@uni.edu; the address was s4's";
        assert_eq!(told, ["the address was s1's", bob, eve, ""]);
    }

    #[test]
    fn of_two_rows_for_one_person_the_later_is_refused() {
        let text = "email,id\nada@uni.edu,s1\nADA@uni.edu,\nlove@uni.edu,s1\nnew@uni.edu,s9\nnewer@uni.edu,s9\nada@uni.edu,s8\n";
        let plan = planned(text, AbsentRows::Add);
        assert_eq!(
            plan.rows_with(RosterChange::Refused)
                .filter_map(|refused| refused.line)
                .collect::<Vec<_>>(),
            [3, 4, 6, 7]
        );
        assert_eq!(plan.count(RosterChange::Added), 1);
    }

    /// Replacing drops people whom no row names, but nobody for a mistake in their row.
    #[test]
    fn replacing_drops_the_unnamed() {
        let plan = planned(
            "email,name\nada@uni.edu,\u{202E}x\nbob@uni.edu,bob\n",
            AbsentRows::Replace,
        );
        assert_eq!((counts(&plan), plan.standing), ([0, 0, 0, 1, 1, 1], 3));
        assert!(plan.drops_many());
        assert_eq!(
            plan.steps,
            [RosterStep::Drop {
                grant: format!("{:016x}", 3).parse().unwrap()
            }]
        );
        let plan = planned(
            "email,id\nad\u{e4}@uni.edu,s1\nbob@uni.edu,s2\ncid@uni.edu,s3\n",
            AbsentRows::Replace,
        );
        assert_eq!(
            (counts(&plan), plan.steps),
            ([0, 0, 0, 0, 2, 1], vec![]),
            "the id says who it is"
        );
    }
}
