//! The one sender of rules to a guardrail. That they are sent is on record first, so that whatever fails here is repeated by the work of
//! the next minutes, and the work of others leaves them alone for as long as a call may take.

use crate::domain::programme::guardrail::{ConfirmedRules, Guardrail, RulesRefusal};
use crate::domain::programme::rules::Rules;
use crate::orders::Orders;
use crate::prelude::*;
use crate::provider::ProviderError;
use crate::provider::guardrails::{GuardrailRules, ProviderGuardrail};
use crate::store::Meta;

/// The outcome of sending the rules of a guardrail.
#[derive(Debug)]
pub enum RulesTold {
    Confirmed,
    /// The provider refuses them, which only a person can mend.
    Refused(RulesRefusal),
    /// The provider was not asked, or did not answer.
    Not(ProviderError),
    /// Somebody else wrote the guardrail meanwhile, perhaps to send them.
    Overtaken,
}

impl Orders<'_> {
    /// Sends rules to a guardrail as it was read. Makes it where there is none.
    pub async fn tell_rules(
        &self,
        known: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<RulesTold, StoreError> {
        let now = self.clock.now();
        let meta = self.table.meta(now).await?;
        let Some(noted) = self.table.write_guardrail(known, known.sending(rules, now), now, deadline).await? else {
            return Ok(RulesTold::Overtaken);
        };
        let told = match rules.tier() {
            Some(_) => Err(None),
            None => self.send_guardrail(&meta, &noted, rules, deadline).await.map_err(Some),
        };
        let now = self.clock.now();
        // What was not taken leaves what may hold as it was.
        let not_sent = Guardrail { in_doubt: known.in_doubt.clone(), ..noted.clone() };
        let (after, error) = match told {
            Ok(told) => {
                let answered = told.spelled();
                let confirmed = Some(ConfirmedRules { id: told.id, rules: rules.clone(), answered, at: now });
                (Guardrail { confirmed, in_doubt: None, refusal: None, ..noted.clone() }, None)
            }
            Err(None) => (not_sent.refused(rules, "There is no such tier.", now), None),
            Err(Some(ProviderError::Refused { trouble, .. })) => (not_sent.refused(rules, &trouble.message, now), None),
            Err(Some(error)) if error.changed_nothing() => (not_sent, Some(error)),
            Err(Some(error)) => return Ok(RulesTold::Not(error)),
        };
        // Somebody else may have sent other rules since, and nobody knows which call the provider did last.
        let Some(after) = self.table.write_guardrail(&noted, after, now, deadline).await? else {
            return Ok(RulesTold::Overtaken);
        };
        Ok(match (error, after.refusal) {
            (Some(error), _) => RulesTold::Not(error),
            (None, Some(refusal)) => RulesTold::Refused(refusal),
            (None, None) => RulesTold::Confirmed,
        })
    }

    /// The guardrail that now has the rules.
    async fn send_guardrail(
        &self,
        meta: &Meta,
        known: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail, ProviderError> {
        let rules = GuardrailRules { name: known.of.name_at_provider(&meta.deployment), rules: rules.clone() };
        if let Some(known) = &known.confirmed
            && let Some(told) = self.provider.patch_guardrail(&known.id, &rules, deadline).await?
        {
            return Ok(told);
        }
        // An earlier create may have taken effect although its answer was lost. So the guardrail is looked up
        // by name first, and sent the rules again.
        let listed = self.provider.guardrails(deadline).await.map_err(|error| match error {
            // A refused listing says nothing of the rules, so it counts as a failure to be retried.
            ProviderError::Refused { trouble, after } => ProviderError::Later { trouble, after },
            other => other,
        })?;
        if let Some(known) = listed.into_iter().find(|listed| listed.name == rules.name)
            && let Some(told) = self.provider.patch_guardrail(&known.id, &rules, deadline).await?
        {
            return Ok(told);
        }
        // A management key of another account would make it there.
        self.provider.check_account(&meta.deployment, meta.account.as_ref(), deadline).await?;
        self.provider.create_guardrail(&rules, deadline).await
    }
}
