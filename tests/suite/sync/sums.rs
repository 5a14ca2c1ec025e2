//! The sync's sums: the recount of the budget's counter, acts and edits that change it meanwhile,
//! and sums of very many groups.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Reservation;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::ActContext;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::{Campus, name_people};
use bursar_tests::faults::{Call, Fault, Matcher};
use bursar_tests::invariants::Snapshot;
use bursar_tests::seeds::sample;
use serde_json::{Value, json};

use super::crooked::{Crooked, with_row};
use super::{calls_of_a_run, changed, complete, quiet, without_runs};

/// The counter of the budget, and a plain sum over the reservations of its grants.
async fn counted(campus: &Campus) -> [Usd; 2] {
    let (seen, now) = (campus.judged().await, campus.clock.now());
    let settings = &seen.programmes.values().next().unwrap().settings;
    let reservations = seen.grants.values().map(|grant| {
        let readings = seen.readings_of(grant);
        Reservation {
            grant,
            readings: &readings,
            settings,
        }
        .cost(now)
    });
    [
        seen.budgets.values().next().unwrap().reserved,
        reservations.sum(),
    ]
}

/// A programme whose counter the sync corrects, since a key exceeded its cap.
async fn to_be_counted() -> Campus {
    let campus = quiet(&["ada", "eve"]).await;
    campus.spend("eve", "21");
    campus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counter_is_never_too_low_whatever_moves_it_during_a_sync() {
    let campus = to_be_counted().await;
    // The calls of the sync up to its count of the budget; after that nothing reads or writes it.
    let calls = calls_of_a_run(&campus).await;
    let count = calls
        .iter()
        .rposition(|call| call.name.to_string() == "dynamodb:TransactWriteItems")
        .unwrap();
    campus.finish().await;
    let acts = ["is revoked", "has less", "has more"];
    let cases = (1..=count as u64 + 1)
        .rev()
        .flat_map(|nth| acts.map(|act| (nth, act)));
    for (nth, act) in sample(cases, 4) {
        let campus = to_be_counted().await;
        let held = campus.gate.hold(Matcher::call("*").of(UsageSync).nth(nth));
        let overtaking = async {
            held.arrived().await;
            let cap = |dollars| {
                let cap = Some(Usd::from_dollars(dollars));
                campus.table.act(campus.on("ada"), move |view, now| {
                    view.set_cap(cap, &Actor::Rule, None, now)
                })
            };
            match act {
                "is revoked" => campus.revoke("ada").await,
                "has less" => drop(cap(5).await.unwrap()),
                _ => drop(cap(30).await.unwrap()),
            }
            drop(held);
        };
        tokio::join!(campus.sync(), overtaking);
        // What was taken meanwhile may count twice, and never not at all; a quiet run makes it
        // exact.
        let [counter, sum] = counted(&campus).await;
        assert!(
            counter >= sum,
            "somebody {act} at call {nth}: {counter} of {sum}"
        );
        campus.minutes(20);
        campus.sync().await;
        let [counter, sum] = counted(&campus).await;
        assert_eq!(counter, sum, "somebody {act} at call {nth}");
        campus.finish_faulted().await;
    }
}

/// Something was found in ada's key, so she is read once more. Before the second of these reads a
/// limit below her use is confirmed.
#[tokio::test]
async fn a_grant_is_counted_with_readings_that_are_not_older() {
    let campus = quiet(&["ada"]).await;
    let drifts = || {
        campus.minutes(2);
        campus
            .provider()
            .change_by_hand(&campus.key("ada").hash, &json!({"limit": 500}))
            .unwrap();
    };
    complete(&campus).await;
    drifts();
    let of_grant = |call: &Call| {
        call.parts
            .first()
            .is_some_and(|part| part.partition == "G#")
    };
    let second = calls_of_a_run(&campus)
        .await
        .iter()
        .rposition(of_grant)
        .unwrap() as u64
        + 1;
    drifts();
    let held = campus
        .gate
        .hold(Matcher::call("*").of(UsageSync).nth(second));
    let meanwhile = async {
        held.arrived().await;
        campus.spend("ada", "18");
        let cap = Some(Usd::from_dollars(15));
        campus
            .table
            .act(campus.on("ada"), |view, now| {
                view.set_cap(cap, &Actor::Rule, None, now)
            })
            .await
            .unwrap();
        campus.work().await;
        drop(held);
    };
    tokio::join!(campus.sync(), meanwhile);
    let [counter, sum] = counted(&campus).await;
    assert!(counter >= sum, "{counter} of {sum}");
    campus.finish().await;
}

/// A run that wakes at its count after a later one has counted adds nothing.
#[tokio::test]
async fn nothing_is_counted_twice() {
    let campus = to_be_counted().await;
    let calls = calls_of_a_run(&campus).await;
    let mut writes = calls
        .iter()
        .filter(|call| call.name.to_string() == "dynamodb:TransactWriteItems");
    let is_count = |call: &Call| {
        call.parts
            .iter()
            .any(|part| part.action == "ConditionCheckItem")
    };
    let count = writes.position(is_count).unwrap() as u64 + 1;
    campus.finish().await;
    let campus = to_be_counted().await;
    let held = campus.gate.hold(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .nth(count),
    );
    let later = async {
        held.arrived().await;
        campus.minutes(16);
        complete(&campus).await;
        drop(held);
    };
    tokio::join!(campus.sync(), later);
    let [counter, sum] = counted(&campus).await;
    assert_eq!(counter, sum);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_window_that_is_over_is_given_back_once() {
    let mut campus = quiet(&[]).await;
    campus
        .set(|settings| settings.basis.reset = Reset::Daily)
        .await;
    campus.students_with_keys(&["ada", "bob"]).await;
    let (crooked, hash) = (Crooked::before(&campus).await, campus.key("ada").hash);
    complete(&campus).await;
    let (yesterday, before) = (campus.clock.now(), campus.reserved().await);
    campus.spend("ada", "15");
    campus.hours(24);
    crooked.bend(move |path, told| with_row(path, told, &hash, |row| row["usage"] = Value::Null));
    assert_eq!(crooked.sync().await["complete"], true);
    let bobs = Usd::from_dollars(20);
    assert_eq!(
        campus.reserved().await,
        before - bobs,
        "nobody knows that ada did not spend the twenty dollars of yesterday"
    );
    complete(&campus).await;
    assert_eq!(campus.reserved().await, before - Usd::from_dollars(25));
    // A late act takes out no more than is in.
    let late = ActContext {
        now: yesterday,
        ..campus.on("ada")
    };
    campus
        .table
        .act(late, |view, _| view.revoke(&Actor::Rule, None))
        .await
        .unwrap();
    let [counter, sum] = counted(&campus).await;
    assert_eq!(counter, sum);
    campus.finish().await;
}

#[tokio::test]
async fn the_sums_of_many_groups_have_items_of_their_own() {
    let mut campus = quiet(&[]).await;
    let names = name_people(0..21);
    for name in &names {
        campus
            .student_in(name, Some(&format!("group {name}")))
            .await;
    }
    campus.keys().await;
    names.iter().for_each(|name| campus.spend(name, "1"));
    complete(&campus).await;
    let apart = |seen: &Snapshot| {
        seen.items
            .keys()
            .filter(|(_, sk)| sk.starts_with("OVERVIEW#GT#"))
            .count()
    };
    let before = campus.judged_after_sync().await;
    assert_eq!(apart(&before), 21);
    complete(&campus).await;
    assert_eq!(
        changed(&without_runs(&before), &*campus.judged_after_sync().await),
        Vec::<String>::new()
    );
    // One that nobody is in any more goes, although the answers to this run's first writes are
    // lost.
    let mut moved = campus.grant("s007").await;
    moved.group = Some("group s008".to_owned());
    campus.raw().keep(&moved).await;
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .next(2),
        Fault::LoseAnswer,
    );
    complete(&campus).await;
    let groups = campus
        .table
        .totals(&campus.programme)
        .await
        .unwrap()
        .unwrap()
        .by_group;
    assert_eq!(
        (groups.len(), groups["group s008"].credits.total()),
        (20, Usd::from_dollars(2))
    );
    campus.finish().await;
}
