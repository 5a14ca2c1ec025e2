//! The events before a night, drawn from a seed: a programme, some people, and the fate of each. A seed makes the same world on any
//! stack, except for random values in names.

use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::id::Epoch;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::campus::Campus;
use bursar_tests::faults::Fault;
use bursar_tests::picture::{names, picture};
use fastrand::Rng;
use serde_json::json;

use super::super::{complete, instant};

/// What happens to a person before the night; what is listed more often is drawn more often. A claim dies before the first key, or
/// with one: the first, or a later one.
const FATES: &str = "spends spends spends uses-up own-keys never-claims replaces leaks paused dropped revoked enabled-by-hand \
                     limit-by-hand unlimited renamed-by-hand disabled-by-hand deleted claim-dies orphan later-orphan";
/// The fates that the safety limit counts. With more of them in one night it holds all of them back.
const COUNTED: [&str; 4] = ["disabled-by-hand", "deleted", "orphan", "later-orphan"];
const MOST_COUNTED: usize = 5;

/// Plays a script until twenty minutes past midnight of the day after the next, and tells everybody's fate.
pub(super) async fn played(mut campus: Campus, seed: u64) -> (Campus, String) {
    let mut dice = Rng::with_seed(seed ^ 0x5c21);
    campus.pump.stop().await;
    // With groups; with windows and own keys apart; with a restriction and own keys counted.
    let shape = dice.usize(..3);
    let reset = [Reset::Daily, Reset::Weekly][dice.usize(..2)];
    let cap = Usd::from_dollars([5, 20, 30][dice.usize(..3)]);
    campus
        .programme("CS pilot", |settings| match shape {
            0 => drop(settings.allowance.group_caps.insert("A".to_owned(), cap)),
            1 => (settings.basis.reset, settings.basis.byok) = (reset, Byok::Outside),
            _ => settings.basis.reset = Reset::Monthly,
        })
        .await;
    if shape == 2 {
        campus.restrict().await;
    }
    let mut people: Vec<(String, &str)> = Vec::new();
    let count = 12 + dice.usize(..9);
    while people.len() < count {
        let fate = FATES.split(' ').nth(dice.usize(..20)).unwrap();
        let counted = people.iter().filter(|(_, fate)| COUNTED.contains(fate)).count();
        if counted < MOST_COUNTED || !COUNTED.contains(&fate) {
            people.push((format!("p{:02}", people.len()), fate));
        }
    }
    for (name, fate) in &people {
        let group = [None, Some("A"), Some("B")][dice.usize(..3)].filter(|_| shape == 0);
        campus.student_in(name, group).await;
        if !matches!(*fate, "never-claims" | "claim-dies" | "orphan") {
            campus.reveal(&campus.student(name).await).await;
            campus.spend(name, &cents(&mut dice, 300));
        }
        if *fate == "enabled-by-hand" {
            campus.hold(name, HoldKind::Paused).await;
            campus.work().await;
        }
    }
    let foreign: Vec<String> =
        (0..[3, 3, 120, 210][dice.usize(..4)]).map(|number| campus.foreign(&format!("other {number}"))).collect();
    foreign[..3].iter().for_each(|key| campus.spend_on(key, "5.123456"));
    complete(&campus).await;
    for (name, _) in people.iter().filter(|(_, fate)| *fate == "deleted") {
        campus.provider().delete(&campus.key(name).hash).unwrap();
    }
    // The keys that do not exist any more are missed for the first time.
    campus.clock.stop_at(instant(1, 20)).unwrap();
    complete(&campus).await;
    campus.hours(6);
    for (name, fate) in &people {
        befalls(&campus, name, fate, &mut dice).await;
    }
    campus.minutes(20);
    // The last use of these keys settles late.
    for (name, _) in people.iter().filter(|(_, fate)| *fate == "replaces") {
        campus.spend_on(&campus.keys_of(name)[0].hash, "0.123456");
    }
    campus.spend_on(&foreign[1], &cents(&mut dice, 10));
    campus.foreign("new today");
    campus.clock.stop_at(instant(2, 20)).unwrap();
    let told = format!("programme {shape}, {reset:?}: {people:?}");
    (campus, told)
}

async fn befalls(campus: &Campus, name: &str, fate: &str, dice: &mut Rng) {
    let by_hand = |change| campus.provider().change_by_hand(&campus.key(name).hash, &change).unwrap();
    let dollars = if fate == "uses-up" { "40".to_owned() } else { cents(dice, 200) };
    if !matches!(fate, "never-claims" | "claim-dies" | "orphan" | "deleted" | "enabled-by-hand") {
        campus.spend(name, &dollars);
    }
    match fate {
        "spends" | "uses-up" | "never-claims" | "deleted" => {}
        "own-keys" => {
            let (key, used) = (campus.key(name).hash, Nano::parse(&dollars).unwrap());
            campus.provider().spend_byok(&key, used, campus.clock.now(), "a/model").unwrap();
        }
        "replaces" => {
            campus.replace(name).await;
            campus.spend(name, &dollars);
        }
        "leaks" => {
            campus.table.act(campus.on(name), |view, _| view.report_leaked(Epoch::new(1))).await.unwrap();
        }
        "paused" => campus.hold(name, HoldKind::Paused).await,
        "dropped" => campus.hold(name, HoldKind::Dropped).await,
        "revoked" => campus.revoke(name).await,
        "enabled-by-hand" => by_hand(json!({"disabled": false})),
        "limit-by-hand" => by_hand(json!({"limit": 77})),
        "unlimited" => by_hand(json!({"limit": null})),
        "renamed-by-hand" => by_hand(json!({"name": format!("renamed {name}")})),
        "disabled-by-hand" => by_hand(json!({"disabled": true})),
        "claim-dies" => drop(campus.press_with(name, "reveal", Fault::KillBefore).await),
        "orphan" => drop(campus.press_with(name, "reveal", Fault::KillAfter).await),
        _ => drop(campus.press_with(name, "replace", Fault::KillAfter).await),
    }
}

/// An amount of up to so many cents.
fn cents(dice: &mut Rng, most: u64) -> String {
    let micros = 1 + dice.u64(..most * 10_000);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The table and the provider, a line for each thing, without random values and times.
pub(super) async fn pictured(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let (mut lines, names) = (picture(campus, &seen), names(campus, &seen));
    for key in campus.provider().keys() {
        let name = names.iter().find(|(hash, _)| *hash == key.hash).map_or("", |(_, name)| name);
        let on = if key.disabled || key.deleted { "off" } else { "on" };
        let (limit, reset, used) = (key.limit, key.limit_reset, (key.usage, key.byok_usage));
        let restricted = key.guardrail_id.is_some();
        lines.push(format!("at the provider {name}: {on}, {limit:?} {reset:?}, used {used:?}, {restricted}"));
    }
    // Who hears of a run that was not complete.
    lines.retain(|line| !line.contains("admin@example.edu"));
    lines
}
