//! That the mail server takes no mail from this account, or none to some: it is written down and told once, as long as it lasts. Until
//! somebody mends it, mail waits.

use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::QUOTA_UNREAD;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::StoreError;
use jiff::{SignedDuration, Timestamp};

use crate::App;

/// A quota that cannot be read is read a minute later, mostly: only one that is not read for so long is told.
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
        self.table.raise(&alarm, &admins, now, deadline).await.map(drop)
    }
}
