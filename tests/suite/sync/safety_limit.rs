//! The bound on what the runs of a day do on their own judgement, and the release that lets the
//! next one do it: keys that nobody was shown, and live keys that are disabled or gone at the
//! provider.

use std::collections::BTreeSet;
use std::ops::Range;

use bursar_core::domain::grant::{GrantState, Stopped};
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::{Campus, name_people, reports};
use bursar_tests::faults::{Fault, Matcher};
use serde_json::{Value, json};

use super::crooked::{Crooked, without};
use super::{ACCOUNT, RELEASE, complete, instant, problems, quiet, release};

/// Keys whose claims died two hours ago, before anybody was shown them.
async fn orphans(campus: &mut Campus, people: Range<usize>) -> Vec<String> {
    let mut keys = Vec::new();
    for name in name_people(people) {
        campus.students(&[name]).await;
        campus.press_with(name, "reveal", Fault::KillAfter).await;
        keys.push(campus.key(name).hash);
    }
    campus.hours(2);
    keys
}

/// How many orphans the next sync disables, and whether it is complete.
async fn swept(campus: &Campus) -> (u64, bool) {
    let report = campus.sync().await;
    (
        report["orphans_disabled"].as_u64().unwrap(),
        report["complete"] == true,
    )
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

/// What the run does that the next quarter of an hour begins.
pub(super) async fn quarter(campus: &Campus) -> Value {
    campus.minutes(15);
    campus
        .run(UsageSync, json!({"task": "resume"}))
        .await
        .unwrap()
}

/// The answers to many claims were lost on claim day, and each student pressed again: nobody can
/// have been shown the older keys.
#[tokio::test]
async fn older_orphans_need_no_judgement() {
    let mut campus = Campus::with_keys(&[]).await;
    let names = name_people(0..8);
    for name in &names {
        campus.students(&[name]).await;
        campus.press_with(name, "reveal", Fault::LoseAnswer).await;
        let student = campus.student(name).await;
        campus.reveal(&student).await;
    }
    campus.hours(2);
    assert_eq!(swept(&campus).await, (8, true));
    campus.judged_after_sync().await;
    assert_eq!(campus.enabled().len(), 8);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn many_orphans_wait_for_an_admin() {
    let mut campus = Campus::with_keys(&[]).await;
    orphans(&mut campus, 0..5).await;
    // A key made within the hour may still be recorded, and does not count.
    campus.students(&["zoe"]).await;
    campus.press_with("zoe", "reveal", Fault::KillAfter).await;
    assert_eq!(swept(&campus).await, (5, true), "five are within the bound");
    campus.provider().delete(&campus.key("zoe").hash).unwrap();
    campus.hours(24);
    let keys = orphans(&mut campus, 5..11).await;
    let admin = campus.admin().await;
    let mut pages = Vec::new();
    for _ in 0..2 {
        let report = campus.sync().await;
        reports(&report, &json!({"complete": true, "orphans_disabled": 0}));
        assert!(
            problems(&report).contains("6 keys would have been disabled"),
            "{report}"
        );
        pages.push(admin.get(ACCOUNT).await.expect(200));
        let grants = campus.table.grants(&campus.programme).await.unwrap();
        assert!(
            grants.iter().all(|grant| grant.keys.is_empty()),
            "none is marked"
        );
        assert_eq!(campus.enabled().len(), 6, "none is touched");
    }
    campus.settle().await;
    assert_eq!(campus.mails("account").len(), 1, "an admin is told once");
    assert_eq!(quarter(&campus).await["skipped"], "nothing to begin");

    let waits = async || admin.get("/console").await.texts("waiting").join(" ");
    assert!(
        waits()
            .await
            .starts_with("The last check would have ended 6 keys"),
        "{}",
        waits().await
    );
    let item = admin.get("/console").await.one("waiting");
    assert_eq!(
        (
            item.get("data-kind"),
            item.attributes.contains_key("data-programme")
        ),
        ("safety-limit", false)
    );

    // What was held back has not changed, so the page of the first run releases it as well.
    let page = &pages[0];
    assert!(
        page.texts("warning")
            .iter()
            .any(|warning| warning.contains("6 keys")),
        "{:?}",
        page.texts("warning")
    );
    assert_eq!(
        sorted(page.attributes("held-key", "data-hash")),
        sorted(keys),
        "each can be read before the request"
    );
    assert!(
        page.texts("held-key")
            .iter()
            .all(|key| key.contains("which nobody was shown"))
    );
    campus.minutes(1);
    admin.submit(page, RELEASE, &[]).await.expect(303);
    assert_eq!(waits().await, "");
    // The next quarter of an hour does it, although a run was complete. Beside what somebody saw a
    // few more are done.
    orphans(&mut campus, 11..13).await;
    let report = quarter(&campus).await;
    reports(&report, &json!({"orphans_disabled": 8, "complete": true}));
    assert_eq!(
        quarter(&campus).await["skipped"],
        "nothing to begin",
        "a release is for one run"
    );
    assert!(campus.enabled().is_empty());
    campus.judged_after_sync().await;
    orphans(&mut campus, 13..17).await;
    assert_eq!(
        swept(&campus).await,
        (0, true),
        "with the two before they are six on one day"
    );
    (0..300).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    assert_eq!(
        swept(&campus).await,
        (4, true),
        "one in fifty of three hundred"
    );
    campus.finish_faulted().await;
}

/// So many keys beside the recorded one of a claim, which nobody was shown.
fn beside(campus: &Campus, name: &str, count: usize) {
    (0..count).for_each(|_| drop(campus.foreign(&campus.key(name).name)));
}

/// Five hundred keys are named and released at once, and no others are.
#[tokio::test]
async fn only_named_keys_are_released() {
    let campus = quiet(&["ada"]).await;
    beside(&campus, "ada", 600);
    campus.hours(2);
    assert_eq!(swept(&campus).await, (0, true));
    let named = campus.table.sync_state().await.unwrap().held_back.unwrap();
    assert_eq!((named.sweeps, named.keys.len()), (600, 500));
    campus.minutes(1);
    release(&campus).await;
    let report = quarter(&campus).await;
    reports(&report, &json!({"orphans_disabled": 500, "complete": true}));
    let left = campus
        .provider()
        .keys()
        .into_iter()
        .filter(|key| !key.disabled)
        .map(|key| key.hash);
    let left: BTreeSet<String> = left.collect();
    assert!(
        named
            .keys
            .iter()
            .all(|held| !left.contains(held.key.as_str())),
        "these and no other"
    );
    assert_eq!(left.len(), 101);
    assert_eq!(
        campus
            .table
            .sync_state()
            .await
            .unwrap()
            .held_back
            .unwrap()
            .sweeps,
        100,
        "the rest waits for the next press"
    );
    campus.judged().await;
    campus.finish().await;
}

/// A day's runs end no more keys than the bound, however often one begins.
#[tokio::test]
async fn a_day_keeps_to_its_bound() {
    let campus = quiet(&["ada"]).await;
    campus.clock.stop_at(instant(2, 10)).unwrap();
    // The new orphans, whether the run is killed right after the day's count was raised, and the
    // orphans that are left.
    let runs = [
        (3, true, 3),
        (0, false, 0),
        (1, true, 1),
        (0, false, 0),
        (1, true, 1),
        (0, false, 0),
        (1, false, 1),
        (1, false, 2),
    ];
    for (new, is_killed, left) in runs {
        beside(&campus, "ada", new);
        campus.minutes(61);
        if is_killed {
            campus.gate.at(
                Matcher::call("dynamodb:TransactWriteItems")
                    .of(UsageSync)
                    .nth(2),
                Fault::KillAfter,
            );
        }
        assert_eq!(
            campus.run(UsageSync, json!({})).await.is_err(),
            is_killed,
            "{left} are left"
        );
        assert_eq!(
            campus
                .provider()
                .keys()
                .into_iter()
                .filter(|key| !key.disabled)
                .count()
                - 1,
            left,
            "each key counts once, and a day has five"
        );
        campus.minutes(15);
    }
    campus.judged().await;
    campus.finish_faulted().await;
}

/// A class with used keys, a day after a complete sync.
async fn class(names: &[&str]) -> Campus {
    let campus = quiet(names).await;
    names.iter().for_each(|name| campus.spend(name, "0.10"));
    complete(&campus).await;
    campus.hours(24);
    campus
}

fn switch(campus: &Campus, names: &[&str], disabled: bool) {
    for name in names {
        campus
            .provider()
            .change_by_hand(&campus.key(name).hash, &json!({ "disabled": disabled }))
            .unwrap();
    }
}

async fn sync_later(campus: &Campus) -> Value {
    campus.hours(2);
    campus.sync().await
}

async fn stopped(campus: &Campus) -> usize {
    let gone = GrantState::Stopped {
        why: Stopped::GoneAtProvider,
    };
    campus
        .table
        .grants(&campus.programme)
        .await
        .unwrap()
        .iter()
        .filter(|grant| grant.state == gone)
        .count()
}

#[tokio::test]
async fn many_missing_keys_wait_for_an_admin() {
    let names = name_people(0..11);
    let campus = class(&names).await;
    switch(&campus, &names[..3], true);
    names[3..6]
        .iter()
        .for_each(|name| campus.provider().delete(&campus.key(name).hash).unwrap());
    campus.spend(names[7], "0.70");
    let report = campus.sync().await;
    reports(
        &report,
        &json!({"complete": true, "residual_usd": "0.000000"}),
    );
    assert!(
        problems(&report).contains("6 live keys missing or disabled at OpenRouter"),
        "{report}"
    );
    assert_eq!(stopped(&campus).await, 0);
    let totals = campus
        .table
        .totals(&campus.programme)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        totals.used.credits.total(),
        Usd::from_micros(1_800_000),
        "readings and sums go on"
    );
    let page = campus.admin().await.get(ACCOUNT).await.expect(200);
    let held = names[..6]
        .iter()
        .map(|name| campus.key(name).hash)
        .collect();
    assert_eq!(
        sorted(page.attributes("held-key", "data-hash")),
        sorted(held)
    );
    assert!(
        page.texts("held-key")
            .iter()
            .all(|key| key.contains("missing or disabled at OpenRouter"))
    );
    release(&campus).await;
    // A disabled key that is on again, and so is not found any more, is left alone.
    switch(&campus, &names[2..3], false);
    campus.minutes(70);
    campus.sync().await;
    assert!(stopped(&campus).await == 5 && campus.is_on(&campus.key(names[2]).hash));
    // Keys that are missing only now were not released, and the one that was listed again is one of
    // them.
    switch(&campus, &names[2..3], true);
    switch(&campus, &names[6..], true);
    for _ in 0..2 {
        let report = sync_later(&campus).await;
        assert_eq!(stopped(&campus).await, 5, "three are gone: {report}");
        assert!(
            problems(&report).contains("6 live keys missing or disabled"),
            "{report}"
        );
    }
    release(&campus).await;
    assert_eq!(sync_later(&campus).await["complete"], true);
    assert_eq!(stopped(&campus).await, 11);
    let state = campus.table.sync_state().await.unwrap();
    assert_eq!(state.held_back, None);
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn keys_that_are_off_and_not_listed_wait_as_well() {
    let names = name_people(0..6);
    let campus = class(&names).await;
    campus.foreign("by hand");
    switch(&campus, &names, true);
    let crooked = Crooked::before(&campus).await;
    let keys: Vec<String> = names.iter().map(|name| campus.key(name).hash).collect();
    crooked.bend(move |path, told| match path.starts_with("/keys?") {
        true => keys.iter().fold(told, |told, key| without(path, told, key)),
        false => told,
    });
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(stopped(&campus).await, 0);
    campus.finish().await;
}

#[tokio::test]
async fn a_key_that_was_listed_meanwhile_is_missing_only_since() {
    let campus = class(&["ada"]).await;
    campus.foreign("by hand");
    let (crooked, key) = (Crooked::before(&campus).await, campus.key("ada").hash);
    for (is_there, count) in [(false, 0), (true, 0), (false, 0), (false, 1)] {
        let hidden = key.clone();
        crooked.bend(move |path, told| {
            if is_there {
                told
            } else {
                without(path, told, &hidden)
            }
        });
        assert_eq!(crooked.sync().await["keys_missing"], u64::from(!is_there));
        assert_eq!(
            stopped(&campus).await,
            count,
            "it is asked for twice since it was listed"
        );
        campus.hours(2);
    }
    campus.finish().await;
}
