//! A programme's rules at the provider, as machines record them. None of these writes makes a form stale that
//! somebody is filling in.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::programme::Programme;
use crate::domain::programme::rules::{Guardrail, RulesOrder};
use crate::domain::values::id::ProgrammeId;
use crate::store::table::commit::Pauses;
use crate::store::table::items::Queue;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Programmes with an order to send rules to the provider, longest due first; at most `limit`. The index
    /// is a moment behind.
    pub async fn rules_due(&self, now: Timestamp, limit: i32) -> Result<Vec<ProgrammeId>, StoreError> {
        let due = self.due(Queue::Rules, now, limit).await?;
        Ok(due.iter().filter_map(keys::programme_of).collect())
    }

    /// Records what the provider confirmed of the rules of a programme as it was read. Nothing is written
    /// when it was changed since; then the order is sent again.
    pub async fn confirm_rules(
        &self,
        programme: &Programme,
        guardrail: Guardrail,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let known = programme.guardrail.as_ref().filter(|known| known.id == guardrail.id);
        if known.is_some_and(|known| known.rules == guardrail.rules) {
            return self.note_rules_order(programme, None, deadline).await;
        }
        let what = AuditDetail::new(Act::GuardrailSet).changing(programme.confirmed_rules(), &guardrail.rules);
        let what = what.noting(&guardrail.id);
        let with = Programme { guardrail: Some(guardrail), rules_order: None, ..programme.clone() };
        self.write_rules(programme, with, what, now, deadline).await
    }

    /// Records that the guardrail of a programme is gone. Another is made if the programme needs one.
    pub async fn lose_guardrail(
        &self,
        programme: &Programme,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let without = Programme::created(programme.id.clone(), programme.settings.clone(), now);
        let with = Programme { guardrail: None, rules_order: without.rules_order, ..programme.clone() };
        self.write_rules(programme, with, AuditDetail::new(Act::GuardrailSet).noting("none"), now, deadline).await
    }

    /// Records the next try of the order to the provider and why it was refused, or that there is none. It
    /// changes nobody's rights, so it has no audit entry.
    pub async fn note_rules_order(
        &self,
        programme: &Programme,
        order: Option<RulesOrder>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        if programme.rules_order == order {
            return Ok(());
        }
        let with = Programme { rules_order: order, version: programme.version + 1, ..programme.clone() };
        let transaction = self.transaction().replace(&with, programme.version)?;
        self.commit(transaction, &mut Pauses::until(deadline)).await.map(drop)
    }

    async fn write_rules(
        &self,
        programme: &Programme,
        with: Programme,
        what: AuditDetail,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let with = Programme { version: programme.version + 1, ..with };
        let entry = Entry::on_programme(&programme.id, &Actor::Rule, now, what);
        let transaction = self.transaction().replace(&with, programme.version)?.witnessed_by(&entry)?;
        self.commit(transaction, &mut Pauses::until(deadline)).await.map(drop)
    }
}
