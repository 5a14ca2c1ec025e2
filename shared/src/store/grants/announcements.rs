//! The delivery of the mails that announce an end, which no rule brings about before they were sent. The
//! grant's mark and the mail's row are written at one instant, by which the row is found.

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::domain::grant::{AnnouncedEnd, Notice, NoticeDelivery, View};
use crate::domain::mail::failure::is_of_the_address;
use crate::domain::values::window::end_of_utc_day;
use crate::store::mail::outbox_row::{GrantMail, MailState, OutboxRow, QueuedMail};
use crate::store::mail::undeliverable::NOT_WANTED;
use crate::store::table::{StoreError, Table};

impl Table {
    /// The delivery of the announcements that the rules for this grant rest on now: for most grants, on most
    /// nights, none.
    pub(crate) async fn announcements_sent(
        &self,
        view: &View,
        last_used_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<(AnnouncedEnd, NoticeDelivery)>, StoreError> {
        let outcomes =
            view.rests_on(last_used_at, now).into_iter().map(|(notice, said)| self.outcome_of(view, notice, said));
        try_join_all(outcomes).await
    }

    /// A row is kept for ninety days; once it is gone, nothing says whether the mail was sent.
    async fn outcome_of(
        &self,
        view: &View,
        announced: Notice,
        said: AnnouncedEnd,
    ) -> Result<(AnnouncedEnd, NoticeDelivery), StoreError> {
        let (programme, grant) = (&view.programme.id, &view.grant.id);
        let filed = self.list(GrantMail::written_at(programme, grant, said.at)).await?;
        let rows = try_join_all(filed.iter().map(|filed| self.get(OutboxRow::key_of(filed.row)))).await?;
        let announces =
            |row: &OutboxRow| matches!(&row.mail, QueuedMail::Notice { notice, .. } if *notice == announced);
        let row = rows.into_iter().flatten().find(announces);
        Ok((said, row.map_or(NoticeDelivery::Void, |row| row.outcome())))
    }
}

impl OutboxRow {
    /// The delivery so far, as a rule that waits for the mail sees it.
    pub fn outcome(&self) -> NoticeDelivery {
        match &self.state {
            MailState::Waiting { .. } | MailState::Sending { .. } => NoticeDelivery::Waiting,
            MailState::Sent { at, .. } => NoticeDelivery::SentBy(*at),
            // A later event does not make the mail younger than the day on which it was sent.
            MailState::Delivered { at, .. } | MailState::Bounced { at, .. } | MailState::Complained { at, .. } => {
                NoticeDelivery::SentBy(self.counted_on.map_or(*at, |day| end_of_utc_day(day).min(*at)))
            }
            MailState::Dropped { why, at } if why == NOT_WANTED => NoticeDelivery::SentBy(*at),
            MailState::Dropped { .. } => NoticeDelivery::Void,
            MailState::Failed { why, at } if is_of_the_address(why) => NoticeDelivery::SentBy(*at),
            // An admin was notified, and may have it sent again.
            MailState::Failed { .. } => NoticeDelivery::Waiting,
        }
    }
}
