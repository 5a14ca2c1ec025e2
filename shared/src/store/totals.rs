//! Sums of a programme day by day, the crossings found in them, and the runs of the sync that wrote them.

use jiff::Timestamp;

use super::act::new_ulid;
use super::commit::{Commit, Pauses};
use super::items::{OutboxRow, OwedMail, Run, Stored, Totals};
use super::keys;
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::crossing::{Crossing, Scope, Told};
use crate::domain::id::{GrantId, PersonId, ProgrammeId};
use crate::domain::money::Usd;
use crate::domain::window::Window;

impl Table {
    /// Writes the sums of a programme, unless later ones are written.
    pub async fn note_totals(&self, totals: &Totals, deadline: Deadline) -> Result<(), StoreError> {
        self.put_later(totals, totals.as_of, deadline).await
    }

    /// Every crossing of a programme's pot.
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

    /// The crossings of one sixteenth of a programme's students.
    pub async fn crossings_of_shard(&self, programme: &ProgrammeId, shard: char) -> Result<Vec<Crossing>, StoreError> {
        self.query(&keys::grant_partition(programme, shard), keys::CROSSINGS).await
    }

    /// Puts crossings on record, and the mail of the one that is told: to each recipient, or of a cap to its student. False when one
    /// of them is on record already: then nothing is written.
    pub async fn record_crossings(
        &self,
        crossings: &[Crossing],
        recipients: &[PersonId],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.transaction();
        for crossing in crossings {
            let mut told = crossing.clone();
            if !crossing.told {
                transaction = transaction.create(&told)?;
                continue;
            }
            if let Scope::Cap(grant) = &crossing.scope {
                let mail = OwedMail::CapUsed {
                    programme: crossing.programme.clone(),
                    grant: grant.clone(),
                    window: crossing.window,
                    threshold: crossing.threshold,
                    of_limit: crossing.limit,
                };
                let row = OutboxRow::owed(new_ulid(now), mail, now);
                transaction = transaction.owing_as_witness(&row)?.create(&told)?;
                continue;
            }
            for recipient in recipients {
                let mail = OwedMail::Alert {
                    programme: crossing.programme.clone(),
                    scope: crossing.scope.clone(),
                    threshold: crossing.threshold,
                    of_limit: crossing.limit,
                    recipient: recipient.clone(),
                };
                let row = OutboxRow::owed(new_ulid(now), mail, now);
                // Its name is random, so it tells whether this very transaction took effect.
                transaction = transaction.witnessed_by(&row)?;
                told.mails.push(Told { row: row.row, recipient: recipient.clone(), by_hand: None });
            }
            transaction = transaction.create(&told)?;
        }
        Ok(self.commit(transaction, &mut Pauses::until(deadline)).await? == Commit::Done)
    }

    pub async fn record_run(&self, run: &Run, deadline: Deadline) -> Result<(), StoreError> {
        self.put_new(run, deadline).await.map(drop)
    }

    /// The last run of the sync that ended.
    pub async fn latest_run(&self) -> Result<Option<Run>, StoreError> {
        self.last(keys::RUNS, "").await
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, limit: i32) -> Result<Vec<Run>, StoreError> {
        self.newest(keys::RUNS, "", limit).await
    }

    async fn last<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Option<T>, StoreError> {
        Ok(self.newest(pk, sk_begins, 1).await?.pop())
    }
}
