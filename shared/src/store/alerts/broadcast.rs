//! An item recorded once that notifies several people by a mail each: an alarm or a digest. Many recipients
//! take several transactions; the next caller goes on where one died. Texts belong to the mail function.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::values::id::{PersonId, new_ulid};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::items::Stored;
use crate::store::table::transaction::{Transaction, number};
use crate::store::table::{StoreError, Table};

/// How many mails fit into one transaction beside the item itself.
const MAILS_AT_ONCE: usize = 90;

/// An item whose recipients are notified once.
pub(in crate::store) trait Broadcast: Stored + Clone {
    /// The item with these recipients, of whom the first `queued` have a mail queued.
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> Self;
    fn recipients(&self) -> (&[PersonId], u32);
    /// The mail to one recipient.
    fn owes(&self, recipient: &PersonId) -> QueuedMail;
}

impl Table {
    /// Records the item and queues a mail of it to each recipient. Returns `false` when it is recorded
    /// already. Then only recipients without a mail get one, because the invocation that recorded it died.
    pub(in crate::store) async fn tell<T: Broadcast>(
        &self,
        what: &T,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut pauses = Pauses::until(deadline);
        let mut recipients = recipients.to_vec();
        recipients.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        recipients.dedup();
        let first = recipients.len().min(MAILS_AT_ONCE);
        let put = what.clone().to(recipients, count(first));
        let transaction = self.mails_to(&put, 0..first, now)?.create(&put)?.unaudited(Unaudited::Notification);
        let is_new = self.commit(transaction, &mut pauses).await? == Commit::Done;
        // The recorded item names the recipients, whoever recorded it.
        while let Some(put) = self.get::<T>(what.key()).await? {
            if is_queued(&put) {
                break;
            }
            let (recipients, queued) = put.recipients();
            let from = usize::try_from(queued).unwrap_or(usize::MAX);
            let next = (from + MAILS_AT_ONCE).min(recipients.len());
            let values = [(":queued", number(queued)), (":next", number(next))];
            let transaction = self.mails_to(&put, from..next, now)?;
            let transaction = transaction.update(&put.key(), "SET queued = :next", "queued = :queued", &values)?;
            let transaction = transaction.unaudited(Unaudited::Notification);
            if self.commit(transaction, &mut pauses).await? == Commit::Stale && !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
        Ok(is_new)
    }

    /// The mails to a range of the recipients.
    fn mails_to<T: Broadcast>(
        &self,
        what: &T,
        whom: std::ops::Range<usize>,
        now: Moment,
    ) -> Result<Transaction, StoreError> {
        let recipients = what.recipients().0.get(whom).unwrap_or_default();
        recipients.iter().try_fold(self.transaction(), |transaction, recipient| {
            // The row's name is random, so its presence proves that this very transaction took effect.
            transaction.create(&OutboxRow::queued(new_ulid(now), what.owes(recipient), now))
        })
    }
}

/// Whether every recipient has a mail queued.
pub(in crate::store) fn is_queued<T: Broadcast>(what: &T) -> bool {
    let (recipients, queued) = what.recipients();
    usize::try_from(queued).is_ok_and(|queued| queued >= recipients.len())
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
