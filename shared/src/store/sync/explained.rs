//! An admin's statement that a residual is explained: what it was until then is no longer reported.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::usage::reconciliation::KnownResidual;
use crate::domain::values::id::{PersonId, new_ulid};
use crate::store::sync::account::AccountDay;
use crate::store::sync::state::SyncState;
use crate::store::table::commit::Round;
use crate::store::table::{StoreError, Table};

impl Table {
    /// Records the residual of a day as explained, and what was left on keys that were gone by then as free.
    pub async fn explain_residual(
        &self,
        day: &AccountDay,
        reason: &str,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.carry_through(deadline, || async {
            let state = self.sync_state().await?;
            let was = state.residual.explained;
            if was == day.residual {
                return Ok(Round::Over(()));
            }
            let what = AuditDetail::new(Act::ResidualExplained).changing(was, day.residual).noting(reason);
            let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Person(by.clone()), what };
            let residual = KnownResidual { explained: day.residual, alerted: day.residual };
            let explained_at = state.explained_at.max(Some(day.as_of));
            let after = SyncState { residual, explained_at, ..state }.next();
            let transaction = self.transaction().replace(&after, after.version - 1)?.witnessed_by(&entry)?;
            Ok(Round::Write(transaction, ()))
        })
        .await
    }
}
