//! Alarms of the account: put on record once, with a mail owed to each admin. What they say is the mail function's matter.

use jiff::Timestamp;
use jiff::civil::Date;

use super::act::new_ulid;
use super::commit::{Commit, Pauses, Transaction, number};
use super::items::{MailClass, OutboxRow, OwedMail, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::alarm::Alarm;
use crate::domain::id::PersonId;

/// So many mails and the alarm's own item fit into one transaction.
const TOLD_AT_ONCE: usize = 90;

impl Table {
    /// Puts an alarm on record and owes each admin a mail of it. False when it is on record already: then only those are told who
    /// were to be told and are not yet, since whoever raised it died of it.
    pub async fn raise(
        &self,
        alarm: &Alarm,
        admins: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut pauses = Pauses::until(deadline);
        let mut recipients = admins.to_vec();
        recipients.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        recipients.dedup();
        let first = recipients.len().min(TOLD_AT_ONCE);
        let raised = Alarm { told: count(first), recipients, ..alarm.clone() };
        let transaction = self.telling(&raised, 0..first, now)?.create(&raised)?;
        let is_new = self.commit(transaction, &mut pauses).await? == Commit::Done;
        // What is on record says who else is to be told, whoever put it there.
        while let Some(raised) = self.alarm(alarm.day, &alarm.name()).await? {
            let told = usize::try_from(raised.told).unwrap_or(usize::MAX);
            if told >= raised.recipients.len() {
                break;
            }
            let next = (told + TOLD_AT_ONCE).min(raised.recipients.len());
            let values = [(":told", number(raised.told)), (":next", number(next))];
            let transaction = self.telling(&raised, told..next, now)?;
            let transaction = transaction.update(&raised.key(), "SET told = :next", "told = :told", &values)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Stale && !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
        Ok(is_new)
    }

    pub async fn alarm(&self, day: Date, name: &str) -> Result<Option<Alarm>, StoreError> {
        self.get(&keys::alarm(day, name)).await
    }

    /// The newest alarms, newest day first.
    pub async fn alarms(&self, limit: i32) -> Result<Vec<Alarm>, StoreError> {
        self.newest(keys::ACCOUNT, keys::ALARMS, limit).await
    }

    /// The mails to some of those who are to be told.
    fn telling(&self, alarm: &Alarm, whom: std::ops::Range<usize>, now: Timestamp) -> Result<Transaction, StoreError> {
        let recipients = alarm.recipients.get(whom).unwrap_or_default();
        recipients.iter().try_fold(self.transaction(), |transaction, recipient| {
            let mail = OwedMail::Account { day: alarm.day, alarm: alarm.name(), recipient: recipient.clone() };
            // Its name is random, so it tells whether this very transaction took effect.
            transaction.witnessed_by(&OutboxRow::owed(new_ulid(now), MailClass::Urgent, mail, now))
        })
    }
}

impl Stored for Alarm {
    const KIND: &'static str = "alarm";
    fn key(&self) -> Key {
        keys::alarm(self.day, &self.name())
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
