//! Alarms of the account: put on record once, with a mail owed to each admin. What they say is the mail function's matter.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::deadline::Deadline;
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::domain::values::id::PersonId;
use crate::store::alerts::broadcast::{Broadcast, is_told};
use crate::store::mail::days::BulkStop;
use crate::store::mail::outbox_row::QueuedMail;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Puts an alarm on record and owes each admin a mail of it, but whoever did what it tells of. False when it is on record already:
    /// then only those are told who were to be told and are not yet, since whoever raised it died of it.
    pub async fn raise(
        &self,
        alarm: &Alarm,
        admins: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let alarm = self.as_it_is_now(alarm).await?;
        let admins: Vec<PersonId> =
            admins.iter().filter(|admin| Some(*admin) != alarm.cause.done_by()).cloned().collect();
        self.tell(&alarm, &admins, now, deadline).await
    }

    /// Whether nothing is left to be told of this.
    pub async fn is_notified(&self, alarm: &Alarm) -> Result<bool, StoreError> {
        let alarm = self.as_it_is_now(alarm).await?;
        Ok(self.alarm(alarm.day, &alarm.name()).await?.is_some_and(|known| known.is_told()))
    }

    /// Tells the other admins that somebody let the rest of the day's mail of a kind go on, if that is what is on record.
    pub async fn tell_let_go(
        &self,
        stop: &BulkStop,
        admins: &[PersonId],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let Some(let_go) = &stop.let_go else { return Ok(false) };
        // The press moved the version once.
        let (mail_day, by) = (stop.of, let_go.by.clone());
        let cause = Cause::BulkLetGo { mail_day, stop: stop.version.saturating_sub(1), by };
        self.raise(&Alarm::now(cause, let_go.at), admins, let_go.at, deadline).await
    }

    /// What was told to be over on its day and is raised once more has come back: that is another alarm.
    async fn as_it_is_now(&self, alarm: &Alarm) -> Result<Alarm, StoreError> {
        let mut alarm = alarm.clone();
        while alarm.cause.matter().is_some() && self.alarm(alarm.day, &alarm.over()).await?.is_some() {
            alarm.again += 1;
        }
        Ok(alarm)
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
    /// Whether all who are to be told have a mail owed.
    pub fn is_told(&self) -> bool {
        is_told(self)
    }
}

impl Broadcast for Alarm {
    fn to(self, recipients: Vec<PersonId>, told: u32) -> Alarm {
        Alarm { recipients, told, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.told)
    }
    fn owes(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::Account { day: self.day, alarm: self.name(), recipient: recipient.clone() }
    }
}
