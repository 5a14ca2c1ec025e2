//! Why a registrar's file is not applied by itself but waits for a person.

use std::collections::{BTreeSet, HashMap};

use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::unreserved::Unreserved;
use bursar_core::domain::programme::{Budget, Settings};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Import;
use jiff::SignedDuration;

use super::ComparedFile;
use super::compare::{RosterChange, RosterStep, domain};

/// The most changes of a kind that are few, whatever their share.
const FEW: usize = 5;
/// The most refused rows that are few.
const FEW_REFUSED: usize = 2;
/// How long a drop, another address, a move or somebody whom no person saw added counts together with those of the file.
const LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);
const NAMED: usize = 5;

/// What a file is judged by beside itself and the grants.
pub(super) struct Standing<'a> {
    pub(super) settings: &'a Settings,
    pub(super) budget: &'a Budget,
    /// The header of the file that was applied last, if one ever was.
    pub(super) last_header: Option<&'a str>,
    /// Whether a person has applied a file that was put with this token.
    pub(super) is_trusted: bool,
    /// What was applied lately, of whatever origin.
    pub(super) imports: &'a [Import],
    pub(super) now: Moment,
}

/// The reasons, a sentence each; none where the file may be applied by itself.
pub(super) fn why(compared: &ComparedFile, standing: &Standing<'_>) -> Vec<String> {
    let ComparedFile { file, plan, grants, .. } = compared;
    let people = plan.standing;
    let [added, dropped, refused] =
        [RosterChange::Added, RosterChange::Dropped, RosterChange::Refused].map(|change| plan.count(change));
    let mut why = Vec::new();
    let mut because = |holds: bool, sentence: String| why.extend(holds.then_some(sentence));

    // What changes nothing cannot be read wrongly.
    let changes = !plan.steps.is_empty();
    because(changes && !standing.is_trusted, "It is the first file that is put with this token.".to_owned());
    because(
        changes && standing.last_header.is_some_and(|last| last != file.header),
        "Its header is another than that of the last file that was applied.".to_owned(),
    );
    let dropped_lately = grants.iter().filter(|grant| !grant.is_over() && is_late(grant, standing.now)).count();
    let added_lately = standing.lately(|import| if import.is_unseen { import.changes.added } else { 0 });
    for (what, count, preposition, lately) in [
        ("drops", dropped, "of the", dropped_lately),
        (
            "gives another address to",
            plan.count_of(RosterStep::readdresses),
            "of the",
            standing.lately(|import| import.readdressed),
        ),
        (
            "moves to another group",
            plan.count(RosterChange::Moved),
            "of the",
            standing.lately(|import| import.changes.moved),
        ),
        ("adds", added, "to the", added_lately),
    ] {
        let with = match lately {
            0 => String::new(),
            _ => format!("with the {lately} of the last seven days "),
        };
        because(
            count > 0 && count + lately > FEW && (count + lately) * 5 > people,
            format!("It {what} {count} {preposition} {people} people on the roster, {with}more than a fifth."),
        );
    }
    let BudgetNeed { before, implied, budget, .. } =
        BudgetNeed::calculate(compared, standing.settings, standing.budget, standing.now);
    let needed = before.max(implied);
    // Who returns takes money as well.
    let joined = added + plan.count(RosterChange::Returned);
    because(
        joined > 0 && joined + added_lately > FEW && budget < needed,
        format!(
            "If everybody on the roster claimed a key, {} would be promised to students then, and the budget is {}.",
            needed.up_to_the_cent().to_cents(),
            budget.to_cents()
        ),
    );
    let unknown = unknown_domains(compared);
    because(
        !unknown.is_empty(),
        format!("Nobody on the roster has an address at {} so far.", unknown[..NAMED.min(unknown.len())].join(", ")),
    );
    let conflicts = plan.conflicts();
    because(conflicts > 0, format!("Addresses that belong to another id on the roster: {conflicts}."));
    let rows = plan.rows.len() - dropped;
    because(
        changes && refused > FEW_REFUSED && refused * 50 > rows,
        format!("Of its {rows} rows {refused} are refused."),
    );
    if let Some(line) = file.broken {
        because(changes, format!("The row of line {line} goes over several lines: check its quotes."));
    }
    why
}

impl Standing<'_> {
    fn lately(&self, count: fn(&Import) -> usize) -> usize {
        let rosters = self.imports.iter().filter(|import| import.is_applied_roster());
        rosters.filter(|import| import.made_at > self.now - LATELY).map(count).sum()
    }
}

/// Whether somebody was dropped within a week.
fn is_late(grant: &Grant, now: Moment) -> bool {
    grant.holds.dropped.is_some_and(|dropped_at| dropped_at > now - LATELY)
}

/// The money that a file needs of a budget.
pub(super) struct BudgetNeed {
    /// What is promised to students if everybody claims, before the file and after it, and what there is.
    before: Usd,
    pub(super) implied: Usd,
    pub(super) budget: Usd,
    /// The people who may take a key after it, and for how many of them the budget is enough.
    pub(super) unreserved: u64,
    pub(super) enough_for: u64,
}

impl BudgetNeed {
    /// A reservation of somebody who is dropped stays for a week, and the mark of it longer.
    pub(super) fn calculate(file: &ComparedFile, settings: &Settings, budget: &Budget, now: Moment) -> BudgetNeed {
        let mut before = Unreserved::default();
        let mut after = Unreserved::default();
        file.grants.iter().for_each(|grant| before.add(grant, budget.counted_at));
        let mut grants: HashMap<&GrantId, Grant> = file.grants.iter().map(|grant| (&grant.id, grant.clone())).collect();
        let cost = |grant: &Grant| settings.cost_of_a_key(grant.cap(settings), now);
        let mut reserved = budget.reserved;
        for step in &file.plan.steps {
            match (step, step.grant().and_then(|grant| grants.get_mut(grant))) {
                (RosterStep::Add { person, group, .. }, _) => {
                    let id = budget.programme.clone();
                    after.add(&Grant::invited(id, GrantId::random(), person.clone(), group.clone()), budget.counted_at);
                }
                (RosterStep::Move { group, .. }, Some(grant)) => {
                    let was = cost(grant);
                    grant.group.clone_from(group);
                    if grant.has_reservation {
                        reserved = reserved + cost(grant) - was;
                    }
                }
                (RosterStep::Return { .. }, Some(grant)) => {
                    grant.has_reservation &= is_late(grant, now);
                    grant.holds.dropped = None;
                }
                (RosterStep::Drop { .. }, Some(grant)) => grant.holds.dropped = Some(now),
                _ => {}
            }
        }
        grants.values().for_each(|grant| after.add(grant, budget.counted_at));
        BudgetNeed {
            before: budget.reserved + before.cost(settings, now),
            implied: reserved + after.cost(settings, now),
            budget: budget.limit,
            unreserved: after.people(settings, now),
            enough_for: after.enough_for(budget.limit - reserved, settings, now),
        }
    }
}

/// The domains of those whom the file adds or changes that nobody on the roster has.
pub(super) fn unknown_domains(file: &ComparedFile) -> Vec<&str> {
    let standing = file.grants.iter().filter(|grant| !grant.is_over());
    let roster_domains: BTreeSet<&str> = standing.map(|grant| domain(&grant.person.address)).collect();
    let rows = file.plan.rows_with(RosterChange::Added).chain(file.plan.rows_with(RosterChange::Changed));
    let domains: BTreeSet<&str> = rows.filter_map(|row| row.address.as_ref()).map(domain).collect();
    domains.difference(&roster_domains).copied().collect()
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::grant::Person;
    use bursar_core::domain::values::address::EmailAddress;
    use ulid::Ulid;

    use bursar_core::domain::values::term::Term;
    use bursar_core::store::RosterChanges;

    use super::super::compare::AbsentRows;
    use super::super::parse;
    use super::*;

    fn now() -> Moment {
        "2026-11-16T06:00:00Z".parse().unwrap()
    }

    /// A roster of these people in no group, each with an id, of whom the first so many were dropped two days ago.
    fn roster(people: u64, dropped: u64) -> Vec<Grant> {
        let grant = |number: u64| {
            let address = EmailAddress::parse(&format!("p{number}@uni.edu")).unwrap();
            let person = Person { address, name: None, roster_id: Some(number.to_string()) };
            let id = format!("{number:016x}").parse().unwrap();
            let mut grant = Grant::invited("cs".parse().unwrap(), id, person, None);
            grant.holds.dropped = (number < dropped).then(|| now() - SignedDuration::from_hours(48));
            grant
        };
        (0..people).map(grant).collect()
    }

    /// A file of these people by number, each with what follows the id in the row.
    fn file(people: std::ops::Range<u64>, rest: &str) -> String {
        people.map(|number| format!("p{number}@uni.edu,{number},{rest}\n")).collect()
    }

    /// Why such a file waits. The budget is enough for 35 people in no group, with caps of ten dollars; those in B have forty.
    fn why(grants: Vec<Grant>, rows: &str, last: Option<&str>, imports: &[Import]) -> Vec<String> {
        let term = Term::new("2026-11-01".parse().unwrap(), "2027-02-01".parse().unwrap(), "UTC").unwrap();
        let mut settings = Settings::new("CS", term, Usd::from_dollars(10));
        settings.allowance.group_caps.insert("B".to_owned(), Usd::from_dollars(40));
        let budget = Budget::new("cs".parse().unwrap(), Usd::from_dollars(350));
        let parsed = |text: &str| parse::file(text.as_bytes(), None).unwrap();
        let last = last.map(|header| parsed(&format!("{header}\nx@uni.edu\n")).header);
        let compared =
            ComparedFile::with(parsed(&format!("email,id,group\n{rows}")), grants, AbsentRows::Replace, now());
        let last_header = last.as_deref();
        let is_trusted = last.is_some();
        let standing = Standing { settings: &settings, budget: &budget, last_header, is_trusted, imports, now: now() };
        super::why(&compared, &standing)
    }

    #[test]
    fn a_file_waits_for_each_reason_and_for_none_below_it() {
        const HELD: &str = "If everybody on the roster claimed a key, $360.00 would be promised to students then, and the budget is $350.00.";
        const LATELY: &str =
            "It drops 6 of the 30 people on the roster, with the 2 of the last seven days more than a fifth.";
        const BROKEN: &str = "q@uni.edu,\"x\nr@uni.edu\",,,too many\n";
        const ACCEPTED: &str = "q@uni.edu,20,\"A\nr@uni.edu\"\n";
        let readdressed = |count: u64| {
            let others: String = (0..count).map(|number| format!("q{number}@uni.edu,{number},\n")).collect();
            others + &file(count..20, "")
        };
        let other = |domain: &str| format!("{}x@{domain},x,\n", file(0..20, ""));
        let refused = |count: usize| file(0..50, "") + &"nobody,,\n".repeat(count);
        let taken = file(1..20, "") + "p0@uni.edu,1000,\n";
        for (people, dropped, rows, expected) in [
            // The roster as it is, and few changes of each kind.
            (20, 0, file(0..20, ""), ""),
            (20, 0, file(0..25, ""), ""),
            (20, 0, file(5..20, ""), ""),
            (30, 0, file(6..30, ""), ""),
            (30, 0, file(0..36, ""), HELD),
            (36, 0, file(0..41, ""), ""),
            (36, 0, file(0..42, ""), &HELD.replace("$360", "$420")),
            (36, 0, file(7..42, ""), HELD),
            (36, 0, file(6..36, ""), ""),
            // Those who come and go are the same number.
            (30, 0, file(6..36, ""), ""),
            (20, 0, file(6..20, ""), "It drops 6 of the 20 people on the roster, more than a fifth."),
            (30, 2, file(8..30, ""), LATELY),
            (
                20,
                5,
                file(6..20, ""),
                "It drops 1 of the 20 people on the roster, with the 5 of the last seven days more than a fifth.",
            ),
            (60, 2, file(8..60, ""), ""),
            (20, 0, file(0..26, ""), "It adds 6 to the 20 people on the roster, more than a fifth."),
            (20, 0, other("sub.uni.edu"), "Nobody on the roster has an address at sub.uni.edu so far."),
            (20, 0, other("uni.edu"), ""),
            (20, 0, readdressed(5), ""),
            (20, 0, readdressed(6), "It gives another address to 6 of the 20 people on the roster, more than a fifth."),
            (20, 0, file(0..5, "C") + &file(5..20, ""), ""),
            (
                20,
                0,
                file(0..6, "C") + &file(6..20, ""),
                "It moves to another group 6 of the 20 people on the roster, more than a fifth.",
            ),
            (20, 0, file(0..21, "") + BROKEN, "The row of line 23 goes over several lines: check its quotes."),
            (20, 0, file(0..20, "") + ACCEPTED, "The row of line 22 goes over several lines: check its quotes."),
            (20, 0, taken, "Addresses that belong to another id on the roster: 1."),
            (50, 0, refused(2), ""),
            (200, 0, file(0..200, "") + &"nobody,,\n".repeat(3), ""),
            (50, 0, refused(3), ""),
            (50, 0, refused(3) + "new@uni.edu,1000,\n", "Of its 54 rows 3 are refused."),
        ] {
            let why = why(roster(people, dropped), &rows, Some("email,id,group"), &[]);
            assert_eq!(why.join(" "), expected, "{people} people, {dropped} dropped before\n{rows}");
        }
        // The mark of a reservation outlives it, and whoever returns then takes another.
        let lately = |age: i64| {
            let made_at = now() - SignedDuration::from_hours(age * 24);
            let of = Import::new(&"cs".parse().unwrap(), Ulid(1), 0, made_at);
            let changes = RosterChanges { moved: 5, added: 5, ..RosterChanges::default() };
            Import { readdressed: 5, changes, is_unseen: true, applied: true, ..of }
        };
        let mut late = roster(35, 0);
        (late[34].holds.dropped, late[34].has_reservation) = (Some(now() - SignedDuration::from_hours(8 * 24)), true);
        assert_eq!(why(late, &file(0..36, ""), Some("email,id,group"), &[lately(6)]), [HELD]);
        let rows = readdressed(1).replace("p19@uni.edu,19,", "p19@uni.edu,19,C") + &file(20..21, "");
        for (age, reasons) in [(6, 3), (8, 0)] {
            let why = why(roster(20, 0), &rows, Some("email,id,group"), &[lately(age)]);
            assert_eq!(why.len(), reasons, "{why:?}");
        }
        let others = file(0..21, "");
        for (last, expected) in [
            (None, "It is the first file that is put with this token."),
            (Some("EMAIL, id ,group"), ""),
            (Some("id,email,group"), "Its header is another than that of the last file that was applied."),
        ] {
            assert_eq!(why(roster(20, 0), &others, last, &[]).join(" "), expected);
            assert_eq!(why(roster(20, 0), &file(0..20, ""), last, &[]), [""; 0], "nothing changes");
        }
    }
}
