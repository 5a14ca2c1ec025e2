//! Which months are due, whose rows are whose, and what differs since.

use super::*;
use crate::domain::programme::testing::a_programme;
use crate::domain::testing::{at, date};
use crate::domain::values::address::EmailAddress;

fn address(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()
}

fn programme(name: &str, finance: &[&str]) -> Programme {
    let mut settings = a_programme().settings;
    settings.name = name.to_owned();
    settings.people.finance = finance.iter().map(|name| address(name)).collect();
    settings.texts.cost_code = Some(format!("of {name}"));
    Programme::new(ProgrammeId::of_name(name), settings)
}

fn row(programme: Option<&Programme>, kind: RowKind, dollars: i32) -> StatementRow {
    StatementRow {
        programme: programme.map(|programme| programme.id.clone()),
        cost_code: programme.and_then(|programme| programme.settings.texts.cost_code.clone()),
        kind,
        spent: Usd::from_dollars(dollars),
    }
}

fn january(rows: Vec<StatementRow>) -> Statement {
    let days = StatementDays { from: date("2026-01-01"), to: date("2026-01-31") };
    let (from, to) = (at("2026-01-01T00:20:00Z"), at("2026-02-01T00:20:00Z"));
    Statement { days, from, to, rows, change: Usd::from_dollars(60), bought: Usd::ZERO, is_the_first: false }
}

#[test]
fn a_month_is_due_from_the_third_on_once_and_not_before_the_first_cut() {
    let due = |newest: Option<&str>, first_cut, now| {
        let months = months_due(newest.map(date), at(first_cut), at(now));
        months.iter().map(|days| days.from.strftime("%Y-%m").to_string()).collect::<Vec<_>>()
    };
    let first_cut = "2026-10-14T00:20:00Z";
    assert!(due(None, first_cut, "2026-11-02T23:59:59Z").is_empty());
    assert_eq!(due(None, first_cut, "2026-11-03T00:00:00Z"), ["2026-10"]);
    assert_eq!(due(None, first_cut, "2026-12-02T23:59:59Z"), ["2026-10"], "until the next is due it waits alone");
    assert_eq!(due(None, first_cut, "2027-01-03T00:00:00Z"), ["2026-10", "2026-11", "2026-12"]);
    assert_eq!(due(Some("2026-11-01"), first_cut, "2027-01-30T00:00:00Z"), ["2026-12"]);
    assert!(due(Some("2026-12-01"), first_cut, "2027-02-02T23:59:59Z").is_empty());
    assert_eq!(due(None, first_cut, "2029-01-03T00:00:00Z").len(), 12);
    assert!(due(None, "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z").is_empty(), "October had no cut");
}

#[test]
fn an_address_has_the_rows_of_the_programmes_that_name_it_and_no_others() {
    let (maths, physics) = (programme("Maths", &["fin", "fay"]), programme("Physics", &["FIN"]));
    let mut over = programme("Over", &["fin"]);
    over.closed_at = Some(at("2025-12-31T00:00:00Z"));
    let rows = vec![
        row(Some(&maths), RowKind::Keys, 1),
        row(Some(&maths), RowKind::Byok, 2),
        row(Some(&physics), RowKind::Keys, 0),
        row(Some(&over), RowKind::Keys, 0),
        row(Some(&over), RowKind::Byok, 3),
        row(None, RowKind::Residual, 4),
    ];
    let programmes = [maths, physics, over];
    let mailed = MailedStatement::of(&january(rows), &programmes, at("2026-02-03T00:21:00Z"));
    let theirs = |who: &str| {
        let rows = mailed.rows_of(address(who).matched(), &programmes);
        rows.iter().map(|row| format!("{} {}", row.name.as_ref().unwrap(), row.row.kind.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(theirs("fin"), ["Maths keys", "Maths byok", "Physics keys", "Over byok"]);
    assert_eq!(theirs("fay"), ["Maths keys", "Maths byok"]);
    assert!(theirs("faye").is_empty());
    let rows = mailed.rows_of(address("fin").matched(), &programmes);
    assert_eq!(mailed.statement(&rows).total(), Usd::from_dollars(1), "estimates of other bills are in no sum");
}

#[test]
fn what_differs_since_is_told_row_by_row_and_what_does_not_is_not() {
    let (maths, physics) = (programme("Maths", &[]), programme("Physics", &[]));
    let rows = vec![row(Some(&maths), RowKind::Keys, 1), row(None, RowKind::Unowned, 5)];
    let before = [maths.clone(), physics.clone()];
    let mailed = MailedStatement::of(&january(rows.clone()), &before, at("2026-02-03T00:21:00Z"));
    let again = [rows.clone(), vec![row(Some(&physics), RowKind::Keys, 0)]].concat();
    assert_eq!(mailed.differences(&january(again), &before), [], "a new row without spending is no difference");

    let mut renamed = maths.clone();
    renamed.settings.name = "Maths II".to_owned();
    renamed.settings.texts.cost_code = None;
    let now = vec![row(Some(&renamed), RowKind::Keys, 1), row(Some(&physics), RowKind::Byok, 2)];
    let differences = mailed.differences(&january(now), &[renamed, physics.clone()]);
    let of = |programme: Option<&Programme>, kind, what| RowDifference {
        programme: programme.map(|programme| programme.id.clone()),
        kind,
        what,
    };
    let (name, code) = (|name: &str| Some(name.to_owned()), Some("of Maths".to_owned()));
    let expected = [
        of(Some(&maths), RowKind::Keys, ChangedCell::Name(name("Maths"), name("Maths II"))),
        of(Some(&maths), RowKind::Keys, ChangedCell::CostCode(code, None)),
        of(None, RowKind::Unowned, ChangedCell::Spent(Usd::from_dollars(5), Usd::ZERO)),
        of(Some(&physics), RowKind::Byok, ChangedCell::Spent(Usd::ZERO, Usd::from_dollars(2))),
    ];
    assert_eq!(differences, expected);
}
