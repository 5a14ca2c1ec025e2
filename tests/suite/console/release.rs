//! The press on the account's page that permits the next sync to do what the guard held back.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::store::{HeldBack, SyncState, Table};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use jiff::{SignedDuration, Timestamp};

use super::account::{LOOKED, PATH, RELEASE, admin, at, at_noon, good, set_state, warns};
use super::watch;

fn held(at: Timestamp) -> SyncState {
    let (keys, marks) = (Vec::new(), ulid::Ulid::nil());
    let held = HeldBack { at, sweeps: 30, recoveries: 0, stops: 0, bound: 5, keys, marks, released_by: None };
    SyncState { held_back: Some(held), ..good() }
}

#[tokio::test]
async fn an_admin_lets_the_next_sync_do_just_what_the_page_showed_once_and_on_record() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    set_state(&stack, held(at(LOOKED))).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    assert!(warns(&page, "The guard held back 30 keys that nobody was shown"), "{:?}", page.texts("warning"));
    let stale = page;
    // By now the guard has held back something else.
    let later = at("2026-11-20T06:20:00Z");
    set_state(&stack, held(later)).await;
    assert_eq!(visitor.submit(&stale, RELEASE, &[]).await.status, 409);
    assert_eq!(table.sync_state().await.unwrap().held_back.unwrap().released_by, None);

    let page = visitor.get(PATH).await;
    for (field, status) in [("", 422), ("soon", 422), (LOOKED, 409)] {
        assert_eq!(visitor.submit(&page, RELEASE, &[("held", field)]).await.status, status, "{field}");
    }
    for _ in 0..2 {
        let pressed = visitor.submit(&page, RELEASE, &[]).await;
        assert_eq!((pressed.status, pressed.location()), (303, Some(PATH)));
    }
    let seen = watch.check().await;
    let person = table.person_of(&stack.config.admins[0], soon()).await.unwrap();
    let [entry] = &seen.account_entries[..] else { panic!("{:?}", seen.account_entries) };
    assert_eq!((entry.what.act, &entry.by), (Act::GuardReleased, &Actor::Person(person.clone())));
    assert_eq!(seen.sync.as_ref().unwrap().held_back.as_ref().unwrap().released_by, Some(person));
    let shown = visitor.get(PATH).await;
    assert!(shown.texts("warning").is_empty() && shown.body.contains("admin@example.edu let the next sync do"));
    // The next sync has done it, and the press is repeated.
    set_state(&stack, good()).await;
    assert_eq!(visitor.submit(&page, RELEASE, &[]).await.status, 303);
    assert_eq!(visitor.submit(&stale, RELEASE, &[]).await.status, 409, "that was never let through");
    assert_eq!(watch.check().await.account_entries.len(), 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_its_write_a_release_takes_effect_once_with_one_entry() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    let visitor = admin(&stack).await;
    let mut watch = watch(&stack);
    let faults = [
        Fault::Before,
        Fault::LoseAnswer,
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::Status(500),
        Fault::StatusAfter(500),
        Fault::LoseAnswer,
        Fault::LoseAnswer,
        Fault::Throttle,
        Fault::Conflict,
        Fault::LoseAnswer,
    ];
    for (verdict, minute) in faults.into_iter().zip(1_i64..) {
        let since = at(LOOKED) + SignedDuration::from_mins(minute);
        set_state(&stack, held(since)).await;
        let page = visitor.get(PATH).await.expect(200);
        let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
        stack.gate.at(write, verdict);
        visitor.submit(&page, RELEASE, &[]).await;
        assert_eq!(visitor.submit(&page, RELEASE, &[]).await.status, 303, "{verdict}");
        assert!(table.sync_state().await.unwrap().held_back.unwrap().released_by.is_some(), "{verdict}");
        let told = Some(since.to_string());
        let seen = watch.check().await;
        assert_eq!(seen.account_entries.iter().filter(|entry| entry.what.from == told).count(), 1, "{verdict}");
    }
    stack.finish_faulted().await;
}
