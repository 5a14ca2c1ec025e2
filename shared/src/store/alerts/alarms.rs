//! Alarms of the account: recorded once each, with a mail to each admin. Their texts belong to the mail
//! function.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::deadline::Deadline;
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::domain::values::id::PersonId;
use crate::store::alerts::broadcast::{Broadcast, is_queued};
use crate::store::mail::days::BulkStop;
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Records an alarm and queues a mail of it to each admin but the one who caused it. Returns `false` when
    /// it is recorded already. Then only recipients without a mail get one, because the invocation that
    /// raised it died.
    pub async fn raise(
        &self,
        alarm: &Alarm,
        admins: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let admins: Vec<PersonId> =
            admins.iter().filter(|admin| Some(*admin) != alarm.cause.done_by()).cloned().collect();
        self.tell(alarm, &admins, now, deadline).await
    }

    /// Whether every recipient of this alarm has a mail queued.
    pub async fn is_notified(&self, alarm: &Alarm) -> Result<bool, StoreError> {
        Ok(self.alarm(alarm.day, &alarm.name()).await?.is_some_and(|known| known.is_queued()))
    }

    /// Notifies the other admins that somebody released the rest of a day's bulk mail of one kind, if that is
    /// recorded.
    pub async fn tell_let_go(
        &self,
        stop: &BulkStop,
        admins: &[PersonId],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let Some(let_go) = &stop.let_go else { return Ok(false) };
        // The release raised the version by one.
        let (mail_day, by) = (stop.of, let_go.by.clone());
        let cause = Cause::BulkLetGo { mail_day, stop: stop.version.saturating_sub(1), by };
        self.raise(&Alarm::now(cause, let_go.at), admins, let_go.at, deadline).await
    }

    pub async fn alarm(&self, day: Date, name: &str) -> Result<Option<Alarm>, StoreError> {
        self.get(&keys::alarm(day, name)).await
    }

    /// The newest alarms, newest day first.
    pub async fn alarms(&self, limit: i32) -> Result<Vec<Alarm>, StoreError> {
        self.newest(keys::ACCOUNT, keys::ALARMS, limit).await
    }

    /// The alarms of these days, both included.
    pub async fn alarms_between(&self, first: Date, last: Date) -> Result<Vec<Alarm>, StoreError> {
        self.query_between(&keys::alarm(first, ""), &keys::alarm(last, "\u{10ffff}")).await
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
