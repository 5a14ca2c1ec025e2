//! Recorded crossings of budgets and of students' own caps, each with the mails that it caused.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::usage::crossing::{AlertMail, Crossing, Scope};
use crate::domain::values::id::{GrantId, PersonId, ProgrammeId, new_ulid};
use crate::domain::values::money::Usd;
use crate::domain::values::window::Window;
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Every crossing of a programme's budget.
    pub async fn crossings(&self, programme: &ProgrammeId) -> Result<Vec<Crossing>, StoreError> {
        self.query(&keys::programme_partition(programme), keys::CROSSINGS).await
    }

    /// The crossings of one limit in one window.
    pub async fn crossings_of(
        &self,
        programme: &ProgrammeId,
        scope: &Scope,
        window: Window,
        limit: Usd,
    ) -> Result<Vec<Crossing>, StoreError> {
        let of_it = keys::crossings_of(programme, scope, window, limit);
        self.query(&of_it.pk, &of_it.sk).await
    }

    /// All crossings of one student's caps.
    pub async fn crossings_of_grant(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
    ) -> Result<Vec<Crossing>, StoreError> {
        let of_it = keys::all_crossings_of(programme, &Scope::Cap(grant.clone()));
        self.query(&of_it.pk, &of_it.sk).await
    }

    /// The crossings of the students in one shard of a programme.
    pub async fn crossings_of_shard(&self, programme: &ProgrammeId, shard: char) -> Result<Vec<Crossing>, StoreError> {
        self.query(&keys::grant_partition(programme, shard), keys::CROSSINGS).await
    }

    /// Records crossings, and the mail of the one that is reported: to each recipient, or for a cap to its
    /// student. Returns `false`, with nothing written, when one of them is recorded already.
    pub async fn record_crossings(
        &self,
        crossings: &[Crossing],
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.transaction();
        for crossing in crossings {
            let mut recorded = crossing.clone();
            if !crossing.is_mailed {
                transaction = transaction.create(&recorded)?;
                continue;
            }
            if let Scope::Cap(grant) = &crossing.scope {
                let mail = QueuedMail::CapUsed {
                    programme: crossing.programme.clone(),
                    grant: grant.clone(),
                    window: crossing.window,
                    threshold: crossing.threshold,
                    of_limit: crossing.limit,
                };
                let row = OutboxRow::queued(new_ulid(now), mail, now);
                transaction = transaction.owing(&row)?.create(&recorded)?;
                continue;
            }
            for recipient in recipients {
                let mail = QueuedMail::Alert {
                    programme: crossing.programme.clone(),
                    scope: crossing.scope.clone(),
                    threshold: crossing.threshold,
                    of_limit: crossing.limit,
                    recipient: recipient.clone(),
                };
                let row = OutboxRow::queued(new_ulid(now), mail, now);
                // The row's name is random, so its presence proves that this very transaction took effect.
                transaction = transaction.create(&row)?;
                recorded.mails.push(AlertMail { row: row.row, recipient: recipient.clone(), by_hand: None });
            }
            transaction = transaction.create(&recorded)?;
        }
        Ok(self.commit(transaction.unaudited(Unaudited::Notification), &mut Pauses::until(deadline)).await?
            == Commit::Done)
    }
}
