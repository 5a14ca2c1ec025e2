//! Stage 6, rules: sends each guardrail its rules, once a run, since a change made at the provider has changed what students may
//! call.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bursar_core::domain::programme::rule_set::{Guardrail, RuleSet, RulesOrder};
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::{GuardrailRules, ProviderGuardrail};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::runner::{Runner, StageEnd};

/// The state of stage 6.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RulesDelivery {
    /// The last set that was seen to, in the order of their ids.
    reached: Option<RuleSetId>,
    seen: u16,
}

impl RulesDelivery {
    /// Lists the guardrails and sends each of ours its rules.
    pub(crate) async fn run(&mut self, runner: &Runner<'_>, journal: &mut Journal) -> Result<StageEnd> {
        if journal.key_refused().is_some() {
            return Ok(StageEnd::Done);
        }
        let asking = asking(runner);
        let mut sets = runner.table.rule_sets().await?;
        sets.retain(|set| set.guardrail.is_some() && asking.contains_key(&set.id));
        if sets.is_empty() {
            return Ok(StageEnd::Done);
        }
        let listed = match runner.provider.guardrails(None, runner.until()).await {
            Ok(listed) => listed,
            Err(error) if runner.obstacle(&error).is_some() => return Err(error.into()),
            Err(error) => {
                journal.undone(format!("the guardrails were not listed: {error}"), Some(&error));
                return Ok(StageEnd::Done);
            }
        };
        let listed_at = runner.clock.now();
        for set in sets {
            if self.reached.as_ref().is_some_and(|reached| set.id <= *reached) {
                continue;
            }
            if !runner.has_time() {
                return Ok(StageEnd::TimeIsUp);
            }
            runner.stay().await?;
            // Read again: it may have been written since the run began. What its tier has by now is told by the work.
            let set = runner.table.get(RuleSet::key_of(&set.id)).await?.context("a rule set is gone")?;
            let rules = set.rules.resolved(&runner.table.tiers().await?);
            if let Some(guardrail) = set.guardrail.as_ref().filter(|known| Some(&known.rules) == rules.as_ref()) {
                let rules = GuardrailRules::of(&runner.deployment, &set.id, guardrail.rules.clone());
                let sent = runner.provider.patch_guardrail(&guardrail.id, &rules, runner.until()).await;
                if let Some(obstacle) = sent.as_ref().err().and_then(|error| runner.obstacle(error)) {
                    return Ok(StageEnd::Blocked(obstacle));
                }
                note_sent(runner, &set, guardrail, &sent).await?;
                // A difference from rules that were confirmed since is not the provider's doing.
                let is_own = guardrail.confirmed_at < listed_at;
                let was = listed.iter().find(|listed| is_own && listed.id == guardrail.id);
                report(&asking.get(&set.id).map(|names| names.join(", ")).unwrap_or_default(), was, sent, journal);
            }
            (self.reached, self.seen) = (Some(set.id), self.seen.saturating_add(1));
        }
        Ok(StageEnd::Done)
    }

    /// How many sets were seen to.
    pub(crate) fn seen(&self) -> u16 {
        self.seen
    }
}

/// The programmes that go on, by the rule sets that their keys are to be under.
fn asking(runner: &Runner<'_>) -> HashMap<RuleSetId, Vec<String>> {
    let now = runner.clock.now();
    let mut asking: HashMap<RuleSetId, Vec<String>> = HashMap::new();
    for programme in runner.programmes().iter().filter(|programme| !programme.is_over(now)) {
        for rules in programme.settings.all_rules() {
            asking.entry(rules.id()).or_default().push(programme.id.to_string());
        }
    }
    asking
}

/// Records the provider's answer to the rules of a set. The work of the next minute retries what it refused or
/// lost.
async fn note_sent(
    runner: &Runner<'_>,
    set: &RuleSet,
    known: &Guardrail,
    sent: &Result<Option<ProviderGuardrail>, ProviderError>,
) -> Result<()> {
    let (now, deadline) = (runner.clock.now(), runner.until());
    match sent {
        Ok(Some(sent)) => {
            let guardrail = Guardrail { id: sent.id.clone(), confirmed_at: now, ..known.clone() };
            runner.table.confirm_rule_set(set, guardrail, deadline).await?;
        }
        // Whoever sends them makes another.
        Ok(None) => runner.table.order_rules_anew(&set.id, now, deadline).await?,
        Err(ProviderError::Refused { trouble, .. }) if set.order.is_none() => {
            let order = RulesOrder::due(now).refused(&trouble.message, now);
            runner.table.note_rules_order(set, Some(order), deadline).await?;
        }
        // It may still take effect, after whatever is sent next.
        Err(error) if !error.changed_nothing() => runner.table.order_rules_anew(&set.id, now, deadline).await?,
        Err(_) => {}
    }
    Ok(())
}

/// Reports a guardrail that had other rules than those that were sent. The provider rewrites model names, so
/// its former answer is compared with its new one.
fn report(
    of: &str,
    was: Option<&ProviderGuardrail>,
    sent: Result<Option<ProviderGuardrail>, ProviderError>,
    journal: &mut Journal,
) {
    match sent {
        Ok(Some(is)) if was.is_some_and(|was| !was.agrees_with(&is)) => {
            journal.problem(format!("the guardrail of {of} had other rules at the provider, and has its own again"));
        }
        Ok(Some(_)) => {}
        Ok(None) => journal.undone(format!("the guardrail of {of} is not there any more"), None),
        Err(error) => {
            journal.undone(format!("the guardrail of {of} was not told its rules: {error}"), Some(&error));
        }
    }
}
