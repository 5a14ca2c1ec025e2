//! Long lists that change while they are read.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::inventory::Inventory;
use super::*;
use crate::clock::{Clock, Moment};

/// The keys of some workspaces, newest first, as a provider pages them.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<Vec<Listed>>>);

/// A workspace by its id, with its keys by their numbers.
type Listed = (String, Vec<usize>);

impl Account {
    fn with_keys(keys: std::ops::Range<usize>) -> Account {
        Account::of_each([keys])
    }

    fn of_each(workspaces: impl IntoIterator<Item = std::ops::Range<usize>>) -> Account {
        let workspaces = (1..)
            .zip(workspaces)
            .map(|(number, keys)| (format!("w-{number}"), keys.rev().collect()));
        Account(Arc::new(Mutex::new(workspaces.collect())))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<usize>)) {
        change(&mut self.0.lock().unwrap()[0].1);
    }

    fn page(&self, request: &SeenRequest, size: usize) -> ScriptedAct {
        self.page_of(request, size, key_json)
    }

    fn page_of(
        &self,
        request: &SeenRequest,
        size: usize,
        row: impl Fn(usize) -> Value,
    ) -> ScriptedAct {
        let workspaces = self.0.lock().unwrap();
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        if request.target.starts_with("/api/v1/workspaces?") {
            let limit: usize = request.query("limit").unwrap().parse().unwrap();
            let all = workspaces.iter().skip(offset).take(limit);
            let rows: Vec<Value> = all.map(|(id, _)| json!({"id": id, "name": "W"})).collect();
            return answer(
                200,
                &json!({"data": rows, "total_count": workspaces.len()}).to_string(),
            );
        }
        assert_eq!(
            (
                request.query("include_disabled"),
                request.query("include_expired")
            ),
            (Some("true"), Some("true"))
        );
        let wanted = request.query("workspace_id").unwrap();
        let (_, keys) = workspaces.iter().find(|(id, _)| id == wanted).unwrap();
        let rows: Vec<Value> = keys
            .iter()
            .skip(offset)
            .take(size)
            .map(|number| row(*number))
            .collect();
        answer(200, &json!({"data": rows}).to_string())
    }
}

/// Every key in the order it was handed over.
async fn all(mut inventory: Inventory) -> Result<Vec<usize>, ProviderError> {
    let mut numbers = Vec::new();
    while let Some(page) = inventory.next(soon()).await? {
        numbers.extend(
            page.keys
                .iter()
                .map(|key| usize::from_str_radix(key.hash.as_str(), 16).unwrap()),
        );
    }
    Ok(numbers)
}

/// The requests for an account with pages of this size, and every key.
async fn listed(account: &Account, size: usize) -> (Vec<SeenRequest>, Vec<usize>) {
    let account = account.clone();
    let (server, provider, _) = scripted(move |request, _| account.page(request, size)).await;
    let numbers = all(provider.inventory()).await.unwrap();
    (server.seen(), numbers)
}

/// Every workspace is listed to its end, and each key is returned once, whatever the page
/// boundaries.
#[tokio::test]
async fn all_workspaces_are_listed() {
    for (count, size) in [
        (0, 100),
        (1, 100),
        (10, 100),
        (90, 100),
        (100, 100),
        (101, 100),
        (200, 100),
        (1_000, 100),
    ]
    .into_iter()
    .chain([30, 50, 99, 250].map(|size| (430, size)))
    {
        let account = Account::of_each([0..count, 5_000..5_000 + count]);
        let expected: Vec<usize> = (0..count)
            .rev()
            .chain((5_000..5_000 + count).rev())
            .collect();
        assert_eq!(
            listed(&account, size).await.1,
            expected,
            "{count} on pages of {size}"
        );
    }
    let many = Account::of_each((0..230).map(|number| number..number + 1));
    assert_eq!(listed(&many, 100).await.1, (0..230).collect::<Vec<usize>>());
}

/// Several pages are requested in parallel, and a small account gets few requests.
#[tokio::test]
async fn pages_are_read_in_parallel() {
    let (seen, _) = listed(&Account::with_keys(0..1_000), 100).await;
    // Requests that are under way at once need connections of their own.
    assert_eq!(seen.iter().map(|seen| seen.connection).max(), Some(4));
    assert!(seen.len() < 25, "{}", seen.len());
    let (seen, _) = listed(&Account::with_keys(0..3), 100).await;
    assert!(seen.len() <= 4, "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A key that exists throughout is listed exactly once, whatever other keys are created or
    /// deleted meanwhile.
    #[test]
    fn lasting_keys_are_listed_once(
        count in 0_usize..700,
        changes in proptest::collection::vec((0_usize..150, 0_usize..150, 0.0_f64..1.0), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let account = Account::with_keys(0..count);
            let script = account.clone();
            let mut newest = count;
            let mut changes = changes.into_iter();
            let (_server, provider, _) = scripted(move |request, _| {
                if let Some((made, deleted, at)) = changes.next() {
                    script.change(|keys| {
                        keys.splice(0..0, (newest..newest + made).rev());
                        newest += made;
                        let from = (keys.len() as f64 * at) as usize;
                        keys.drain(from..(from + deleted).min(keys.len()));
                    });
                }
                script.page(request, 100)
            })
            .await;
            let handed = all(provider.inventory()).await.unwrap();
            let distinct: BTreeSet<usize> = handed.iter().copied().collect();
            prop_assert_eq!(distinct.len(), handed.len());
            let stayed: BTreeSet<usize> = account.0.lock().unwrap()[0].1.iter().copied().filter(|key| *key < count).collect();
            prop_assert!(distinct.is_superset(&stayed), "{:?}", stayed.difference(&distinct));
            Ok(())
        })?;
    }
}

/// A list that never ends is abandoned and never treated as complete.
#[tokio::test]
async fn an_endless_list_is_given_up() {
    // Every page is a hundred other keys, or the offset is ignored.
    for step in [1_000, 0] {
        let account = Account::with_keys(0..300);
        let (server, provider, _) = scripted(move |request, before| {
            if request.target.contains("/workspaces") {
                return account.page(request, 100);
            }
            let rows: Vec<Value> = (0..100).map(|row| key_json(before * step + row)).collect();
            answer(200, &json!({"data": rows}).to_string())
        })
        .await;
        assert_eq!(ending(&all(provider.inventory()).await), "later");
        assert!(server.seen().len() < 300, "{}", server.seen().len());
    }
}

/// Rows that cannot be read are returned separately and do not end the list.
#[tokio::test]
async fn bad_rows_end_no_list() {
    let row = |number: usize| match number {
        7 => key_json_with(7, &json!({"usage": "much"})),
        8 => json!({"hash": 8}),
        number => key_json(number),
    };
    for (keys, expected) in [
        (0..250, (248, vec![None, Some(hash(7))])),
        (8..9, (0, vec![None])),
    ] {
        let account = Account::with_keys(keys);
        let (_server, provider, _) =
            scripted(move |request, _| account.page_of(request, 100, row)).await;
        let mut inventory = provider.inventory();
        let mut keys = 0;
        let mut unreadable = Vec::new();
        while let Some(page) = inventory.next(soon()).await.unwrap() {
            keys += page.keys.len();
            unreadable.extend(page.unreadable.into_iter().map(|row| row.hash));
        }
        assert_eq!((keys, unreadable), expected);
    }
}

/// A page requested before midnight and answered after it is requested again.
#[tokio::test]
async fn midnight_repeats_a_page() {
    let now = Arc::new(Mutex::new(
        "2026-11-20T23:59:59.9Z".parse::<Moment>().unwrap(),
    ));
    let account = Account::with_keys(0..3);
    let turning = Arc::clone(&now);
    let (server, provider, _) = scripted(move |request, _| {
        if request.target.contains("/keys") {
            *turning.lock().unwrap() = "2026-11-21T00:00:00Z".parse().unwrap();
        }
        account.page(request, 100)
    })
    .await;
    let provider = Provider {
        clock: Clock::reading(move || *now.lock().unwrap()),
        ..provider
    };
    let mut inventory = provider.inventory();
    let page = inventory.next(soon()).await.unwrap().unwrap();
    assert_eq!(page.asked_at, "2026-11-21T00:00:00Z".parse().unwrap());
    let is_first_page = |line: &&String| line.contains("/keys") && line.contains("offset=0");
    assert_eq!(
        server.lines().iter().filter(is_first_page).count(),
        2,
        "{:?}",
        server.lines()
    );
}
