//! When a run begins, and what becomes of it: a record from its beginning, a report at its end, and alarms. A run lives in one invocation.
//! One that dies or meets trouble is over, and the schedule of each quarter of an hour begins another ([`Run::is_due_again`]).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{BegunBy, HeldBack, Run, SyncState, Table, UnknownKey};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::App;
use crate::run::run;
use crate::runner::{Report, RunContext};

const LONGEST: Duration = Duration::from_secs(900);
/// The held back keys that the mail names; the account page names more.
const MOST_IN_A_MAIL: usize = 5;

/// Runs the sync, unless another runner has the lease, or a quarter of an hour brings nothing to do.
pub(crate) async fn invoked(app: &App, begun_by: BegunBy, holder: &str, deadline: Deadline) -> Result<Value> {
    let table = &app.table;
    let now = app.clock.now();
    let nothing = json!({"skipped": "nothing to begin"});
    if begins(table, begun_by, now).await?.is_none() {
        return Ok(nothing);
    }
    let until = now + SignedDuration::try_from(deadline.left().min(LONGEST))?;
    let Some(lease) = table.acquire("sync", holder, now, until, deadline).await? else {
        return Ok(json!({"skipped": "running"}));
    };
    // Under the lease once more, since a run may have ended in between.
    let outcome = match begins(table, begun_by, now).await? {
        Some(begun) => begin(app, begun, deadline).await,
        None => Ok(nothing),
    };
    if let Err(error) = table.release_lease(&lease, deadline).await {
        tracing::warn!(%error, "the lease runs out by itself");
    }
    outcome
}

/// The run that begins now, if one does.
async fn begins(table: &Table, begun_by: BegunBy, now: Moment) -> Result<Option<Run>> {
    let newest = table.newest(Run::all(), 1).await?.pop();
    Ok(match begun_by {
        BegunBy::Night => Some(Run::begun(now, now, BegunBy::Night)),
        // It belongs to the night that it repeats, unless that was complete.
        BegunBy::Person => Some(match newest.filter(|newest| newest.again_at(now).is_some()) {
            Some(newest) => Run::begun(now, newest.night, BegunBy::Person),
            None => Run::begun(now, now, BegunBy::Night),
        }),
        // Before the very first run none is missing.
        BegunBy::Quarter => match newest {
            None => None,
            Some(newest) => match newest.is_due_again(now) {
                Some(night) => Some(Run::begun(now, night, BegunBy::Quarter)),
                None if is_released_since(table, newest.began_at).await? => {
                    Some(Run::begun(now, newest.night_of_next(now), BegunBy::Quarter))
                }
                None => None,
            },
        },
    })
}

/// Whether an admin let something be done since then.
async fn is_released_since(table: &Table, began_at: Moment) -> Result<bool> {
    let held_back = table.sync_state().await?.held_back;
    Ok(held_back.and_then(|held| held.release).is_some_and(|release| began_at < release.released_at))
}

async fn begin(app: &App, begun: Run, deadline: Deadline) -> Result<Value> {
    let started = Instant::now();
    app.table.put_new(&begun, deadline).await?;
    let runner = RunContext::prepare(app, begun.began_at, deadline).await?;
    let journal = &runner.journal;
    match runner.end().wait_for(Box::pin(run(&runner))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => journal.first_problem(format!("the run ended early: {error:#}")),
        Err(_) => journal.first_problem("the run ended early: its time was up".to_owned()),
    }
    journal.report(|report| report.duration_ms = started.elapsed().as_millis() as u64);
    let report = journal.read();
    log(&report)?;
    let ended = Run {
        ended_at: Some(runner.clock.now()),
        complete: report.complete,
        left_caps: report.complete && !report.caps_judged,
        report: serde_json::to_string(&report)?,
        ..begun
    };
    // First, since nobody repeats a run that ended whole.
    raise_alarms(&runner, &app.table.sync_state().await?, &report).await?;
    app.table.set(&ended, deadline).await?;
    Ok(serde_json::to_value(&report)?)
}

/// Writes the report as one log line. The template's metric filters read its fields, which must be numbers.
fn log(report: &Report) -> Result<()> {
    tracing::info!(
        keys_listed = report.keys_listed,
        readings_recorded = report.readings_recorded,
        orphans_disabled = report.orphans_disabled,
        keys_missing = report.keys_missing,
        complete = u8::from(report.complete),
        problems = report.problems.len(),
        residual_micro_usd = report.residual.map(Usd::micros),
        balance_micro_usd = report.balance.map(Usd::micros),
        duration_ms = report.duration_ms,
        report = %serde_json::to_string(report)?,
        "synced"
    );
    Ok(())
}

/// Raises an alarm for each problem that exists when a run ends: one for each cause and day, however many runs meet it.
async fn raise_alarms(runner: &RunContext, state: &SyncState, report: &Report) -> Result<()> {
    let now = runner.clock.now();
    let mut alarms: Vec<Alarm> = causes(report).into_iter().map(|cause| Alarm::now(cause, now)).collect();
    if let Some(held) = state.held_back.as_ref().filter(|held| held.release.is_none()) {
        let keys = held.keys.iter().take(MOST_IN_A_MAIL).map(|held| held.name.clone()).collect();
        let HeldBack { sweeps, recoveries, stops, bound, .. } = *held;
        // It belongs to the day on which it began.
        alarms.push(Alarm::on(utc_date(held.held_at), Cause::HeldBack { sweeps, recoveries, stops, bound, keys }, now));
    }
    alarms.extend(unknown_keys(runner, state, now));
    for alarm in alarms {
        runner.table.tell_admins(&alarm, now, runner.deadline).await?;
    }
    Ok(())
}

fn causes(report: &Report) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(report.refusal.clone());
    // A refused key implies that the run is not complete.
    if !report.complete && causes.is_empty() {
        let first = report.problems.first().cloned().unwrap_or_default();
        causes.push(Cause::Incomplete { problems: report.problems.len() as u32, first });
    }
    causes
}

/// The alarm about working keys with our names that the table does not know, once for each set of them. A copy does not know them yet.
fn unknown_keys(runner: &RunContext, state: &SyncState, now: Moment) -> Option<Alarm> {
    let unknown: Vec<&UnknownKey> = state.unknown_keys.iter().filter(|key| key.enabled && !runner.is_copy).collect();
    let first = unknown.first()?;
    let newest = unknown.iter().map(|key| key.seen_at).max()?;
    let hashes: BTreeSet<&str> = unknown.iter().map(|key| key.key.as_str()).collect();
    let keys = unknown.len() as u32;
    let set = sha256_hex(hashes);
    Some(Alarm::on(utc_date(newest), Cause::UnknownKeys { keys, first: first.name.clone(), set }, now))
}
