//! Alerts sent again by hand: one more mail of the same crossing to the same person.

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::usage::crossing::{AlertMail, Crossing};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{PersonId, new_ulid};
use crate::store::mail::outbox::BETWEEN_RESENT;
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::Round;
use crate::store::table::context::Author;
use crate::store::table::items::Stored;
use crate::store::table::transaction::number;
use crate::store::table::{StoreError, Table};

/// The outcome of sending an alert again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertAgain {
    Done,
    /// Somebody sent it again within the last hour.
    TooSoon,
    /// No such alert went to this person.
    NotTold,
}

impl Table {
    /// Queues the mail of a crossing once more for a person who had one, at most once an hour. An address to
    /// which mail had ended is tried again.
    pub async fn resend_alert(
        &self,
        of: &Crossing,
        recipient: &PersonId,
        ended: Option<&MatchedAddress>,
        by: Author<'_>,
    ) -> Result<AlertAgain, StoreError> {
        self.carry_through(by.deadline, || async {
            let Some(crossing) = self.get::<Crossing>(of.key()).await? else {
                return Ok(Round::Over(AlertAgain::NotTold));
            };
            let to_them: Vec<&AlertMail> = crossing.mails.iter().filter(|mail| mail.recipient == *recipient).collect();
            if to_them.is_empty() {
                return Ok(Round::Over(AlertAgain::NotTold));
            }
            if to_them.iter().any(|mail| mail.by_hand.is_some_and(|at| by.now < at + BETWEEN_RESENT)) {
                return Ok(Round::Over(AlertAgain::TooSoon));
            }
            let mail = QueuedMail::Alert {
                programme: crossing.programme.clone(),
                scope: crossing.scope.clone(),
                threshold: crossing.threshold,
                of_limit: crossing.limit,
                recipient: recipient.clone(),
            };
            let row = OutboxRow::queued(new_ulid(by.now), mail, by.now);
            let what = AuditDetail::new(Act::AlertResent).noting(format_args!(
                "{} of {} to {recipient}",
                crossing.threshold_name(),
                crossing.limit
            ));
            let known = number(crossing.mails.len());
            let mut again = crossing.clone();
            again.mails.push(AlertMail { row: row.row, recipient: recipient.clone(), by_hand: Some(by.now) });
            let mut transaction = self
                .transaction()
                .create_or_replace(&again, "size(mails) = :known", &[(":known", known)])?
                .create(&row)?;
            let entry = Entry::on_programme(&crossing.programme, by.actor, by.now, what);
            let mark = match ended {
                Some(address) => self.undeliverable(address, by.now).await?,
                None => None,
            };
            if let Some(mark) = mark {
                transaction = transaction.forgetting(&mark)?;
            }
            Ok(Round::Write(transaction.told_by(&[entry])?, AlertAgain::Done))
        })
        .await
    }
}
