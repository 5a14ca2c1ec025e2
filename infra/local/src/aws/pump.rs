//! Delivers the table's changes to the functions that read its stream, as Lambda's event source
//! mappings do: in order, in filtered batches, with limited retries. Each reader has a stored
//! position of its own. Unlike in AWS, a batch that failed is not halved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aws::dead_letters::DeadLetters;
use crate::aws::engine::{Engine, Position};
use crate::aws::invoke::Invoke;
use crate::aws::wiring::{READERS, StreamReader};
use crate::base::clock::StackClock;
use crate::base::state_file::StateFile;
use crate::base::{Counted, lock};

pub const COLLECTION: &str = "stream-positions";
/// The number of records in one read from the engine.
const PAGE: usize = 200;
/// The number of records that a reader passes before what all have passed is deleted.
const TRIM_EVERY: usize = 800;
/// A reader sleeps until it is told of a write; this makes up for a write that it was not told of.
const TICK: Duration = Duration::from_millis(500);
/// The time that an invocation under way gets when the pump is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// The running pump. Clones share it.
#[derive(Clone)]
pub struct Pump(Arc<Inner>);

struct Inner {
    engine: Engine,
    invoke: Arc<dyn Invoke>,
    kept: StateFile,
    clock: StackClock,
    dead_letters: DeadLetters,
    readers: Vec<(&'static StreamReader, watch::Sender<Position>)>,
    /// How many want failed batches tried again without a pause.
    hurrying: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    changes: AtomicU64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Pump {
    /// Starts a task for each reader on the current runtime.
    pub async fn start(
        engine: Engine,
        invoke: Arc<dyn Invoke>,
        kept: StateFile,
        clock: StackClock,
    ) -> Result<Pump> {
        let end = engine.stream_end().await?;
        let mut readers = Vec::new();
        for reader in &READERS {
            let passed: Option<Position> = kept.get(COLLECTION, reader.function.as_str())?;
            // A restored table continues the numbering from its earlier state.
            readers.push((
                reader,
                watch::channel(passed.unwrap_or(Position::START).min(end)).0,
            ));
        }
        let inner = Arc::new(Inner {
            readers,
            dead_letters: DeadLetters::over(kept.clone()),
            hurrying: watch::channel(0).0,
            stopping: watch::channel(false).0,
            changes: AtomicU64::new(0),
            tasks: Mutex::default(),
            engine,
            invoke,
            kept,
            clock,
        });
        let tasks = (0..READERS.len())
            .map(|index| tokio::spawn(Arc::clone(&inner).read(index)))
            .collect();
        *lock(&inner.tasks) = tasks;
        Ok(Pump(inner))
    }

    /// Waits until every reader has passed all that was written, including the readers' own writes.
    pub async fn drained(&self) -> Result<()> {
        loop {
            let end = self.0.engine.stream_end().await?;
            for (_, position) in &self.0.readers {
                position
                    .subscribe()
                    .wait_for(|position| *position >= end)
                    .await?;
            }
            if self.0.engine.stream_end().await? == end {
                return Ok(());
            }
        }
    }

    /// Retries failed batches without a pause, but not more often, until the guard is dropped.
    pub fn hurry(&self) -> Counted {
        Counted::in_number(&self.0.hurrying)
    }

    /// The number of changes in the stream since the start.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }

    /// The position that every reader has passed.
    pub fn passed(&self) -> Position {
        self.0.passed()
    }

    pub fn is_stopped(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Ends the readers. A batch whose answer did not come in time is delivered again after the
    /// next start.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        for mut task in tasks {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Inner {
    async fn read(self: Arc<Self>, index: usize) {
        let mut written = self.engine.changes();
        let mut stopping = self.stopping.subscribe();
        let mut untrimmed = 0;
        while !*stopping.borrow() {
            written.mark_unchanged();
            match self.deliver_page(index, &mut untrimmed).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the stream cannot be delivered"
                ),
            }
            tokio::select! {
                _ = written.changed() => {}
                () = tokio::time::sleep(TICK) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        }
    }

    /// Reads the next records and delivers those that the reader wants. `false` if there was none.
    async fn deliver_page(&self, index: usize, untrimmed: &mut usize) -> Result<bool> {
        let (reader, position) = &self.readers[index];
        let from = *position.borrow();
        let page = self.engine.records_after(from, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        // DynamoDB writes no record for a write that leaves an item as it was; the engine does.
        let is_change = |record: &&Value| {
            record["dynamodb"].get("OldImage") != record["dynamodb"].get("NewImage")
        };
        let changes: Vec<&Value> = page.iter().filter(is_change).collect();
        if index == 0 {
            self.changes
                .fetch_add(changes.len() as u64, Ordering::SeqCst);
        }
        let is_wanted = |record: &&Value| reader.filters.iter().any(|filter| filter.fits(record));
        let records: Vec<&Value> = changes.into_iter().filter(is_wanted).collect();
        for batch in records.chunks(reader.batch_size) {
            if !self.deliver(index, batch).await? {
                return Ok(true);
            }
        }
        self.pass(index, last)?;
        *untrimmed += page.len();
        if *untrimmed >= TRIM_EVERY {
            *untrimmed = 0;
            self.engine.trim(self.passed()).await?;
        }
        Ok(true)
    }

    /// Delivers one batch until nothing of it is left. `false` if the pump was stopped first.
    async fn deliver(&self, index: usize, mut batch: &[&Value]) -> Result<bool> {
        let reader = self.readers[index].0;
        let mut failures = 0;
        loop {
            if *self.stopping.borrow() {
                return Ok(false);
            }
            let at_work = self.clock.at_work();
            let answer = self
                .invoke
                .invoke(reader.function, json!({ "Records": batch }))
                .await;
            drop(at_work);
            let (passed, rest) =
                batch.split_at(answer.as_ref().map_or(0, |answer| done(answer, batch)));
            match passed.last() {
                Some(last) => {
                    self.pass(index, last)?;
                    failures = 0;
                }
                None => failures += 1,
            }
            batch = rest;
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
                return Ok(true);
            };
            let error = answer.map_or_else(
                |error| error.to_string(),
                |_| "a record was reported as failed".to_owned(),
            );
            if failures > reader.retries {
                let numbers = [first, last].map(|record| &record["dynamodb"]["SequenceNumber"]);
                self.dead_letters.add(
                    self.clock.now(),
                    reader.function,
                    json!(numbers),
                    failures,
                    error,
                )?;
                self.pass(index, last)?;
                return Ok(true);
            }
            tracing::warn!(function = %reader.function, error, "a stream batch failed and is tried again");
            self.pause(SignedDuration::from_secs(
                1 << failures.saturating_sub(1).min(6),
            ))
            .await;
        }
    }

    /// Waits by the product's clock, unless a hurry or a stop ends the wait.
    async fn pause(&self, pause: SignedDuration) {
        let mut hurrying = self.hurrying.subscribe();
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = self.clock.reaches(self.clock.now() + pause) => {}
            _ = hurrying.wait_for(|hurrying| *hurrying > 0) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    fn passed(&self) -> Position {
        let passed = self
            .readers
            .iter()
            .map(|(_, position)| *position.borrow())
            .min();
        passed.unwrap_or(Position::START)
    }

    fn pass(&self, index: usize, last: &Value) -> Result<()> {
        let (reader, position) = &self.readers[index];
        let number = last["dynamodb"]["SequenceNumber"].as_str();
        let new_position = number
            .and_then(Position::parse)
            .context("a stream record has no sequence number")?;
        self.kept
            .put(COLLECTION, reader.function.as_str(), &new_position)?;
        position.send_replace(new_position);
        Ok(())
    }
}

/// The number of records before the first that the answer reports as failed. A report of a record
/// that is not in the batch fails all of it.
fn done(answer: &Value, batch: &[&Value]) -> usize {
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    let failed = |failure: &Value| {
        batch
            .iter()
            .position(|record| record["dynamodb"]["SequenceNumber"] == failure["itemIdentifier"])
    };
    failures
        .map(|failure| failed(failure).unwrap_or(0))
        .min()
        .unwrap_or(batch.len())
}
