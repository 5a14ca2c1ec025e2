//! The orders to tell the provider the rules of a set: what the keys under its guardrail may call. It creates the guardrail where
//! there is none. Putting keys under it is left to the claim and to the `rules` job.

use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::orders::ENOUGH_FOR_ONE;
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::store::Meta;
use bursar_core::web::Site;

const LEAST_FOR_ONE: Duration = Duration::from_secs(1);

/// Tells the rules that are due, and returns the number of sets that the provider confirmed.
pub(super) async fn tell_rules(site: &Site, deadline: Deadline) -> Result<u32> {
    // A provider that does not answer takes at most half of the time from the jobs after this.
    tell(site, &site.table.rule_sets().await?, deadline.at_most(deadline.left() / 2)).await
}

/// Tells those rules of some sets that are due. Returns whether all of these sets have a guardrail then.
pub(super) async fn are_confirmed(site: &Site, sets: &[RuleSetId], deadline: Deadline) -> Result<bool> {
    let of_these = async || -> Result<Vec<RuleSet>> {
        let all = site.table.rule_sets().await?;
        Ok(all.into_iter().filter(|set| sets.contains(&set.id)).collect())
    };
    tell(site, &of_these().await?, deadline).await?;
    Ok(of_these().await?.iter().all(|set| set.guardrail.is_some()))
}

/// Tells the rules of a tier's sets, in the request that edited it. What fails is left to the work of the next minutes.
pub(crate) async fn tell_tier(site: &Site, tier: &str, deadline: Deadline) -> Result<u32> {
    let mut sets = site.table.rule_sets().await?;
    sets.retain(|set| set.rules.tier() == Some(tier));
    tell(site, &sets, deadline.at_most(ENOUGH_FOR_ONE)).await
}

async fn tell(site: &Site, sets: &[RuleSet], deadline: Deadline) -> Result<u32> {
    // The tiers are read after the sets, so that what is sent is no older than what an order asks for.
    let (now, tiers) = (site.clock.now(), site.table.tiers().await?);
    let due: Vec<_> = sets.iter().filter_map(|set| Some((set, set.due(&tiers, now)?))).collect();
    if due.is_empty() {
        return Ok(0);
    }
    let meta = site.table.meta(now).await?;
    let mut told = 0;
    for (set, order) in due {
        if !deadline.leaves(LEAST_FOR_ONE) {
            break;
        }
        let Some(rules) = set.rules.resolved(&tiers) else {
            refused(site, set, order, "There is no such tier.", deadline).await?;
            continue;
        };
        // That other rules are ordered is on record before the provider is told them.
        let Some(set) = site.table.note_rules_order(set, Some(order.clone()), deadline).await? else { continue };
        match send(site, &meta, &set, rules.clone(), deadline).await {
            Ok(id) => {
                let guardrail = Guardrail { id, rules, confirmed_at: site.clock.now() };
                site.table.confirm_rule_set(&set, guardrail, deadline).await?;
                told += 1;
            }
            Err(error @ ProviderError::Refused { .. }) => {
                refused(site, &set, order, &error.trouble().message, deadline).await?;
            }
            Err(error) => tracing::warn!(set = %set.id, %error, "the rules of a set wait for the next minute"),
        }
    }
    Ok(told)
}

/// Records a refusal, which only a person can mend. If it lasts, the admins are notified for each programme that asks for the
/// set, and the programme's page shows it.
async fn refused(site: &Site, set: &RuleSet, order: RulesOrder, why: &str, deadline: Deadline) -> Result<()> {
    let now = site.clock.now();
    let Some(after) = site.table.note_rules_order(set, Some(order.refused(why, now)), deadline).await? else {
        return Ok(());
    };
    let Some(refusal) = after.refusal_to_be_told(now) else { return Ok(()) };
    for programme in site.table.programmes().await?.into_iter().filter(|programme| programme.asks_for(&set.id, now)) {
        let cause = Cause::RulesRefused { programme: programme.id, since: refusal.since, why: refusal.why.clone() };
        site.raise(cause, deadline).await?;
    }
    Ok(())
}

/// The id of the guardrail that now has the set's rules.
async fn send(
    site: &Site,
    meta: &Meta,
    set: &RuleSet,
    rules: Rules,
    deadline: Deadline,
) -> Result<String, ProviderError> {
    let rules = GuardrailRules::of(&meta.deployment, &set.id, rules);
    if let Some(known) = &set.guardrail
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
