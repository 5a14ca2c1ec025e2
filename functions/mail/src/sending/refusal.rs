//! Refusals by the mail server because of the account, for all mail or for some addresses. Each is recorded
//! and the admins notified once, however long it lasts; mail waits until somebody mends the cause.

use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::QUOTA_UNREAD;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::StoreError;
use jiff::{SignedDuration, Timestamp};

use crate::App;

/// The time for which a quota may be unreadable before the admins are notified; most such failures pass
/// within a minute.
const UNREAD_AT_MOST: SignedDuration = SignedDuration::from_hours(1);

impl App {
    pub(crate) async fn note_refusal(
        &self,
        code: &str,
        reaches_nobody: bool,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let refusal = self.table.note_mail_refusal(code, now, deadline).await?;
        if code == QUOTA_UNREAD && now < refusal.since + UNREAD_AT_MOST {
            return Ok(());
        }
        tracing::error!(code, since = %refusal.since, reaches_nobody, "mail waits because of the account of the mail server");
        let cause = Cause::MailRefused { code: refusal.code, since: refusal.since };
        let alarm = Alarm::on(utc_date(refusal.since), cause, now);
        if self.table.is_notified(&alarm).await? {
            return Ok(());
        }
        let admins = self.table.people_of(&self.config.admins, deadline).await?;
        self.table.tell(&alarm, &admins, now, deadline).await.map(drop)
    }
}
