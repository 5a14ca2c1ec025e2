//! Spending by model on the overview and the account's page: over the requested span and by group, with what is
//! unknown of it.

use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::models::{GroupUse, Sums, UnattributedReason, UnattributedUse};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Acquired, Lease, ModelDay, Table, UnattributedDay};
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::Page;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::spans::summed_up;
use super::{ADMIN, signed_in};

const ID: &str = "/console/programmes/cs-pilot";
const ACCOUNT: &str = "/console/account";

fn ago(now: Timestamp, days: i64) -> Date {
    utc_date(now).saturating_sub(days.days())
}

fn used(group: &str, model: &str, cents: i64, byok: i64, requests: u64) -> GroupUse {
    let (group, model) = ((!group.is_empty()).then(|| group.to_owned()), model.to_owned());
    let usd = |cents: i64| Usd::from_micros(cents * 10_000);
    GroupUse { group, model, spent: usd(cents), byok: usd(byok), requests }
}

async fn note(office: &Office<'_>, now: Timestamp, days: i64, by: Vec<GroupUse>) {
    let day = ModelDay { programme: office.programme.clone(), day: ago(now, days), as_of: now, by };
    let lease = lease(&office.table, now).await;
    assert!(office.table.under(&lease, soon()).note_model_day(&day).await.unwrap());
}

/// The lease of a sync, under which model days are written.
async fn lease(table: &Table, now: Timestamp) -> Lease {
    match table.acquire("sync", "a test", now, jiff::SignedDuration::from_mins(1), soon()).await.unwrap() {
        Acquired::Yes(lease) => lease,
        Acquired::Busy => panic!("a sync runs"),
    }
}

/// The sync state after the models of these days were requested; `from` and `until` are days ago.
async fn asked(stack: &Stack, from: i64, until: i64) {
    let (table, now) = (Table::new(&stack.config), stack.clock.now());
    let state = table.sync_state().await.unwrap().with_models_of(ago(now, from), ago(now, until));
    assert!(as_sync(&table, async |sync| sync.set_sync_state(&state.next()).await).await);
}

/// Model and spending of each line.
fn lines(page: &Page) -> Vec<(String, String)> {
    let [models, spent] = ["data-model", "data-spent-usd"].map(|attribute| page.attributes("model", attribute));
    models.into_iter().zip(spent).collect()
}

fn line(model: &str, spent: &str) -> (String, String) {
    (model.to_owned(), format!("{spent}0000"))
}

#[tokio::test]
async fn the_overview_tells_models_apart_over_the_span_that_is_asked_for_and_by_group() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let (admin, now) = (signed_in(&stack, ADMIN).await, stack.clock.now());
    let before = admin.get(ID).await.expect(200).readable();
    assert!(before.contains("By model, in all No sync has asked for it yet."), "{before}");

    asked(&stack, 40, 1).await;
    note(&office, now, 1, vec![used("A", "a/small", 150, 0, 300), used("", "b/large", 2_000, 50, 4)]).await;
    note(&office, now, 6, vec![used("A", "a/small", 250, 0, 100)]).await;
    note(&office, now, 20, vec![used("B & C", "", 500, 0, 0)]).await;
    // Today is incomplete and counts in no sum by model.
    note(&office, now, 0, vec![used("A", "a/small", 9_900, 0, 1)]).await;

    let mut keys = Days::default();
    for (days, cents) in [(0, 9_900), (1, 2_150), (6, 250), (20, 500)] {
        keys.add(&Days::on_one(ago(now, days), Usd::from_micros(cents * 10_000)));
    }
    summed_up(&office, keys, &[], now).await;
    let day = admin.get(&format!("{ID}?window=1d")).await.expect(200);
    let group = [line("b/large", "20.00"), line("a/small", "1.50")];
    assert_eq!(lines(&day), [&group[..], &group[..]].concat(), "one table of models, one of groups");
    let text = day.readable();
    assert!(text.contains("By model, on the last completed day"), "{text}");
    assert!(text.contains(&format!("As of the end of {}, in UTC days; today is not in it.", ago(now, 1))), "{text}");
    assert!(text.contains("b/large $20.00 $0.50 4 $5.1250 a/small $1.50 $0.00 300 $0.0050"), "{text}");
    assert!(text.contains("without a group b/large") && text.contains("A a/small"), "{text}");
    assert!(!text.contains("not known"), "{text}");

    let week = admin.get(&format!("{ID}?window=7d")).await;
    assert_eq!(lines(&week)[..2], [line("b/large", "20.00"), line("a/small", "4.00")]);
    let all = admin.get(&format!("{ID}?window=all")).await;
    let models = [line("b/large", "20.00"), line("models that are not told apart", "5.00"), line("a/small", "4.00")];
    assert_eq!(lines(&all)[..3], models);
    // The programme's term begins today.
    let term = admin.get(&format!("{ID}?window=term")).await;
    assert!(lines(&term).is_empty() && term.readable().contains("No day of it is over yet."), "{}", term.readable());
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn what_no_model_is_known_of_is_said_and_never_nothing() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let (admin, now) = (signed_in(&stack, ADMIN).await, stack.clock.now());
    asked(&stack, 12, 10).await;
    asked(&stack, 6, 2).await;
    note(&office, now, 2, vec![used("", "a/small", 100, 0, 1)]).await;
    let mut keys = Days::on_one(ago(now, 8), Usd::from_dollars(3));
    keys.add(&Days::on_one(ago(now, 2), Usd::from_dollars(1)));
    summed_up(&office, keys, &[], now).await;

    let week = admin.get(&format!("{ID}?window=7d")).await.readable();
    let missing = format!("Of these days it is not known: {}, {}.", ago(now, 7), ago(now, 1));
    assert!(week.contains(&missing) && week.contains(&format!("As of the end of {}", ago(now, 2))), "{week}");
    let all = admin.get(ID).await;
    assert_eq!(lines(&all), [line("a/small", "1.00"), line("not attributed to a model", "3.00")]);
    assert!(all.readable().contains(&format!("not known: {} to {}, {}.", ago(now, 8), ago(now, 7), ago(now, 1))));
    assert!(all.readable().contains("not attributed to a model $3.00 not known –"), "{}", all.readable());
    let day = admin.get(&format!("{ID}?window=1d")).await;
    assert!(lines(&day).is_empty() && !day.readable().contains("Nothing was used"), "{}", day.readable());
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn the_account_names_what_is_no_programmes_by_reason_name_and_model() {
    let stack = stack::in_process().await.unwrap();
    let (admin, now, table) = (signed_in(&stack, ADMIN).await, stack.clock.now(), Table::new(&stack.config));
    assert!(admin.get(ACCOUNT).await.expect(200).readable().contains("in all No sync has asked for it yet."));
    asked(&stack, 9, 1).await;
    let text = admin.get(&format!("{ACCOUNT}?window=7d")).await.readable();
    assert!(text.contains("All that the provider told by model is a programme's."), "{text}");

    let nobodys = |why, name: Option<&str>, model: &str, cents: i64| UnattributedUse {
        why,
        name: name.map(str::to_owned),
        model: model.to_owned(),
        spent: Usd::from_micros(cents * 10_000),
        byok: Usd::ZERO,
        requests: 2,
    };
    let by = vec![
        nobodys(UnattributedReason::Foreign, Some("<prof's laptop>"), "a/small", 700),
        nobodys(UnattributedReason::UnknownGrant, Some("cs-pilot/0123456789abcdef"), "a/small", 300),
        nobodys(UnattributedReason::Rest, None, "", 100),
    ];
    let (day, lease) = (
        UnattributedDay { day: ago(now, 8), as_of: now, by, of_programmes: Sums::default() },
        lease(&table, now).await,
    );
    assert!(table.under(&lease, soon()).note_unattributed_day(&day).await.unwrap());
    let page = admin.get(ACCOUNT).await;
    let expected = [line("a/small", "7.00"), line("a/small", "3.00"), line("models that are not told apart", "1.00")];
    assert_eq!(lines(&page), expected);
    assert!(page.body.contains("foreign key &#60;prof&#39;s laptop&#62;"), "{}", page.body);
    let text = page.readable();
    assert!(text.contains("a grant that is not here: cs-pilot/0123456789abcdef a/small $3.00 2 $1.5000"), "{text}");
    assert!(text.contains("the provider did not say whose models that are not told apart"), "{text}");
    assert!(lines(&admin.get(&format!("{ACCOUNT}?window=7d")).await).is_empty());
    let month = admin.get(&format!("{ACCOUNT}?window=30d")).await.readable();
    assert!(month.contains(&format!("it is not known: {} to {}.", ago(now, 30), ago(now, 10))), "{month}");
    stack.finish().await;
}
