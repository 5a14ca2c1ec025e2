//! Stops bulk mail of a kind when too much of a day's was returned or complained about, and notifies the
//! admins of each stop. Other kinds are not affected.

use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::store::{BulkStop, StoreError};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::App;

impl App {
    /// Whether mail of this kind is stopped, by what is known of this day's.
    pub(crate) async fn judge(
        &self,
        kind: MailKind,
        day: Date,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let last = self.table.get(BulkStop::key_of(kind)).await?;
        if last.as_ref().is_some_and(|last| last.holds(now)) {
            return Ok(true);
        }
        let mail_day = self.table.mail_day(day, kind).await?;
        if !BulkStop::is_new_reason(last.as_ref(), &mail_day) {
            return Ok(false);
        }
        tracing::error!(?mail_day, "so much mail came back that no more of its kind is sent");
        // The notice comes first: if this invocation dies after it, the next one does both.
        let admins = self.table.people_of(&self.config.admins, deadline).await?;
        self.table.tell(&Alarm::now(Cause::BulkStopped { mail_day }, now), &admins, now, deadline).await?;
        self.table.stop_bulk(mail_day, last, now, deadline).await?;
        Ok(true)
    }
}
