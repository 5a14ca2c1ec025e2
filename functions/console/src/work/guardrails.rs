//! The rules of programmes, told to guardrails that are not right. Putting keys under a guardrail is left to the claim and to the job
//! `limits`.

use anyhow::Result;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner, RulesRefusal};
use bursar_core::settle::{ENOUGH_FOR_ONE, RulesTold};

use super::jobs::AGAIN_AFTER;
use crate::prelude::*;

const LEAST_FOR_ONE: Duration = Duration::from_secs(1);

/// Tells the rules that are due, and returns the number of guardrails that the provider confirmed.
pub(super) async fn tell_rules(site: &Site, deadline: Deadline) -> Result<u32> {
    // A provider that does not answer takes at most half of the time from the jobs after this.
    let deadline = deadline.at_most(deadline.left() / 2);
    let mut confirmed = 0;
    for due in site.table.rules_due(site.clock.now()).await? {
        match tell(site, &due.of, false, deadline).await {
            Ok(told) => {
                confirmed += told.confirmed;
                let again_at = (!told.are_right).then(|| site.clock.now() + AGAIN_AFTER);
                site.table.note_told(&due, again_at, deadline).await?;
            }
            // A programme that cannot be read keeps no other from its rules.
            Err(error) => tracing::error!(?due, error = format!("{error:#}"), "rules could not be told"),
        }
    }
    Ok(confirmed)
}

/// Tells rules in the request that saved them. What fails is left to the work of the next minutes.
pub(crate) async fn in_a_request(site: &Site, of: RulesSource, deadline: Deadline) {
    if let Err(error) = tell(site, &of, true, deadline.at_most(ENOUGH_FOR_ONE)).await {
        tracing::warn!(?of, error = format!("{error:#}"), "rules are left for the next minute");
    }
}

/// What came of telling some rules.
struct Told {
    confirmed: u32,
    /// Whether all guardrails that they concern are right by now.
    are_right: bool,
}

async fn tell(site: &Site, of: &RulesSource, is_saved: bool, deadline: Deadline) -> Result<Told> {
    let programmes = match of {
        RulesSource::Programme(id) => site.table.get(Programme::key_of(id)).await?.into_iter().collect(),
        RulesSource::Tier(tier) => {
            let mut naming = site.table.list(Programme::all()).await?;
            naming.retain(|programme| programme.settings.rules.tiers().any(|named| named == tier));
            naming
        }
    };
    let (now, tiers) = (site.clock.now(), site.table.tiers().await?);
    let mut told = Told { confirmed: 0, are_right: true };
    for programme in programmes {
        let known = site.table.list(Guardrail::of_programme(&programme.id)).await?;
        for (guardrail, rules) in programme.guardrails(known, &tiers, now) {
            let is_due = guardrail.is_due(&rules, is_saved, now) && deadline.leaves(LEAST_FOR_ONE);
            if !is_due {
                told.are_right &= guardrail.rules.is(&rules);
                continue;
            }
            let outcome = site.settler().tell_rules(&guardrail, &rules, deadline).await?;
            told.are_right &= matches!(outcome, RulesTold::Confirmed);
            match outcome {
                RulesTold::Confirmed => told.confirmed += 1,
                RulesTold::Overtaken => {}
                RulesTold::Refused(refusal) => refused(site, &programme, &guardrail.of, refusal, deadline).await?,
                RulesTold::Not(error) => {
                    tracing::warn!(guardrail = %guardrail.of, %error, "rules wait for the next minute");
                    site.tell_of(&error, deadline).await;
                }
            }
        }
    }
    Ok(told)
}

/// Alerts the admins of a refusal that lasts, which only a person can mend.
async fn refused(
    site: &Site,
    programme: &Programme,
    of: &GuardrailOwner,
    refusal: RulesRefusal,
    deadline: Deadline,
) -> Result<()> {
    if !refusal.is_told(site.clock.now()) {
        return Ok(());
    }
    let cause = Cause::RulesRefused {
        programme: of.programme.clone(),
        group: of.group.clone(),
        tier: programme.settings.rules.of(of.group.as_deref()).tier().map(str::to_owned),
        since: refusal.since,
        why: refusal.why,
    };
    Ok(site.raise(cause, deadline).await?)
}
