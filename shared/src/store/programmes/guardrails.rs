//! Guardrails: what the provider confirmed of each, beside its programme. No write here makes a form stale.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use crate::domain::values::id::{ProgrammeId, new_ulid};
use crate::store::programmes::jobs::{Job, Work, with_job};
use crate::store::table::commit::{Commit, Pauses};
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn guardrail(&self, of: &GuardrailOwner) -> Result<Option<Guardrail>, StoreError> {
        self.get(&keys::guardrail(of)).await
    }

    /// The guardrails of a programme and its groups.
    pub async fn guardrails(&self, programme: &ProgrammeId) -> Result<Vec<Guardrail>, StoreError> {
        self.query(&keys::programme(programme).pk, keys::GUARDRAILS).await
    }

    /// Writes a guardrail as it is by now, with an entry where the provider confirmed other rules. Where it had to be made again, a job
    /// puts the keys under it. Returns it as written; `None` when somebody else has written it since it was read.
    pub async fn write_guardrail(
        &self,
        was: &Guardrail,
        is: Guardrail,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<Guardrail>, StoreError> {
        let is = Guardrail { version: was.version + 1, ..is };
        let mut transaction = match was.version {
            0 => self.transaction().create(&is)?,
            version => self.transaction().replace(&is, version)?,
        };
        let confirmed = |guardrail: &Guardrail| {
            guardrail.confirmed.as_ref().map(|confirmed| (confirmed.id.clone(), confirmed.rules.clone()))
        };
        let (before, after) = (confirmed(was), confirmed(&is));
        if before != after {
            let id = |of: &Option<_>| of.as_ref().map_or("none".to_owned(), |(id, _): &(String, _)| id.clone());
            let what = AuditDetail::new(Act::GuardrailSet).changing(id(&before), id(&after));
            let what = what.noting(format!("guardrail of {}", is.of));
            transaction = transaction.create(&AccountEntry { entry: new_ulid(now), at: now, by: Actor::Rule, what })?;
        }
        let is_another = before.zip(after).is_some_and(|((before, _), (after, _))| before != after);
        if is_another {
            let grants = self.count_grants(&is.of.programme).await?;
            let job = Job::new(&is.of.programme, Work::Limits, grants, &Actor::Rule, now);
            transaction = with_job(transaction, &job)?;
        }
        let is_written = self.commit(transaction, &mut Pauses::until(deadline)).await? == Commit::Done;
        Ok(is_written.then_some(is))
    }
}
