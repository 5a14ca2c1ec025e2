//! The guardrails: lists them, and tells their rules again to those that are not as the provider confirmed them last, since a
//! change made at the provider has changed what students may call.

use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::orders::RulesTold;
use bursar_core::provider::guardrails::ProviderGuardrail;

use crate::prelude::*;

pub(crate) async fn tell(runner: &Runner<'_>) -> Result<()> {
    let (table, journal) = (runner.table, &runner.journal);
    let (now, mut all) = (runner.clock.now(), Vec::new());
    for programme in &runner.programmes {
        let known = table.list(Guardrail::of_programme(&programme.id)).await?;
        let (programme, tiers) = tokio::try_join!(table.get(Programme::key_of(&programme.id)), table.tiers())?;
        // They may have been edited since the run began.
        all.extend(programme.into_iter().flat_map(|programme| programme.guardrails(known.clone(), &tiers, now)));
    }
    if all.is_empty() {
        return Ok(());
    }
    let listed = match runner.provider.guardrails(runner.until()).await {
        Ok(listed) => Listed { guardrails: listed, at: now },
        Err(error) => {
            journal.answered(format!("the guardrails were not listed: {error}"), &error);
            return Ok(());
        }
    };
    for (guardrail, rules) in all {
        let change = listed.change_of(&guardrail);
        let guardrail = if change.is_some() { guardrail.doubted() } else { guardrail };
        let of = &guardrail.of;
        if !guardrail.is_due(&rules, false, runner.clock.now()) {
            continue;
        }
        match runner.orders().tell_rules(&guardrail, &rules, runner.until()).await? {
            RulesTold::Confirmed => journal.problems_of(change.map(|change| format!("the guardrail of {of} {change}"))),
            RulesTold::Overtaken => {}
            RulesTold::Refused(refusal) => {
                journal.problem(format!("the guardrail of {of} was not told its rules: {}", refusal.why));
            }
            RulesTold::Not(error) => {
                journal.answered(format!("the guardrail of {of} was not told its rules: {error}"), &error);
            }
        }
    }
    Ok(())
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

/// The guardrails of a programme and the keys under each at the provider, listed before its grants are compared.
#[derive(Debug, Default)]
pub(crate) struct GuardrailKeys {
    pub(crate) guardrails: Vec<Guardrail>,
    /// The keys under each, by its id, where they could be listed.
    pub(crate) keys: HashMap<String, HashSet<KeyHash>>,
}

impl GuardrailKeys {
    /// Lists the keys of a programme that goes on. A listing that fails keeps no other guardrail from being looked at.
    pub(crate) async fn of(runner: &Runner<'_>, programme: &Programme) -> Result<GuardrailKeys> {
        let mut listed = GuardrailKeys::default();
        if programme.is_over(runner.clock.now()) {
            return Ok(listed);
        }
        listed.guardrails = runner.table.list(Guardrail::of_programme(&programme.id)).await?;
        for id in listed.guardrails.iter().filter_map(|known| Some(&known.confirmed.as_ref()?.id)) {
            match runner.provider.keys_under(id, || runner.until()).await {
                Ok(keys) => drop(listed.keys.insert(id.clone(), keys)),
                // The stage that tells the rules finds that it is gone, and makes another.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let what = format!("the keys under the guardrails of {} were not listed: {error}", programme.id);
                    runner.journal.answered(what, &error);
                }
            }
        }
        Ok(listed)
    }
}
