//! Digests: put on record once for each week, with a mail owed to each who hears. What is in them the domain says.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::deadline::Deadline;
use crate::domain::audit::Entry;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::domain::values::key::KeyHash;
use crate::store::alerts::broadcast::{Broadcast, is_told};
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::sync::account::ForeignKey;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Puts a digest on record and owes each recipient a mail of it. False when there is one of this week: that one stays as it is, and
    /// only those of its recipients are told who are not yet.
    pub async fn tell_digest(
        &self,
        digest: &Digest,
        recipients: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(digest, recipients, now, deadline).await
    }

    pub async fn digest(&self, programme: &ProgrammeId, week: Date) -> Result<Option<Digest>, StoreError> {
        self.get(&keys::digest(programme, week)).await
    }

    /// The same of the account.
    pub async fn tell_account_digest(
        &self,
        digest: &AccountDigest,
        recipients: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(digest, recipients, now, deadline).await
    }

    pub async fn account_digest(&self, week: Date) -> Result<Option<AccountDigest>, StoreError> {
        self.get(&keys::account_digest(week)).await
    }

    /// When a programme was made, by the first that is on record of it.
    pub async fn made_at(&self, programme: &ProgrammeId) -> Result<Option<Timestamp>, StoreError> {
        let first: Option<Entry> = self.oldest(&keys::programme_partition(programme), keys::AUDIT).await?;
        Ok(first.map(|entry| entry.at))
    }

    /// A key of the account that nobody here made.
    pub async fn foreign_key(&self, key: &KeyHash) -> Result<Option<ForeignKey>, StoreError> {
        self.get(&keys::foreign_key(key)).await
    }
}

impl Digest {
    /// Whether all who are to be told have a mail owed.
    pub fn is_told(&self) -> bool {
        is_told(self)
    }
}

impl AccountDigest {
    /// Whether all who are to be told have a mail owed.
    pub fn is_told(&self) -> bool {
        is_told(self)
    }
}

impl Broadcast for Digest {
    fn to(self, recipients: Vec<PersonId>, told: u32) -> Digest {
        Digest { recipients, told, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.told)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        let (programme, week) = (self.programme.clone(), self.week);
        QueuedMail::Digest { programme, week, recipient: recipient.clone() }
    }
}

impl Broadcast for AccountDigest {
    fn to(self, recipients: Vec<PersonId>, told: u32) -> AccountDigest {
        AccountDigest { recipients, told, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.told)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::AccountDigest { week: self.week, recipient: recipient.clone() }
    }
}
