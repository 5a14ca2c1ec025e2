//! What faculty ask of the admins: put on record once a day, with a mail owed to each admin. What may be asked and what it says are
//! others' matters.

use jiff::SignedDuration;
use jiff::civil::Date;

use crate::domain::audit::{AuditDetail, Entry};
use crate::domain::programme::request::Request;
use crate::domain::values::id::{PersonId, ProgrammeId, new_ulid};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses};
use crate::store::table::context::Author;
use crate::store::table::{StoreError, Table, keys};

/// So many mails fit into one transaction with the request and its entry. A deployment's configuration has no room for more admins.
const ASKED_AT_ONCE: usize = 90;
/// A request may name people: it is kept for as long as somebody may still act on it.
pub(in crate::store) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Table {
    /// Asks the admins. False when the same was asked of them today.
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
        for recipient in admins.iter().take(ASKED_AT_ONCE) {
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

    /// What was asked about a programme last, newest day first.
    pub async fn requests(&self, programme: &ProgrammeId, limit: i32) -> Result<Vec<Request>, StoreError> {
        self.newest(&keys::programme_partition(programme), keys::REQUESTS, limit).await
    }
}
