//! The rules of programmes, told to guardrails that are not right. A claim puts its own key under
//! one; other keys are put under theirs by the sender of what is due.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner, RulesRefusal};
use bursar_core::domain::programme::rules::Tier;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::schema::ItemKey;
use bursar_core::settle::{ENOUGH_FOR_ONE, RulesTold, Settler};
use bursar_core::store::RulesSource;
use bursar_core::web::Site;
use jiff::SignedDuration;

use super::jobs::AGAIN_AFTER;

/// The least time in which a guardrail is told its rules: what making it takes.
const LEAST_FOR_ONE: Duration = Duration::from_secs(5);

/// Tells the rules that are due. Returns the number of guardrails that the provider confirmed, and
/// what could not be looked at: a programme that cannot be read keeps no other from its rules. What
/// there is no time for stays due.
pub(super) async fn tell_due(
    site: &Site,
    due: &[ItemKey],
    deadline: Deadline,
) -> (u32, Vec<ItemKey>) {
    let mut confirmed = 0;
    let mut failed = Vec::new();
    let settler = site.settler();
    for key in due {
        let Some(source) = RulesSource::named(key).filter(|_| deadline.leaves(LEAST_FOR_ONE))
        else {
            continue;
        };
        match tell(site, &settler, &source, false, deadline).await {
            Ok(outcome) => confirmed += outcome.confirmed,
            Err(error) => {
                tracing::error!(
                    ?source,
                    error = format!("{error:#}"),
                    "rules could not be told"
                );
                failed.push(key.clone());
            }
        }
    }
    (confirmed, failed)
}

/// Tells rules in the request that saved them. What fails is left to the work of the next minutes.
pub(crate) async fn run_in_request(site: &Site, source: RulesSource, deadline: Deadline) {
    if let Err(error) = tell(
        site,
        &site.settler(),
        &source,
        true,
        deadline.limit_to(ENOUGH_FOR_ONE),
    )
    .await
    {
        tracing::warn!(
            ?source,
            error = format!("{error:#}"),
            "rules are left for the next minute"
        );
    }
}

/// What came of telling some rules.
#[derive(Default)]
struct RulesReport {
    confirmed: u32,
    /// Whether a guardrail that they concern is not right yet.
    is_wrong: bool,
    /// Whether the time was up before all that was due was tried, and the provider answers.
    is_cut_off: bool,
}

async fn tell(
    site: &Site,
    settler: &Settler<'_>,
    source: &RulesSource,
    is_saved: bool,
    deadline: Deadline,
) -> Result<RulesReport> {
    let name = match source {
        RulesSource::Programme(id) => {
            return tell_programme(site, settler, id, is_saved, deadline).await;
        }
        RulesSource::Tier(name) => name,
    };
    // It comes first, so that its version says whether what follows is of these models.
    let tier = site.table.get(Tier::key_of(name)).await?;
    let mut naming = site.table.list(Programme::all()).await?;
    naming.retain(|programme| programme.settings.rules.tiers().any(|named| named == name));
    let mut total = RulesReport::default();
    for programme in naming {
        let outcome = tell_programme(site, settler, &programme.id, is_saved, deadline).await?;
        total.confirmed += outcome.confirmed;
        total.is_wrong |= outcome.is_wrong;
        total.is_cut_off |= outcome.is_cut_off;
    }
    if let Some(tier) = tier.filter(|tier| tier.due_at.is_some()) {
        site.table
            .tier_due_at(tier, again_at(site, &total), deadline)
            .await?;
    }
    Ok(total)
}

fn again_at(site: &Site, outcome: &RulesReport) -> Option<Moment> {
    let pause = if outcome.is_cut_off {
        SignedDuration::ZERO
    } else {
        AGAIN_AFTER
    };
    outcome.is_wrong.then(|| site.clock.now() + pause)
}

/// Tells the guardrails of a programme what is due, one after the other, as its settings are at
/// that moment.
async fn tell_programme(
    site: &Site,
    settler: &Settler<'_>,
    id: &ProgrammeId,
    is_saved: bool,
    deadline: Deadline,
) -> Result<RulesReport> {
    let mut outcome = RulesReport::default();
    let mut tried: BTreeSet<GuardrailOwner> = BTreeSet::new();
    loop {
        // They come first: an edit makes one of them due, so that its version says whether these
        // are the settings.
        let stored = site.table.list(Guardrail::of_programme(id)).await?;
        let Some(programme) = site.table.get(Programme::key_of(id)).await? else {
            return Ok(outcome);
        };
        let now = site.clock.now();
        let tiers = site.table.tiers().await?;
        let guardrails = programme.guardrails(stored.clone(), &tiers, now);
        let next = guardrails.iter().find(|(guardrail, rules)| {
            guardrail.is_due(rules, is_saved, now) && !tried.contains(&guardrail.owner)
        });
        let Some((guardrail, rules)) = next.filter(|_| deadline.leaves(LEAST_FOR_ONE)) else {
            outcome.is_cut_off = next.is_some() && (outcome.confirmed > 0 || tried.is_empty());
            outcome.is_wrong = guardrails
                .iter()
                .any(|(guardrail, rules)| !guardrail.rules.is(rules));
            for guardrail in stored
                .into_iter()
                .filter(|guardrail| guardrail.due_at.is_some())
            {
                site.table
                    .guardrail_due_at(guardrail, again_at(site, &outcome), deadline)
                    .await?;
            }
            return Ok(outcome);
        };
        tried.insert(guardrail.owner.clone());
        match settler.tell_rules(guardrail, rules, deadline).await? {
            RulesTold::Confirmed => outcome.confirmed += 1,
            RulesTold::Overtaken => {}
            RulesTold::Refused(refusal) => {
                refused(site, &programme, &guardrail.owner, refusal, deadline).await?;
            }
            RulesTold::Not(error) => {
                tracing::warn!(guardrail = %guardrail.owner, %error, "rules wait for the next minute");
                site.tell_of(&error, deadline).await;
            }
        }
    }
}

/// Alerts the admins of a refusal that lasts, which only a person can mend.
async fn refused(
    site: &Site,
    programme: &Programme,
    owner: &GuardrailOwner,
    refusal: RulesRefusal,
    deadline: Deadline,
) -> Result<()> {
    if !refusal.is_told(site.clock.now()) {
        return Ok(());
    }
    let cause = Cause::RulesRefused {
        programme: owner.programme.clone(),
        group: owner.group.clone(),
        tier: programme
            .settings
            .rules
            .rules_for(owner.group.as_deref())
            .tier()
            .map(str::to_owned),
        since: refusal.since,
        why: refusal.why,
    };
    Ok(site.raise(cause, deadline).await?)
}
