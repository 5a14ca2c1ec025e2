//! What is put on record once and told to several people, each by a mail of their own: alarms and digests. Many recipients take several
//! transactions, and whoever comes next goes on where one died. What the mails say is the mail function's matter.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::values::id::{PersonId, new_ulid};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses, Transaction, number};
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table};

/// So many mails and the item itself fit into one transaction.
const TOLD_AT_ONCE: usize = 90;

/// Something to be told once.
pub(in crate::store) trait Broadcast: Stored + Clone {
    /// With those who are to be told, and how many of them have a mail owed.
    fn to(self, recipients: Vec<PersonId>, told: u32) -> Self;
    fn recipients(&self) -> (&[PersonId], u32);
    /// The mail to one of them.
    fn owes(&self, recipient: &PersonId) -> QueuedMail;
}

impl Table {
    /// Puts it on record and owes each recipient a mail of it. False when it is on record already: then only those are told who were
    /// to be told and are not yet, since whoever put it there died of it.
    pub(in crate::store) async fn tell<T: Broadcast>(
        &self,
        what: &T,
        recipients: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut pauses = Pauses::until(deadline);
        let mut recipients = recipients.to_vec();
        recipients.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        recipients.dedup();
        let first = recipients.len().min(TOLD_AT_ONCE);
        let put = what.clone().to(recipients, count(first));
        let transaction = self.telling(&put, 0..first, now)?.create(&put)?;
        let is_new = self.commit(transaction, &mut pauses).await? == Commit::Done;
        // What is on record says who else is to be told, whoever put it there.
        while let Some(put) = self.get::<T>(&what.key()).await? {
            if is_told(&put) {
                break;
            }
            let (recipients, told) = put.recipients();
            let from = usize::try_from(told).unwrap_or(usize::MAX);
            let next = (from + TOLD_AT_ONCE).min(recipients.len());
            let values = [(":told", number(told)), (":next", number(next))];
            let transaction = self.telling(&put, from..next, now)?;
            let transaction = transaction.update(&put.key(), "SET told = :next", "told = :told", &values)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Stale && !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
        Ok(is_new)
    }

    /// The mails to some of those who are to be told.
    fn telling<T: Broadcast>(
        &self,
        what: &T,
        whom: std::ops::Range<usize>,
        now: Timestamp,
    ) -> Result<Transaction, StoreError> {
        let recipients = what.recipients().0.get(whom).unwrap_or_default();
        recipients.iter().try_fold(self.transaction(), |transaction, recipient| {
            // Its name is random, so it tells whether this very transaction took effect.
            transaction.witnessed_by(&OutboxRow::queued(new_ulid(now), what.owes(recipient), now))
        })
    }
}

/// Whether all who are to be told have a mail owed.
pub(in crate::store) fn is_told<T: Broadcast>(what: &T) -> bool {
    let (recipients, told) = what.recipients();
    usize::try_from(told).is_ok_and(|told| told >= recipients.len())
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
