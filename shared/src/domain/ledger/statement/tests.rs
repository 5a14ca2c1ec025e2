//! Statements of cuts that were made by hand, and of drawn nights.

use proptest::prelude::*;

use super::*;
use crate::domain::ledger::cut::ProgrammeCut;
use crate::domain::usage::reconciliation::AccountSpending;

fn usd(micros: i64) -> Usd {
    Usd::from_micros(micros)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(from: &str, to: &str) -> StatementDays {
    StatementDays::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

/// A cut whose parts add up: keys of these programmes, foreign keys, opening, residual and unsettled.
fn cut(as_of: Timestamp, keys: &[(&str, i64, i64)], [foreign, opening, residual, unsettled]: [i64; 4]) -> AccountCut {
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

fn cost_code(programme: &ProgrammeId) -> Option<String> {
    (programme.as_str() != "seminar").then(|| format!("4711-{programme}"))
}

#[test]
fn a_statement_is_the_difference_of_two_cuts_by_cost_code_and_the_rest_last() {
    let cuts = [
        cut(at("2026-10-01T02:00:00Z"), &[("cs", 10, 1)], [5, 3, 0, 1]),
        cut(at("2026-10-20T02:00:00Z"), &[("cs", 11, 1)], [5, 3, 0, 1]),
        cut(at("2026-11-01T02:00:00Z"), &[("seminar", 7, 0), ("cs", 30, 4)], [9, 4, 2, 0]),
    ];
    let made = Statement::of(days("2026-10-01", "2026-10-31"), &cuts, cost_code).unwrap();
    assert_eq!((made.from, made.to, made.notes()), (cuts[0].as_of, cuts[2].as_of, Vec::new()));
    let rows: Vec<_> = made
        .rows
        .iter()
        .map(|row| {
            let programme = row.programme.as_ref().map(ProgrammeId::as_str);
            (row.cost_code.as_deref(), programme, row.kind.as_str(), row.spent.micros())
        })
        .collect();
    let expected = [
        (Some("4711-cs"), Some("cs"), "keys", 20),
        (Some("4711-cs"), Some("cs"), "byok", 3),
        (None, Some("seminar"), "keys", 7),
        (None, None, "unowned", 4),
        (None, None, "unsettled", -1),
        (None, None, "residual", 2),
        (None, None, "opening", 1),
    ];
    assert_eq!(rows, expected);
    assert_eq!((made.total(), made.change), (usd(33), usd(33)));
}

#[test]
fn without_a_cut_on_the_day_it_is_said_which_one_was_taken() {
    let quiet = |text: &str| cut(at(text), &[], [0; 4]);
    let of = |cuts: &[AccountCut]| Statement::of(days("2026-10-01", "2026-10-31"), cuts, cost_code).unwrap();
    let (first, late, end) = ("2026-10-01T23:59:00Z", "2026-10-03T00:00:00Z", "2026-11-02T00:00:00Z");
    let notes = |cuts: &[&str]| of(&cuts.iter().map(|text| quiet(text)).collect::<Vec<_>>()).notes();
    assert_eq!(notes(&[first, "2026-11-01T00:00:00Z"]), []);
    assert_eq!(notes(&[late, end]), [EdgeNote::BeginsLate(at(late)), EdgeNote::EndsLate(at(end))]);
    assert_eq!(notes(&[first, late]), [EdgeNote::NotOver(at(late))]);
    let one = of(&[quiet(late)]);
    assert_eq!((one.from, one.to, one.total()), (at(late), at(late), usd(0)));
    assert_eq!(Statement::of(days("2026-10-01", "2026-10-31"), &[], cost_code), None);
}

#[test]
fn whole_months_and_the_month_before_are_those_of_the_calendar() {
    assert!(days("2026-02-01", "2026-03-31").are_whole_months());
    assert!(
        !days("2026-02-01", "2026-02-27").are_whole_months() && !days("2026-02-02", "2026-02-28").are_whole_months()
    );
    assert_eq!(StatementDays::month_before("2026-03-31".parse().unwrap()), days("2026-02-01", "2026-02-28"));
    assert_eq!(StatementDays::new("2026-02-02".parse().unwrap(), "2026-02-01".parse().unwrap()), None);
}

proptest! {
    #[test]
    fn the_rows_add_up_to_the_account_and_months_in_a_row_to_their_whole(
        grew in prop::collection::vec((0_i64..99, 0_i64..99, -50_i64..50, 0_i64..9, 0_i64..9), 3..70),
    ) {
        let (mut cs, mut foreign, mut residual, mut opening) = (0, 0, 0, 500);
        let mut cuts = Vec::new();
        for (night, (keys, other, lost, unsettled, narrowed)) in (0_i64..).zip(&grew) {
            (cs, foreign, residual, opening) = (cs + keys, foreign + other, residual + lost, opening + narrowed);
            let as_of = at("2026-10-01T02:00:00Z") + (night * 24).hours();
            cuts.push(cut(as_of, &[("cs", cs, 0)], [foreign, opening, residual, *unsettled]));
        }
        let of = |from: &str, to: &str| {
            let days = days(from, to);
            let since: Vec<_> = cuts.iter().filter(|cut| cut.as_of >= days.begin()).cloned().collect();
            let since = if since.is_empty() { vec![cuts.last().unwrap().clone()] } else { since };
            Statement::of(days, &since, cost_code).unwrap()
        };
        let (october, november) = (of("2026-10-01", "2026-10-31"), of("2026-11-01", "2026-11-30"));
        let both = of("2026-10-01", "2026-11-30");
        for made in [&october, &november, &both] {
            prop_assert_eq!(made.total(), made.change);
        }
        prop_assert_eq!(october.total() + november.total(), both.total());
        prop_assert_eq!(october.of_kind(RowKind::Keys) + november.of_kind(RowKind::Keys), both.of_kind(RowKind::Keys));
    }
}
