//! The rules of programmes, told to guardrails that are not right. Putting keys under a guardrail is left to the claim and to the job
//! `limits`.

use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::guardrails::Told;
use bursar_core::orders::ENOUGH_FOR_ONE;
use bursar_core::web::Site;

const LEAST_FOR_ONE: Duration = Duration::from_secs(1);

/// Tells all rules that are due, and returns the number of guardrails that the provider confirmed.
pub(super) async fn tell_rules(site: &Site, deadline: Deadline) -> Result<u32> {
    // A provider that does not answer takes at most half of the time from the jobs after this.
    tell(site, &site.table.programmes().await?, false, deadline.at_most(deadline.left() / 2)).await
}

/// Tells the rules of a programme in the request that saved it. What fails is left to the work of the next minutes.
pub(crate) async fn tell_programme(site: &Site, programme: &ProgrammeId, deadline: Deadline) {
    let told = async {
        let programme = site.table.programme(programme).await?;
        tell(site, programme.as_slice(), true, deadline.at_most(ENOUGH_FOR_ONE)).await
    };
    if let Err(error) = told.await {
        tracing::warn!(%programme, error = format!("{error:#}"), "rules are left for the next minute");
    }
}

/// Tells the rules that name a tier, in the request that edited it.
pub(crate) async fn tell_tier(site: &Site, tier: &str, deadline: Deadline) {
    let told = async {
        let mut naming = site.table.programmes().await?;
        naming.retain(|programme| programme.settings.tiers().any(|named| named == tier));
        tell(site, &naming, true, deadline.at_most(ENOUGH_FOR_ONE)).await
    };
    if let Err(error) = told.await {
        tracing::warn!(tier, error = format!("{error:#}"), "a tier is left for the next minute");
    }
}

async fn tell(site: &Site, programmes: &[Programme], is_saved: bool, deadline: Deadline) -> Result<u32> {
    let (now, tiers) = (site.clock.now(), site.table.tiers().await?);
    let mut confirmed = 0;
    for programme in programmes.iter().filter(|programme| !programme.is_over(now)) {
        let known = site.table.guardrails(&programme.id).await?;
        for (guardrail, rules) in programme.guardrails(known, &tiers, now) {
            if !guardrail.is_due(&rules, is_saved, now) {
                continue;
            }
            if !deadline.leaves(LEAST_FOR_ONE) {
                return Ok(confirmed);
            }
            match site.orders().tell_rules(&guardrail, &rules, deadline).await? {
                Told::Confirmed => confirmed += 1,
                Told::Overtaken => {}
                Told::Refused(guardrail) => refused(site, programme, &guardrail, &rules, deadline).await?,
                Told::Not(error) => {
                    tracing::warn!(guardrail = %guardrail.of, %error, "rules wait for the next minute");
                }
            }
        }
    }
    Ok(confirmed)
}

/// Alerts the admins of a refusal that lasts, which only a person can mend.
async fn refused(
    site: &Site,
    programme: &Programme,
    guardrail: &Guardrail,
    rules: &Rules,
    deadline: Deadline,
) -> Result<()> {
    let Some(refusal) = guardrail.refusal_to_be_told(rules, site.clock.now()) else { return Ok(()) };
    let group = guardrail.of.group.clone();
    let cause = Cause::RulesRefused {
        tier: programme.settings.rules(group.as_deref()).tier().map(str::to_owned),
        programme: programme.id.clone(),
        group,
        since: refusal.since,
        why: refusal.why.clone(),
    };
    Ok(site.raise(cause, deadline).await?)
}
