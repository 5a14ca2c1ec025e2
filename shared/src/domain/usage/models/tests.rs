//! Every cent of the rows is attributed once, or unattributed once.

use proptest::prelude::*;

use super::*;

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
    ModelRow {
        key_name: key_name.to_owned(),
        model: model.to_owned(),
        day: day(on),
        spent: Usd::from_micros(micros),
        byok: Usd::from_micros(micros / 2),
        requests: 1,
    }
}

fn of_account(model: &str, permaslug: &str, on: i8, micros: i64) -> ActivityRow {
    ActivityRow {
        day: day(on),
        model: model.to_owned(),
        permaslug: permaslug.to_owned(),
        spent: Usd::from_micros(micros),
        byok: Usd::from_micros(micros / 2),
        requests: 3,
    }
}

/// The attribution with one grant in group A, and one in none.
fn attributed(rows: &[ModelRow], activity: &[ActivityRow]) -> Attribution {
    let deployment = OURS.parse().unwrap();
    let group_of = |_: &ProgrammeId, grant: &GrantId| match grant.as_str() {
        GRANT => Some(Some("A".to_owned())),
        UNGROUPED => Some(None),
        _ => None,
    };
    let owners = Owners { deployment: &deployment, group_of: &group_of };
    attribute(rows, activity, &owners)
}

fn uses(attribution: &Attribution, on: i8, programme: &str) -> Vec<(Option<String>, String, i64, u64)> {
    let uses = &attribution.programmes[&(day(on), programme.parse().unwrap())];
    uses.iter().map(|one| (one.group.clone(), one.model.clone(), one.spent.micros(), one.requests)).collect()
}

fn nobodys(attribution: &Attribution, on: i8) -> Vec<(UnattributedReason, Option<&str>, &str, i64)> {
    let uses = attribution.unattributed.get(&day(on)).into_iter().flatten();
    uses.map(|one| (one.why, one.name.as_deref(), one.model.as_str(), one.spent.micros())).collect()
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
    let attribution = attributed(&rows, &[]);
    let (group_a, m, n) = (Some("A".to_owned()), "m".to_owned(), "n".to_owned());
    let expected = [(None, m.clone(), 3, 1), (group_a.clone(), m.clone(), 15, 2), (group_a.clone(), n, 1, 1)];
    assert_eq!(uses(&attribution, 1, "cs"), expected);
    assert_eq!(uses(&attribution, 2, "cs"), [(group_a.clone(), m.clone(), 7, 1)]);
    assert_eq!(uses(&attribution, 1, "law"), [(group_a, m, 2, 1)]);
    assert!(attribution.unattributed.is_empty());
}

#[test]
fn what_foreign_keys_used_is_divided_by_their_owners_and_the_rest_stays() {
    let rows = [row("lab", "m", 1, 9), row("lab", "n", 1, 1), row("My key", "m", 1, 2), row("", "m", 1, 5)];
    let unattributed = attributed(&rows, &[]).unattributed.remove(&day(1)).unwrap();
    let owner_of = |name: &str| (name == "lab").then(|| "lab-centre".parse().unwrap());
    let (owned, rest) = divide_by_owner(unattributed, owner_of);
    let owned: Vec<_> =
        owned.iter().map(|(owner, used)| (owner.as_str(), used.model.as_str(), used.spent.micros())).collect();
    assert_eq!(owned, [("lab-centre", "m", 9), ("lab-centre", "n", 1)]);
    let rest: Vec<_> = rest.iter().map(|used| (used.name.as_deref(), used.spent.micros())).collect();
    assert_eq!(rest, [(Some("My key"), 2), (None, 5)]);
}

#[test]
fn what_is_no_programmes_is_named_with_the_reason() {
    let others = key("9999999999", "cs", GRANT);
    let forged = key(OURS, "cs", GRANT).replace("/1-", "/01-");
    let rows = [
        row("My key", "m", 1, 1),
        row(&others, "m", 1, 2),
        row(&forged, "m", 1, 3),
        row(&key(OURS, "cs", UNKNOWN), "m", 1, 4),
        row("", "m", 1, 5),
        row(&format!("{}é", "x".repeat(99)), &"m".repeat(300), 1, 6),
    ];
    let attribution = attributed(&rows, &[]);
    let (cut, model, unknown) = ("x".repeat(99), "m".repeat(100), format!("cs/{UNKNOWN}"));
    let expected = [
        (UnattributedReason::Foreign, Some("My key"), "m", 1),
        (UnattributedReason::Foreign, Some(cut.as_str()), model.as_str(), 6),
        (UnattributedReason::NotOurs, Some(forged.as_str()), "m", 3),
        (UnattributedReason::NotOurs, Some(others.as_str()), "m", 2),
        (UnattributedReason::UnknownGrant, Some(unknown.as_str()), "m", 4),
        (UnattributedReason::NoKey, None, "m", 5),
    ];
    assert_eq!(nobodys(&attribution, 1), expected);
    assert!(attribution.programmes.is_empty());
}

#[test]
fn what_the_rows_leave_out_is_the_rest_of_the_accounts_activity() {
    let ours = key(OURS, "cs", GRANT);
    let rows = [row(&ours, "m", 1, 10), row(&ours, "n-2026", 1, 10), row(&ours, "m", 2, 10)];
    let activity = [of_account("m", "", 1, 12), of_account("n", "n-2026", 1, 10), of_account("o", "", 1, 5)];
    let attribution = attributed(&rows, &activity);
    let rest: Vec<_> =
        attribution.unattributed[&day(1)].iter().map(|one| (&*one.model, one.spent, one.requests)).collect();
    let micros = Usd::from_micros;
    assert_eq!(rest, [("m", micros(2), 2), ("n", micros(0), 2), ("o", micros(5), 3)]);
    assert!(!attribution.unattributed.contains_key(&day(2)), "of a day without activity nobody knows a rest");
}

#[test]
fn a_model_that_both_call_differently_is_not_counted_twice() {
    let ours = key(OURS, "cs", GRANT);
    let rows = [row(&ours, "OpenAI: GPT-4o-mini", 1, 1_000), row(&ours, "m", 1, 100)];
    let activity = [of_account("openai/gpt-4o-mini", "openai/gpt-4o-mini", 1, 1_400), of_account("m", "", 1, 100)];
    assert_eq!(nobodys(&attributed(&rows, &activity), 1), [(UnattributedReason::Rest, None, "", 400)]);
    // Two variants of a model share its lasting name.
    let rows = [row(&ours, "m-2026", 1, 1_000)];
    let activity = [of_account("m", "m-2026", 1, 600), of_account("m:online", "m-2026", 1, 600)];
    assert_eq!(nobodys(&attributed(&rows, &activity), 1), [(UnattributedReason::Rest, None, "", 200)]);
}

#[test]
fn rows_that_were_rounded_up_do_not_hide_the_models_of_the_rest() {
    let ours = key(OURS, "cs", GRANT);
    let rows = [row(&ours, "m", 1, 501), row(&key(OURS, "cs", UNGROUPED), "m", 1, 501)];
    let activity = [of_account("m", "", 1, 1_000), of_account("n", "", 1, 50)];
    let rest = |model, micros| (UnattributedReason::Rest, None, model, micros);
    assert_eq!(nobodys(&attributed(&rows, &activity), 1), [rest("m", 0), rest("n", 50)]);
}

#[test]
fn more_entries_than_an_item_holds_are_put_together_from_the_smallest_whatever_their_order() {
    let count = i64::try_from(MOST_ENTRIES).unwrap() + 50;
    let mut rows: Vec<ModelRow> = (0..count).map(|number| row(&format!("key {number}"), "m", 1, number + 1)).collect();
    rows.extend((0..count).map(|number| row(&key(OURS, "cs", GRANT), &format!("m{number}"), 1, number + 1)));
    let attribution = attributed(&rows, &[]);
    let smallest: i64 = (1..=50).sum();
    let of_nobody = nobodys(&attribution, 1);
    assert_eq!((of_nobody.len(), of_nobody[0]), (MOST_ENTRIES + 1, (UnattributedReason::Foreign, None, "", smallest)));
    let of_programme = uses(&attribution, 1, "cs");
    assert_eq!(of_programme.len(), MOST_ENTRIES + 1);
    assert_eq!(of_programme[0], (Some("A".to_owned()), String::new(), smallest, 50));
    rows.reverse();
    assert_eq!(attributed(&rows, &[]), attribution);
}

#[test]
fn an_entry_is_written_in_few_words() {
    let attribution = attributed(&[row(&key(OURS, "cs", GRANT), "m", 1, 10), row("My key", "m", 1, 4)], &[]);
    let uses = attribution.programmes.values().next().unwrap();
    let written = serde_json::to_string(uses).unwrap();
    assert_eq!(written, r#"[{"group":"A","model":"m","spent":10,"byok":5,"requests":1}]"#);
    assert_eq!(serde_json::from_str::<Vec<GroupUse>>(&written).unwrap(), *uses);
    let nobodys = &attribution.unattributed[&day(1)];
    let written = serde_json::to_string(nobodys).unwrap();
    let expected = r#"[{"why":"foreign","name":"My key","model":"m","spent":4,"byok":2,"requests":1}]"#;
    assert_eq!(written, expected);
    assert_eq!(serde_json::from_str::<Vec<UnattributedUse>>(&written).unwrap(), *nobodys);
}

type Sum = (i64, i64, u64);

fn plus(sum: Sum, (spent, byok, requests): (Usd, Usd, u64)) -> Sum {
    (sum.0 + spent.micros(), sum.1 + byok.micros(), sum.2 + requests)
}

/// The sum of attributed and unattributed use by day.
fn totals(attribution: &Attribution) -> BTreeMap<Date, Sum> {
    let programmes = attribution
        .programmes
        .iter()
        .flat_map(|((day, _), uses)| uses.iter().map(|one| (*day, (one.spent, one.byok, one.requests))));
    let nobodys = attribution
        .unattributed
        .iter()
        .flat_map(|(day, uses)| uses.iter().map(|one| (*day, (one.spent, one.byok, one.requests))));
    sums(&programmes.chain(nobodys).collect::<Vec<_>>(), |one| *one)
}

fn any_row() -> impl Strategy<Value = ModelRow> {
    let names = vec![
        key(OURS, "cs", GRANT),
        key(OURS, "cs", UNGROUPED),
        key(OURS, "law", UNKNOWN),
        key("9999999999", "cs", GRANT),
        "My key".to_owned(),
        "lab".to_owned(),
        String::new(),
    ];
    let amounts = (0_i64..2_000_000_000_000, 0_i64..2_000_000_000_000, 0_u64..1_000_000);
    (prop::sample::select(names), "[m-r]", 1_i8..4, amounts).prop_map(
        |(key_name, model, on, (spent, byok, requests))| {
            let (spent, byok) = (Usd::from_micros(spent), Usd::from_micros(byok));
            ModelRow { key_name, model, day: day(on), spent, byok, requests }
        },
    )
}

fn any_activity() -> impl Strategy<Value = ActivityRow> {
    (any_row(), prop::bool::ANY).prop_map(|(row, alike)| {
        let model = if alike { row.model } else { format!("maker/{}", row.model) };
        let ModelRow { day, spent, byok, requests, .. } = row;
        ActivityRow { day, model, permaslug: String::new(), spent, byok, requests }
    })
}

fn sums<T>(rows: &[T], of: impl Fn(&T) -> (Date, (Usd, Usd, u64))) -> BTreeMap<Date, Sum> {
    let mut sums: BTreeMap<Date, Sum> = BTreeMap::new();
    for row in rows {
        let (day, used) = of(row);
        let sum = sums.entry(day).or_default();
        *sum = plus(*sum, used);
    }
    sums
}

fn of_rows(rows: &[ModelRow]) -> BTreeMap<Date, Sum> {
    sums(rows, |row| (row.day, (row.spent, row.byok, row.requests)))
}

proptest! {
    #[test]
    fn what_is_attributed_and_what_is_not_are_together_what_the_rows_say(
        rows in prop::collection::vec(any_row(), 0..60),
    ) {
        prop_assert_eq!(totals(&attributed(&rows, &[])), of_rows(&rows));
    }

    #[test]
    fn with_the_rest_a_day_is_the_larger_of_what_rows_and_account_say_but_for_what_was_rounded_up(
        rows in prop::collection::vec(any_row(), 0..30), activity in prop::collection::vec(any_activity(), 0..30),
    ) {
        let (without, with) = (of_rows(&rows), totals(&attributed(&rows, &activity)));
        let account = sums(&activity, |row| (row.day, (row.spent, row.byok, row.requests)));
        for day in with.keys() {
            let of = |sums: &BTreeMap<Date, Sum>| sums.get(day).copied().unwrap_or_default();
            let (rows, account, with) = (of(&without), of(&account), of(&with));
            for (larger, sum) in [(rows.0.max(account.0), with.0), (rows.1.max(account.1), with.1)] {
                prop_assert!((0..=30).contains(&(sum - larger)));
            }
            prop_assert_eq!(with.2, rows.2.max(account.2));
        }
    }
}
