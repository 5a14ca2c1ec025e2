//! Rows of use are attributed to a programme or to none.

use super::*;
use crate::domain::testing::micros as usd;

const OURS: &str = "0123456789";
const GRANT: &str = "0123456789abcdef";
const UNGROUPED: &str = "aaaaaaaaaaaaaaaa";
const UNKNOWN: &str = "ffffffffffffffff";

fn key(deployment: &str, programme: &str, grant: &str) -> String {
    format!("bursar/{deployment}/{programme}/{grant}/1-0123456789abcdef")
}

fn day(number: i8) -> Date {
    Date::constant(2026, 11, number)
}

fn row(key_name: &str, model: &str, on: i8, micros: i64) -> ModelRow {
    let used = Sums { spent: usd(micros), byok: usd(micros / 2), requests: 1 };
    ModelRow { key_name: key_name.to_owned(), model: model.to_owned(), day: day(on), used }
}

/// The attribution with one grant in group A, and one in none.
fn attributed(rows: &[ModelRow]) -> Attribution {
    attribute(rows, &OURS.parse().unwrap(), |_, grant| match grant.as_str() {
        GRANT => Some(Some("A".to_owned())),
        UNGROUPED => Some(None),
        _ => None,
    })
}

/// The entries of a day of a programme, or of none.
fn uses<'a>(of: &'a Attribution, on: i8, programme: &str) -> Vec<(Option<&'a str>, &'a str, i64, u64)> {
    let uses = &of.days[&(day(on), programme.parse().ok())];
    uses.iter().map(|of| (of.whose.as_deref(), &*of.model, of.used.spent.micros(), of.used.requests)).collect()
}

#[test]
fn a_programmes_use_is_summed_by_group_model_and_day() {
    let (a, ungrouped) = (key(OURS, "cs", GRANT), key(OURS, "cs", UNGROUPED));
    let again = a.replace("/1-", "/2-");
    let rows = [
        row(&a, "m", 1, 10),
        row(&again, "m", 1, 5),
        row(&a, "n", 1, 1),
        row(&a, "m", 2, 7),
        row(&ungrouped, "m", 1, 3),
        row(&key(OURS, "law", GRANT), "m", 1, 2),
    ];
    let attribution = attributed(&rows);
    let expected = [(None, "m", 3, 1), (Some("A"), "m", 15, 2), (Some("A"), "n", 1, 1)];
    assert_eq!(uses(&attribution, 1, "cs"), expected);
    assert_eq!(uses(&attribution, 2, "cs"), [(Some("A"), "m", 7, 1)]);
    assert_eq!(uses(&attribution, 1, "law"), [(Some("A"), "m", 2, 1)]);
    assert_eq!(attribution.days.len(), 3, "none of it is no programme's");
    let of_model = &attribution.grants[&day(1)][&"cs".parse().unwrap()]["m"];
    let of_grants: Vec<_> = of_model.iter().map(|(grant, used)| (GrantId::of_bytes(*grant), used.requests)).collect();
    assert_eq!(of_grants, [(GRANT.parse().unwrap(), 2), (UNGROUPED.parse().unwrap(), 1)]);
}

#[test]
fn what_is_no_programmes_has_the_names_of_its_keys() {
    let others = key("9999999999", "cs", GRANT);
    let forged = key(OURS, "cs", GRANT).replace("/1-", "/01-");
    let unknown = key(OURS, "cs", UNKNOWN);
    let rows = [
        row("My key", "m", 1, 1),
        row(&others, "m", 1, 2),
        row(&forged, "m", 1, 3),
        row(&unknown, "m", 1, 4),
        row("", "m", 1, 5),
        row(&format!("{}é", "x".repeat(99)), &"m".repeat(300), 1, 6),
    ];
    let attribution = attributed(&rows);
    let (long, model) = ("x".repeat(99), "m".repeat(100));
    let mut expected = [
        (None, "m", 5, 1),
        (Some("My key"), "m", 1, 1),
        (Some(others.as_str()), "m", 2, 1),
        (Some(forged.as_str()), "m", 3, 1),
        (Some(unknown.as_str()), "m", 4, 1),
        (Some(long.as_str()), model.as_str(), 6, 1),
    ];
    expected.sort_unstable();
    assert_eq!(uses(&attribution, 1, ""), expected);
    assert!(attribution.grants.is_empty() && attribution.days.len() == 1);
}

#[test]
fn more_entries_than_an_item_holds_are_put_together_from_the_smallest_whatever_their_order() {
    let count = i64::try_from(MOST_ENTRIES).unwrap() + 50;
    let mut rows: Vec<ModelRow> = (0..count).map(|number| row(&format!("key {number}"), "m", 1, number + 1)).collect();
    rows.extend((0..count).map(|number| row(&key(OURS, "cs", GRANT), &format!("m{number}"), 1, number + 1)));
    let attribution = attributed(&rows);
    let smallest: i64 = (1..=50).sum();
    for (programme, whose) in [("", None), ("cs", Some("A"))] {
        let entries = uses(&attribution, 1, programme);
        assert_eq!((entries.len(), entries[0]), (MOST_ENTRIES + 1, (whose, "", smallest, 50)));
    }
    rows.reverse();
    assert_eq!(attributed(&rows), attribution);
}
