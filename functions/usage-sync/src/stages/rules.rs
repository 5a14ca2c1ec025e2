//! Stage 6, rules: lists the guardrails, and tells their rules again to those that are not as the provider confirmed them last, since a
//! change made at the provider has changed what students may call.

use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::orders::RulesTold;
use bursar_core::provider::guardrails::ProviderGuardrail;

use crate::prelude::*;

pub(crate) async fn run(runner: &Runner<'_>, journal: &mut Journal) -> Result<StageEnd> {
    if journal.key_refused().is_some() {
        return Ok(StageEnd::Done);
    }
    let (now, mut all) = (runner.clock.now(), Vec::new());
    for programme in runner.programmes() {
        let known = runner.table.list(Guardrail::of_programme(&programme.id)).await?;
        let (programme, tiers) =
            tokio::try_join!(runner.table.get(Programme::key_of(&programme.id)), runner.table.tiers())?;
        // They may have been edited since the run began.
        all.extend(programme.into_iter().flat_map(|programme| programme.guardrails(known.clone(), &tiers, now)));
    }
    if all.is_empty() {
        return Ok(StageEnd::Done);
    }
    let listed = match runner.provider.guardrails(runner.until()).await {
        Ok(listed) => Listed { guardrails: listed, at: now },
        Err(error) if runner.obstacle(&error).is_some() => return Err(error.into()),
        Err(error) => {
            journal.undone(format!("the guardrails were not listed: {error}"), Some(&error));
            return Ok(StageEnd::Done);
        }
    };
    for (guardrail, rules) in all {
        let change = listed.change_of(&guardrail);
        let guardrail = if change.is_some() { guardrail.doubted() } else { guardrail };
        let of = &guardrail.of;
        if !guardrail.is_due(&rules, false, runner.clock.now()) {
            continue;
        }
        if !runner.has_time() {
            return Ok(StageEnd::TimeIsUp);
        }
        runner.stay().await?;
        match runner.orders().tell_rules(&guardrail, &rules, runner.until()).await? {
            RulesTold::Confirmed => journal.problems_of(change.map(|change| format!("the guardrail of {of} {change}"))),
            RulesTold::Overtaken => {}
            RulesTold::Refused(refusal) => {
                journal.undone(format!("the guardrail of {of} was not told its rules: {}", refusal.why), None);
            }
            RulesTold::Not(error) => {
                if let Some(obstacle) = runner.obstacle(&error) {
                    return Ok(StageEnd::Blocked(obstacle));
                }
                journal.undone(format!("the guardrail of {of} was not told its rules: {error}"), Some(&error));
            }
        }
    }
    Ok(StageEnd::Done)
}

/// The guardrails at the provider, and when they were listed.
struct Listed {
    guardrails: Vec<ProviderGuardrail>,
    at: Moment,
}

impl Listed {
    /// What somebody did to a guardrail since the provider confirmed it, unless it is what was sent since.
    fn change_of(&self, guardrail: &Guardrail) -> Option<&'static str> {
        let confirmed = guardrail.confirmed.as_ref().filter(|confirmed| confirmed.at < self.at)?;
        if guardrail.in_doubt.as_ref().is_some_and(|sent| confirmed.at < sent.at) {
            return None;
        }
        match self.guardrails.iter().find(|listed| listed.id == confirmed.id) {
            None => Some("was not there any more, and was made again"),
            Some(listed) if listed.spelled() != confirmed.answered => {
                Some("had other rules at the provider, and has its own again")
            }
            Some(_) => None,
        }
    }
}
