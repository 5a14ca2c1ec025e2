//! Rule sets: kept before a programme asks for them, and what the provider confirmed of each. No write here makes a form stale.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::{RuleSetId, new_ulid};
use crate::store::table::commit::{Commit, Pauses};
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

    /// Records what the provider confirmed of a set as it was read. Where that was written since, it is ordered again: somebody else
    /// may have told it other rules, and nobody knows which call the provider did last.
    pub async fn confirm_rule_set(
        &self,
        set: &RuleSet,
        guardrail: Guardrail,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = guardrail.confirmed_at;
        let known = set.guardrail.as_ref().filter(|known| known.id == guardrail.id);
        let is_recorded = match known.is_some_and(|known| known.rules == guardrail.rules) {
            true => self.note_rules_order(set, None, deadline).await?.is_some(),
            false => {
                let with = RuleSet { guardrail: Some(guardrail), order: None, ..set.clone() };
                self.write_rule_set(set, with, now, deadline).await? == Commit::Done
            }
        };
        if !is_recorded && let Some(is) = self.rule_set(&set.id).await? {
            self.note_rules_order(&is, Some(RulesOrder::due(now)), deadline).await?;
        }
        Ok(())
    }

    /// Records that the guardrail of a set is gone. Another is made.
    pub async fn lose_guardrail(&self, set: &RuleSet, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let with = RuleSet { guardrail: None, order: Some(RulesOrder::due(now)), ..set.clone() };
        self.write_rule_set(set, with, now, deadline).await.map(drop)
    }

    /// Records the next try of a set's order and why the provider refused it, or that there is none. It changes nobody's rights, so
    /// it has no audit entry. Returns the set as it is then; `None` when somebody else has written it.
    pub async fn note_rules_order(
        &self,
        set: &RuleSet,
        order: Option<RulesOrder>,
        deadline: Deadline,
    ) -> Result<Option<RuleSet>, StoreError> {
        if set.order == order {
            return Ok(Some(set.clone()));
        }
        let with = RuleSet { order, version: set.version + 1, ..set.clone() };
        Ok(self.replace(&with, set.version, deadline).await?.then_some(with))
    }

    async fn write_rule_set(
        &self,
        set: &RuleSet,
        with: RuleSet,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Commit, StoreError> {
        let with = RuleSet { version: set.version + 1, ..with };
        let guardrail = |set: &RuleSet| set.guardrail.as_ref().map_or("none".to_owned(), |known| known.id.clone());
        let what = AuditDetail::new(Act::GuardrailSet).changing(guardrail(set), guardrail(&with));
        let what = what.noting(format!("rule set {}", set.id));
        let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Rule, what };
        let transaction = self.transaction().replace(&with, set.version)?.witnessed_by(&entry)?;
        self.commit(transaction, &mut Pauses::until(deadline)).await
    }
}
