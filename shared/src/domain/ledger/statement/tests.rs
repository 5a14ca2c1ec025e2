//! Statements of cuts that were made by hand.

use super::*;
use crate::domain::ledger::cut::ProgrammeCut;
use crate::domain::testing::{at, micros as usd};
use crate::domain::usage::reconciliation::AccountSpending;
use crate::domain::values::term::Term;

fn days(from: &str, to: &str) -> StatementDays {
    StatementDays::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

/// A cut whose parts add up: keys of these programmes, foreign keys, opening, residual and unsettled.
fn cut(as_of: Moment, keys: &[(&str, i64, i64)], [foreign, opening, residual, unsettled]: [i64; 4]) -> AccountCut {
    let spent = usd(keys.iter().map(|(_, credits, _)| credits).sum::<i64>() + foreign + opening + residual + unsettled);
    let programme = |(id, credits, byok): &(&str, i64, i64)| ProgrammeCut {
        programme: id.parse().unwrap(),
        used: LifetimeUse { credits: usd(*credits), byok: usd(*byok) },
    };
    AccountCut {
        as_of,
        bought: usd(1_000),
        spent: AccountSpending { before: spent, after: spent },
        programmes: keys.iter().map(programme).collect(),
        foreign: usd(foreign),
        opening: usd(opening),
        residual: usd(residual),
        unsettled: usd(unsettled),
    }
}

/// The changes of one foreign key that used all that the cuts have of foreign keys.
fn changes(cuts: &[AccountCut]) -> Vec<KeyChange> {
    let used = |cut: &AccountCut| LifetimeUse { credits: cut.foreign, byok: usd(0) };
    let key: KeyHash = "a".repeat(64).parse().unwrap();
    cuts.windows(2).map(|two| KeyChange { key: key.clone(), before: used(&two[0]), after: used(&two[1]) }).collect()
}

/// The statement of cuts since the beginning of the days, where no foreign key has an owner.
fn of_cuts(days: StatementDays, cuts: &[AccountCut]) -> Option<Statement> {
    let between = days.cuts(cuts);
    Statement::of(days, between, &changes(between), &KeyShares::new(), cuts.first()?.as_of, &programmes())
}

/// A programme that runs for years, with a cost code but for the seminar; the office is a cost centre, and the old one is over.
fn programmes() -> Vec<Programme> {
    let of = |id: &str| {
        let ends_on = if id == "old" { "2026-09-01" } else { "2030-01-01" };
        let term = Term::new("2026-01-01".parse().unwrap(), ends_on.parse().unwrap(), "UTC").unwrap();
        let cost_code = (id != "seminar").then(|| format!("4711-{id}"));
        let mut settings = Settings { roster: id != "office", ..Settings::new(id, term, usd(1)) };
        settings.texts.cost_code = cost_code;
        Programme::new(id.parse().unwrap(), settings)
    };
    ["cs", "seminar", "office", "old"].map(of).to_vec()
}

#[test]
fn a_statement_is_the_difference_of_two_cuts_by_cost_code_and_the_rest_last() {
    let last = [("old", 0, 0), ("office", 0, 0), ("seminar", 7, 0), ("cs", 30, 4)];
    let cuts = [
        cut(at("2026-10-01T02:00:00Z"), &[("cs", 10, 1)], [5, 3, 0, 1]),
        cut(at("2026-10-20T02:00:00Z"), &[("cs", 11, 1)], [5, 3, 0, 1]),
        cut(at("2026-11-01T02:00:00Z"), &last, [9, 4, 2, 0]),
    ];
    let made = of_cuts(days("2026-10-01", "2026-10-31"), &cuts).unwrap();
    assert_eq!((made.from, made.to, made.notes()), (cuts[0].as_of, cuts[2].as_of, Vec::new()));
    let rows = made.rows.iter().map(|row| {
        let programme = row.programme.as_ref().map(ProgrammeId::as_str);
        (row.cost_code.as_deref(), programme, row.kind.as_str(), row.spent.micros())
    });
    let expected = [
        (Some("4711-cs"), Some("cs"), "keys", 20),
        (Some("4711-cs"), Some("cs"), "byok", 3),
        (None, Some("seminar"), "keys", 7),
        (None, None, "unowned", 4),
        (None, None, "unsettled", -1),
        (None, None, "residual", 2),
        (None, None, "opening", 1),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    assert_eq!((made.total(), made.change), (usd(33), usd(33)));
}

#[test]
fn without_a_cut_on_the_day_it_is_said_which_one_was_taken() {
    let quiet = |text: &str| cut(at(text), &[], [0; 4]);
    let of = |cuts: &[AccountCut]| of_cuts(days("2026-10-01", "2026-10-31"), cuts).unwrap();
    let (first, late, end) = ("2026-10-01T23:59:00Z", "2026-10-03T00:00:00Z", "2026-11-02T00:00:00Z");
    let notes = |cuts: &[&str]| of(&cuts.iter().map(|text| quiet(text)).collect::<Vec<_>>()).notes();
    assert_eq!(notes(&[first, "2026-11-01T00:00:00Z"]), []);
    assert_eq!(notes(&[late, end]), [EdgeNote::BeginsWithTheFirst(at(late)), EdgeNote::EndsLate(at(end))]);
    assert_eq!(notes(&[first, late]), [EdgeNote::NotOver(at(late))]);
    let second = Statement { is_the_first: false, ..of(&[quiet(late), quiet(end)]) };
    assert_eq!(second.notes()[0], EdgeNote::BeginsLate(at(late)), "what was before is in the statement before");
    let one = of(&[quiet(late)]);
    assert_eq!((one.from, one.to, one.total()), (at(late), at(late), usd(0)));
    assert_eq!(of_cuts(days("2026-10-01", "2026-10-31"), &[]), None);
}

#[test]
fn the_month_before_is_that_of_the_calendar_and_days_are_in_order() {
    assert_eq!(StatementDays::month_before("2026-03-31".parse().unwrap()), days("2026-02-01", "2026-02-28"));
    assert_eq!(StatementDays::new("2026-02-02".parse().unwrap(), "2026-02-01".parse().unwrap()), None);
}
