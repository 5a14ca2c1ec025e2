//! Dead letters: reading them, and the press that queues them again.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt, iter, once};
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::mail::failure::CORRUPT;
use crate::domain::values::id::PersonId;
use crate::store::mail::outbox_row::{MailState, OutboxRow};
use crate::store::table::items::{Item, Queue};
use crate::store::table::write::text;
use crate::store::table::{StoreError, Table, items, keys};

/// How long a dead letter is shown and can be sent again.
pub const GIVEN_UP_SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How many rows are read and written at once.
const SIDE_BY_SIDE: usize = 16;
/// The time kept back for a press to answer in.
const ENOUGH_TO_ANSWER: Duration = Duration::from_secs(4);

/// Dead letters.
#[derive(Debug, Default)]
pub struct DeadMails {
    /// The newest rows, newest first.
    pub newest: Vec<OutboxRow>,
    /// How many rows of the period cannot be read.
    pub unreadable: usize,
    pub in_all: usize,
}

/// The outcome of sending dead letters again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAgain {
    /// So many mails are queued again.
    Owed(usize),
    /// So many are queued again; there was no time for the rest.
    NotAll(usize),
    /// No dead letter has this cause.
    Nothing,
}

impl OutboxRow {
    /// Why it was given up, and when. A row that could not be read then says nothing of it, even if it can be
    /// read by now.
    pub fn given_up(&self) -> (&str, Timestamp) {
        match &self.state {
            MailState::Failed { why, at } => (why, *at),
            _ => (CORRUPT, self.written_at),
        }
    }
}

impl Table {
    /// Dead letters since this instant.
    pub async fn dead_mails(&self, since: Timestamp, limit: usize) -> Result<DeadMails, StoreError> {
        let rows = self.dead_rows(since).await?;
        let mut dead = DeadMails { in_all: rows.len(), ..DeadMails::default() };
        let newest: Vec<_> = rows.into_iter().rev().take(limit).map(|row| self.get(OutboxRow::key_of(row))).collect();
        let mut newest = iter(newest).buffered(SIDE_BY_SIDE);
        while let Some(read) = newest.next().await {
            match read {
                Ok(row) => dead.newest.extend(row),
                Err(StoreError::Corrupt { .. }) => dead.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(dead)
    }

    /// Queues every dead letter of this cause that is still shown, as if it had not been tried. When time
    /// runs out, the rest stay dead letters, and another press goes on.
    pub async fn send_again(
        &self,
        code: &str,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<SentAgain, StoreError> {
        let rows = self.dead_rows(now - GIVEN_UP_SHOWN).await?;
        let read = iter(rows).map(|row| async move {
            match self.get(OutboxRow::key_of(row)).await {
                Err(StoreError::Corrupt { .. }) => Ok(None),
                read => read,
            }
        });
        let is_it = |row: &OutboxRow| row.given_up().0 == code;
        let rows = read.buffered(SIDE_BY_SIDE).try_filter_map(|row| ready(Ok(row.filter(is_it))));
        let mut rows = pin!(rows);
        let Some(first) = rows.try_next().await? else { return Ok(SentAgain::Nothing) };
        let what = AuditDetail::new(Act::MailSentAgain).noting(format_args!("given up: {code}"));
        let entry = Entry::on_account(&Actor::Person(by.clone()), now, what);
        let transaction = self.transaction().told_by(&[entry])?;
        if !self.commit_once(transaction, deadline).await? {
            return Err(StoreError::Contended);
        }
        let owe = |row: OutboxRow| async move {
            let untried = OutboxRow { tries: 0, again_at: Some(now), ..row };
            // A faster caller did the same.
            self.set_mail(&untried, MailState::Waiting { since: now }, deadline).await.map(drop)
        };
        let mut owed = once(ready(Ok(first))).chain(rows).map_ok(owe).try_buffer_unordered(SIDE_BY_SIDE);
        let mut again = 0;
        while deadline.leaves(ENOUGH_TO_ANSWER) {
            match owed.try_next().await? {
                Some(()) => again += 1,
                None => return Ok(SentAgain::Owed(again)),
            }
        }
        Ok(SentAgain::NotAll(again))
    }

    /// Makes a dead letter of a mail whose row cannot be read, so that it waits for a person and does not
    /// block others.
    pub async fn give_up_unreadable(&self, row: Ulid, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let values =
            [(":dead", text(Queue::DeadMail.as_str())), (":now", text(keys::due(now))), (":mail", text("mail-"))];
        let (given_up, condition) = ("SET queue = :dead, due = :now", "begins_with(queue, :mail) AND queue <> :dead");
        let given_up = self.transaction().update(&OutboxRow::key_of(row), given_up, condition, &values)?;
        self.write_alone(given_up, deadline).await.map(drop)
    }

    /// The rows of the index, oldest first.
    async fn dead_rows(&self, since: Timestamp) -> Result<Vec<Ulid>, StoreError> {
        let mut rows = Vec::new();
        let each = |item: &Item| rows.extend(keys::outbox_row_of(&items::key_of(item)));
        self.each_in(Queue::DeadMail, Some(since), each).await?;
        Ok(rows)
    }
}
