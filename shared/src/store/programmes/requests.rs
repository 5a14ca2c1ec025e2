//! Requests of faculty to the admins: recorded once a day, with a mail to each admin. What may be asked, and
//! the text, are decided elsewhere.

use jiff::SignedDuration;
use jiff::civil::Date;

use crate::domain::audit::{AuditDetail, Entry};
use crate::domain::programme::request::Request;
use crate::domain::values::id::{PersonId, ProgrammeId, new_ulid};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses};
use crate::store::table::context::Author;
use crate::store::table::{StoreError, Table, keys};

/// How many mails fit into one transaction with the request and its entry. A deployment's configuration has
/// no room for more admins.
const MAILS_AT_ONCE: usize = 90;
/// How long a request is kept. It may name people, so only while somebody may still act on it.
pub(in crate::store) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Table {
    /// Records a request and queues a mail to each admin. Returns `false` when the same was asked today.
    pub async fn ask_admins(
        &self,
        request: &Request,
        admins: &[PersonId],
        what: AuditDetail,
        by: Author<'_>,
    ) -> Result<bool, StoreError> {
        let (programme, now) = (request.programme.clone(), by.now);
        let entry = Entry { programme, grant: None, entry: new_ulid(now), at: now, by: by.actor.clone(), what };
        let mut transaction = self.transaction().create(request)?.witnessed_by(&entry)?;
        for recipient in admins.iter().take(MAILS_AT_ONCE) {
            let mail = QueuedMail::Request {
                programme: request.programme.clone(),
                day: request.day,
                request: request.request.clone(),
                recipient: recipient.clone(),
            };
            transaction = transaction.create(&OutboxRow::queued(new_ulid(now), mail, now))?;
        }
        Ok(self.commit(transaction, &mut Pauses::until(by.deadline)).await? == Commit::Done)
    }

    pub async fn request(
        &self,
        programme: &ProgrammeId,
        day: Date,
        request: &str,
    ) -> Result<Option<Request>, StoreError> {
        self.get(&keys::request(programme, day, request)).await
    }

    /// The latest requests about a programme, newest day first.
    pub async fn requests(&self, programme: &ProgrammeId, limit: i32) -> Result<Vec<Request>, StoreError> {
        self.newest(&keys::programme_partition(programme), keys::REQUESTS, limit).await
    }
}
