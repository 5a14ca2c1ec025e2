//! How far a run of the sync came and what it has seen, in parts that fit into items, so that the next invocation goes on. What the
//! bytes mean is the sync's own matter.

use futures_util::{StreamExt, TryStreamExt};
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::commit::number;
use super::items::{self, Stored};
use super::keys::{self, Key};
use super::leases::happened;
use super::{StoreError, Table};

/// What one part may hold: an item has at most 400 KB.
const MOST_IN_A_PART: usize = 380_000;
const SIDE_BY_SIDE: usize = 4;
const KEPT: SignedDuration = SignedDuration::from_hours(48);

/// The run that goes on, and how many parts there are of what it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub run: Ulid,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
    /// Whose lease it was written under: a stale runner overwrites nothing.
    pub fence: u64,
    /// What was seen, in parts that only ever become more.
    pub rows: u32,
    /// How often it was written, and in how many parts the last time.
    pub saves: u32,
    pub parts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) run: Ulid,
    pub(super) part: String,
    #[serde(with = "millisecond::required")]
    pub(super) made_at: Timestamp,
    #[serde(with = "serde_bytes")]
    pub(super) bytes: Vec<u8>,
}

impl Table {
    /// The run that goes on, if one does.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.get(&keys::checkpoint()).await
    }

    /// Keeps more of what a run has seen, and says into how many parts it went, of which the first has this number.
    pub async fn keep_rows(&self, run: Ulid, first: u32, rows: &[u8], now: Timestamp) -> Result<u32, StoreError> {
        let parts: Vec<(String, &[u8])> = parts_of(rows, first, keys::rows_part);
        self.keep_parts(run, &parts, now).await?;
        Ok(u32::try_from(parts.len()).unwrap_or(u32::MAX))
    }

    /// One part of what a run has seen.
    pub async fn rows(&self, run: Ulid, number: u32) -> Result<Vec<u8>, StoreError> {
        self.part(run, &keys::rows_part(number)).await
    }

    /// Keeps how far a run came, unless a later runner has. False when one has.
    pub async fn save_checkpoint(
        &self,
        checkpoint: &Checkpoint,
        progress: &[u8],
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let saves = checkpoint.saves + 1;
        let parts: Vec<(String, &[u8])> = parts_of(progress, 0, |number| keys::progress_part(saves, number));
        self.keep_parts(checkpoint.run, &parts, now).await?;
        // Its own item comes last: what it names is there.
        let parts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let after = Checkpoint { saves, parts, ..checkpoint.clone() };
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(items::to_item(&after)?))
            .condition_expression("attribute_not_exists(pk) OR fence <= :fence")
            .expression_attribute_values(":fence", number(after.fence));
        Ok(happened(put.send().await)?.map(|_| after))
    }

    /// How far a run came.
    pub async fn progress(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
        let mut progress = Vec::new();
        for number in 0..checkpoint.parts {
            progress.extend(self.part(checkpoint.run, &keys::progress_part(checkpoint.saves, number)).await?);
        }
        Ok(progress)
    }

    /// Forgets the run that went on, once it has ended. Its parts expire.
    pub async fn forget_checkpoint(&self) -> Result<(), StoreError> {
        self.delete(&keys::checkpoint()).await
    }

    async fn part(&self, run: Ulid, part: &str) -> Result<Vec<u8>, StoreError> {
        let key = keys::run_part(run, part);
        let part: Option<Part> = self.get(&key).await?;
        part.map(|part| part.bytes).ok_or_else(|| StoreError::corrupt(&key, Part::KIND, &"it is gone"))
    }

    async fn keep_parts(&self, run: Ulid, parts: &[(String, &[u8])], now: Timestamp) -> Result<(), StoreError> {
        let part =
            |(part, bytes): &(String, &[u8])| Part { run, part: part.clone(), made_at: now, bytes: bytes.to_vec() };
        let parts: Vec<Part> = parts.iter().map(part).collect();
        let puts: Vec<_> = parts.iter().map(|part| self.put_new(part)).collect();
        futures_util::stream::iter(puts).buffer_unordered(SIDE_BY_SIDE).try_for_each(async |_| Ok(())).await
    }
}

fn parts_of(bytes: &[u8], first: u32, name: impl Fn(u32) -> String) -> Vec<(String, &[u8])> {
    bytes.chunks(MOST_IN_A_PART).zip(first..).map(|(bytes, number)| (name(number), bytes)).collect()
}

impl Stored for Checkpoint {
    const KIND: &'static str = "checkpoint";
    fn key(&self) -> Key {
        keys::checkpoint()
    }
}

impl Stored for Part {
    const KIND: &'static str = "checkpoint-part";
    fn key(&self) -> Key {
        keys::run_part(self.run, &self.part)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.made_at + KEPT)
    }
}
