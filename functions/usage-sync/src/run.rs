//! One invocation of the sync: it begins a run or goes on with one, part by part, and either ends it with a report or leaves a
//! checkpoint. What each part does stands in the files beside this one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::id::DeploymentId;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Programme;
use bursar_core::provider::Provider;
use bursar_core::store::items::{self, KnownAccount, Lease, Meta};
use bursar_core::store::{Acquired, Checkpoint, Delay, StoreError, Table, Under, new_ulid};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::App;
use crate::obstacle::{Obstacle, delay};
use crate::progress::{Progress, Stage};
use crate::reconcile::Begun;
use crate::report::Report;

/// So long nobody begins after a runner that died. One that lives says so each minute.
const LEASE: SignedDuration = SignedDuration::from_mins(5);
const SAID_EACH: SignedDuration = SignedDuration::from_mins(1);
/// So long one answer is waited for, the provider's own wish to be asked later included: a lease that is a minute old outlasts it. What
/// takes longer is for another invocation.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// A run that nobody went on with for so long is begun anew: what it has seen is old.
const STALE: SignedDuration = SignedDuration::from_hours(8);
/// A night's run is due when none has begun for a day, and the minutes by which schedules may be late: what was to begin it did not come
/// as far as its first checkpoint.
const DUE: SignedDuration = SignedDuration::from_mins(24 * 60 + 10);
/// What is kept back of an invocation's time for keeping what it has seen: a fifth, within these bounds.
const LEAST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(1);
const MOST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(60);

/// What the parts of a run are told.
pub(crate) struct Run<'a> {
    pub(crate) table: &'a Table,
    pub(crate) provider: &'a Provider,
    pub(crate) clock: &'a Clock,
    pub(crate) admins: &'a [EmailAddress],
    /// For how long it is kept who used which model.
    pub(crate) retention_days: u16,
    pub(crate) began_at: Timestamp,
    pub(crate) deployment: DeploymentId,
    /// By what its account was known when this invocation began.
    pub(crate) account: Option<KnownAccount>,
    /// Whether the table is a copy of an earlier moment.
    pub(crate) is_copy: bool,
    /// In the order in which the run numbers them.
    pub(crate) programmes: Vec<Programme>,
    lease: Lease,
    /// What is kept of the run so far.
    checkpoint: Checkpoint,
    /// Until when the invocation runs.
    pub(crate) deadline: Deadline,
    /// When this last said that it is the runner, in milliseconds.
    said_at: AtomicI64,
    /// Of an invocation's time, for keeping what it has seen.
    pub(crate) kept_back: Duration,
}

/// How a part of a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// The rest is for the next invocation.
    TimeIsUp,
    /// The rest is for a later one. An error says so too, where what the part had done by then is to be done anew.
    Blocked(Obstacle),
}

/// Whether a run may begin, or only one that was left be gone on with, or one that is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Run,
    Rest,
}

/// Runs unless another is at it.
pub(crate) async fn run(app: &App, wanted: Wanted, holder: &str, deadline: Deadline) -> Result<Value> {
    let (table, now) = (&app.table, app.clock.now());
    // Every quarter of an hour there is mostly nothing to go on with: two reads say so.
    if wanted == Wanted::Rest && table.checkpoint().await?.is_none() && !is_due(table, now).await? {
        return Ok(json!({"skipped": "nothing to resume"}));
    }
    let Acquired::Yes(lease) = table.acquire("sync", holder, now, LEASE, deadline).await? else {
        return Ok(json!({"skipped": "running"}));
    };
    let outcome = under(app, wanted, &lease, deadline).await;
    if let Err(error) = table.release_lease(&lease, deadline).await {
        tracing::warn!(%error, "the lease runs out by itself");
    }
    outcome
}

async fn under(app: &App, wanted: Wanted, lease: &Lease, deadline: Deadline) -> Result<Value> {
    let (table, begun, now) = (&app.table, Instant::now(), app.clock.now());
    let meta = table.meta(now).await?;
    // Read under the lease, so that nobody else goes on with it.
    let left = table.checkpoint().await?.filter(|left| now < left.began_at + STALE && left.table == table.name());
    let due = left.as_ref().and_then(|left| left.delay.as_ref()).map(|delay| delay.due);
    // A person who asks for it does not wait.
    if let Some(due) = due.filter(|due| wanted == Wanted::Rest && now < *due) {
        return Ok(json!({"skipped": format!("not before {due:.0}")}));
    }
    let left = match left {
        Some(left) => resumed(table, left).await?,
        None => None,
    };
    let (checkpoint, mut progress) = match left {
        Some(left) => left,
        None if wanted == Wanted::Rest && !is_due(table, now).await? => {
            return Ok(json!({"skipped": "nothing to resume"}));
        }
        None => {
            let mut progress = Progress::begun(now, table.programme_ids().await?, &table.sync_state().await?);
            if table.is_copy(&meta) {
                progress.restored_at = Some(now);
            }
            (Checkpoint::of_run(new_ulid(now), now, table), progress)
        }
    };
    let mut run = Run::of(app, &meta, lease, checkpoint, &progress, deadline).await?;
    if run.checkpoint.number == 0 {
        run.save(&mut progress).await?;
    }
    let (from, first) = (progress.milestone(), run.checkpoint.number);
    let outcome = run.carry_on(&mut progress, deadline).await;
    progress.report.duration_ms += u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let outcome = match outcome {
        Ok(Step::Done) => Ok(()),
        Ok(Step::TimeIsUp) => return run.leave(&mut progress).await,
        Ok(Step::Blocked(obstacle)) => {
            run.checkpoint.delay =
                Some(delay(&run.checkpoint, progress.milestone() != from, &obstacle, app.clock.now())?);
            run.save(&mut progress).await?;
            return run.put_off(&progress);
        }
        Err(error) => match run.obstacle_in(&error) {
            // What was done since the last checkpoint is done anew.
            Some(obstacle) => {
                let got_further = run.checkpoint.number > first;
                run.checkpoint.delay = Some(delay(&run.checkpoint, got_further, &obstacle, app.clock.now())?);
                run.write_checkpoint().await?;
                return run.put_off(&progress);
            }
            None => Err(error),
        },
    };
    if let Err(error) = &outcome {
        progress.report.complete = false;
        progress.report.problem(format!("the run ended early: {error:#}"));
    }
    run.end(&mut progress, deadline).await?;
    outcome?;
    Ok(serde_json::to_value(&progress.report)?)
}

/// Whether the run of this night is missing. Before the first run of all none is.
async fn is_due(table: &Table, now: Timestamp) -> Result<bool> {
    Ok(table.runs(1).await?.first().is_some_and(|last| last.began_at + DUE <= now))
}

/// The run that was left, unless what was kept of it cannot be read: then it is begun anew.
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

impl<'a> Run<'a> {
    async fn of(
        app: &'a App,
        meta: &Meta,
        lease: &Lease,
        checkpoint: Checkpoint,
        progress: &Progress,
        deadline: Deadline,
    ) -> Result<Run<'a>> {
        let programmes = app.table.programmes_by_id(&progress.programmes).await?;
        let kept_back = (deadline.left() / 5).clamp(LEAST_FOR_THE_CHECKPOINT, MOST_FOR_THE_CHECKPOINT);
        Ok(Run {
            table: &app.table,
            provider: &app.provider,
            clock: &app.clock,
            admins: &app.admins,
            retention_days: app.retention_days,
            began_at: progress.began_at,
            deployment: meta.deployment.clone(),
            account: meta.account.clone(),
            is_copy: app.table.is_copy(meta),
            programmes,
            lease: lease.clone(),
            checkpoint,
            deadline,
            said_at: AtomicI64::new(app.clock.now().as_millisecond()),
            kept_back,
        })
    }

    async fn carry_on(&mut self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        loop {
            let stage = progress.stage;
            if stage == Stage::default() && !progress.has_begun {
                match Box::pin(self.begin(progress, deadline)).await? {
                    Begun::MayList => {}
                    Begun::Refused => return Ok(Step::Done),
                    Begun::TooLate => return Ok(Step::TimeIsUp),
                }
            }
            // Each in a box of its own: together they would not fit on the stack of a thread.
            let (part, next): (BoxFuture<'_, Result<Step>>, Stage) = match stage {
                Stage::AskForModels => (Box::pin(self.ask_for_models(progress, deadline)), Stage::List),
                Stage::List => (Box::pin(self.list(progress, deadline)), Stage::Look),
                Stage::Look => (Box::pin(self.look_at_all(progress, deadline)), Stage::LookAtForeign),
                Stage::LookAtForeign => (Box::pin(self.look_at_foreign(progress, deadline)), Stage::SendRules),
                Stage::SendRules => (Box::pin(self.send_rules(progress, deadline)), Stage::Act),
                Stage::Act => (Box::pin(self.act(progress, deadline)), Stage::SumUp),
                Stage::SumUp => (Box::pin(self.sum_up_touched(progress, deadline)), Stage::Reconcile),
                Stage::Reconcile => (Box::pin(self.reconcile(progress, deadline)), Stage::Over),
                Stage::Over => return Ok(Step::Done),
            };
            let step = part.await?;
            if step != Step::Done {
                return Ok(step);
            }
            if !self.is_of_one_account(progress).await {
                return Ok(Step::Done);
            }
            (progress.stage, progress.next) = (next, (0, 0));
            if next != Stage::Over {
                self.save(progress).await?;
            }
        }
    }

    /// Whether a part of a run has time to go on.
    pub(crate) fn has_time(&self, deadline: Deadline) -> bool {
        deadline.leaves(self.kept_back)
    }

    /// Whether a part of a run may go on, which then says that this runner lives.
    pub(crate) async fn goes_on(&self, deadline: Deadline) -> Result<bool> {
        let said_at = Timestamp::from_millisecond(self.said_at.load(Ordering::Relaxed))?;
        if self.has_time(deadline) && self.clock.now() >= said_at + SAID_EACH {
            self.stay().await?;
        }
        Ok(self.has_time(deadline))
    }

    /// Until when a part of a run may wait for an answer.
    pub(crate) fn until(&self, deadline: Deadline) -> Deadline {
        deadline.earlier_by(self.kept_back).at_most(LONGEST_WAIT)
    }

    /// Through which all is written that is for all to see.
    pub(crate) fn under(&self, deadline: Deadline) -> Under<'_> {
        self.table.under(&self.lease, deadline)
    }

    pub(crate) fn ensure_written(&self, is_written: bool) -> Result<()> {
        is_written.then_some(()).context("another runner has taken over")
    }

    /// Says that this is still the one runner. Every effect at the provider comes after it.
    pub(crate) async fn stay(&self) -> Result<()> {
        let now = self.clock.now();
        let stays = self.table.renew(&self.lease, now + LEASE, self.deadline).await?;
        stays.then_some(()).context("another runner has taken over")?;
        self.said_at.store(now.as_millisecond(), Ordering::Relaxed);
        Ok(())
    }

    /// Keeps what was seen and how far the run came: whoever goes on begins here, also when this invocation is killed.
    async fn save(&mut self, progress: &mut Progress) -> Result<()> {
        self.checkpoint =
            progress.keep(self.table, &self.checkpoint, self.lease.fence, self.clock.now(), self.deadline).await?;
        self.write_checkpoint().await
    }

    async fn write_checkpoint(&self) -> Result<()> {
        self.ensure_written(self.under(self.deadline).save_checkpoint(&self.checkpoint).await?)
    }

    /// Leaves the rest to the next invocation, since the time is up.
    async fn leave(&mut self, progress: &mut Progress) -> Result<Value> {
        self.save(progress).await?;
        tracing::info!(stage = ?progress.stage, keys = progress.report.keys_listed, "the sync goes on later");
        let told = "the time was up: the run goes on within a quarter of an hour".to_owned();
        self.unfinished(progress, self.clock.now(), told)
    }

    /// Leaves the rest to a later invocation, as the checkpoint says by now.
    fn put_off(&self, progress: &Progress) -> Result<Value> {
        let Delay { why, due, tries, .. } = self.checkpoint.delay.as_ref().context("nothing is in the way")?;
        tracing::warn!(stage = ?progress.stage, %due, tries, why, "the sync goes on later");
        self.unfinished(progress, *due, format!("{why}: the run goes on after {due:.0}, try {}", tries + 1))
    }

    fn unfinished(&self, progress: &Progress, goes_on_at: Timestamp, why: String) -> Result<Value> {
        let report = Report { complete: false, goes_on_at: Some(goes_on_at), ..progress.report.clone() };
        let mut report = self.with_pace(report);
        report.first_problem(why);
        Ok(serde_json::to_value(&report)?)
    }

    /// The report with how often the run was put off, and its pace.
    fn with_pace(&self, report: Report) -> Report {
        let tries = self.checkpoint.delay.as_ref().map_or(0, |delay| delay.tries);
        Report { tries, at_once: self.provider.at_once(), ..report }
    }

    /// Puts the run on record, as one line of the log and as metrics besides.
    async fn end(&self, progress: &mut Progress, deadline: Deadline) -> Result<()> {
        self.stay().await?;
        progress.report = self.with_pace(std::mem::take(&mut progress.report));
        let told = serde_json::to_string(&progress.report)?;
        let ended = items::Run::ended(progress.began_at, self.clock.now(), progress.report.complete, told);
        let Report { keys_listed, readings_recorded, orphans_disabled, keys_missing, complete, .. } = progress.report;
        // The template makes metrics of these, which must be numbers.
        tracing::info!(
            keys_listed,
            readings_recorded,
            orphans_disabled,
            keys_missing,
            complete = u8::from(complete),
            problems = progress.report.problems.len(),
            tries = progress.report.tries,
            at_once = progress.report.at_once,
            residual_micro_usd = progress.residual.map(Usd::micros),
            balance_micro_usd = progress.credits.map(|credits| credits.balance().micros()),
            duration_ms = progress.report.duration_ms,
            report = %ended.report,
            "synced"
        );
        self.ensure_written(self.under(deadline).record_run(&ended).await?)?;
        self.raise_what_is_the_matter(progress, deadline).await?;
        self.ensure_written(self.under(deadline).forget_checkpoint().await?)
    }
}
