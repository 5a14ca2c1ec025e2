//! Alarms of the account: recorded once each, with a mail to each admin. Their texts belong to the mail
//! function.

use crate::clock::Moment;
use jiff::civil::Date;

use crate::deadline::Deadline;
use crate::domain::mail::alarm::Alarm;
use crate::domain::values::id::PersonId;
use crate::store::alerts::broadcast::{Broadcast, is_queued};
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Records an alarm and queues a mail of it to each admin. Returns `false` when it is recorded already.
    /// Then only recipients without a mail get one, because the invocation that raised it died.
    pub async fn raise(
        &self,
        alarm: &Alarm,
        admins: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.tell(alarm, admins, now, deadline).await
    }

    /// Whether every recipient of this alarm has a mail queued.
    pub async fn is_notified(&self, alarm: &Alarm) -> Result<bool, StoreError> {
        Ok(self.get(Alarm::key_of(alarm.day, &alarm.name())).await?.is_some_and(|known| known.is_queued()))
    }

    /// The newest alarms, newest day first.
    pub async fn alarms(&self, limit: i32) -> Result<Vec<Alarm>, StoreError> {
        self.newest(keys::ACCOUNT, keys::ALARMS, limit).await
    }

    /// The alarms of these days, both included.
    pub async fn alarms_between(&self, first: Date, last: Date) -> Result<Vec<Alarm>, StoreError> {
        self.query_between(&Alarm::key_of(first, ""), &Alarm::key_of(last, "\u{10ffff}")).await
    }
}

impl Alarm {
    /// Whether every recipient has a mail queued.
    pub fn is_queued(&self) -> bool {
        is_queued(self)
    }
}

impl Broadcast for Alarm {
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> Alarm {
        Alarm { recipients, queued, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.queued)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::Account { day: self.day, alarm: self.name(), recipient: recipient.clone() }
    }
}
