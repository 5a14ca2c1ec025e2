//! A night of bad weather over the whole stack, drawn from a seed. Calls meet rate limits, errors, torn, lost
//! and late answers, pages of proxies, a throttled table, and kills. Begun again and again, a run is complete within the night.
//! Afterwards the table is what a quiet night leaves of the same script, except for times, ids, alarms and the
//! records of runs.
//!
//! `BURSAR_TEST_SEED=70 cargo test -p bursar-tests sync::weather` replays one night, `cargo xtask long tests` plays two
//! hundred.

mod script;
mod sky;

use bursar_core::deadline::Waits;
use bursar_core::store::{Run, items};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::seeds::seeds;
use bursar_tests::stack::Setup;
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use serde_json::json;

use self::script::{pictured, played};
use self::sky::Weather;

const SIDE_BY_SIDE: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_weather_leaves_what_a_quiet_night_leaves() {
    // A panic has already printed its reason.
    let nights = seeds(0, 1, 200).map(|seed| async move { (seed, tokio::spawn(compared(seed)).await.is_err()) });
    let nights: Vec<_> = stream::iter(nights).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let wrong: Vec<u64> = nights.into_iter().filter(|(_, is_wrong)| *is_wrong).map(|(seed, _)| seed).collect();
    assert!(wrong.is_empty(), "the nights of these seeds went wrong: {wrong:?}");
}

async fn compared(seed: u64) {
    let (quiet, _) = night(seed, false).await;
    let (bad, told) = night(seed, true).await;
    for (when, quiet, bad) in [("in the morning", &quiet[0], &bad[0]), ("three nights later", &quiet[1], &bad[1])] {
        let only = |of: &[String], not: &[String]| -> Vec<String> {
            of.iter().filter(|line| !not.contains(line)).cloned().collect()
        };
        let (missing, more) = (only(quiet, bad), only(bad, quiet));
        assert!(
            missing.is_empty() && more.is_empty() && quiet.len() == bad.len(),
            "seed {seed}, {when} {missing:#?} became {more:#?}\n{told}"
        );
    }
}

/// The table in the morning after a night and after the three quiet ones that follow, as lines, and what befell both.
async fn night(seed: u64, is_bad: bool) -> ([Vec<String>; 2], String) {
    let waits = if is_bad { Waits::shortened(20) } else { Waits::WHOLE };
    let (campus, mut told) = played(Campus::of(Setup { waits, ..Setup::default() }).await, seed).await;
    let begins = campus.clock.now();
    campus.judged().await;
    synced(&campus, is_bad.then(|| Weather::drawn(seed, begins)).as_ref(), seed).await;
    campus.clock.stop_at(begins + SignedDuration::from_hours(18)).unwrap();
    campus.gate.run_late().await;
    for _ in 0..2 {
        campus.work().await;
    }
    campus.judged_after_sync().await;
    // The use by model may be left to the next night.
    let mut morning = but_for(pictured(&campus).await, ", models_until: ", ",");
    morning.retain(|line| !line.contains("kind: model-day"));
    // What runs end is free after the next whole one, and a bad night has more of them.
    morning.retain(|line| !line.contains("kind: budget") && !line.contains("kind: balance"));
    // What a run ends is settled by the next, of which a bad night has more; and what is read later is deleted later.
    for hours in [24, 72, 96] {
        campus.clock.stop_at(begins + SignedDuration::from_hours(hours)).unwrap();
        synced(&campus, None, seed).await;
        campus.judged_after_sync().await;
    }
    let mut next = pictured(&campus).await;
    // On which of the nights a key was deleted.
    next.retain(|line| !line.contains("kind: account-day") && !line.contains("kind: balance"));
    let failed = campus.gate.calls().into_iter().filter(|made| made.fault.is_some());
    failed.for_each(|made| told += &format!("\n{made}"));
    campus.finish_faulted().await;
    // A key that could not be asked for is known for no longer than before, even if it is gone; and nobody waits for one for ever.
    let unread = [", unchanged_until: T", ", unread_since: T"];
    ([morning, next].map(|lines| unread.iter().fold(lines, |lines, mark| but_for(lines, mark, ""))), told)
}

/// Runs the sync of a night until a run is complete.
async fn synced(campus: &Campus, weather: Option<&Weather>, seed: u64) {
    let begins = campus.clock.now();
    let mut told = Vec::new();
    while campus.clock.now() <= begins + SignedDuration::from_hours(17) {
        let event = if campus.clock.now() == begins { json!({}) } else { json!({"task": "resume"}) };
        let outcome = match weather {
            Some(weather) => weather.through(campus, event).await,
            None => campus.run(UsageSync, event).await,
        };
        told.push(format!("{}: {outcome:?}", campus.clock.now()));
        let seen = campus.judged().await;
        let of_runs = seen.items.values().filter(|item| item["kind"].as_s().is_ok_and(|kind| kind == "run"));
        let mut runs = of_runs.map(|item| items::from_item::<Run>(item.clone()).unwrap());
        if runs.any(|run| run.began_at >= begins && run.complete) {
            return;
        }
        campus.minutes(15);
    }
    panic!("seed {seed}: no run was complete: {told:#?}");
}

/// The lines without what is between these two texts.
fn but_for(lines: Vec<String>, from: &str, to: &str) -> Vec<String> {
    let without = |mut line: String| {
        while let Some((before, rest)) = line.split_once(from)
            && let Some((_, after)) = rest.split_once(to)
        {
            line = format!("{before}{after}");
        }
        line
    };
    lines.into_iter().map(without).collect()
}
