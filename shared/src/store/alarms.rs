//! Alarms of the account: put on record once, with a mail owed to each admin. What they say is the mail function's matter.

use jiff::Timestamp;
use jiff::civil::Date;

use super::items::{OwedMail, Stored};
use super::keys::{self, Key};
use super::telling::{Told, is_told};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::alarm::Alarm;
use crate::domain::id::PersonId;

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
        self.tell(alarm, admins, now, deadline).await
    }

    pub async fn alarm(&self, day: Date, name: &str) -> Result<Option<Alarm>, StoreError> {
        self.get(&keys::alarm(day, name)).await
    }

    /// The newest alarms, newest day first.
    pub async fn alarms(&self, limit: i32) -> Result<Vec<Alarm>, StoreError> {
        self.newest(keys::ACCOUNT, keys::ALARMS, limit).await
    }
}

impl Alarm {
    /// Whether all who are to be told have a mail owed.
    pub fn is_told(&self) -> bool {
        is_told(self)
    }
}

impl Told for Alarm {
    fn to(self, recipients: Vec<PersonId>, told: u32) -> Alarm {
        Alarm { recipients, told, ..self }
    }
    fn recipients(&self) -> (&[PersonId], u32) {
        (&self.recipients, self.told)
    }
    fn owes(&self, recipient: &PersonId) -> OwedMail {
        OwedMail::Account { day: self.day, alarm: self.name(), recipient: recipient.clone() }
    }
}

impl Stored for Alarm {
    const KIND: &'static str = "alarm";
    fn key(&self) -> Key {
        keys::alarm(self.day, &self.name())
    }
}
