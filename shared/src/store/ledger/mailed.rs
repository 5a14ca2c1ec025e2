//! Statements as they were mailed, one for each month, kept for ever. Each finance person has a mail of theirs.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::values::id::PersonId;
use crate::store::alerts::broadcast::{Broadcast, is_queued};
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Records the statement of a month and queues a mail of it to each recipient. Returns `false` when the month has
    /// one. That one stays as it is, and only those of its recipients who have no mail get one.
    pub async fn mail_statement(
        &self,
        statement: &MailedStatement,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(statement, recipients, now, deadline).await
    }

    /// The statement of the newest month that was mailed.
    pub async fn newest_mailed_statement(&self) -> Result<Option<MailedStatement>, StoreError> {
        Ok(self.newest(keys::ACCOUNT, keys::MAILED_STATEMENTS, 1).await?.pop())
    }

    /// The first cut of the account.
    pub async fn first_cut(&self) -> Result<Option<AccountCut>, StoreError> {
        self.oldest(keys::ACCOUNT, keys::CUTS).await
    }
}

impl MailedStatement {
    /// Whether every recipient has a mail queued.
    pub fn is_queued(&self) -> bool {
        is_queued(self)
    }
}

impl Broadcast for MailedStatement {
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> MailedStatement {
        MailedStatement { recipients, queued, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.queued)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::Statement { month: self.month, recipient: recipient.clone() }
    }
}
