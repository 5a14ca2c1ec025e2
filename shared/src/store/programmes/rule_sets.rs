//! Rule sets: kept before a programme asks for them, and what the provider confirmed of each. No write here makes a form stale.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::RuleSetId;
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// Every rule set, in the order of their ids.
    pub async fn rule_sets(&self) -> Result<Vec<RuleSet>, StoreError> {
        self.query(keys::RULE_SETS, "").await
    }

    /// Keeps a set for each of these rules, with an order for the provider that is due now where it has not confirmed them. A set that nobody comes to ask
    /// for does no harm.
    pub(super) async fn keep_rule_sets(
        &self,
        rules: Vec<Rules>,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        for rules in rules {
            match self.get(RuleSet::key_of(&rules.id())).await? {
                None => drop(self.put_new(&RuleSet::new(rules, now), deadline).await?),
                // What was refused is sent at once.
                Some(known) if known.order.as_ref().map_or(known.guardrail.is_none(), |order| now < order.due) => {
                    let refusal = known.order.as_ref().and_then(|order| order.refusal.clone());
                    self.note_rules_order(&known, Some(RulesOrder { due: now, refusal }), deadline).await?;
                }
                Some(_) => {}
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
            true if set.order.is_none() => {
                self.get(RuleSet::key_of(&set.id)).await?.is_some_and(|is| is.version == set.version)
            }
            true => self.note_rules_order(set, None, deadline).await?.is_some(),
            false => {
                let with = RuleSet { guardrail: Some(guardrail), order: None, ..set.clone() };
                self.write_rule_set(set, with, now, deadline).await? == Commit::Done
            }
        };
        if is_recorded { Ok(()) } else { self.order_rules_anew(&set.id, now, deadline).await }
    }

    /// Orders the rules of a set, whatever is ordered: a call that was not answered, or whose answer is older than the record, may
    /// have been the last that the provider did.
    pub async fn order_rules_anew(&self, id: &RuleSetId, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let mut pauses = Pauses::until(deadline);
        while let Some(set) = self.get(RuleSet::key_of(id)).await? {
            let refusal = set.order.as_ref().and_then(|order| order.refusal.clone());
            if self.note_rules_order(&set, Some(RulesOrder { due: now, refusal }), deadline).await?.is_some() {
                return Ok(());
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
        Ok(())
    }

    /// Orders the rules of a set whose guardrail a call did not find. Where it is gone, whoever sends them makes another.
    pub async fn order_rules(&self, set: &RuleSet, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        if set.order.is_none() {
            self.note_rules_order(set, Some(RulesOrder::due(now)), deadline).await?;
        }
        Ok(())
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
        Ok(self.replace(&with, set.version, Unaudited::Sync, deadline).await?.then_some(with))
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
        let entry = Entry::on_account(&Actor::Rule, now, what);
        let transaction = self.transaction().replace(&with, set.version)?.told_by(&[entry])?;
        self.commit(transaction, &mut Pauses::until(deadline)).await
    }
}
