//! Writes of the sync's one runner on condition of its lease: a runner that wakes late, after another took over, changes nothing. And its
//! checkpoint: the progress of a run and its rows, in parts that fit into items, so that the next invocation goes on.

use futures_util::{StreamExt, TryStreamExt};

use crate::domain::ledger::cut::AccountCut;
use crate::store::items::MOST_IN_A_PART;
use crate::store::prelude::*;
use crate::store::table::meta::{SET_ACCOUNT, attribute_of};
use crate::store::{GroupTotals, KeptTotals, KnownAccount, Lease, Meta, ModelRows, Run, SyncState, Totals};

/// The table while a lease is held.
#[derive(Clone, Copy)]
pub struct FencedTable<'a> {
    table: &'a Table,
    lease: &'a Lease,
    deadline: Deadline,
}

impl Table {
    /// The table with writes under this lease. Conflicts are retried until shortly before the deadline.
    pub fn under<'a>(&'a self, lease: &'a Lease, deadline: Deadline) -> FencedTable<'a> {
        FencedTable { table: self, lease, deadline }
    }
}

/// Each write returns `false` when another runner has taken over, or what it rests on was changed since it
/// was read.
impl FencedTable<'_> {
    /// Writes the totals of a programme, then each of its groups' that changed, where groups have items of
    /// their own. So groups never add up to more than their programme.
    pub async fn note_totals(&self, totals: &Totals) -> Result<bool, StoreError> {
        let (kept, groups) = KeptTotals::of(totals);
        if !self.put_later(&kept, totals.as_of).await? {
            return Ok(false);
        }
        let mut known = Vec::new();
        if kept.groups_apart {
            known = self.table.list(GroupTotals::of_programme(&totals.programme)).await?;
        }
        for group in groups {
            let place = known.iter().position(|known| known.group == group.group);
            let is_known = place.map(|place| known.swap_remove(place)).is_some_and(|known| known.used == group.used);
            if !is_known && !self.put_later(&group, group.as_of).await? {
                return Ok(false);
            }
        }
        for gone in known {
            let as_of = [(":as_of", instant(totals.as_of))];
            let condition = "attribute_not_exists(pk) OR as_of <= :as_of";
            if !self.commit(self.begun()?.remove(&gone.key(), condition, &as_of)?).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what a budget's grants reserve at an instant, and who has no reservation, summed after the budget was read. Returns `false` also
    /// when a reservation was taken or given back since, which the sum may have missed.
    pub async fn recompute_reserved(
        &self,
        read: &Budget,
        reserved: Usd,
        unreserved: &Unreserved,
        at: Moment,
    ) -> Result<bool, StoreError> {
        let values = [
            (":unreserved", attribute_of(unreserved)?),
            (":reserved", number(reserved.micros())),
            (":at", instant(at)),
            (":one", number(1)),
            (":version", number(read.version)),
        ];
        let transaction = self.begun()?.update(
            &Budget::key_of(&read.programme),
            "SET reserved = :reserved, unreserved = :unreserved, counted_at = :at ADD version :one",
            "version = :version",
            &values,
        )?;
        self.commit(transaction).await
    }

    /// Writes the cut of a complete run. A written cut stays, also when the run ends a second time.
    pub async fn note_cut(&self, cut: &AccountCut) -> Result<bool, StoreError> {
        if self.table.get::<AccountCut>(cut.key()).await?.is_some() {
            return Ok(true);
        }
        self.commit(self.begun()?.create(cut)?).await
    }

    /// Writes each grant's use by model on a day, if it changed. The first part comes last: it holds the
    /// number of parts.
    pub async fn note_model_rows(&self, parts: &[ModelRows]) -> Result<bool, StoreError> {
        for part in parts.iter().rev() {
            let known: Option<ModelRows> = self.table.get(part.key()).await?;
            let is_known = known.is_some_and(|known| ModelRows { as_of: part.as_of, ..known } == *part);
            if !is_known && !self.put_later(part, part.as_of).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces the state of the sync as it was read. Returns `false` also when an admin was faster.
    pub async fn set_sync_state(&self, after: &SyncState) -> Result<bool, StoreError> {
        self.commit(self.begun()?.replace(after, after.version.saturating_sub(1))?).await
    }

    pub async fn know_account(&self, account: &KnownAccount) -> Result<bool, StoreError> {
        let values = [(":account", attribute_of(account)?)];
        self.commit(self.begun()?.update(&Meta::key_of(), SET_ACCOUNT, "attribute_exists(pk)", &values)?).await
    }

    pub async fn forget_account(&self) -> Result<bool, StoreError> {
        self.commit(self.begun()?.update(&Meta::key_of(), "REMOVE account", "attribute_exists(pk)", &[])?).await
    }

    pub async fn record_run(&self, run: &Run) -> Result<bool, StoreError> {
        self.commit(self.begun()?.create(run)?).await
    }

    pub async fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let fence = [(":fence", number(self.lease.fence))];
        self.commit(self.begun()?.create_or_replace(checkpoint, "fence <= :fence", &fence)?).await
    }

    /// Removes the checkpoint of a run that has ended. Its parts expire.
    pub async fn forget_checkpoint(&self) -> Result<bool, StoreError> {
        let fence = [(":fence", number(self.lease.fence))];
        let condition = "attribute_not_exists(pk) OR fence <= :fence";
        self.commit(self.begun()?.remove(&Checkpoint::key_of(), condition, &fence)?).await
    }

    /// Writes an item, unless there is one of a later instant.
    pub async fn put_later<T: Stored>(&self, value: &T, as_of: Moment) -> Result<bool, StoreError> {
        let as_of = [(":as_of", instant(as_of))];
        self.commit(self.begun()?.create_or_replace(value, "as_of <= :as_of", &as_of)?).await
    }

    pub(crate) fn table(&self) -> &Table {
        self.table
    }

    pub(crate) fn begun(&self) -> Result<Transaction, StoreError> {
        let values = [(":holder", text(&self.lease.holder)), (":fence", number(self.lease.fence))];
        let lease = Lease::key_of(&self.lease.lease);
        self.table.transaction().check(&lease, "holder = :holder AND fence = :fence", &values)
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<bool, StoreError> {
        self.table.commit_once(transaction.unaudited(Unaudited::Sync), self.deadline).await
    }
}

/// How many parts are written at once: each is in memory several times meanwhile.
const SIDE_BY_SIDE: usize = 2;
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(48);

/// The run under way, and where its progress and rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub run: Ulid,
    pub began_at: Moment,
    /// The table it was written in: in a restored copy, its rows are older than the copy.
    pub table: String,
    /// The fence of the lease it was written under. No other writer uses that fence.
    pub fence: u64,
    /// The number of the checkpoint in its run. Each has parts of its own names, so that none is ever
    /// overwritten.
    pub number: u32,
    /// The rows that were seen, in the order in which they were saved.
    pub rows: Vec<SavedParts>,
    pub parts: u32,
    pub delay: Option<Delay>,
}

stored! {
    Checkpoint |_| () => key(ACCOUNT, "CHECKPOINT")
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    pub why: String,
    /// No earlier retry, unless a person starts one.
    pub due: Moment,
    pub tries: u32,
    /// How often it was met since the run last made progress.
    pub in_a_row: u32,
}

impl Checkpoint {
    pub fn of_run(run: Ulid, began_at: Moment, table: &Table) -> Checkpoint {
        let table = table.name.clone();
        Checkpoint { run, began_at, table, fence: 0, number: 0, rows: Vec::new(), parts: 0, delay: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedParts {
    pub fence: u64,
    pub parts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPart {
    pub(crate) run: Ulid,
    pub(crate) part: String,
    pub(crate) made_at: Moment,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

stored! {
    // A part of a run's rows or progress. They are large, and one partition takes a megabyte a second, so they are spread over ten by their last digit.
    CheckpointPart |it| (run: Ulid = it.run, part: &str = &it.part) => {
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
        now: Moment,
        deadline: Deadline,
    ) -> Result<u32, StoreError> {
        self.keep_parts(run, rows, |number| rows_part(fence, first + number), now, deadline).await
    }

    pub async fn rows(&self, run: Ulid, fence: u64, number: u32) -> Result<Vec<u8>, StoreError> {
        self.part(run, &rows_part(fence, number)).await
    }

    /// Saves the progress of a run for its next checkpoint. Returns the number of parts. They count once a
    /// checkpoint names them.
    pub async fn keep_progress(
        &self,
        next: &Checkpoint,
        progress: &[u8],
        now: Moment,
        deadline: Deadline,
    ) -> Result<u32, StoreError> {
        let name = |part| progress_part(next, part);
        self.keep_parts(next.run, progress, name, now, deadline).await
    }

    pub async fn progress(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
        let mut progress = Vec::new();
        for number in 0..checkpoint.parts {
            let part = progress_part(checkpoint, number);
            progress.extend(self.part(checkpoint.run, &part).await?);
        }
        Ok(progress)
    }

    async fn part(&self, run: Ulid, part: &str) -> Result<Vec<u8>, StoreError> {
        let there = self.get(CheckpointPart::key_of(run, part)).await?;
        let gone = || StoreError::corrupt(&CheckpointPart::key_of(run, part), CheckpointPart::KIND, &"it is gone");
        there.map(|part| part.bytes).ok_or_else(gone)
    }

    /// Saves bytes in parts of these names. Returns how many they are.
    async fn keep_parts(
        &self,
        run: Ulid,
        bytes: &[u8],
        name: impl Fn(u32) -> String,
        now: Moment,
        deadline: Deadline,
    ) -> Result<u32, StoreError> {
        let parts = bytes.chunks(MOST_IN_A_PART).zip(0..);
        let puts = parts.map(|(bytes, number)| {
            let part = name(number);
            async move {
                // Copied when it is its turn.
                let part = CheckpointPart { run, part, made_at: now, bytes: bytes.to_vec() };
                self.put_new(&part, deadline).await
            }
        });
        let puts: Vec<_> = puts.collect();
        let count = u32::try_from(puts.len()).unwrap_or(u32::MAX);
        futures_util::stream::iter(puts).buffer_unordered(SIDE_BY_SIDE).try_for_each(async |_| Ok(())).await?;
        Ok(count)
    }
}

fn rows_part(fence: u64, number: u32) -> String {
    format!("R#{fence:012}#{number:06}")
}

fn progress_part(of: &Checkpoint, part: u32) -> String {
    format!("P#{:012}#{:06}#{part:06}", of.fence, of.number)
}
