//! Many callers at once, all of whom read before any of them writes. One gets what there is one of,
//! and nothing is promised twice.

use bursar_core::domain::grant::KeyRequestKind;
use bursar_core::domain::programme::Budget;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{ActContext, ActOutcome, Table};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::Matcher;
use bursar_tests::office::{new_programme, soon};
use futures_util::future::join_all;
use jiff::SignedDuration;

use super::Bench;
use super::acts::{by, faculty, now, person, press, programme, settings};

/// Lets so many callers come to their write, then all of them go on. Returns what each got.
async fn at_once<T>(
    bench: &Bench,
    callers: u32,
    write: &str,
    act: impl AsyncFn(u32, Table) -> T,
) -> Vec<T> {
    let held = bench
        .gate
        .hold(Matcher::call(write).of(FunctionName::Claim).every());
    let acting = join_all((1..=callers).map(|number| act(number, bench.actor(number))));
    let letting_go = async {
        for _ in 0..callers {
            held.arrived().await;
        }
        drop(held);
    };
    tokio::join!(acting, letting_go).0
}

/// A programme of so many dollars with so many people.
async fn of(dollars: i32, people: usize) -> (Bench, Vec<GrantId>) {
    let (bench, actor) = (Bench::empty().await, faculty());
    let table = bench.actor(0);
    table
        .create(new_programme(settings(), dollars), by(&actor))
        .await
        .unwrap();
    let people: Vec<_> = (0..people)
        .map(|number| person(&format!("s{number:04}")))
        .collect();
    let grants = table
        .invite(&programme(), &people, by(&actor))
        .await
        .unwrap();
    (bench, grants)
}

/// Begins a first claim; returns whether it was begun.
async fn begins(table: &Table, grant: &GrantId) -> bool {
    let id = programme();
    let at = ActContext {
        programme: &id,
        grant,
        now: now(),
        deadline: soon(),
    };
    let first = press(KeyRequestKind::Reveal, Epoch::BEFORE_THE_FIRST);
    let begun = Box::pin(table.act(at, |view, now| view.begin(first, Nonce::random(), now)))
        .await
        .unwrap();
    matches!(begun, ActOutcome::Done(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twelve_claims_at_once_as_many_succeed_as_fit() {
    for (dollars, people, fit) in [(20, 3, 1), (200, 12, 10)] {
        let (bench, grants) = of(dollars, people).await;
        let begun = at_once(
            &bench,
            people as u32,
            "dynamodb:TransactWriteItems",
            async |number, table| begins(&table, &grants[number as usize - 1]).await,
        )
        .await;
        assert_eq!(
            begun.iter().filter(|begun| **begun).count(),
            fit,
            "{begun:?}"
        );
        let budget = bench
            .actor(0)
            .get(Budget::key_of(&programme()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(budget.reserved, Usd::from_dollars(dollars));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whom_two_invite_at_once_gets_one_grant() {
    let (bench, _) = of(100, 0).await;
    let rosters = [["carol", "dan"], ["erin", "carol"]];
    let added = at_once(
        &bench,
        2,
        "dynamodb:TransactWriteItems",
        async |number, table| {
            let (people, actor) = (rosters[number as usize - 1].map(person), faculty());
            table
                .invite(&programme(), &people, by(&actor))
                .await
                .unwrap()
                .len()
        },
    )
    .await;
    assert_eq!(
        added.iter().sum::<usize>(),
        3,
        "the later of the two leaves out who is already there: {added:?}"
    );
    assert_eq!(bench.actor(0).grants(&programme()).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_gets_many_ids_and_one_of_four_a_lease() {
    let bench = Bench::empty().await;
    let mut ids = at_once(
        &bench,
        4,
        "dynamodb:TransactWriteItems",
        async |_, table| {
            let actor = faculty();
            table
                .create(new_programme(settings(), 100), by(&actor))
                .await
                .unwrap()
                .to_string()
        },
    )
    .await;
    ids.sort();
    assert_eq!(ids, ["cs-pilot", "cs-pilot-2", "cs-pilot-3", "cs-pilot-4"]);
    let acquired = at_once(
        &bench,
        4,
        "dynamodb:TransactWriteItems",
        async |number, table| {
            let until = now() + SignedDuration::from_mins(15);
            table
                .acquire("jobs", &number.to_string(), now(), until, soon())
                .await
                .unwrap()
        },
    )
    .await;
    assert_eq!(acquired.iter().flatten().count(), 1, "{acquired:?}");
}
