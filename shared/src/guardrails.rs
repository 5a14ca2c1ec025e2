//! The one sender of a rule set's rules. That they are sent is on record first, so that whatever fails here is repeated by the work of
//! the next minutes, and the work of others leaves them alone for as long as a call may take.

use jiff::SignedDuration;

use crate::deadline::Deadline;
use crate::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::RuleSetId;
use crate::orders::Orders;
use crate::provider::ProviderError;
use crate::provider::guardrails::GuardrailRules;
use crate::store::{Meta, StoreError};

/// How long whoever sends rules has for it: longer than its calls may take.
const SENDING: SignedDuration = SignedDuration::from_secs(40);

/// The outcome of sending the rules of a set.
#[derive(Debug)]
pub enum Told {
    /// The provider confirmed them. `is_another` says that the guardrail of before is gone, so that keys have to be put under this one.
    Confirmed { guardrail: Guardrail, is_another: bool },
    /// The provider did not. `set` is the set as it is then.
    Not { error: ProviderError, set: Box<RuleSet> },
    /// Somebody else wrote the set meanwhile, perhaps to send them.
    Overtaken,
}

impl Orders<'_> {
    /// Sends the rules of a set, as it was read, for an order that is due. Makes the guardrail where there is none.
    pub async fn tell_rules(
        &self,
        set: &RuleSet,
        order: &RulesOrder,
        rules: Rules,
        deadline: Deadline,
    ) -> Result<Told, StoreError> {
        let now = self.clock.now();
        let meta = self.table.meta(now).await?;
        let sending = RulesOrder { due: now + SENDING, ..order.clone() };
        let Some(set) = self.table.note_rules_order(set, Some(sending), deadline).await? else {
            return Ok(Told::Overtaken);
        };
        let sent = GuardrailRules::of(&meta.deployment, &set.id, rules.clone());
        match self.send_guardrail(&meta, set.guardrail.as_ref(), &sent, deadline).await {
            Ok(id) => {
                let is_another = set.guardrail.as_ref().is_some_and(|known| known.id != id);
                let guardrail = Guardrail { id, rules, confirmed_at: self.clock.now() };
                self.table.confirm_rule_set(&set, guardrail.clone(), deadline).await?;
                Ok(Told::Confirmed { guardrail, is_another })
            }
            Err(error) => {
                if !error.changed_nothing() {
                    self.table.order_rules_anew(&set.id, self.clock.now(), deadline).await?;
                }
                Ok(Told::Not { error, set: Box::new(set) })
            }
        }
    }

    /// Sends the rules of a set whose guardrail the provider did not find, which makes another.
    pub async fn make_guardrail_again(&self, set: &RuleSetId, deadline: Deadline) -> Result<Told, StoreError> {
        let (set, tiers) = tokio::try_join!(self.table.get(RuleSet::key_of(set)), self.table.tiers())?;
        match set.as_ref().and_then(|set| Some((set, set.rules.resolved(&tiers)?))) {
            Some((set, rules)) => self.tell_rules(set, &RulesOrder::due(self.clock.now()), rules, deadline).await,
            None => Ok(Told::Overtaken),
        }
    }

    /// The id of the guardrail that now has the rules.
    async fn send_guardrail(
        &self,
        meta: &Meta,
        known: Option<&Guardrail>,
        rules: &GuardrailRules,
        deadline: Deadline,
    ) -> Result<String, ProviderError> {
        if let Some(known) = known
            && let Some(told) = self.provider.patch_guardrail(&known.id, rules, deadline).await?
        {
            return Ok(told.id);
        }
        // An earlier create may have taken effect although its answer was lost. So the guardrail is looked up
        // by name first, and sent the rules again.
        let listed = self.provider.guardrails(None, deadline).await.map_err(|error| match error {
            // A refused listing says nothing of the rules, so it counts as a failure to be retried.
            ProviderError::Refused { trouble, after } => ProviderError::Later { trouble, after },
            other => other,
        })?;
        let told = match listed.into_iter().find(|listed| listed.name == rules.name) {
            Some(known) => self.provider.patch_guardrail(&known.id, rules, deadline).await?,
            None => None,
        };
        match told {
            Some(told) => Ok(told.id),
            None => {
                // A management key of another account would make it there.
                self.provider.check_account(&meta.deployment, meta.account.as_ref(), deadline).await?;
                Ok(self.provider.create_guardrail(rules, None, deadline).await?.id)
            }
        }
    }
}
