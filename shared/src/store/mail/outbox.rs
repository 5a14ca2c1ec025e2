//! The outbox: queued mails, each taken by one sender at a time, and their delivery. Recipients and texts
//! belong to the mail function.

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::mail::class::MailClass;
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::store::grants::readings::{ByHand, DoneByHand};
use crate::store::mail::outbox_row::{GrantMail, MailState, OutboxRow, QueuedMail};
use crate::store::table::items::{Queue, Stored};
use crate::store::table::write::{Transaction, Unaudited};
use crate::store::table::{StoreError, Table, keys};

/// The outcome of sending a roster mail again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    Done,
    NotBefore(Timestamp),
}

/// The least time between two mails sent again by hand.
pub(crate) const BETWEEN_RESENT: SignedDuration = SignedDuration::from_hours(1);
/// How long a sender owns a mail: longer than its function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

impl Table {
    /// Mails that are due, longest due first; at most `limit`. The index is a moment behind, so each is taken
    /// before it is sent.
    pub async fn due_mails(&self, class: MailClass, now: Timestamp, limit: i32) -> Result<Vec<Ulid>, StoreError> {
        let due = self.due(Queue::Mail(class), now, limit).await?;
        Ok(due.iter().filter_map(keys::outbox_row_of).collect())
    }

    /// Makes this invocation the sender of a mail. Returns `None` when the mail is sent, being sent or not
    /// due.
    pub async fn take_mail(
        &self,
        row: Ulid,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let Some(row) = self.get(OutboxRow::key_of(row)).await? else { return Ok(None) };
        // A dead letter waits for a person, not for another try.
        let is_due = row.due().is_some_and(|(queue, due)| matches!(queue, Queue::Mail(_)) && due <= now);
        if !is_due {
            return Ok(None);
        }
        let taken = MailState::Sending { lease_until: now + LEASE };
        self.set_mail(&OutboxRow { tries: row.tries.saturating_add(1), ..row }, taken, deadline).await
    }

    /// Records the state of a mail on condition that its row is as it was read. Returns `None` when another
    /// writer was faster.
    pub async fn set_mail(
        &self,
        row: &OutboxRow,
        state: MailState,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let after = OutboxRow { state, version: row.version + 1, ..row.clone() };
        Ok(self.replace(&after, row.version, Unaudited::Delivery, deadline).await?.then_some(after))
    }

    /// Queues a grant's roster mail once more, at most once an hour; otherwise says when that is possible.
    pub async fn resend_roster_mail(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Resend, StoreError> {
        let resent = self.resending(programme, grant, now)?.unaudited(Unaudited::Delivery);
        if self.commit_once(resent, deadline).await? {
            return Ok(Resend::Done);
        }
        let last = self.get(DoneByHand::key_of(programme, grant, ByHand::RosterMail)).await?;
        Ok(Resend::NotBefore(last.map_or(now + BETWEEN_RESENT, |last| last.again_at)))
    }

    /// Sends the roster mail once more, on condition that it was not sent so within the hour.
    pub(crate) fn resending(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<Transaction, StoreError> {
        let (programme, grant) = (programme.clone(), grant.clone());
        let mail = QueuedMail::Roster { programme: programme.clone(), grant: grant.clone() };
        let row = OutboxRow::queued_by_hand(new_ulid(now), mail, now);
        let done = DoneByHand { programme, grant, what: ByHand::RosterMail, again_at: now + BETWEEN_RESENT };
        self.transaction().doing_by_hand(&done, now)?.owing(&row)
    }

    /// The mails to a grant's student, oldest first, for as long as they are kept.
    pub async fn mails_of(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Vec<OutboxRow>, StoreError> {
        let filed = self.list(GrantMail::of_grant(programme, grant)).await?;
        let rows = try_join_all(filed.iter().map(|filed| self.get(OutboxRow::key_of(filed.row)))).await?;
        Ok(rows.into_iter().flatten().collect())
    }
}

impl Transaction {
    /// Queues a mail, with the item by which it is found from its grant.
    pub(crate) fn owing(self, row: &OutboxRow) -> Result<Transaction, StoreError> {
        let queued = self.create(row)?;
        match row.of_grant() {
            Some(filed) => queued.create(&filed),
            None => Ok(queued),
        }
    }
}
