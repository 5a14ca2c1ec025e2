//! A night of bad weather over the whole stack, drawn from a seed. Calls meet rate limits, errors, torn, lost
//! and late answers, pages of proxies, a throttled table, and kills. The run is complete within its six hours.
//! Afterwards the table is what a quiet night leaves of the same script, except for times, ids, alarms and the
//! records of runs.
//!
//! `BURSAR_TEST_SEED=70 cargo test -p bursar-tests sync::weather` replays one night, `cargo xtask long nights` plays two
//! hundred.

mod script;
mod sky;

use std::fmt::Write;

use bursar_core::deadline::Waits;
use bursar_core::store::Run;
use bursar_core::store::items::{self};
use bursar_local::invoke::FunctionName;
use bursar_tests::invariants::{Snapshot, Watch};
use bursar_tests::seeds::seeds;
use bursar_tests::stack::{self, Setup, Stack};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::json;

use self::script::{Script, played, work};
use self::sky::Weather;
use super::{hours, instant, minutes, watch};

const SIDE_BY_SIDE: usize = 3;
/// The factor by which waits are shortened in bad weather.
const SHORTER: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_of_bad_weather_ends_complete_and_leaves_what_a_quiet_one_leaves() {
    let played = seeds(0, 1, 200).map(|seed| async move {
        // A panic has already printed its reason.
        let outcome = tokio::spawn(compared(seed)).await.unwrap_or_else(|error| Err(error.to_string()));
        outcome.err().map(|why| (seed, why))
    });
    let played: Vec<_> = stream::iter(played).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let wrong: Vec<_> = played.iter().flatten().collect();
    let told: String = wrong.iter().map(|(seed, why)| format!("\n\nseed {seed}: {why}")).collect();
    assert!(wrong.is_empty(), "{} of {} nights went wrong:{told}", wrong.len(), played.len());
}

/// The table after a night, and after the quiet night that follows, as lines.
struct Pictures {
    morning: Vec<String>,
    next: Vec<String>,
    /// The grants with their fates, and the calls that failed.
    told: String,
}

async fn compared(seed: u64) -> Result<(), String> {
    let quiet = night(seed, Waits::WHOLE, |_| None).await?;
    let bad = night(seed, Waits::shortened(SHORTER), |begins| Some(Weather::drawn(seed, begins))).await?;
    let morning = same("in the morning", &quiet.morning, &bad.morning);
    let all = morning.and_then(|()| same("after the next night", &quiet.next, &bad.next));
    all.map_err(|why| format!("{why}\n{}", bad.told))
}

fn same(when: &str, quiet: &[String], bad: &[String]) -> Result<(), String> {
    let missing: Vec<_> = quiet.iter().filter(|line| !bad.contains(line)).collect();
    let more: Vec<_> = bad.iter().filter(|line| !quiet.contains(line)).collect();
    match missing.is_empty() && more.is_empty() && quiet.len() == bad.len() {
        true => Ok(()),
        false => Err(format!("{when} {missing:#?} became {more:#?}")),
    }
}

async fn night(
    seed: u64,
    waits: Waits,
    weather: impl FnOnce(Timestamp) -> Option<Weather>,
) -> Result<Pictures, String> {
    let stack = stack::of(Setup { waits, ..Setup::default() }).await.unwrap();
    stack.pump.stop().await;
    stack.schedules.stop().await;
    stack.clock.begin_at(instant(0, 10 * 60)).unwrap();
    let script = played(&stack, seed).await;
    let (mut watch, begins) = (watch(&stack), stack.clock.now());
    watch.check().await;
    let weather = weather(begins);
    let outcome = lived_through(&stack, &script, &mut watch, weather.as_ref()).await;
    let told = format!("{}\n{}", script.told(), went_wrong(&stack));
    stack.finish_faulted().await;
    match outcome {
        Ok((morning, next)) => Ok(Pictures { morning, next, told }),
        Err(why) => Err(format!("{why}\n{told}")),
    }
}

/// The pictures of the morning after this night, and of the one after the next.
async fn lived_through(
    stack: &Stack,
    script: &Script<'_>,
    watch: &mut Watch,
    weather: Option<&Weather>,
) -> Result<(Vec<String>, Vec<String>), String> {
    let begins = stack.clock.now();
    synced(stack, watch, weather).await?;
    stack.clock.advance((begins + hours(7)).duration_since(stack.clock.now())).unwrap();
    stack.gate.run_late().await;
    for _ in 0..2 {
        work(stack).await;
        stack.clock.advance(minutes(1)).unwrap();
    }
    let morning = but_for_models(but_for_unanswered(script.picture(judged(watch, true).await?)));
    stack.clock.advance((begins + hours(24)).duration_since(stack.clock.now())).unwrap();
    synced(stack, watch, None).await.map_err(|why| format!("the next night: {why}"))?;
    Ok((morning, but_for_unanswered(script.picture(judged(watch, true).await?))))
}

/// Runs the sync of a night, resumed every quarter of an hour for six hours.
async fn synced(stack: &Stack, watch: &mut Watch, weather: Option<&Weather>) -> Result<(), String> {
    let begins = stack.clock.now();
    let mut told = String::new();
    while stack.clock.now() <= begins + hours(6) {
        let event = if stack.clock.now() == begins { json!({}) } else { json!({"task": "resume"}) };
        let outcome = match weather {
            Some(weather) => weather.through(stack, event).await,
            None => stack.invoke.invoke(FunctionName::UsageSync, event).await,
        };
        writeln!(told, "{}: {outcome:?}", stack.clock.now()).unwrap();
        let seen = judged(watch, false).await.map_err(|why| format!("{why}\n{told}"))?;
        if let Some(run) = last_run(seen).filter(|run| run.began_at >= begins) {
            judged(watch, true).await.map_err(|why| format!("{why}\n{told}"))?;
            return if run.complete { Ok(()) } else { Err(format!("it is over and not complete: {run:?}\n{told}")) };
        }
        stack.clock.advance(minutes(15)).unwrap();
    }
    Err(format!("it was not over after six hours:\n{told}"))
}

/// The present moment, if every invariant holds.
async fn judged(watch: &mut Watch, synced: bool) -> Result<&Snapshot, String> {
    match watch.violations(synced).await.unwrap().as_slice() {
        [] => Ok(watch.seen().unwrap()),
        violations => Err(violations.iter().map(|violation| format!("{violation}\n")).collect()),
    }
}

fn last_run(seen: &Snapshot) -> Option<Run> {
    let of_runs = seen.items.values().filter(|item| item["kind"].as_s().is_ok_and(|kind| kind == "run"));
    let runs = of_runs.map(|item| items::from_item::<Run>(item.clone()).unwrap());
    runs.max_by_key(|run| run.began_at)
}

/// The lines without the use by model, which a night may leave to the next.
fn but_for_models(lines: Vec<String>) -> Vec<String> {
    let is_of_models = |line: &String| line.contains("kind: model-day") || line.contains("kind: unattributed-day");
    let lines = lines.into_iter().filter(|line| !is_of_models(line));
    lines.map(|line| without(line, ", models_until: ", ",")).collect()
}

/// The lines without unanswered calls that set a limit. Where such a call costs anything, the pot differs as well.
fn but_for_unanswered(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| without(line, ", told: {", "}")).collect()
}

fn without(mut line: String, from: &str, to: &str) -> String {
    while let Some((before, rest)) = line.split_once(from)
        && let Some((_, after)) = rest.split_once(to)
    {
        line = format!("{before}{after}");
    }
    line
}

/// The calls that failed, a line each.
fn went_wrong(stack: &Stack) -> String {
    let calls = stack.gate.calls().into_iter();
    calls.filter(|made| made.fault.is_some()).map(|made| made.to_string()).collect::<Vec<_>>().join("\n")
}
