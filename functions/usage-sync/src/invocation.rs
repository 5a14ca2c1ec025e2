//! One invocation of the sync: it begins or resumes a run, stage by stage, and either ends it with a report
//! or leaves a checkpoint.

use std::time::Instant;

use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{Checkpoint, Delay, Lease, Run};
use serde_json::{Value, json};

use crate::alarms;
use crate::app::App;
use crate::obstacle::delay;
use crate::prelude::*;
use crate::progress::Progress;
use crate::report::SyncReport;
use crate::runner::LEASE;
use crate::stages::Stage;

/// The age at which an unfinished run is dropped for a new one, because its listing is old.
const STALE: SignedDuration = SignedDuration::from_hours(8);
/// The time without a run after which one is overdue: a day, and the minutes by which schedules may be late.
/// The run that is missing died before its first checkpoint.
const DUE: SignedDuration = SignedDuration::from_mins(24 * 60 + 10);

/// The event that invoked the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The night's schedule, or a person: a run may begin.
    Run,
    /// The schedule of each quarter of an hour: only an unfinished or overdue run goes on.
    Resume,
}

/// Runs one invocation, unless another runner has the lease.
pub(crate) async fn run(app: &App, trigger: Trigger, holder: &str, deadline: Deadline) -> Result<Value> {
    let (table, now) = (&app.table, app.clock.now());
    // A quarter of an hour mostly brings nothing to resume, which two reads show.
    if trigger == Trigger::Resume && table.get(Checkpoint::key_of()).await?.is_none() && !is_due(table, now).await? {
        return Ok(json!({"skipped": "nothing to resume"}));
    }
    let Some(lease) = table.acquire("sync", holder, now, LEASE, deadline).await? else {
        return Ok(json!({"skipped": "running"}));
    };
    let outcome = run_with(app, trigger, &lease, deadline).await;
    if let Err(error) = table.release_lease(&lease, deadline).await {
        tracing::warn!(%error, "the lease runs out by itself");
    }
    outcome
}

async fn run_with(app: &App, trigger: Trigger, lease: &Lease, deadline: Deadline) -> Result<Value> {
    let (table, started, now) = (&app.table, Instant::now(), app.clock.now());
    let meta = table.meta(now).await?;
    // Read under the lease, so that no other runner resumes it.
    let left =
        table.get(Checkpoint::key_of()).await?.filter(|left| now < left.began_at + STALE && left.table == table.name());
    let due = left.as_ref().and_then(|left| left.delay.as_ref()).map(|delay| delay.due);
    // A person who starts a run does not wait for a retry's time.
    if let Some(due) = due.filter(|due| trigger == Trigger::Resume && now < *due) {
        return Ok(json!({"skipped": format!("not before {due:.0}")}));
    }
    let left = match left {
        Some(left) => resumed(table, left).await?,
        None => None,
    };
    let (checkpoint, mut progress) = match left {
        Some(left) => left,
        None if trigger == Trigger::Resume && !is_due(table, now).await? => {
            return Ok(json!({"skipped": "nothing to resume"}));
        }
        None => {
            let (programmes, state, cut) =
                tokio::try_join!(table.list(Programme::all()), table.sync_state(), table.newest(AccountCut::all(), 1))?;
            let progress = Progress::begun(Baseline {
                began_at: now,
                programmes: programmes.into_iter().map(|programme| programme.id).collect(),
                listed_at: state.listed_at,
                restored_at: if table.is_copy(&meta) { Some(now) } else { state.restored_at },
                matched_at: state.matched_at,
                cut_at: cut.first().map(|cut| cut.as_of),
            });
            (Checkpoint::of_run(new_ulid(now), now, table), progress)
        }
    };
    let runner = Runner::of(app, &meta, lease, progress.baseline().clone(), deadline).await?;
    let mut invocation = Invocation { runner, checkpoint };
    if invocation.checkpoint.number == 0 {
        invocation.save(&mut progress).await?;
    }
    let (from, first) = (progress.milestone(), invocation.checkpoint.number);
    let end = invocation.carry_on(&mut progress).await;
    progress.add_duration(started.elapsed());
    let outcome = match end {
        Ok(StageEnd::Done | StageEnd::RunOver) => Ok(()),
        Ok(StageEnd::TimeIsUp) => return invocation.leave(&mut progress).await,
        Ok(StageEnd::Blocked(obstacle)) => {
            invocation.delay(progress.milestone() != from, &obstacle)?;
            invocation.save(&mut progress).await?;
            return invocation.put_off(&progress);
        }
        Err(error) => match invocation.runner.obstacle_in(&error) {
            // Work since the last checkpoint is repeated.
            Some(obstacle) => {
                invocation.delay(invocation.checkpoint.number > first, &obstacle)?;
                invocation.write_checkpoint().await?;
                return invocation.put_off(&progress);
            }
            None => Err(error),
        },
    };
    if let Err(error) = &outcome {
        progress.break_off(format!("the run ended early: {error:#}"));
    }
    let report = invocation.end(&progress).await?;
    outcome?;
    Ok(serde_json::to_value(&report)?)
}

/// Whether the run of this night is missing. Before the very first run none is.
async fn is_due(table: &Table, now: Moment) -> Result<bool> {
    Ok(table.newest(Run::all(), 1).await?.first().is_some_and(|last| last.began_at + DUE <= now))
}

/// The unfinished run, or `None` if its checkpoint cannot be read: then a new run begins.
async fn resumed(table: &Table, left: Checkpoint) -> Result<Option<(Checkpoint, Progress)>> {
    match Progress::load(table, &left).await {
        Ok(progress) => Ok(Some((left, progress))),
        Err(error) if !matches!(error.downcast_ref(), Some(StoreError::Service(_))) => {
            tracing::warn!(error = format!("{error:#}"), "a checkpoint is of no use, and the run is begun anew");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Invocation<'a> {
    runner: Runner<'a>,
    /// The last checkpoint of the run.
    checkpoint: Checkpoint,
}

impl Invocation<'_> {
    async fn carry_on(&mut self, progress: &mut Progress) -> Result<StageEnd> {
        loop {
            let end = Box::pin(progress.advance(&self.runner)).await?;
            if end != StageEnd::Done {
                return Ok(end);
            }
            match progress.stage() {
                Stage::Over => return Ok(StageEnd::RunOver),
                // A beginning is repeated: the account's money in the middle of a listing proves nothing.
                Stage::Models => {}
                _ => self.save(progress).await?,
            }
        }
    }

    /// Saves rows and progress, from which the next invocation goes on, even if this one is killed.
    async fn save(&mut self, progress: &mut Progress) -> Result<()> {
        let Runner { table, clock, deadline, .. } = self.runner;
        self.checkpoint = progress.keep(table, &self.checkpoint, self.runner.fence(), clock.now(), deadline).await?;
        self.write_checkpoint().await
    }

    async fn write_checkpoint(&self) -> Result<()> {
        ensure_written(self.runner.fenced().save_checkpoint(&self.checkpoint).await?)
    }

    fn delay(&mut self, got_further: bool, obstacle: &RunObstacle) -> Result<()> {
        self.checkpoint.delay = Some(delay(&self.checkpoint, got_further, obstacle, self.runner.clock.now())?);
        Ok(())
    }

    /// Leaves the rest to the next invocation, since the time is up.
    async fn leave(&mut self, progress: &mut Progress) -> Result<Value> {
        self.save(progress).await?;
        let report = self.report(progress);
        tracing::info!(stage = ?progress.stage(), keys = report.keys_listed, "the sync goes on later");
        let why = "the time was up: the run goes on within a quarter of an hour".to_owned();
        self.unfinished(progress, self.runner.clock.now(), why)
    }

    /// Leaves the rest to a later invocation, as the checkpoint now says.
    fn put_off(&self, progress: &Progress) -> Result<Value> {
        let Delay { why, due, tries, .. } = self.checkpoint.delay.as_ref().context("nothing is in the way")?;
        tracing::warn!(stage = ?progress.stage(), %due, tries, why, "the sync goes on later");
        self.unfinished(progress, *due, format!("{why}: the run goes on after {due:.0}, try {}", tries + 1))
    }

    fn unfinished(&self, progress: &Progress, goes_on_at: Moment, why: String) -> Result<Value> {
        let mut journal = progress.journal().clone();
        journal.first_problem(why);
        let problems = journal.problems().to_vec();
        let report = SyncReport { complete: false, goes_on_at: Some(*goes_on_at), problems, ..self.report(progress) };
        Ok(serde_json::to_value(&report)?)
    }

    /// The report, with the number of delays.
    fn report(&self, progress: &Progress) -> SyncReport {
        let tries = self.checkpoint.delay.as_ref().map_or(0, |delay| delay.tries);
        progress.report(tries)
    }

    /// Records the run, and writes it as one log line for metrics.
    async fn end(&self, progress: &Progress) -> Result<SyncReport> {
        self.runner.stay().await?;
        let report = self.report(progress);
        let began_at = progress.baseline().began_at;
        let ended = Run::ended(began_at, self.runner.clock.now(), report.complete, serde_json::to_string(&report)?);
        // The template's metric filters read these fields, which must be numbers.
        tracing::info!(
            keys_listed = report.keys_listed,
            readings_recorded = report.readings_recorded,
            orphans_disabled = report.orphans_disabled,
            keys_missing = report.keys_missing,
            complete = u8::from(report.complete),
            problems = report.problems.len(),
            tries = report.tries,
            residual_micro_usd = progress.residual().map(Usd::micros),
            balance_micro_usd = progress.credits().map(|credits| credits.balance().micros()),
            duration_ms = report.duration_ms,
            report = %ended.report,
            "synced"
        );
        ensure_written(self.runner.fenced().record_run(&ended).await?)?;
        alarms::raise_all(&self.runner, progress.journal(), progress.held_back(), report.complete).await?;
        ensure_written(self.runner.fenced().forget_checkpoint().await?)?;
        Ok(report)
    }
}
