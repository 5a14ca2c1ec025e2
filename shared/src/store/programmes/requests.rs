//! Requests of faculty to the admins: a mail to each admin, once a day for the same wishes. What may be asked, and the text, are
//! decided elsewhere.

use ulid::Ulid;

use crate::domain::audit::{AuditDetail, Entry};
use crate::domain::programme::request::Request;
use crate::domain::values::id::PersonId;
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::context::Author;
use crate::store::table::{StoreError, Table};

/// How many mails fit into one transaction with the entry. A deployment's configuration has no room for more
/// admins.
const MAILS_AT_ONCE: usize = 90;

impl Table {
    /// Queues a mail to each admin. Returns `false` when the same was asked today.
    pub async fn ask_admins(
        &self,
        request: &Request,
        admins: &[PersonId],
        what: AuditDetail,
        by: Author<'_>,
    ) -> Result<bool, StoreError> {
        let (programme, now) = (&request.programme, by.now);
        let entry = Entry::on_programme(programme, by.actor, now, what);
        let mut transaction = self.transaction();
        for (row, recipient) in (request.form.0..).zip(admins.iter().take(MAILS_AT_ONCE)) {
            let mail = QueuedMail::Request {
                programme: programme.clone(),
                by: request.by.clone(),
                wishes: request.wishes.clone(),
                recipient: recipient.clone(),
            };
            transaction = transaction.create(&OutboxRow::queued(Ulid(row), mail, now))?;
        }
        Ok(self.commit_once(transaction.told_by(&[entry])?, by.deadline).await?)
    }

    /// Whether the same was asked today.
    pub async fn is_asked(&self, request: &Request) -> Result<bool, StoreError> {
        Ok(self.get(OutboxRow::key_of(request.form)).await?.is_some())
    }
}
