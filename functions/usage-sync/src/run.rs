//! One run: when it begins, its steps in their order, and what becomes of it: a record from its
//! beginning, a report at its end, and alarms. It lives in one invocation. One that dies or meets
//! trouble is over, and the schedule of each quarter of an hour begins another
//! ([`Run::is_due_again`]).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::account::Credits;
use bursar_core::store::{BegunBy, HeldBack, Run, SyncState, Table, UnknownKey};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::conclude::Conclusion;
use crate::runner::{Gaps, Report, RunContext};
use crate::{
    App, caps, compare, conclude, foreign, guardrails, list, models, recount, repair, safety_limit,
};

const LONGEST: Duration = Duration::from_secs(900);
/// The held back keys that the mail names; the account page names more.
const MOST_IN_A_MAIL: usize = 5;

/// Runs the sync, unless another runner has the lease, or a quarter of an hour brings nothing to
/// do.
pub(crate) async fn run_invocation(
    app: &App,
    begun_by: BegunBy,
    holder: &str,
    deadline: Deadline,
) -> Result<Value> {
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
        BegunBy::Person => Some(
            match newest.filter(|newest| newest.again_at(now).is_some()) {
                Some(newest) => Run::begun(now, newest.night, BegunBy::Person),
                None => Run::begun(now, now, BegunBy::Night),
            },
        ),
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
    Ok(held_back
        .and_then(|held| held.release)
        .is_some_and(|release| began_at < release.released_at))
}

async fn begin(app: &App, begun: Run, deadline: Deadline) -> Result<Value> {
    let started = Instant::now();
    app.table.put_new(&begun, deadline).await?;
    let runner = RunContext::prepare(app, begun.began_at, deadline).await?;
    let journal = &runner.journal;
    match runner.end().wait_for(Box::pin(run(&runner))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => journal.report_first_problem(format!("the run ended early: {error:#}")),
        Err(_) => journal.report_first_problem("the run ended early: its time was up".to_owned()),
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

/// Runs all steps. What a step cannot read or do is a problem of the report; an error ends the run,
/// and another begins from nothing.
async fn run(runner: &RunContext) -> Result<()> {
    let journal = &runner.journal;
    let Some(key) = check(runner).await? else {
        return Ok(());
    };
    let before = conclude::credits(runner).await;
    journal.report(|report| report.balance = before.map(Credits::balance));
    let mut listing = list::list_everything(runner).await?;
    if !is_of_one_account(runner, &key).await? {
        return Ok(());
    }

    let compared = compare::all(runner, &listing).await?;
    let renamed = safety_limit::list_renamed(&compared.findings);
    let bounded = safety_limit::bound(runner, compared.findings, &listing, compared.gaps).await?;
    let repaired = repair::all(runner, bounded.findings, listing.count).await;

    listing.foreign.extend(compared.foreign);
    listing.unknown.extend(compared.unknown);
    let foreign = foreign::record(runner, &mut listing, &renamed).await?;
    let own_use = recount::all(runner, compared.sums, listing.is_whole).await?;

    let after = conclude::credits(runner).await;
    if !is_of_one_account(runner, &key).await? {
        return Ok(());
    }
    journal.report(|report| report.balance = after.or(before).map(Credits::balance));
    let gaps = Gaps::sum_of([
        listing.gaps(),
        compared.gaps,
        repaired.gaps,
        foreign.gaps,
        own_use.gaps,
    ]);
    let credits = before
        .zip(after)
        .filter(|_| listing.is_whole && !gaps.has_failed);
    let is_complete =
        conclude::is_complete(runner, &listing, credits.as_ref(), gaps, &repaired).await?;
    let books = conclude::account(runner, credits, &own_use, &foreign, is_complete, gaps).await?;
    let cut = books.as_ref().filter(|_| is_complete);
    let cut = cut.map(|books| books.cut(runner.baseline.began_at, &own_use, &foreign));

    let unknown = foreign.unknown;
    let held_back = bounded.held_back;
    let run = Conclusion {
        is_complete,
        books,
        cut,
        unknown,
        held_back,
        gaps,
        repaired,
    };
    conclude::write(runner, &listing, &run).await?;

    // As far as time goes: the next run does what is left, and for caps it is begun at once.
    journal.report(|report| report.complete = is_complete);
    let caps_judged = caps::judge(runner, own_use.crossed).await;
    journal.report(|report| report.caps_judged = caps_judged);
    if journal.read().refusal.is_none() {
        if let Err(error) = guardrails::tell(runner).await {
            journal.problem(format!("not every guardrail was told its rules: {error:#}"));
        }
        guardrails::put_back(runner, compared.restricted).await;
    }
    if let Err(error) = models::record(runner, &own_use.groups, run.gaps).await {
        journal.problem(format!("what was used by model is not recorded: {error:#}"));
    }
    if let Err(error) = models::record_list(runner).await {
        journal.problem(format!("which models there are is not recorded: {error:#}"));
    }
    Ok(())
}

/// Checks the management key and its account. `None` where nothing can be listed, which the report
/// says.
async fn check(runner: &RunContext) -> Result<Option<Fingerprint>> {
    let provider = &runner.provider;
    let until = runner.until();
    let checked = async {
        provider.check_management_key(until).await?;
        provider
            .check_account(&runner.deployment, runner.account.as_ref(), until)
            .await
    };
    if let Err(error) = checked.await {
        runner
            .journal
            .answered(format!("nothing was listed: {error}"), &error);
        return Ok(None);
    }
    Ok(Some(runner.management_key().await?))
}

/// Whether the keys and the money are of one account. A management key that came in another's place
/// is of the known account, or else the run ends; in the first run of all nothing tells.
async fn is_of_one_account(runner: &RunContext, key: &Fingerprint) -> Result<bool> {
    if runner.management_key().await? == *key {
        return Ok(true);
    }
    let account = runner
        .account
        .as_ref()
        .filter(|account| !account.listed.is_empty());
    let why = match runner
        .provider
        .check_account(&runner.deployment, account, runner.until())
        .await
    {
        Ok(()) if account.is_some() => return Ok(true),
        Ok(()) => "nothing tells whether both are of one account".to_owned(),
        Err(error) => error.to_string(),
    };
    let ends = "this run ends, and the next begins with the new one";
    runner.journal.problem(format!(
        "the management key was exchanged, and {why}: {ends}"
    ));
    Ok(false)
}

/// Writes the report as one log line. The template's metric filters read its fields, which must be
/// numbers.
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

/// Raises an alarm for each problem that exists when a run ends: one for each cause and day,
/// however many runs meet it.
async fn raise_alarms(runner: &RunContext, state: &SyncState, report: &Report) -> Result<()> {
    let now = runner.clock.now();
    let mut alarms: Vec<Alarm> = causes(report)
        .into_iter()
        .map(|cause| Alarm::now(cause, now))
        .collect();
    if let Some(held) = state
        .held_back
        .as_ref()
        .filter(|held| held.release.is_none())
    {
        let keys = held
            .keys
            .iter()
            .take(MOST_IN_A_MAIL)
            .map(|held| held.name.clone())
            .collect();
        let HeldBack {
            sweeps,
            recoveries,
            stops,
            bound,
            ..
        } = *held;
        // It belongs to the day on which it began.
        alarms.push(Alarm::on(
            utc_date(held.held_at),
            Cause::HeldBack {
                sweeps,
                recoveries,
                stops,
                bound,
                keys,
            },
            now,
        ));
    }
    alarms.extend(unknown_keys(runner, state, now));
    for alarm in alarms {
        runner
            .table
            .tell_admins(&alarm, now, runner.deadline)
            .await?;
    }
    Ok(())
}

fn causes(report: &Report) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(report.refusal.clone());
    // A refused key implies that the run is not complete.
    if !report.complete && causes.is_empty() {
        let first = report.problems.first().cloned().unwrap_or_default();
        causes.push(Cause::Incomplete {
            problems: report.problems.len() as u32,
            first,
        });
    }
    causes
}

/// The alarm about working keys with our names that the table does not know, once for each set of
/// them. A copy does not know them yet.
fn unknown_keys(runner: &RunContext, state: &SyncState, now: Moment) -> Option<Alarm> {
    let unknown: Vec<&UnknownKey> = state
        .unknown_keys
        .iter()
        .filter(|key| key.enabled && !runner.is_copy)
        .collect();
    let first = unknown.first()?;
    let newest = unknown.iter().map(|key| key.seen_at).max()?;
    let hashes: BTreeSet<&str> = unknown.iter().map(|key| key.key.as_str()).collect();
    let keys = unknown.len() as u32;
    let set = sha256_hex(hashes);
    Some(Alarm::on(
        utc_date(newest),
        Cause::UnknownKeys {
            keys,
            first: first.name.clone(),
            set,
        },
        now,
    ))
}
