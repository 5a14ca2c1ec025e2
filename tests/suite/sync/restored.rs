//! A table that was restored to an earlier moment: the keys that students use are recovered and
//! keep working.

use bursar_core::domain::audit::{Act, Actor, AuditEntry};
use bursar_core::domain::grant::{GrantState, HoldKind, View};
use bursar_core::store::Meta;
use bursar_core::store::items::Item;
use bursar_local::invoke::FunctionName::{Claim, UsageSync};
use bursar_tests::campus::{Campus, name_people};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::{Answers, Snapshot};
use bursar_tests::seeds::seeds;
use bursar_tests::stack;
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::rotation::close_a_workspace;
use super::{ACCOUNT, changed, complete, problems, quiet, release, without_runs};
use crate::console::erase::erased;

/// The table as it is. A key whose grant went with the restored table is accepted just after a
/// sync, and nobody says what was shown before.
async fn seen(campus: &Campus, synced: bool) -> Arc<Snapshot> {
    let mut watch = stack::watch(campus);
    watch.places.answers = Answers::default();
    let mut wrong = watch.violations(synced).await;
    wrong.retain(|what| !what.ends_with("but its grant is not there"));
    assert!(!synced || wrong.is_empty(), "{wrong:#?}");
    watch.seen()
}

async fn items(campus: &Campus) -> Vec<Item> {
    seen(campus, false).await.items.values().cloned().collect()
}

/// Restores the table to these items.
async fn put_back(campus: &Campus, then: &[Item]) {
    let raw = campus.raw();
    for item in items(campus).await {
        raw.delete(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap())
            .await;
    }
    for item in then {
        raw.put(item.clone()).await;
    }
}

/// Makes the table appear restored under a name other than its own.
pub(super) async fn as_a_copy(campus: &Campus) {
    let before = "what-it-was-called-before".to_owned();
    let meta: Meta = seen(campus, false).await.meta.clone().unwrap();
    campus
        .raw()
        .keep(&Meta {
            table: before,
            ..meta
        })
        .await;
}

#[tokio::test]
async fn restored_tables_recover_every_key_in_use() {
    let mut campus = quiet(&["ada", "ben", "dan"]).await;
    campus.students(&["cat", "eve"]).await;
    campus.spend("ada", "1");
    campus.spend("ben", "2");
    campus.foreign("by hand");
    complete(&campus).await;
    campus.hours(3);
    // The restored moment is in the middle of a claim.
    let held = campus
        .gate
        .hold(Matcher::call("provider:POST /keys").of(Claim));
    let (eve, moment) = (campus.student("eve").await, async {
        held.arrived().await;
        let then = items(&campus).await;
        drop(held);
        then
    });
    let (_, then) = tokio::join!(campus.reveal(&eve), moment);
    campus.replace("ada").await;
    campus.reveal(&campus.student("cat").await).await;
    campus.students_with_keys(&["fay"]).await;
    for (name, dollars) in [("ada", "3"), ("cat", "0.40"), ("fay", "0.05")] {
        campus.spend(name, dollars);
    }
    campus.provider().disable(&campus.key("ben").hash).unwrap();
    let in_use = ["ada", "cat", "dan", "eve", "fay"].map(|name| campus.key(name).hash);
    put_back(&campus, &then).await;
    as_a_copy(&campus).await;

    campus.minutes(1);
    campus.students(&["gus", "hal"]).await;
    let gus = campus.student("gus").await;
    let refused = campus.press(&gus, "reveal").await.expect(503);
    assert!(
        refused.readable().contains("in a few minutes"),
        "{}",
        refused.readable()
    );
    assert_eq!(campus.grant("gus").await.state, GrantState::Invited);
    // Disables alone are sent, and no job runs.
    let admin = campus.admin().await;
    let limit = campus.key("dan").limit;
    assert_eq!(
        campus
            .edit(
                &admin,
                &[("cap_usd", "10"), ("models", "openai/gpt-4o-mini")]
            )
            .await
            .status,
        303
    );
    let hal = admin
        .get(&format!(
            "/console/people/erase?of=cs-pilot/{}",
            campus.id("hal")
        ))
        .await;
    erased(&admin, &hal, "hal@example.edu").await.expect(303);
    campus.hold("dan", HoldKind::Paused).await;
    campus.work().await;
    assert_eq!(
        (campus.is_on(&in_use[2]), campus.key("dan").limit),
        (false, limit)
    );
    let release = |view: &View, now| view.release(HoldKind::Paused, &Actor::Rule, now);
    campus.table.act(campus.on("dan"), release).await.unwrap();
    campus.work().await;
    assert_eq!(
        (campus.is_on(&in_use[2]), campus.key("dan").limit),
        (false, limit)
    );
    assert_eq!(campus.job("limits").await.unwrap().next, 0);
    assert!(
        campus.guardrail().await.is_none() && !campus.grant("hal").await.person.address.is_erased()
    );
    // Keys that could not be recorded keep it a copy: behind the run's own two transactions come
    // three recoveries.
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .nth(4),
        Fault::Status(400),
    );
    let report = campus.sync().await;
    assert!(
        problems(&report).contains("some of the table could not be read"),
        "{report}"
    );
    let meta: Meta = seen(&campus, false).await.meta.clone().unwrap();
    assert_ne!(meta.table, campus.ready.table, "it is a copy still");

    let report = complete(&campus).await;
    assert_eq!(report["orphans_disabled"], 0, "{report}");
    let page = admin.get(ACCOUNT).await.expect(200);
    assert!(
        page.body.contains(&in_use[4]),
        "a key whose grant is not there is named"
    );
    for name in ["ada", "ben", "cat", "dan", "eve"] {
        let grant = campus.grant(name).await;
        let expected = (name != "ben").then(|| campus.key(name).hash.parse().unwrap());
        assert_eq!(
            grant.live().map(|live| live.hash.clone()),
            expected,
            "{name}"
        );
        assert_eq!(
            grant.holds.paused.is_some(),
            name == "ben",
            "who ended that key is not known: {name}"
        );
        let entries = campus
            .table
            .list(AuditEntry::of_grant(&campus.programme, campus.id(name)))
            .await
            .unwrap();
        let has = |act| entries.iter().filter(|entry| entry.what.act == act).count();
        // The key of an open claim counts as shown.
        assert_eq!(
            has(Act::Recovered),
            usize::from(["ada", "cat", "eve"].contains(&name)),
            "{name}"
        );
        assert_eq!(has(Act::Stopped), usize::from(name == "ben"), "{name}");
    }
    for _ in 0..2 {
        campus.work().await;
        campus.minutes(1);
    }
    assert!(
        campus.guardrail().await.is_some() && campus.grant("hal").await.person.address.is_erased()
    );
    assert_eq!(complete(&campus).await["readings_recorded"], 0);
    let before = without_runs(&*seen(&campus, true).await);
    complete(&campus).await;
    assert_eq!(
        changed(&before, &*seen(&campus, true).await),
        Vec::<String>::new()
    );
    assert!(
        in_use.iter().all(|key| campus.is_on(key)),
        "whatever a student uses works"
    );
    assert_ne!(campus.key("dan").limit, limit);
    campus.reveal(&campus.student("gus").await).await;
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn keys_are_recovered_although_a_workspace_is_closed() {
    let mut campus = quiet(&["ada"]).await;
    campus.students(&["cat"]).await;
    close_a_workspace(&campus).await;
    complete(&campus).await;
    campus.hours(3);
    let then = items(&campus).await;
    campus.replace("ada").await;
    campus.reveal(&campus.student("cat").await).await;
    let in_use = ["ada", "cat"].map(|name| campus.key(name).hash);
    put_back(&campus, &then).await;
    as_a_copy(&campus).await;
    campus.minutes(1);
    let report = complete(&campus).await;
    assert!(
        problems(&report).contains("may not open these workspaces"),
        "{report}"
    );
    let meta: Meta = seen(&campus, false).await.meta.clone().unwrap();
    assert_eq!(meta.table, campus.ready.table, "it is the deployment's own");
    for (name, key) in ["ada", "cat"].into_iter().zip(&in_use) {
        assert_eq!(
            campus
                .grant(name)
                .await
                .live()
                .map(|live| live.hash.to_string())
                .as_ref(),
            Some(key),
            "{name}"
        );
        assert!(campus.is_on(key), "{name}");
    }
    campus.finish_unjudged().await;
}

/// A table that was restored under its own name is reported and left as it is.
#[tokio::test]
async fn a_table_put_back_is_reported() {
    let campus = quiet(&["ada"]).await;
    complete(&campus).await;
    campus.hours(3);
    let then = items(&campus).await;
    campus.replace("ada").await;
    let newer = campus.key("ada").hash;
    put_back(&campus, &then).await;
    campus.hours(3);
    let told = |subject: &String| subject.contains("1 working key with Bursar's names");
    for (night, enabled, alarms) in [(0, true, 1), (1, true, 0), (2, false, 0)] {
        let report = complete(&campus).await;
        assert!(
            problems(&report).contains(&newer) && campus.is_on(&newer) == enabled,
            "{report}"
        );
        assert!(
            campus
                .admin()
                .await
                .get(ACCOUNT)
                .await
                .body
                .contains(&newer)
        );
        let entries = campus
            .table
            .list(AuditEntry::of_grant(&campus.programme, campus.id("ada")))
            .await
            .unwrap();
        assert!(!entries.iter().any(|entry| entry.what.act == Act::Recovered));
        campus.drain().await;
        assert_eq!(
            campus
                .subjects("account")
                .iter()
                .filter(|subject| told(subject))
                .count(),
            alarms
        );
        if night == 1 {
            campus.provider().disable(&newer).unwrap();
        }
        campus.hours(24);
    }
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn a_recovery_that_would_stop_many_keys_waits() {
    let names = name_people(0..7);
    let campus = quiet(&names).await;
    let mut keys: Vec<String> = names.iter().map(|name| campus.key(name).hash).collect();
    complete(&campus).await;
    let then = items(&campus).await;
    campus.minutes(10);
    for name in &names[..6] {
        campus.press_with(name, "replace", Fault::KillAfter).await;
        keys.push(campus.key(name).hash);
    }
    // A key whose call began before the restore, and which is made late.
    campus.press_with(names[6], "replace", Fault::Late).await;
    for key in &keys[..7] {
        campus
            .provider()
            .change_by_hand(key, &json!({"disabled": false}))
            .unwrap();
    }
    let is_on = |keys: &[String]| keys.iter().all(|key| campus.is_on(key));
    put_back(&campus, &then).await;
    as_a_copy(&campus).await;
    campus.minutes(1);
    for _ in 0..2 {
        let report = campus.sync().await;
        assert!(is_on(&keys), "none is stopped: {report}");
        assert!(
            problems(&report).contains("6 keys would have been disabled"),
            "{report}"
        );
    }
    let meta: Meta = seen(&campus, false).await.meta.clone().unwrap();
    assert_ne!(meta.table, campus.ready.table, "it is not recovered");
    release(&campus).await;
    campus.minutes(1);
    // The number is that of the release, and one of the keys is another.
    campus.provider().disable(&keys[0]).unwrap();
    campus.gate.run_late().await;
    keys.push(campus.key(names[6]).hash);
    let report = campus.sync().await;
    assert!(
        problems(&report).contains("1 key would have been disabled"),
        "nobody let the last one through: {report}"
    );
    assert!(
        !keys[1..6].iter().any(|key| campus.is_on(key)) && is_on(&keys[6..]),
        "only those that somebody saw"
    );
    campus.minutes(1);
    release(&campus).await;
    complete(&campus).await;
    assert!(!keys[..7].iter().any(|key| campus.is_on(key)) && is_on(&keys[7..]));
    seen(&campus, true).await;
    campus.finish_unjudged().await;
}

/// Drawn histories in which the table goes back: acts, a copy, acts, the copy in its place, acts,
/// and three runs. Whatever key a student reported or handed back in the copy is off then, though
/// it was made after the copy.
#[tokio::test]
async fn what_is_ended_in_a_restored_copy_stays_off() {
    const NAMES: [&str; 3] = ["ada", "bob", "cid"];
    for seed in seeds(0, 3, 300) {
        let mut dice = Rng::with_seed(seed);
        let campus = quiet(&NAMES).await;
        complete(&campus).await;
        campus.tell(format!("seed {seed}"));
        act_for_a_while(&campus, &mut dice).await;
        let then = items(&campus).await;
        campus.hours(1);
        act_for_a_while(&campus, &mut dice).await;
        put_back(&campus, &then).await;
        as_a_copy(&campus).await;
        campus.minutes(1);
        let ended = act_for_a_while(&campus, &mut dice).await;
        for _ in 0..3 {
            complete(&campus).await;
            campus.minutes(20);
        }
        for name in ended {
            let on: Vec<_> = campus
                .keys_of(name)
                .into_iter()
                .filter(|key| campus.is_on(&key.hash))
                .collect();
            assert!(on.is_empty(), "seed {seed}, {name}: {on:?}");
        }
        seen(&campus, true).await;
        campus.finish_unjudged().await;
    }
}

/// Lets students and staff press what is drawn. Returns who reported or handed back a key.
async fn act_for_a_while(campus: &Campus, dice: &mut Rng) -> BTreeSet<&'static str> {
    let mut ended = BTreeSet::new();
    for _ in 0..dice.usize(2..6) {
        campus.minutes(dice.i64(1..20));
        let name = ["ada", "bob", "cid"][dice.usize(..3)];
        let press = ["replace", "replace", "leaked", "return", "pause"][dice.usize(..5)];
        if press == "pause" {
            let paused = campus.grant(name).await.holds.paused.is_some();
            let act = |view: &View, now| match paused {
                true => view.release(HoldKind::Paused, &Actor::Rule, now),
                false => view.hold(HoldKind::Paused, &Actor::Rule, None, now),
            };
            campus.table.act(campus.on(name), act).await.unwrap();
            continue;
        }
        let student = campus.student(name).await;
        let page = student.get("/my").await;
        if page.offers(&campus.my(press)) {
            let status = student.submit(&page, &campus.my(press), &[]).await.status;
            campus.tell(format!("{name} presses {press}: {status}"));
            if status == 303 {
                ended.insert(name);
            }
        }
    }
    campus.work().await;
    ended
}
