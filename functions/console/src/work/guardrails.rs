//! The orders to tell the provider the rules of a set: what the keys under its guardrail may call. Putting keys under it is left to the
//! claim and to the `rules` job.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::rule_set::{RuleSet, RulesOrder};
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::guardrails::Told;
use bursar_core::orders::ENOUGH_FOR_ONE;
use bursar_core::provider::ProviderError;
use bursar_core::web::Site;
use jiff::SignedDuration;

const LEAST_FOR_ONE: Duration = Duration::from_secs(1);
/// Rules that were refused for so long, and that no programme asks for, are seldom sent.
const UNASKED_FOR: SignedDuration = SignedDuration::from_hours(1);
const UNASKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Tells the rules that are due, and returns the number of sets that the provider confirmed.
pub(super) async fn tell_rules(site: &Site, deadline: Deadline) -> Result<u32> {
    // A provider that does not answer takes at most half of the time from the jobs after this.
    tell(site, &site.table.rule_sets().await?, deadline.at_most(deadline.left() / 2)).await
}

/// Tells those rules of some sets that are due. Returns the guardrails that these sets have then.
pub(super) async fn confirmed(
    site: &Site,
    sets: &[RuleSetId],
    deadline: Deadline,
) -> Result<HashMap<RuleSetId, String>> {
    let of_these = async || -> Result<Vec<RuleSet>> {
        let all = site.table.rule_sets().await?;
        Ok(all.into_iter().filter(|set| sets.contains(&set.id)).collect())
    };
    tell(site, &of_these().await?, deadline).await?;
    let told = of_these().await?.into_iter();
    Ok(told.filter_map(|set| Some((set.id, set.guardrail?.id))).collect())
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
    let mut told = 0;
    for (set, order) in sets.iter().filter_map(|set| Some((set, set.due(&tiers, now)?))) {
        if !deadline.leaves(LEAST_FOR_ONE) {
            break;
        }
        let Some(rules) = set.rules.resolved(&tiers) else {
            refused(site, set, order, "There is no such tier.", deadline).await?;
            continue;
        };
        match site.orders().tell_rules(set, &order, rules, deadline).await? {
            Told::Confirmed { is_another, .. } => {
                told += 1;
                if is_another {
                    put_keys_anew(site, set, deadline).await?;
                }
            }
            Told::Overtaken => {}
            Told::Not { error: error @ ProviderError::Refused { .. }, set } => {
                refused(site, &set, order, &error.trouble().message, deadline).await?;
            }
            Told::Not { error, set } => {
                tracing::warn!(set = %set.id, %error, "the rules of a set wait for the next minute");
                site.tell_of(&error, deadline).await;
            }
        }
    }
    Ok(told)
}

/// Has the keys put under a guardrail that was made in the place of one that somebody deleted.
async fn put_keys_anew(site: &Site, set: &RuleSet, deadline: Deadline) -> Result<()> {
    let now = site.clock.now();
    for programme in site.table.programmes().await?.iter().filter(|programme| programme.asks_for(&set.id, now)) {
        site.table.start_rules_anew(&programme.id, now, deadline).await?;
    }
    Ok(())
}

/// Records a refusal, which only a person can mend. If it lasts, the admins are notified for each programme that asks for the
/// set, and the programme's page shows it.
async fn refused(site: &Site, set: &RuleSet, order: RulesOrder, why: &str, deadline: Deadline) -> Result<()> {
    let now = site.clock.now();
    let mut asking = site.table.programmes().await?;
    asking.retain(|programme| programme.asks_for(&set.id, now));
    let mut order = order.refused(why, now);
    // Whoever saves the same rules again has them sent at once.
    if asking.is_empty() && order.refusal.as_ref().is_some_and(|refusal| refusal.since + UNASKED_FOR <= now) {
        order.due = now + UNASKED_AGAIN_AFTER;
    }
    let Some(after) = site.table.note_rules_order(set, Some(order), deadline).await? else { return Ok(()) };
    let Some(refusal) = after.refusal_to_be_told(now) else { return Ok(()) };
    for programme in asking {
        let cause = Cause::RulesRefused {
            set: set.id.clone(),
            tier: set.rules.tier().map(str::to_owned),
            groups: programme.settings.groups_under(&set.id),
            programme: programme.id,
            since: refusal.since,
            why: refusal.why.clone(),
        };
        site.raise(cause, deadline).await?;
    }
    Ok(())
}
