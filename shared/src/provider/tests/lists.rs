//! Long lists that change while they are read.

use std::collections::BTreeSet;

use crate::clock::Moment;
use proptest::prelude::*;

use super::super::inventory::Inventory;
use super::*;
use crate::clock::Clock;
use crate::scripted::answer;

/// The keys of some workspaces, newest first, as a provider pages them.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<Vec<Listed>>>);

/// A workspace by its id, with its keys by their numbers.
type Listed = (String, Vec<usize>);

impl Account {
    fn of(workspaces: &[(&str, std::ops::Range<usize>)]) -> Account {
        let workspaces = workspaces.iter().map(|(id, keys)| ((*id).to_owned(), keys.clone().rev().collect()));
        Account(Arc::new(Mutex::new(workspaces.collect())))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<usize>)) {
        change(&mut self.0.lock().unwrap()[0].1);
    }

    fn page(&self, request: &SeenRequest, size: usize) -> ScriptedAct {
        let workspaces = self.0.lock().unwrap();
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        if request.target.starts_with("/api/v1/workspaces?") {
            let limit: usize = request.query("limit").unwrap().parse().unwrap();
            let all = workspaces.iter().skip(offset).take(limit);
            let rows: Vec<Value> = all.map(|(id, _)| json!({"id": id, "name": "W"})).collect();
            return answer(200, &json!({"data": rows, "total_count": workspaces.len()}).to_string()).into();
        }
        assert_eq!((request.query("include_disabled"), request.query("include_expired")), (Some("true"), Some("true")));
        let wanted = request.query("workspace_id").unwrap();
        let (_, keys) = workspaces.iter().find(|(id, _)| id == wanted).unwrap();
        let rows: Vec<Value> = keys.iter().skip(offset).take(size).map(|number| key_json(*number)).collect();
        answer(200, &json!({"data": rows}).to_string()).into()
    }
}

/// Every key in the order it was handed over.
async fn all(mut inventory: Inventory) -> Result<Vec<usize>, ProviderError> {
    let mut numbers = Vec::new();
    while let Some(page) = inventory.next(soon()).await? {
        numbers.extend(page.keys.iter().map(|key| usize::from_str_radix(key.hash.as_str(), 16).unwrap()));
    }
    Ok(numbers)
}

async fn listed(account: &Account) -> (Scripted, Vec<usize>) {
    let account = account.clone();
    let (server, provider, _) = scripted(move |request, _| account.page(request, 100)).await;
    let numbers = all(provider.inventory(&Clock::system())).await.unwrap();
    (server, numbers)
}

#[tokio::test]
async fn every_workspace_is_listed_to_its_end_and_each_key_handed_over_once() {
    for count in [0, 1, 9, 10, 11, 89, 90, 91, 99, 100, 101, 190, 200, 1_000] {
        let account = Account::of(&[("w-1", 0..count), ("w-2", 5_000..5_000 + count)]);
        let (_server, numbers) = listed(&account).await;
        let expected: Vec<usize> = (0..count).rev().chain((5_000..5_000 + count).rev()).collect();
        assert_eq!(numbers, expected, "{count}");
    }
}

#[tokio::test]
async fn many_workspaces_are_listed_too_and_an_account_without_any_is_none() {
    let names: Vec<String> = (0..230).map(|number| format!("w-{number}")).collect();
    let workspaces: Vec<_> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), number..number + 1)).collect();
    let (_server, numbers) = listed(&Account::of(&workspaces)).await;
    assert_eq!(numbers, (0..230).collect::<Vec<usize>>());
    let account = Account::of(&[]);
    let (server, provider, _) = scripted(move |request, _| account.page(request, 100)).await;
    assert_eq!(ending(&all(provider.inventory(&Clock::system())).await), "unknown");
    assert_eq!(ending(&provider.inventory_begins(soon()).await), "unknown");
    assert_eq!(server.lines(), ["GET /api/v1/workspaces?limit=100&offset=0"; 2]);
}

#[tokio::test]
async fn several_pages_are_asked_for_at_once_and_a_small_account_is_asked_little() {
    let account = Account::of(&[("w-1", 0..1_000)]);
    let (server, provider, _) = scripted(move |request, _| account.page(request, 100)).await;
    all(provider.inventory(&Clock::system())).await.unwrap();
    // Requests that are under way at once need connections of their own.
    assert_eq!(server.seen().iter().map(|seen| seen.connection).max(), Some(4));
    assert!(server.seen().len() < 25, "{}", server.seen().len());

    let (server, _) = listed(&Account::of(&[("w-1", 0..3)])).await;
    assert!(server.seen().len() <= 4, "{:?}", server.lines());
}

#[tokio::test]
async fn a_provider_with_shorter_or_longer_pages_is_read_to_the_end_too() {
    for size in [30, 50, 99, 250] {
        let account = Account::of(&[("w-1", 0..430)]);
        let (_server, provider, _) = scripted(move |request, _| account.page(request, size)).await;
        let numbers = all(provider.inventory(&Clock::system())).await.unwrap();
        assert_eq!(numbers, (0..430).rev().collect::<Vec<usize>>(), "{size}");
    }
}

#[tokio::test]
async fn more_keys_made_or_deleted_between_two_pages_than_they_share_are_still_not_lost() {
    for (made, deleted) in [(50, 0), (0, 50), (150, 0), (0, 150), (60, 60)] {
        let account = Account::of(&[("w-1", 0..600)]);
        let script = account.clone();
        let mut pages = 0;
        let (_server, provider, _) = scripted(move |request, _| {
            pages += usize::from(request.target.contains("/keys"));
            if pages == 3 {
                pages += 1;
                script.change(|keys| {
                    keys.splice(0..0, (1_000..1_000 + made).rev());
                    // The deleted keys were listed already, so all behind them move forward.
                    keys.drain(made..made + deleted);
                });
            }
            script.page(request, 100)
        })
        .await;
        let numbers: BTreeSet<usize> = all(provider.inventory(&Clock::system())).await.unwrap().into_iter().collect();
        let kept: BTreeSet<usize> = (0..600 - deleted).collect();
        assert!(numbers.is_superset(&kept), "{made} made, {deleted} deleted: {:?}", kept.difference(&numbers));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_key_that_is_there_all_the_time_is_listed_exactly_once_whatever_comes_and_goes(
        count in 0_usize..700,
        changes in proptest::collection::vec((0_usize..40, 0_usize..25, 0.0_f64..1.0), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let account = Account::of(&[("w-1", 0..count)]);
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
            let handed = all(provider.inventory(&Clock::system())).await.unwrap();
            let distinct: BTreeSet<usize> = handed.iter().copied().collect();
            prop_assert_eq!(distinct.len(), handed.len());
            let stayed: BTreeSet<usize> = account.0.lock().unwrap()[0].1.iter().copied().filter(|key| *key < count).collect();
            prop_assert!(distinct.is_superset(&stayed), "{:?}", stayed.difference(&distinct));
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_list_that_never_goes_on_is_given_up_and_never_taken_for_complete() {
    let account = Account::of(&[("w-1", 0..300)]);
    let (server, provider, _) = scripted(move |request, before| {
        if request.target.contains("/workspaces") {
            return account.page(request, 100);
        }
        // Every page is a hundred other keys.
        let rows: Vec<Value> = (0..100).map(|row| key_json(before * 1_000 + row)).collect();
        answer(200, &json!({"data": rows}).to_string()).into()
    })
    .await;
    let ended = all(provider.inventory(&Clock::system())).await;
    assert_eq!(ending(&ended), "later");
    assert!(server.seen().len() < 300, "{}", server.seen().len());

    let (_server, provider, _) = scripted(move |request, _| {
        if request.target.contains("/workspaces") {
            return answer(200, r#"{"data":[{"id":"w-1"}]}"#);
        }
        // The offset is ignored.
        let rows: Vec<Value> = (0..100).map(key_json).collect();
        answer(200, &json!({"data": rows}).to_string())
    })
    .await;
    assert_eq!(ending(&all(provider.inventory(&Clock::system())).await), "later");
}

#[tokio::test]
async fn a_page_that_failed_is_an_error_and_the_listing_goes_on_from_there() {
    let account = Account::of(&[("w-1", 0..500)]);
    let failing = Arc::new(Mutex::new(true));
    let fails = Arc::clone(&failing);
    let (_server, provider, _) = scripted(move |request, _| {
        if request.query("offset") == Some("180") && *fails.lock().unwrap() {
            return answer(500, "").into();
        }
        account.page(request, 100)
    })
    .await;
    let mut inventory = provider.inventory(&Clock::system());
    let mut listed = 0;
    let error = loop {
        match inventory.next(soon()).await {
            Ok(Some(page)) => listed += page.keys.len(),
            Ok(None) => panic!("it is not complete"),
            Err(error) => break error,
        }
    };
    assert_eq!((listed, ending::<()>(&Err(error))), (190, "unknown"));
    *failing.lock().unwrap() = false;
    while let Some(page) = inventory.next(soon()).await.unwrap() {
        listed += page.keys.len();
    }
    assert_eq!((listed, inventory.listed()), (500, 500));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_handed_over_apart_and_do_not_end_the_list() {
    let (_server, provider, _) = scripted(move |request, _| {
        if request.target.contains("/workspaces") {
            return answer(200, r#"{"data":[{"id":"w-1"}]}"#);
        }
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        let row = |number: usize| match number {
            7 => key_json_with(7, &json!({"usage": "much"})),
            8 => json!({"hash": 8}),
            number => key_json(number),
        };
        let rows: Vec<Value> = (offset..250.min(offset + 100)).map(row).collect();
        answer(200, &json!({"data": rows}).to_string())
    })
    .await;
    let mut inventory = provider.inventory(&Clock::system());
    let (mut keys, mut unreadable) = (0, Vec::new());
    while let Some(page) = inventory.next(soon()).await.unwrap() {
        keys += page.keys.len();
        unreadable.extend(page.unreadable.into_iter().map(|row| row.hash));
    }
    assert_eq!((keys, unreadable), (248, vec![Some(hash(7)), None]));
}

#[tokio::test]
async fn a_list_of_nothing_but_a_nameless_row_is_not_an_empty_one() {
    let (_server, provider, _) = scripted(move |request, _| {
        let rows = if request.target.contains("/workspaces") { json!([{"id": "w-1"}]) } else { json!([{"hash": 8}]) };
        answer(200, &json!({"data": rows}).to_string())
    })
    .await;
    let mut inventory = provider.inventory(&Clock::system());
    let page = inventory.next(soon()).await.unwrap().unwrap();
    assert_eq!((page.keys.len(), page.unreadable.len()), (0, 1));
    assert!(inventory.next(soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_asked_for_before_midnight_and_answered_after_it_is_asked_for_again() {
    let now = Arc::new(Mutex::new("2026-11-20T23:59:59.9Z".parse::<Moment>().unwrap()));
    let account = Account::of(&[("w-1", 0..3)]);
    let (turning, asked) = (Arc::clone(&now), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&asked);
    let (_server, provider, _) = scripted(move |request, _| {
        if request.target.contains("/keys") && request.query("offset") == Some("0") {
            *count.lock().unwrap() += 1;
            *turning.lock().unwrap() = "2026-11-21T00:00:00Z".parse().unwrap();
        }
        account.page(request, 100)
    })
    .await;
    let clock = Clock::reading(move || *now.lock().unwrap());
    let mut inventory = provider.inventory(&clock);
    let page = inventory.next(soon()).await.unwrap().unwrap();
    assert_eq!(page.asked, "2026-11-21T00:00:00Z".parse().unwrap());
    assert_eq!(*asked.lock().unwrap(), 2);
}
