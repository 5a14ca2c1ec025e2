//! Digests: recorded once a week, with a mail to each recipient. Their contents are decided in the domain.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::audit::Entry;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::store::alerts::broadcast::{Broadcast, is_queued};
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Records a digest and queues a mail of it to each recipient. Returns `false` when the week has one.
    /// That one stays as it is, and only those of its recipients who have no mail get one.
    pub async fn tell_digest(
        &self,
        digest: &Digest,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(digest, recipients, now, deadline).await
    }

    /// Records the digest of the account and queues a mail of it to each recipient. Returns `false` when the
    /// week has one, which stays as it is but for mails that are missing.
    pub async fn tell_account_digest(
        &self,
        digest: &AccountDigest,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(digest, recipients, now, deadline).await
    }

    /// When a programme was created, by its first audit entry.
    pub async fn made_at(&self, programme: &ProgrammeId) -> Result<Option<Moment>, StoreError> {
        let first: Option<Entry> = self.oldest(&keys::programme_partition(programme), keys::AUDIT).await?;
        Ok(first.map(|entry| entry.at))
    }
}

impl Digest {
    /// Whether every recipient has a mail queued.
    pub fn is_queued(&self) -> bool {
        is_queued(self)
    }
}

impl AccountDigest {
    /// Whether every recipient has a mail queued.
    pub fn is_queued(&self) -> bool {
        is_queued(self)
    }
}

impl Broadcast for Digest {
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> Digest {
        Digest { recipients, queued, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.queued)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        let (programme, week) = (self.programme.clone(), self.week);
        QueuedMail::Digest { programme, week, recipient: recipient.clone() }
    }
}

impl Broadcast for AccountDigest {
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> AccountDigest {
        AccountDigest { recipients, queued, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.queued)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::AccountDigest { week: self.week, recipient: recipient.clone() }
    }
}
