//! The reasons for which a registrar's file waits for a person. Without one it is applied at once.

use std::collections::{BTreeSet, HashMap};

use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::unreserved::Unreserved;
use bursar_core::domain::programme::{Budget, Settings};
use bursar_core::domain::values::format::counted;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Import, UNDONE_WITHIN};

use super::ComparedFile;
use super::compare::{RosterChange, RosterStep, domain};

/// A file adds, moves and drops so many people each, however small the roster is.
const FEW: usize = 5;
const FEW_REFUSED: usize = 2;

/// Each reason is a sentence. The imports are those of the last days.
pub(super) fn reasons_to_wait(
    compared: &ComparedFile,
    settings: &Settings,
    budget: &Budget,
    imports: &[Import],
    now: Moment,
) -> Vec<String> {
    let plan = &compared.plan;
    if plan.steps.is_empty() {
        return Vec::new();
    }
    let people = plan.standing;
    let most = FEW.max(people / 5);
    let [added, moved, dropped, refused] = [
        RosterChange::Added,
        RosterChange::Moved,
        RosterChange::Dropped,
        RosterChange::Refused,
    ]
    .map(|change| plan.count(change));
    let readdressed = plan.readdressed();
    let rows = plan.rows.len() - dropped;
    let is_second_today = imports.iter().any(|import| {
        import.is_unseen && import.applied && utc_date(import.made_at) == utc_date(now)
    });
    let BudgetNeed {
        implied, budget, ..
    } = BudgetNeed::calculate(compared, settings, budget, now);
    let reasons = [
        (
            readdressed > 0,
            format!(
                "It changes the address of {}.",
                counted(readdressed as u64, "person", "people")
            ),
        ),
        (
            refused > FEW_REFUSED.max(rows / 50),
            format!("Of its {rows} rows {refused} are refused."),
        ),
        (
            added > most,
            format!("It adds {added} to the {people} people on the roster, more than a fifth."),
        ),
        (
            moved > most,
            format!(
                "It moves {moved} of the {people} people on the roster to another group, more than a fifth."
            ),
        ),
        (
            dropped > most,
            format!("It drops {dropped} of the {people} people on the roster, more than a fifth."),
        ),
        (
            is_second_today,
            "Another file of the registrar was applied today, by UTC.".to_owned(),
        ),
        (
            implied > budget,
            format!(
                "If everybody on the roster claims a key, {} will be promised to students, and the budget is {}.",
                implied.up_to_the_cent().to_cents(),
                budget.to_cents()
            ),
        ),
    ];
    reasons
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, why)| why)
        .collect()
}

/// The money that a file needs of a budget.
pub(super) struct BudgetNeed {
    /// What is promised to students if everybody claims after the file, and what there is.
    pub(super) implied: Usd,
    pub(super) budget: Usd,
    /// The people who may take a key after it, and for how many of them the budget is enough.
    pub(super) unreserved: u64,
    pub(super) enough_for: u64,
}

impl BudgetNeed {
    /// A reservation of somebody who is dropped stays for a week, and the mark of it longer.
    pub(super) fn calculate(
        file: &ComparedFile,
        settings: &Settings,
        budget: &Budget,
        now: Moment,
    ) -> BudgetNeed {
        let mut after = Unreserved::default();
        let mut grants: HashMap<&GrantId, Grant> = file
            .grants
            .iter()
            .map(|grant| (&grant.id, grant.clone()))
            .collect();
        let cost = |grant: &Grant| settings.cost_of_a_key(grant.cap(settings), now);
        let mut reserved = budget.reserved;
        for step in &file.plan.steps {
            match (step, step.grant().and_then(|grant| grants.get_mut(grant))) {
                (RosterStep::Add { person, group, .. }, _) => {
                    let id = budget.programme.clone();
                    after.add(
                        &Grant::invited(id, GrantId::random(), person.clone(), group.clone()),
                        budget.counted_at,
                    );
                }
                (RosterStep::Move { group, .. }, Some(grant)) => {
                    let was = cost(grant);
                    grant.group.clone_from(group);
                    if grant.has_reservation {
                        reserved = reserved + cost(grant) - was;
                    }
                }
                (RosterStep::Return { .. }, Some(grant)) => {
                    let is_within_a_week = grant
                        .holds
                        .dropped
                        .is_some_and(|dropped_at| now < dropped_at + UNDONE_WITHIN);
                    grant.has_reservation &= is_within_a_week;
                    grant.holds.dropped = None;
                }
                (RosterStep::Drop { .. }, Some(grant)) => grant.holds.dropped = Some(now),
                _ => {}
            }
        }
        grants
            .values()
            .for_each(|grant| after.add(grant, budget.counted_at));
        BudgetNeed {
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
    let roster_domains: BTreeSet<&str> = standing
        .map(|grant| domain(&grant.person.address))
        .collect();
    let rows = file
        .plan
        .rows_with(RosterChange::Added)
        .chain(file.plan.rows_with(RosterChange::Changed));
    let domains: BTreeSet<&str> = rows
        .filter_map(|row| row.address.as_ref())
        .map(domain)
        .collect();
    domains.difference(&roster_domains).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use bursar_core::domain::grant::Person;
    use bursar_core::domain::values::address::EmailAddress;
    use bursar_core::domain::values::term::Term;
    use ulid::Ulid;

    use super::super::compare::AbsentRows;
    use super::super::parse;
    use super::*;

    fn now() -> Moment {
        "2026-11-16T06:00:00Z".parse().unwrap()
    }

    fn grant(number: u64) -> Grant {
        let address = EmailAddress::parse(&format!("p{number}@uni.edu")).unwrap();
        let person = Person {
            address,
            name: None,
            roster_id: Some(number.to_string()),
        };
        Grant::invited(
            "cs".parse().unwrap(),
            format!("{number:016x}").parse().unwrap(),
            person,
            None,
        )
    }

    /// A roster of these people, each with an id and in no group.
    fn roster(people: Range<u64>) -> Vec<Grant> {
        people.map(grant).collect()
    }

    /// A file of these people by number, each with what follows the id in the row.
    fn file(people: Range<u64>, rest: &str) -> String {
        people
            .map(|number| format!("p{number}@uni.edu,{number},{rest}\n"))
            .collect()
    }

    fn applied(made_at: Moment, is_unseen: bool) -> Import {
        Import {
            applied: true,
            is_unseen,
            ..Import::new(&"cs".parse().unwrap(), Ulid(1), 1, made_at)
        }
    }

    /// Why a file waits. Caps are ten dollars, in group B forty.
    fn why(
        grants: &[Grant],
        rows: &str,
        budget: i32,
        imports: &[Import],
        now: Moment,
    ) -> Vec<String> {
        let term = Term::new(
            "2026-11-01".parse().unwrap(),
            "2027-02-01".parse().unwrap(),
            "UTC",
        )
        .unwrap();
        let mut settings = Settings::new("CS", term, Usd::from_dollars(10));
        settings
            .allowance
            .group_caps
            .insert("B".to_owned(), Usd::from_dollars(40));
        let budget = Budget::new("cs".parse().unwrap(), Usd::from_dollars(budget));
        let file = parse::file(format!("email,id,group\n{rows}").as_bytes(), None).unwrap();
        let compared = ComparedFile::with(file, grants.to_vec(), AbsentRows::Replace, now);
        reasons_to_wait(&compared, &settings, &budget, imports, now)
    }

    #[test]
    fn each_reason_holds_from_one_more_on() {
        const MONEY: &str = "If everybody on the roster claims a key, $360.00 will be promised to students, and the budget is $350.00.";
        let readdressed = |count: u64| {
            let others: String = (0..count)
                .map(|number| format!("q{number}@uni.edu,{number},\n"))
                .collect();
            others + &file(count..20, "")
        };
        let refused = |count: usize| "nobody,,\n".repeat(count);
        let taken = file(1..20, "") + "p0@uni.edu,1000,\n";
        let swapped = "p1@uni.edu,0,\np0@uni.edu,1,\n".to_owned() + &file(2..20, "");
        for (people, rows, expected) in [
            (20, file(0..20, ""), ""),
            // Five, or a fifth.
            (20, file(0..25, ""), ""),
            (
                20,
                file(0..26, ""),
                "It adds 6 to the 20 people on the roster, more than a fifth.",
            ),
            (
                0,
                file(0..6, ""),
                "It adds 6 to the 0 people on the roster, more than a fifth.",
            ),
            (29, file(0..34, ""), ""),
            (
                29,
                file(0..35, ""),
                "It adds 6 to the 29 people on the roster, more than a fifth.",
            ),
            (20, file(5..20, ""), ""),
            (
                20,
                file(6..20, ""),
                "It drops 6 of the 20 people on the roster, more than a fifth.",
            ),
            (30, file(6..30, ""), ""),
            (
                30,
                file(7..30, ""),
                "It drops 7 of the 30 people on the roster, more than a fifth.",
            ),
            (30, file(5..35, ""), ""),
            (20, file(0..5, "C") + &file(5..20, ""), ""),
            (
                20,
                file(0..6, "C") + &file(6..20, ""),
                "It moves 6 of the 20 people on the roster to another group, more than a fifth.",
            ),
            // Any address.
            (20, readdressed(1), "It changes the address of 1 person."),
            (20, readdressed(6), "It changes the address of 6 people."),
            (20, taken, "It changes the address of 1 person."),
            (20, swapped, "It changes the address of 2 people."),
            (20, file(0..20, "").replace("uni.edu", "UNI.edu"), ""),
            (20, file(0..20, "") + "x@sub.uni.edu,x,\n", ""),
            // Two rows, or 2 %.
            (30, file(0..31, "") + &refused(2), ""),
            (
                30,
                file(0..31, "") + &refused(3),
                "Of its 34 rows 3 are refused.",
            ),
            (30, file(0..30, "") + &refused(3), ""),
            // Thirty-five caps.
            (30, file(0..35, ""), ""),
            (35, file(0..36, ""), MONEY),
            (
                35,
                file(0..35, "").replace("p0@uni.edu,0,", "p0@uni.edu,0,B"),
                &MONEY.replace("360", "380"),
            ),
            (37, file(0..36, ""), MONEY),
            (36, file(0..35, ""), ""),
        ] {
            assert_eq!(
                why(&roster(0..people), &rows, 350, &[], now()).join(" "),
                expected,
                "{people} people\n{rows}"
            );
        }
        let many = file(0..200, "") + &refused(4);
        assert_eq!(why(&roster(0..199), &many, 9_000, &[], now()), [""; 0]);
        assert_eq!(
            why(&roster(0..199), &(many + &refused(1)), 9_000, &[], now()),
            ["Of its 205 rows 5 are refused."]
        );
    }

    #[test]
    fn one_file_a_day_is_applied_by_itself() {
        let first = "2026-11-16T00:00:00Z".parse::<Moment>().unwrap();
        let second = "Another file of the registrar was applied today, by UTC.";
        for (import, expected) in [
            (applied(first, true), second),
            (
                applied(first - jiff::SignedDuration::from_secs(1), true),
                "",
            ),
            (applied(first, false), ""),
            (
                Import {
                    applied: false,
                    ..applied(first, true)
                },
                "",
            ),
        ] {
            let reasons = |rows: &str| {
                why(
                    &roster(0..20),
                    rows,
                    350,
                    std::slice::from_ref(&import),
                    now(),
                )
                .join(" ")
            };
            assert_eq!(reasons(&file(0..21, "")), expected);
            assert_eq!(reasons(&file(0..20, "")), "", "nothing changes");
        }
    }
}
