//! The outbox: queued mails, each taken by one sender at a time, and their delivery. Recipients and texts
//! belong to the mail function.

use crate::clock::Moment;
use futures_util::future::try_join_all;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::mail::class::MailClass;
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::store::items::stored;
use crate::store::keys::{grant_partition_of, key};
use crate::store::mail::outbox_row::{GrantMail, MailState, OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::items::{Queue, Stored};
use crate::store::table::transaction::{Transaction, number};
use crate::store::table::{StoreError, Table, keys};

/// The last time that a roster mail was sent again by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterMailResent {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub resent_at: Moment,
}

stored! {
    "resent" RosterMailResent |it| (programme: &ProgrammeId = &it.programme, grant: &GrantId = &it.grant) => key(grant_partition_of(programme, grant), format!("W#{grant}"))
}

/// The outcome of sending a roster mail again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    Done,
    NotBefore(Moment),
}

/// The least time between two mails sent again by hand.
pub(in crate::store) const BETWEEN_RESENT: SignedDuration = SignedDuration::from_hours(1);
/// How long a sender owns a mail: longer than its function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

impl Table {
    /// Mails that are due, longest due first; at most `limit`. The index is a moment behind, so each is taken
    /// before it is sent.
    pub async fn due_mails(&self, class: MailClass, now: Moment, limit: i32) -> Result<Vec<Ulid>, StoreError> {
        let due = self.due(Queue::Mail(class), now, limit).await?;
        Ok(due.iter().filter_map(keys::outbox_row_of).collect())
    }

    /// Makes this invocation the sender of a mail. Returns `None` when the mail is sent, being sent or not
    /// due.
    pub async fn take_mail(&self, row: Ulid, now: Moment, deadline: Deadline) -> Result<Option<OutboxRow>, StoreError> {
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
        now: Moment,
        deadline: Deadline,
    ) -> Result<Resend, StoreError> {
        let (programme, grant) = (programme.clone(), grant.clone());
        let resent = RosterMailResent { programme: programme.clone(), grant: grant.clone(), resent_at: now };
        let row = OutboxRow::queued_by_hand(new_ulid(now), QueuedMail::Roster { programme, grant }, now);
        let hour_ago = number((now - BETWEEN_RESENT).as_millisecond());
        let transaction = self
            .transaction()
            .create_or_replace(&resent, "resent_at <= :hour_ago", &[(":hour_ago", hour_ago)])?
            .create(&row)?
            .filed_under_grant(&row)?
            .unaudited(Unaudited::Delivery);
        if self.commit(transaction, &mut Pauses::until(deadline)).await? == Commit::Done {
            return Ok(Resend::Done);
        }
        let last: Option<RosterMailResent> = self.get(resent.key()).await?;
        Ok(Resend::NotBefore(last.map_or(now, |last| last.resent_at) + BETWEEN_RESENT))
    }

    /// The mails to a grant's student, oldest first, for as long as they are kept.
    pub async fn mails_of(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Vec<OutboxRow>, StoreError> {
        let pk = Grant::key_of(programme, grant).item.pk;
        let filed: Vec<GrantMail> = self.query(&pk, &keys::mails_of(grant)).await?;
        let rows = try_join_all(filed.iter().map(|filed| self.get(OutboxRow::key_of(filed.row)))).await?;
        Ok(rows.into_iter().flatten().collect())
    }
}

impl Transaction {
    /// Queues a mail, with the item by which it is found from its grant.
    pub(in crate::store) fn owing(self, row: &OutboxRow) -> Result<Transaction, StoreError> {
        self.create(row)?.filed_under_grant(row)
    }

    fn filed_under_grant(self, row: &OutboxRow) -> Result<Transaction, StoreError> {
        match row.of_grant() {
            Some(filed) => self.create(&filed),
            None => Ok(self),
        }
    }
}
