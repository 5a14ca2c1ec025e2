//! Delivers the table's changes to the stream's readers, as Lambda's event source mappings do: in order, in
//! filtered batches, with limited retries. Each reader has a stored position of its own. Records that all
//! readers have passed are deleted.
//!
//! A reader sleeps until the engine notifies it of a commit, by any client, so nothing is polled. A slow
//! tick makes up for a missed notification.

mod delivery;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::delivery::{Delivery, Part, Record, Step};
use crate::aws::dead_letters::{DeadLetter, DeadLetterContent, DeadLetters};
use crate::aws::engine::{Engine, Position};
use crate::aws::invoke::Invoke;
use crate::aws::template::StreamReader;
use crate::base::clock::StackClock;
use crate::base::state_file::StateFile;

const COLLECTION: &str = "stream-positions";
/// The number of records in one read from the engine.
const PAGE: usize = 200;
/// The number of records that all readers have passed before they are deleted together.
const FORGET: usize = 800;
/// Lambda's limit of 6 MB for an event.
const LARGEST_BATCH: usize = 6_000_000;
const TICK: Duration = Duration::from_millis(500);
/// The first pause before a failed batch is retried; it doubles up to the longest.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);
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
    region: String,
    dead_letters: DeadLetters,
    readers: Vec<(StreamReader, watch::Sender<Position>)>,
    /// The number of live `FastRetries`.
    hurrying: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    changes: AtomicU64,
    unforgotten: AtomicUsize,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A guard: while it lives, failed batches are retried without a pause.
pub struct FastRetries(Arc<Inner>);

impl Pump {
    /// Starts a task for each reader on the current runtime.
    pub async fn start(
        engine: Engine,
        invoke: Arc<dyn Invoke>,
        kept: StateFile,
        clock: StackClock,
        region: &str,
        readers: Vec<StreamReader>,
    ) -> Result<Pump> {
        let end = engine.stream_end().await?;
        let positioned = readers.into_iter().map(|reader| {
            let kept: Option<Position> = kept.get(COLLECTION, reader.function.as_str())?;
            // A restored table continues the numbering from its earlier state.
            let position = kept.unwrap_or(Position::START).min(end);
            Ok((reader, watch::channel(position).0))
        });
        let inner = Arc::new(Inner {
            readers: positioned.collect::<Result<_>>()?,
            dead_letters: DeadLetters::over(kept.clone()),
            region: region.to_owned(),
            hurrying: watch::channel(0).0,
            stopping: watch::channel(false).0,
            changes: AtomicU64::new(0),
            unforgotten: AtomicUsize::new(FORGET),
            tasks: Mutex::default(),
            engine,
            invoke,
            kept,
            clock,
        });
        let tasks = (0..inner.readers.len()).map(|index| tokio::spawn(Arc::clone(&inner).read(index)));
        *inner.tasks() = tasks.collect();
        Ok(Pump(inner))
    }

    /// Waits until every reader has passed all that was written, including the readers' own writes.
    pub async fn drained(&self) -> Result<()> {
        loop {
            let end = self.0.engine.stream_end().await?;
            for (_, position) in &self.0.readers {
                let mut position = position.subscribe();
                position.wait_for(|position| *position >= end).await.context("the pump was stopped")?;
            }
            if self.0.engine.stream_end().await? == end {
                return Ok(());
            }
        }
    }

    /// Retries failed batches without a pause, up to their usual number, until the guard is dropped.
    pub fn hurry(&self) -> FastRetries {
        self.0.hurrying.send_modify(|hurrying| *hurrying += 1);
        FastRetries(Arc::clone(&self.0))
    }

    /// The number of changes in the stream since the start, without writes that left an item as it was.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }

    /// Whether its readers have ended, so that nothing is handed on any more.
    pub fn is_stopped(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Ends the readers. A batch whose answer did not come in time is delivered again after the next start.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.0.tasks());
        for mut task in tasks {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for FastRetries {
    fn drop(&mut self) {
        self.0.hurrying.send_modify(|hurrying| *hurrying -= 1);
    }
}

impl Inner {
    async fn read(self: Arc<Self>, index: usize) {
        let mut changes = self.engine.changes();
        let mut stopping = self.stopping.subscribe();
        while !*stopping.borrow() {
            changes.mark_unchanged();
            let wait = match self.deliver_page(index).await {
                Ok(0) => TICK,
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "the stream cannot be handed on");
                    changes.mark_unchanged();
                    TICK
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        }
    }

    /// Reads the next records, delivers those that pass the reader's filters, and returns the number
    /// passed.
    async fn deliver_page(&self, index: usize) -> Result<usize> {
        let (reader, position) = &self.readers[index];
        let from = *position.borrow();
        let page = self.engine.records_after(from, PAGE).await?;
        let page = page.into_iter().map(|body| self.record(body)).collect::<Result<Vec<_>>>()?;
        let Some(last) = page.last().map(|record| record.position) else {
            return Ok(0);
        };
        let count = page.len();
        let changed: Vec<_> = page.into_iter().filter(|record| is_change(&record.body)).collect();
        if index == 0 {
            self.changes.fetch_add(changed.len() as u64, Ordering::SeqCst);
        }
        let wanted = changed.into_iter().filter(|record| reader.wants(&record.body));
        for batch in batches(wanted, reader.batch_size) {
            if !self.deliver_batch(index, batch).await? {
                return Ok(count);
            }
        }
        self.pass(index, last)?;
        self.forget(count).await?;
        Ok(count)
    }

    /// Delivers one batch until nothing of it is left. `false` if the pump was stopped first.
    async fn deliver_batch(&self, index: usize, batch: Vec<Record>) -> Result<bool> {
        let reader = &self.readers[index].0;
        let mut delivery = Delivery::of(batch);
        let mut wait = FIRST_WAIT;
        while let Some(part) = delivery.next() {
            if *self.stopping.borrow() {
                return Ok(false);
            }
            let event = json!({"Records": part.records.iter().map(|record| &record.body).collect::<Vec<_>>()});
            let at_work = self.clock.at_work();
            let answer = self.invoke.invoke(reader.function, event).await;
            drop(at_work);
            let why = match delivery.answered(reader, answer) {
                Some(Step::Past(position)) => {
                    self.pass(index, position)?;
                    wait = FIRST_WAIT;
                    continue;
                }
                Some(Step::GaveUp(part, why)) => {
                    self.give_up(index, &part, why)?;
                    wait = FIRST_WAIT;
                    continue;
                }
                Some(Step::PastAndAgain(position, why)) => {
                    self.pass(index, position)?;
                    wait = FIRST_WAIT;
                    why
                }
                Some(Step::Again(why)) => why,
                None => continue,
            };
            tracing::warn!(function = reader.function.as_str(), why, "a stream batch failed and is tried again");
            self.wait_until(self.clock.now().checked_add(wait)?).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Ok(true)
    }

    /// Waits by the product's clock; a `FastRetries` or a stop ends the wait.
    async fn wait_until(&self, instant: Timestamp) {
        let (mut hurrying, mut stopping) = (self.hurrying.subscribe(), self.stopping.subscribe());
        tokio::select! {
            () = self.clock.reaches(instant) => {}
            _ = hurrying.wait_for(|hurrying| *hurrying > 0) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    fn give_up(&self, index: usize, part: &Part, error: String) -> Result<()> {
        let (Some(first), Some(last)) = (part.records.first(), part.records.last()) else {
            return Ok(());
        };
        self.dead_letters.add(&DeadLetter {
            at: self.clock.now(),
            function: self.readers[index].0.function.as_str().to_owned(),
            about: DeadLetterContent::Records {
                first: first.position.to_string(),
                last: last.position.to_string(),
                count: part.records.len(),
            },
            tries: part.failures,
            error,
        })?;
        self.pass(index, last.position)
    }

    fn pass(&self, index: usize, to: Position) -> Result<()> {
        let (reader, position) = &self.readers[index];
        self.kept.put(COLLECTION, reader.function.as_str(), &to)?;
        position.send_replace(to);
        Ok(())
    }

    /// Deletes from the engine what every reader has passed, from time to time.
    async fn forget(&self, passed: usize) -> Result<()> {
        let unforgotten = self.unforgotten.fetch_add(passed, Ordering::Relaxed) + passed;
        if unforgotten >= FORGET {
            self.unforgotten.store(0, Ordering::Relaxed);
            let positions = self.readers.iter().map(|(_, position)| *position.borrow());
            if let Some(position) = positions.min() {
                self.engine.trim(position).await?;
            }
        }
        Ok(())
    }

    fn record(&self, mut body: Value) -> Result<Record> {
        let position = body["dynamodb"]["SequenceNumber"].as_str().and_then(Position::of);
        body["awsRegion"] = json!(self.region);
        body["eventSourceARN"] = json!(format!(
            "arn:aws:dynamodb:{}:000000000000:table/{}/stream/{}",
            self.region,
            self.engine.table(),
            self.engine.stream_label()
        ));
        Ok(Record { position: position.context("a stream record has no sequence number")?, body })
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the record is a change. DynamoDB writes no record for a write that leaves an item as it was; the
/// engine does.
fn is_change(record: &Value) -> bool {
    record["dynamodb"].get("OldImage") != record["dynamodb"].get("NewImage")
}

/// Cuts records into batches of a maximal number and of Lambda's maximal size.
fn batches(records: impl Iterator<Item = Record>, size: usize) -> Vec<Vec<Record>> {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let more = record.body.to_string().len();
        match batches.last_mut() {
            Some(batch) if batch.len() < size && bytes + more <= LARGEST_BATCH => {
                bytes += more;
                batch.push(record);
            }
            _ => {
                bytes = more;
                batches.push(vec![record]);
            }
        }
    }
    batches
}
