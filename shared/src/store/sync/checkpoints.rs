//! The checkpoint of a run of the sync: its progress and its rows, in parts that fit into items, so that the
//! next invocation goes on. The sync defines the bytes.

use futures_util::{StreamExt, TryStreamExt};
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, key};
use crate::store::table::items::{MOST_IN_A_PART, Stored};
use crate::store::table::{StoreError, Table, keys};

/// How many parts are written at once: each is in memory several times meanwhile.
const SIDE_BY_SIDE: usize = 2;
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(48);

/// The run under way, and where its progress and rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub run: Ulid,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
    /// The table it was written in: in a restored copy, its rows are older than the copy.
    pub table: String,
    /// The fence of the lease it was written under. No other writer uses that fence.
    pub fence: u64,
    /// The number of the checkpoint in its run. Each has parts of its own names, so that none is ever
    /// overwritten.
    pub number: u32,
    /// The rows that were seen, in the order in which they were saved.
    pub rows: Vec<SavedParts>,
    /// The number of parts of the progress.
    pub parts: u32,
    /// Why the run was last put off, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
}

stored! {
    "checkpoint" Checkpoint |_| () => key(ACCOUNT, "CHECKPOINT")
}

/// An obstacle to a run that may pass with time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    pub why: String,
    /// No earlier retry, unless a person starts one.
    #[serde(with = "millisecond::required")]
    pub due: Timestamp,
    /// How often it was met.
    pub tries: u32,
    /// How often it was met since the run last made progress.
    pub in_a_row: u32,
}

impl Checkpoint {
    /// The checkpoint of a run that begins.
    pub fn of_run(run: Ulid, began_at: Timestamp, table: &Table) -> Checkpoint {
        let table = table.name.clone();
        Checkpoint { run, began_at, table, fence: 0, number: 0, rows: Vec::new(), parts: 0, delay: None }
    }
}

/// The parts that one invocation saved of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedParts {
    pub fence: u64,
    pub parts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPart {
    pub(crate) run: Ulid,
    pub(crate) part: String,
    #[serde(with = "millisecond::required")]
    pub(crate) made_at: Timestamp,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

stored! {
    // A part of a run's rows or progress. They are large, and one partition takes a megabyte a second, so they are spread over ten by their last digit.
    "checkpoint-part" CheckpointPart |it| (run: Ulid = it.run, part: &str = &it.part) => {
        let digit = part.chars().last().unwrap_or_default();
        key(format!("CP#{run}#{digit}"), part)
    };
    expires it.made_at + KEPT_FOR
}

impl Table {
    /// Saves more rows of a run in parts from this number on. Returns how many they are. A runner that was
    /// killed later may have saved as many, under another fence.
    pub async fn keep_rows(
        &self,
        run: Ulid,
        fence: u64,
        first: u32,
        rows: &[u8],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<u32, StoreError> {
        let parts: Vec<(String, &[u8])> = parts_of(rows, |number| keys::rows_part(fence, first + number));
        self.keep_parts(run, &parts, now, deadline).await?;
        Ok(u32::try_from(parts.len()).unwrap_or(u32::MAX))
    }

    /// One part of a run's rows.
    pub async fn rows(&self, run: Ulid, fence: u64, number: u32) -> Result<Vec<u8>, StoreError> {
        self.part(run, &keys::rows_part(fence, number)).await
    }

    /// Saves the progress of a run for its next checkpoint. Returns the number of parts. They count once a
    /// checkpoint names them.
    pub async fn keep_progress(
        &self,
        next: &Checkpoint,
        progress: &[u8],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<u32, StoreError> {
        let parts: Vec<(String, &[u8])> = parts_of(progress, |part| keys::progress_part(next.fence, next.number, part));
        self.keep_parts(next.run, &parts, now, deadline).await?;
        Ok(u32::try_from(parts.len()).unwrap_or(u32::MAX))
    }

    /// The progress of a run.
    pub async fn progress(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
        let mut progress = Vec::new();
        for number in 0..checkpoint.parts {
            let part = keys::progress_part(checkpoint.fence, checkpoint.number, number);
            progress.extend(self.part(checkpoint.run, &part).await?);
        }
        Ok(progress)
    }

    async fn part(&self, run: Ulid, part: &str) -> Result<Vec<u8>, StoreError> {
        let there = self.get(CheckpointPart::key_of(run, part)).await?;
        let gone = || StoreError::corrupt(&CheckpointPart::key_of(run, part), CheckpointPart::KIND, &"it is gone");
        there.map(|part| part.bytes).ok_or_else(gone)
    }

    async fn put_part(
        &self,
        run: Ulid,
        part: &str,
        bytes: &[u8],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let part = CheckpointPart { run, part: part.to_owned(), made_at: now, bytes: bytes.to_vec() };
        self.put_new(&part, deadline).await.map(drop)
    }

    async fn keep_parts(
        &self,
        run: Ulid,
        parts: &[(String, &[u8])],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let puts: Vec<_> = parts.iter().map(|(part, bytes)| self.put_part(run, part, bytes, now, deadline)).collect();
        futures_util::stream::iter(puts).buffer_unordered(SIDE_BY_SIDE).try_for_each(async |()| Ok(())).await
    }
}

fn parts_of(bytes: &[u8], name: impl Fn(u32) -> String) -> Vec<(String, &[u8])> {
    bytes.chunks(MOST_IN_A_PART).zip(0..).map(|(bytes, number)| (name(number), bytes)).collect()
}
