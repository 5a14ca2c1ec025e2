//! The orders to send a programme's rules to the provider: what its keys may call. It creates the guardrail
//! where there is none and sends changed rules, lifted ones too. Assigning keys to it is left to the claim.

use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::rules::{Guardrail, RulesOrder};
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::store::Meta;
use bursar_core::web::Site;

/// The most programmes in one round; the rest wait for the next minute.
const AT_ONCE: i32 = 50;
const LEAST_FOR_ONE: Duration = Duration::from_secs(1);

/// Sends the rules that are due, and returns the number of programmes that the provider confirmed.
pub(crate) async fn tell_rules(site: &Site, deadline: Deadline) -> Result<u32> {
    let due = site.table.rules_due(site.clock.now(), AT_ONCE).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let meta = site.table.meta(site.clock.now()).await?;
    let mut told = 0;
    // A provider that does not answer takes at most half of the time from the jobs after this.
    let patience = deadline.at_most(deadline.left() / 2);
    for id in due.into_iter().take_while(|_| patience.leaves(LEAST_FOR_ONE)) {
        let Some(programme) = site.table.programme(&id).await? else { continue };
        let now = site.clock.now();
        // The index is eventually consistent.
        let Some(order) = programme.rules_order.clone().filter(|order| order.due <= now) else { continue };
        if programme.is_over(now) {
            site.table.note_rules_order(&programme, None, deadline).await?;
            continue;
        }
        match send_rules(site, &meta, &programme, patience).await {
            Ok(guardrail) => {
                let guardrail = Guardrail { id: guardrail, rules: programme.settings.rules(), confirmed_at: now };
                site.table.confirm_rules(&programme, guardrail, now, deadline).await?;
                told += 1;
            }
            Err(error @ ProviderError::Refused { .. }) => refused(site, &programme, order, &error, deadline).await?,
            Err(error) => tracing::warn!(programme = %id, %error, "the rules of a programme wait for the next minute"),
        }
    }
    Ok(told)
}

/// Records a refusal, which only a person can mend. If it lasts, the admins are notified and the
/// programme's page shows it.
async fn refused(
    site: &Site,
    programme: &Programme,
    order: RulesOrder,
    error: &ProviderError,
    deadline: Deadline,
) -> Result<()> {
    let (now, why) = (site.clock.now(), error.trouble().message.as_str());
    let order = order.refused(why, now);
    let told = order.refusal.clone().filter(|refusal| refusal.is_to_be_told(now));
    site.table.note_rules_order(programme, Some(order), deadline).await?;
    if let Some(refusal) = told {
        let cause = Cause::RulesRefused { programme: programme.id.clone(), since: refusal.since, why: refusal.why };
        site.raise(cause, deadline).await?;
    }
    Ok(())
}

/// The id of the guardrail that now has the programme's rules.
async fn send_rules(
    site: &Site,
    meta: &Meta,
    programme: &Programme,
    deadline: Deadline,
) -> Result<String, ProviderError> {
    let rules = GuardrailRules::of(&meta.deployment, &programme.id, &programme.settings);
    if let Some(known) = &programme.guardrail
        && let Some(told) = site.provider.patch_guardrail(&known.id, &rules, deadline).await?
    {
        return Ok(told.id);
    }
    // An earlier create may have taken effect although its answer was lost. So the guardrail is looked up
    // by name first, and sent the rules again.
    let listed = site.provider.guardrails(None, deadline).await.map_err(|error| match error {
        // A refused listing says nothing of the rules, so it counts as a failure to be retried.
        ProviderError::Refused { trouble, after } => ProviderError::Later { trouble, after },
        other => other,
    })?;
    let known = listed.into_iter().find(|known| known.name == rules.name);
    let told = match known {
        Some(known) => site.provider.patch_guardrail(&known.id, &rules, deadline).await?,
        None => None,
    };
    match told {
        Some(told) => Ok(told.id),
        None => Ok(site.provider.create_guardrail(&rules, None, deadline).await?.id),
    }
}
