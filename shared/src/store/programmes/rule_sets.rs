//! Rule sets: kept before a programme asks for them, and what the provider confirmed of each. No write here makes a form stale.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::{RuleSetId, new_ulid};
use crate::store::table::commit::Pauses;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    pub async fn rule_set(&self, id: &RuleSetId) -> Result<Option<RuleSet>, StoreError> {
        self.get(&keys::rule_set(id)).await
    }

    /// Every rule set, in the order of their ids.
    pub async fn rule_sets(&self) -> Result<Vec<RuleSet>, StoreError> {
        self.query(keys::RULE_SETS, "").await
    }

    /// Keeps a set for each of these rules, with an order for the provider where there is none yet. A set that nobody comes to ask
    /// for does no harm.
    pub(super) async fn keep_rule_sets(
        &self,
        rules: Vec<Rules>,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        for rules in rules {
            if self.rule_set(&rules.id()).await?.is_none() {
                self.put_new(&RuleSet::new(rules, now), deadline).await?;
            }
        }
        Ok(())
    }

    /// Records what the provider confirmed of a set as it was read. Nothing is written when it was changed since; then the order is
    /// sent again.
    pub async fn confirm_rule_set(
        &self,
        set: &RuleSet,
        guardrail: Guardrail,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let known = set.guardrail.as_ref().filter(|known| known.id == guardrail.id);
        if known.is_some_and(|known| known.rules == guardrail.rules) {
            return self.note_rules_order(set, None, deadline).await;
        }
        let now = guardrail.confirmed_at;
        let with = RuleSet { guardrail: Some(guardrail), order: None, ..set.clone() };
        self.write_rule_set(set, with, now, deadline).await
    }

    /// Records that the guardrail of a set is gone. Another is made.
    pub async fn lose_guardrail(&self, set: &RuleSet, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let with = RuleSet { guardrail: None, order: Some(RulesOrder::due(now)), ..set.clone() };
        self.write_rule_set(set, with, now, deadline).await
    }

    /// Records the next try of a set's order and why the provider refused it, or that there is none. It changes nobody's rights, so
    /// it has no audit entry.
    pub async fn note_rules_order(
        &self,
        set: &RuleSet,
        order: Option<RulesOrder>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        if set.order == order {
            return Ok(());
        }
        let with = RuleSet { order, version: set.version + 1, ..set.clone() };
        self.replace(&with, set.version, deadline).await.map(drop)
    }

    async fn write_rule_set(
        &self,
        set: &RuleSet,
        with: RuleSet,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let with = RuleSet { version: set.version + 1, ..with };
        let guardrail = |set: &RuleSet| set.guardrail.as_ref().map_or("none".to_owned(), |known| known.id.clone());
        let what = AuditDetail::new(Act::GuardrailSet).changing(guardrail(set), guardrail(&with));
        let what = what.noting(format!("rule set {}", set.id));
        let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Rule, what };
        let transaction = self.transaction().replace(&with, set.version)?.witnessed_by(&entry)?;
        self.commit(transaction, &mut Pauses::until(deadline)).await.map(drop)
    }
}
