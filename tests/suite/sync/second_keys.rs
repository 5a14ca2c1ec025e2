//! A second key under one attempt's name, and keys of this deployment that a person renamed. Each is known by
//! its hash, and its use counts once.

use bursar_core::domain::values::money::Usd;
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;
use serde_json::{Value, json};

use super::crooked::{Crooked, with_row};
use super::{
    begin, foreign, grant, hours, in_the_morning, invite, is_enabled, make, mint, problems, provider, record, rich,
    spend, sync, watch,
};

fn complete(report: &Value) {
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
}

/// The number of foreign keys on record, and what they used.
async fn foreign_use(office: &Office<'_>) -> (usize, Usd) {
    let known = office.table.foreign_keys().await.unwrap();
    (known.len(), known.iter().map(|known| known.used.credits.total()).sum())
}

#[tokio::test]
async fn of_two_keys_of_an_attempt_that_nobody_recorded_neither_works_after_one_sync() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let begun = begin(&stack, &office, &ada).await;
    let orphans = [make(&stack, &office, &ada, &begun).await, make(&stack, &office, &ada, &begun).await];
    let begun = begin(&stack, &office, &ben).await;
    let (second, live) = (make(&stack, &office, &ben, &begun).await, make(&stack, &office, &ben, &begun).await);
    record(&office, &ben, &begun, &live).await;
    // One of the keys is used at the provider.
    spend(&stack, &second, 400_000);
    spend(&stack, &live, 50_000);
    stack.clock.advance(hours(2)).unwrap();
    let mut watch = watch(&stack);
    let report = sync(&stack).await;
    complete(&report);
    assert_eq!(report["orphans_disabled"], 3, "{report}");
    assert!(!orphans.iter().chain([&second]).any(|key| is_enabled(&stack, key)) && is_enabled(&stack, &live));
    watch.check_after_sync().await;
    complete(&sync(&stack).await);
    let account = office.table.newest_account_days(1).await.unwrap().pop().unwrap();
    assert_eq!((account.ours, account.foreign), (Usd::from_micros(50_000), Usd::from_micros(400_000)));
    // The key counts towards the disables that a run does on its own judgement.
    stack.clock.advance(hours(24)).unwrap();
    provider(&stack).change_by_hand(&second, &json!({"disabled": false})).unwrap();
    for number in 0..5 {
        let of = invite(&stack, &office, &format!("s{number}"), None).await;
        let begun = begin(&stack, &office, &of).await;
        make(&stack, &office, &of, &begun).await;
    }
    stack.clock.advance(hours(2)).unwrap();
    let report = sync(&stack).await;
    assert!(problems(&report).contains("6 keys that nobody was shown") && is_enabled(&stack, &second), "{report}");
    stack.finish().await;
}

fn rename(stack: &Stack, key: &str, name: &str) {
    provider(stack).change_by_hand(key, &json!({"name": name})).unwrap();
}

#[tokio::test]
async fn a_renamed_key_is_recorded_by_its_hash_and_summed_once_also_where_some_rows_cannot_be_read() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (ada, by_hand) = (invite(&stack, &office, "ada", None).await, foreign(&stack, "by hand"));
    let key = mint(&stack, &office, &ada).await;
    spend(&stack, &key, 1_000_000);
    let crooked = Crooked::before(&stack).await;
    complete(&crooked.sync().await);
    let own = provider(&stack).keys().into_iter().find(|known| known.hash == key).unwrap().name;
    let mut spent = 1_000_000;
    for gaps in [true, false, true] {
        for name in ["another", "bursar/0000000000/other/0000000000000000/1-0000000000000000"] {
            stack.clock.advance(hours(2)).unwrap();
            rename(&stack, &key, name);
            spend(&stack, &key, 10_000);
            spent += 10_000;
            if gaps {
                let of = by_hand.clone();
                crooked.bend(move |path, told| with_row(path, told, &of, |row| row["usage"] = json!("much")));
            }
            let report = crooked.sync().await;
            assert!(problems(&report).contains("has another name"), "{gaps}, {name}: {report}");
            assert_eq!(report["complete"], !gaps, "{gaps}, {name}: {report}");
            let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
            assert_eq!(view.readings[0].lifetime(), Usd::from_micros(spent), "{gaps}, {name}");
            assert_eq!(foreign_use(&office).await, (1, Usd::ZERO), "{gaps}, {name}");
            crooked.straighten();
            rename(&stack, &key, &own);
            complete(&crooked.sync().await);
            assert!(grant(&office, &ada).await.live().is_some());
        }
    }
    stack.finish().await;
}

#[tokio::test]
async fn keys_that_bear_the_names_of_others_of_ours_are_their_own_grants_all_the_same() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let old = mint(&stack, &office, &ada).await;
    let (of_ada, of_ben) = (mint(&stack, &office, &ada).await, mint(&stack, &office, &ben).await);
    for (key, micros) in [(&old, 100), (&of_ada, 2_000), (&of_ben, 30_000)] {
        spend(&stack, key, micros);
    }
    complete(&sync(&stack).await);
    let name_of = |key: &str| provider(&stack).keys().into_iter().find(|known| known.hash == key).unwrap().name;
    let (name_of_old, name_of_new, name_of_ben) = (name_of(&old), name_of(&of_ada), name_of(&of_ben));
    for (key, name) in [(&old, &name_of_new), (&of_ada, &name_of_old), (&of_ben, &name_of_new)] {
        rename(&stack, key, name);
    }
    for (key, micros) in [(&old, 1), (&of_ada, 1), (&of_ben, 1)] {
        spend(&stack, key, micros);
    }
    for _ in 0..2 {
        stack.clock.advance(hours(2)).unwrap();
        let report = sync(&stack).await;
        complete(&report);
        assert!(is_enabled(&stack, &of_ada) && is_enabled(&stack, &of_ben) && !is_enabled(&stack, &old), "{report}");
        assert_eq!(foreign_use(&office).await, (0, Usd::ZERO), "{report}");
    }
    for (key, name) in [(&old, &name_of_old), (&of_ada, &name_of_new), (&of_ben, &name_of_ben)] {
        rename(&stack, key, name);
    }
    complete(&sync(&stack).await);
    stack.finish().await;
}
