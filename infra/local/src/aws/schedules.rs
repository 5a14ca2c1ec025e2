//! Runs the schedules by the product's clock: each when it is due, and once each when the clock is
//! moved past them. A schedule never overlaps itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Moment;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex as TurnMutex;
use tokio::task::JoinHandle;

use crate::aws::dead_letters::DeadLetters;
use crate::aws::invoke::{Invoke, InvokeError};
use crate::aws::wiring::{SCHEDULES, Schedule};
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::base::state_file::StateFile;
use crate::base::{lock, systemd};

pub const COLLECTION: &str = "schedules";
/// The time that runs under way get when the schedules are stopped.
const GRACE: Duration = Duration::from_secs(2);

/// When a sync begins by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEvery {
    /// So long after the last one.
    Every(SignedDuration),
    /// Each day, so long after midnight in UTC.
    DayAt(SignedDuration),
    /// No sync runs by itself, and no interrupted one is continued.
    Never,
}

/// The schedules of one stack. Clones share them.
#[derive(Clone)]
pub struct Schedules(Arc<Inner>);

struct Inner {
    lines: Vec<Arc<Line>>,
    invoke: Arc<dyn Invoke>,
    kept: StateFile,
    clock: StackClock,
    dead_letters: DeadLetters,
    /// Taken to decide what runs next, by the tick and by a move of the clock.
    driving: TurnMutex<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A schedule with its runs, which are stored under its function and input.
struct Line {
    schedule: Schedule,
    runs: Mutex<Runs>,
    /// How long after midnight in UTC it begins, if not when its last run was.
    begins: Option<SignedDuration>,
    turn: Arc<TurnMutex<()>>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Runs {
    /// When the schedule was first seen in this folder.
    pub since: Moment,
    /// The last run: a changed interval counts from there.
    last: Moment,
    /// When a run last came to its end.
    pub done: Option<Moment>,
}

impl Schedules {
    /// Reads the last run of each schedule; one that never ran counts from now. Nothing runs yet.
    pub fn new(
        sync_every: SyncEvery,
        invoke: Arc<dyn Invoke>,
        kept: StateFile,
        clock: StackClock,
    ) -> Result<Schedules> {
        let mut lines = Vec::new();
        for mut schedule in SCHEDULES {
            let mut begins = None;
            if schedule.function == FunctionName::UsageSync {
                match sync_every {
                    SyncEvery::Never => continue,
                    SyncEvery::Every(every) if schedule.task.is_none() => schedule.every = every,
                    SyncEvery::DayAt(hour) if schedule.task.is_none() => begins = Some(hour),
                    SyncEvery::Every(_) | SyncEvery::DayAt(_) => {}
                }
            }
            let now = clock.now();
            let new = Runs {
                since: now,
                last: now,
                done: None,
            };
            let line = Line {
                schedule,
                runs: Mutex::new(new),
                begins,
                turn: Arc::default(),
            };
            match kept.get(COLLECTION, &line.id())? {
                Some(runs) => *lock(&line.runs) = runs,
                None => kept.put(COLLECTION, &line.id(), &new)?,
            }
            lines.push(Arc::new(line));
        }
        Ok(Schedules(Arc::new(Inner {
            lines,
            invoke,
            dead_letters: DeadLetters::over(kept.clone()),
            kept,
            clock,
            driving: TurnMutex::default(),
            task: Mutex::default(),
        })))
    }

    /// Runs the schedules as time passes, in a task on the current runtime.
    pub fn start(&self) {
        *lock(&self.0.task) = Some(tokio::spawn(Arc::clone(&self.0).tick()));
    }

    /// Moves the clock forward. Each schedule due on the way runs once, at its last due instant and
    /// in the order of these, with the clock stopped there. It runs to its end even if the caller
    /// is dropped.
    pub async fn advance(&self, duration: SignedDuration) -> Result<Moment> {
        let inner = Arc::clone(&self.0);
        let moved = tokio::spawn(async move {
            let _driving = inner.driving.lock().await;
            let stood = inner.clock.stands();
            let end = inner
                .clock
                .now()
                .checked_add(duration)
                .context("that is too far ahead")?;
            let ran = inner.run_until(end).await;
            inner.clock.rests().await;
            let ended = if stood {
                inner.clock.stop_at(end)
            } else {
                inner.clock.run_from(end)
            };
            ran.and(ended)?;
            Ok(inner.clock.now())
        });
        moved.await?
    }

    /// Runs a function with a schedule's input now, but never while the schedule itself runs. It
    /// runs to its end even if the caller is dropped.
    pub async fn run_now(
        &self,
        function: FunctionName,
        input: Value,
    ) -> Result<Value, InvokeError> {
        let inner = Arc::clone(&self.0);
        let run = tokio::spawn(async move {
            let line = inner.line(function, &input).cloned();
            let _turn = match &line {
                Some(line) => Some(line.turn.lock().await),
                None => None,
            };
            inner.invoke.invoke(function, input).await
        });
        run.await
            .unwrap_or_else(|ended| Err(InvokeError::Failed(ended.to_string())))
    }

    /// Records a run that somebody else caused as the schedule's last.
    pub fn ran(&self, function: FunctionName, input: &Value, ran_at: Moment) -> Result<()> {
        self.0
            .line(function, input)
            .map_or(Ok(()), |line| self.0.set_last(line, ran_at))
    }

    /// Begins a sync in a task of its own, if syncs run by themselves here and none is running.
    pub fn begin_sync(&self) -> Result<bool> {
        let event = Value::Object(serde_json::Map::new());
        let line = self.0.line(FunctionName::UsageSync, &event);
        let Some((line, turn)) =
            line.and_then(|line| Some((line, line.turn.clone().try_lock_owned().ok()?)))
        else {
            return Ok(false);
        };
        self.0.set_last(line, self.0.clock.now())?;
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            // One that is being continued comes to its end first.
            if let Some(continued) = inner.line(FunctionName::UsageSync, &json!({"task": "resume"}))
            {
                drop(continued.turn.lock().await);
            }
            if let Err(error) = inner.invoke.invoke(FunctionName::UsageSync, event).await {
                tracing::error!(%error, "a sync failed");
            }
            drop(turn);
        });
        Ok(true)
    }

    /// The runs of a schedule, if it is kept here.
    pub fn runs(&self, function: FunctionName, input: &Value) -> Option<Runs> {
        self.0.line(function, input).map(|line| *lock(&line.runs))
    }

    /// Stops the tick. Runs under way get a moment to finish.
    pub async fn stop(&self) {
        let task = lock(&self.0.task).take();
        if let Some(task) = task {
            task.abort();
            task.await.ok();
        }
        let runs = async {
            for line in &self.0.lines {
                drop(line.turn.lock().await);
            }
        };
        tokio::time::timeout(GRACE, runs).await.ok();
    }
}

impl Inner {
    async fn tick(self: Arc<Self>) {
        loop {
            let driving = self.driving.lock().await;
            if let Err(error) = self.start_due() {
                tracing::error!(error = format!("{error:#}"), "the schedules cannot be kept");
            }
            drop(driving);
            let next = self
                .lines
                .iter()
                .filter_map(|line| line.last().checked_add(line.schedule.every).ok())
                .min();
            self.clock.reaches(next.unwrap_or(Moment::MAX)).await;
        }
    }

    fn start_due(self: &Arc<Self>) -> Result<()> {
        let now = self.clock.now();
        for line in &self.lines {
            let Some(due) = line.due(now) else { continue };
            self.set_last(line, due)?;
            // While the schedule still runs, or is run by hand, this time is skipped.
            if let Ok(turn) = line.turn.clone().try_lock_owned() {
                let inner = Arc::clone(self);
                let line = line.clone();
                tokio::spawn(async move {
                    inner.run(&line).await;
                    drop(turn);
                });
            }
        }
        Ok(())
    }

    async fn run_until(&self, end: Moment) -> Result<()> {
        let mut due: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some((line.due(end)?, line)))
            .collect();
        due.sort_by_key(|(instant, _)| *instant);
        for (instant, line) in due {
            self.clock.rests().await;
            self.clock.stop_at(instant)?;
            self.set_last(line, instant)?;
            // The work of a minute may go on for many, and another that meets it does nothing.
            let _turn = match line.schedule.task {
                Some("work") => line.turn.try_lock().ok(),
                _ => Some(line.turn.lock().await),
            };
            self.run(line).await;
        }
        Ok(())
    }

    /// One run, with Lambda's retries but without their pauses.
    async fn run(&self, line: &Line) {
        let Schedule {
            function, retries, ..
        } = line.schedule;
        for tries in 1.. {
            let outcome = self.invoke.invoke(function, line.schedule.input()).await;
            if function == FunctionName::Mail {
                systemd::say("WATCHDOG=1");
            }
            let Err(error) = outcome else {
                let done = Some(self.clock.now());
                return self
                    .note(line, |runs| runs.done = done)
                    .unwrap_or_else(|error| {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "the schedules cannot be kept"
                        );
                    });
            };
            if tries <= retries {
                tracing::warn!(%function, %error, "a scheduled run failed and is tried again");
                continue;
            }
            let input = line.schedule.input();
            if let Err(error) =
                self.dead_letters
                    .add(self.clock.now(), function, input, tries, error.to_string())
            {
                tracing::error!(error = format!("{error:#}"), "a dead letter cannot be kept");
            }
            return;
        }
    }

    fn line(&self, function: FunctionName, input: &Value) -> Option<&Arc<Line>> {
        // A person sends `{}` in the place of a schedule's own event.
        let is_its = |line: &&Arc<Line>| {
            line.schedule.input() == *input || (line.schedule.task.is_none() && *input == json!({}))
        };
        self.lines
            .iter()
            .filter(|line| line.schedule.function == function)
            .find(is_its)
    }

    fn set_last(&self, line: &Line, last: Moment) -> Result<()> {
        self.note(line, |runs| runs.last = last)
    }

    fn note(&self, line: &Line, change: impl FnOnce(&mut Runs)) -> Result<()> {
        let mut runs = lock(&line.runs);
        change(&mut runs);
        self.kept.put(COLLECTION, &line.id(), &*runs)
    }
}

impl Line {
    fn id(&self) -> String {
        format!("{} {}", self.schedule.function, self.schedule.input())
    }

    /// Its last run, or the last time of its own before that.
    fn last(&self) -> Moment {
        let last = lock(&self.runs).last;
        let Some(begins) = self.begins else {
            return last;
        };
        let since = (last.as_second() - begins.as_secs()).rem_euclid(self.schedule.every.as_secs());
        Moment::from_second(last.as_second() - since).unwrap_or(last)
    }

    /// The last instant by `until` at which a run is due.
    fn due(&self, until: Moment) -> Option<Moment> {
        let passed = until.duration_since(self.last());
        let every = self.schedule.every;
        let since = i64::try_from(passed.as_nanos().checked_rem(every.as_nanos())?).ok()?;
        (passed >= every).then(|| until - SignedDuration::from_nanos(since))
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::clock::Clock;
    use futures_util::future::BoxFuture;

    use super::*;

    /// Functions that only note when they ran.
    struct Noted(StackClock, Mutex<Vec<String>>);

    impl Invoke for Noted {
        fn invoke(
            &self,
            function: FunctionName,
            input: Value,
        ) -> BoxFuture<'_, Result<Value, InvokeError>> {
            lock(&self.1).push(format!(
                "{function} {} {}",
                input["task"].as_str().unwrap_or("-"),
                self.0.now()
            ));
            Box::pin(std::future::ready(Ok(json!({}))))
        }
    }

    /// A jump of the clock runs each schedule once, at its last instant, in order and counted from
    /// its last run.
    #[tokio::test]
    async fn a_jump_runs_each_schedule_once() {
        let real = Clock::reading(|| "2026-11-20T10:00:30Z".parse().unwrap());
        let kept = StateFile::in_memory().unwrap();
        let clock = StackClock::over(real, kept.clone()).unwrap();
        let noted = Arc::new(Noted(clock.clone(), Mutex::default()));
        let start = |hours| {
            let sync_every = SyncEvery::Every(SignedDuration::from_hours(hours));
            Schedules::new(sync_every, noted.clone(), kept.clone(), clock.clone()).unwrap()
        };
        let ran = || std::mem::take(&mut *lock(&noted.1));

        let schedules = start(20);
        let now = schedules
            .advance(SignedDuration::from_mins(47 * 60 + 50))
            .await
            .unwrap();
        assert_eq!(now.to_string(), "2026-11-22T09:50:30Z");
        assert_eq!(
            ran(),
            [
                "usage-sync - 2026-11-22T02:00:30Z",
                "threshold-alerts watch 2026-11-22T09:00:30Z",
                "usage-sync resume 2026-11-22T09:45:30Z",
                "console work 2026-11-22T09:50:30Z",
                "mail drain 2026-11-22T09:50:30Z",
            ]
        );
        schedules
            .advance(SignedDuration::from_secs(59))
            .await
            .unwrap();
        assert_eq!(ran(), Vec::<String>::new());

        let syncs = || {
            ran()
                .into_iter()
                .filter(|run| run.starts_with("usage-sync -"))
                .collect::<Vec<_>>()
        };
        schedules
            .ran(FunctionName::UsageSync, &json!({}), clock.now())
            .unwrap();
        schedules
            .advance(SignedDuration::from_hours(19))
            .await
            .unwrap();
        assert_eq!(syncs(), Vec::<String>::new(), "somebody ran it in between");
        start(3).advance(SignedDuration::ZERO).await.unwrap();
        assert_eq!(
            syncs(),
            ["usage-sync - 2026-11-23T04:51:29Z"],
            "a restart may change how often"
        );
    }

    /// A sync of a fixed hour begins at it, whatever ran by hand and however often the process was
    /// started.
    #[tokio::test]
    async fn a_fixed_hour_stays() {
        let real = Clock::reading(|| "2026-11-20T10:00:30Z".parse().unwrap());
        let kept = StateFile::in_memory().unwrap();
        let clock = StackClock::over(real, kept.clone()).unwrap();
        let noted = Arc::new(Noted(clock.clone(), Mutex::default()));
        let begins = SyncEvery::DayAt(SignedDuration::from_mins(3 * 60 + 20));
        let syncs = || {
            let ran = std::mem::take(&mut *lock(&noted.1)).into_iter();
            ran.filter(|run| run.starts_with("usage-sync -"))
                .collect::<Vec<_>>()
        };
        for day in 21..23 {
            let schedules =
                Schedules::new(begins, noted.clone(), kept.clone(), clock.clone()).unwrap();
            schedules
                .ran(FunctionName::UsageSync, &json!({}), clock.now())
                .unwrap();
            schedules
                .advance(SignedDuration::from_hours(24))
                .await
                .unwrap();
            assert_eq!(syncs(), [format!("usage-sync - 2026-11-{day}T03:20:00Z")]);
        }
    }

    /// A sync by hand begins once one that is being continued has ended, and no second one beside
    /// it.
    #[tokio::test]
    async fn a_sync_by_hand_waits_its_turn() {
        let kept = StateFile::in_memory().unwrap();
        let clock = StackClock::open(kept.clone()).unwrap();
        let noted = Arc::new(Noted(clock.clone(), Mutex::default()));
        let daily = SyncEvery::Every(SignedDuration::from_hours(24));
        let schedules = Schedules::new(daily, noted.clone(), kept, clock).unwrap();
        let continued = schedules
            .0
            .line(FunctionName::UsageSync, &json!({"task": "resume"}))
            .unwrap();
        let turn = continued.turn.lock().await;
        assert!(schedules.begin_sync().unwrap());
        assert!(!schedules.begin_sync().unwrap());
        tokio::task::yield_now().await;
        assert!(lock(&noted.1).is_empty());
        drop(turn);
        schedules.stop().await;
        assert_eq!(lock(&noted.1).len(), 1);
    }
}
