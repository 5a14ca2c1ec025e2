//! Runs the template's schedules by the product's clock: each when it is due, and once each when the clock
//! is moved past them. A schedule never overlaps itself. The clock is in `base`, and a run's work in the
//! functions.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{Mutex as TurnMutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::aws::dead_letters::{DeadLetter, DeadLetterContent, DeadLetters};
use crate::aws::invoke::{Invoke, InvokeError};
use crate::aws::template::expression::Expression;
use crate::aws::template::{Schedule, Template};
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::base::state_file::StateFile;

const COLLECTION: &str = "schedules";
/// The time that runs under way get when the schedules are stopped.
const GRACE: Duration = Duration::from_secs(2);

/// The value of `--sync-every`, which replaces the template's time for the sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEvery {
    Every(SignedDuration),
    /// No sync runs by itself, and no interrupted one is continued.
    Never,
}

/// The schedules of one stack. Clones share them.
#[derive(Clone)]
pub struct Schedules(Arc<Inner>);

struct Inner {
    lines: Vec<Line>,
    invoke: Arc<dyn Invoke>,
    kept: StateFile,
    clock: StackClock,
    dead_letters: DeadLetters,
    /// The lock for deciding what runs next, taken by the tick and by a move of the clock.
    driving: TurnMutex<()>,
    stopping: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Line {
    schedule: Schedule,
    /// The id under which the last run is stored: the function with its input, so that a changed interval
    /// counts from the same run.
    id: String,
    retries: u32,
    last: Mutex<Timestamp>,
    turn: TurnMutex<()>,
}

impl Schedules {
    /// Reads the last run of each schedule; one that never ran counts from now. Nothing runs yet.
    pub fn new(
        template: &Template,
        sync_every: SyncEvery,
        invoke: Arc<dyn Invoke>,
        kept: StateFile,
        clock: StackClock,
    ) -> Result<Schedules> {
        let mut lines: Vec<Line> = Vec::new();
        for schedule in with_sync(&template.schedules, sync_every) {
            let id = format!("{} {}", schedule.function.as_str(), schedule.input);
            ensure!(lines.iter().all(|line| line.id != id), "two schedules run {id}");
            let last = match kept.get::<Timestamp>(COLLECTION, &id)? {
                Some(last) => last,
                None => {
                    let now = clock.now();
                    kept.put(COLLECTION, &id, &now)?;
                    now
                }
            };
            lines.push(Line {
                retries: template.functions.get(&schedule.function).map_or(0, |settings| settings.retries),
                last: Mutex::new(last),
                turn: TurnMutex::default(),
                schedule,
                id,
            });
        }
        Ok(Schedules(Arc::new(Inner {
            lines,
            invoke,
            dead_letters: DeadLetters::over(kept.clone()),
            kept,
            clock,
            driving: TurnMutex::default(),
            stopping: watch::channel(false).0,
            task: Mutex::default(),
        })))
    }

    /// Runs the schedules as time passes, in a task on the current runtime.
    pub fn start(&self) {
        *lock(&self.0.task) = Some(tokio::spawn(Arc::clone(&self.0).tick()));
    }

    /// Moves the clock forward. Each schedule due on the way runs once, at its last due instant and in the
    /// order of these, with the clock stopped there. It runs to its end even if the caller is dropped.
    pub async fn advance(&self, by: SignedDuration) -> Result<Timestamp> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _driving = inner.driving.lock().await;
            let stood = inner.clock.stands();
            // The clock may have been set to the past meanwhile, which moves later starting points with it.
            for line in &inner.lines {
                let mut last = lock(&line.last);
                *last = (*last).min(inner.clock.now());
            }
            let end = inner.clock.now().checked_add(by).context("that is too far ahead")?;
            let ran = inner.run_until(end).await;
            inner.clock.rests().await;
            let ended = if stood { inner.clock.stop_at(end) } else { inner.clock.run_from(end) };
            ran.and(ended)?;
            Ok(inner.clock.now())
        })
        .await?
    }

    /// Runs a function with a schedule's input now, but never concurrently with the schedule itself. The
    /// run continues to its end even if the caller is dropped.
    pub async fn run_now(&self, function: FunctionName, input: Value) -> Result<Value, InvokeError> {
        let inner = Arc::clone(&self.0);
        let run = tokio::spawn(async move {
            let _turn = match inner.line(function, &input) {
                Some(line) => Some(line.turn.lock().await),
                None => None,
            };
            inner.invoke.invoke(function, input).await
        });
        run.await.unwrap_or_else(|ended| Err(InvokeError::Failed(ended.to_string())))
    }

    /// Records a run that somebody else caused as the schedule's last.
    pub fn ran(&self, function: FunctionName, input: &Value, at: Timestamp) -> Result<()> {
        self.0.line(function, input).map_or(Ok(()), |line| self.0.set_last(line, at))
    }

    /// Stops the tick. Runs under way get a moment to finish.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let task = lock(&self.0.task).take();
        if let Some(task) = task {
            task.await.ok();
        }
    }
}

impl Inner {
    async fn tick(self: Arc<Self>) {
        let mut stopping = self.stopping.subscribe();
        let mut runs = JoinSet::new();
        while !*stopping.borrow() {
            {
                let _driving = self.driving.lock().await;
                if let Err(error) = self.start_due(&mut runs) {
                    tracing::error!(error = format!("{error:#}"), "the schedules cannot be kept");
                }
            }
            while runs.try_join_next().is_some() {}
            let next = self.lines.iter().filter_map(|line| line.schedule.expression.next_after(line.last())).min();
            tokio::select! {
                () = self.clock.reaches(next.unwrap_or(Timestamp::MAX)) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        }
        let finished = async { while runs.join_next().await.is_some() {} };
        tokio::time::timeout(GRACE, finished).await.ok();
    }

    fn start_due(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Result<()> {
        let now = self.clock.now();
        for (index, line) in self.lines.iter().enumerate() {
            let Some(due) = line.schedule.expression.last_within(line.last(), now) else {
                continue;
            };
            self.set_last(line, due)?;
            let inner = Arc::clone(self);
            runs.spawn(async move {
                // The schedule is still running, or was just run by hand: this time is skipped.
                if let Ok(_turn) = inner.lines[index].turn.try_lock() {
                    inner.run(&inner.lines[index]).await;
                }
            });
        }
        Ok(())
    }

    async fn run_until(&self, end: Timestamp) -> Result<()> {
        let due = |line: &Line| line.schedule.expression.last_within(line.last(), end);
        let mut due: Vec<_> = self.lines.iter().filter_map(|line| Some((due(line)?, line))).collect();
        due.sort_by_key(|(instant, _)| *instant);
        for (instant, line) in due {
            self.clock.rests().await;
            self.clock.stop_at(instant)?;
            self.set_last(line, instant)?;
            let _turn = line.turn.lock().await;
            self.run(line).await;
        }
        Ok(())
    }

    /// One run, with Lambda's retries but without their pauses.
    async fn run(&self, line: &Line) {
        let Schedule { function, input, .. } = &line.schedule;
        let mut tries = 0;
        let error = loop {
            let error = match self.invoke.invoke(*function, input.clone()).await {
                Ok(_) => return,
                Err(error) => error.to_string(),
            };
            tries += 1;
            if tries > line.retries {
                break error;
            }
            tracing::warn!(function = function.as_str(), error, "a scheduled run failed and is tried again");
        };
        let letter = DeadLetter {
            at: self.clock.now(),
            function: function.as_str().to_owned(),
            about: DeadLetterContent::Input(input.clone()),
            tries,
            error,
        };
        if let Err(error) = self.dead_letters.add(&letter) {
            tracing::error!(error = format!("{error:#}"), "a dead letter cannot be kept");
        }
    }

    fn line(&self, function: FunctionName, input: &Value) -> Option<&Line> {
        let fits = |line: &&Line| line.schedule.function == function && line.schedule.input == *input;
        self.lines.iter().find(fits)
    }

    fn set_last(&self, line: &Line, last: Timestamp) -> Result<()> {
        self.kept.put(COLLECTION, &line.id, &last)?;
        *lock(&line.last) = last;
        Ok(())
    }
}

impl Line {
    fn last(&self) -> Timestamp {
        *lock(&self.last)
    }
}

/// The template's schedules, with the command line's interval for the sync: the input `{}` begins one,
/// other inputs continue one.
fn with_sync(schedules: &[Schedule], sync_every: SyncEvery) -> Vec<Schedule> {
    let of_the_sync = |schedule: &Schedule| schedule.function == FunctionName::UsageSync;
    let begins_one = |schedule: &Schedule| of_the_sync(schedule) && schedule.input == json!({});
    let schedules = schedules.iter().cloned();
    match sync_every {
        SyncEvery::Never => schedules.filter(|schedule| !of_the_sync(schedule)).collect(),
        SyncEvery::Every(period) => {
            let every =
                Schedule { function: FunctionName::UsageSync, expression: Expression::Rate(period), input: json!({}) };
            schedules.filter(|schedule| !begins_one(schedule)).chain([every]).collect()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
