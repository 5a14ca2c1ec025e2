//! Stage 6, rules: sends each guardrail its rules, once a run. A change made at the provider has changed what
//! students may call.

use anyhow::{Context, Result};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::rules::{Guardrail, RulesOrder};
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::{GuardrailRules, ProviderGuardrail};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::runner::{Runner, StageEnd};

/// The state of stage 6.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RulesDelivery {
    /// The number of the programme that is next.
    next: u16,
}

impl RulesDelivery {
    /// Lists the guardrails and sends each of ours its rules.
    pub(crate) async fn run(&mut self, runner: &Runner<'_>, journal: &mut Journal) -> Result<StageEnd> {
        let has_none = runner.programmes().iter().all(|programme| programme.guardrail.is_none());
        if journal.key_refused().is_some() || has_none {
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
        while let Some(programme) = runner.programmes().get(usize::from(self.next)) {
            if !runner.has_time() {
                return Ok(StageEnd::TimeIsUp);
            }
            runner.stay().await?;
            // Read again: its rules may have been changed since the run began.
            let programme = runner.table.programme(&programme.id).await?.context("a programme is gone")?;
            let guardrail = programme.guardrail.as_ref().filter(|_| !programme.is_over(runner.clock.now()));
            if let Some(guardrail) = guardrail {
                let rules = GuardrailRules::of(&runner.deployment, &programme.id, &programme.settings);
                let sent = runner.provider.patch_guardrail(&guardrail.id, &rules, runner.until()).await;
                if let Some(obstacle) = sent.as_ref().err().and_then(|error| runner.obstacle(error)) {
                    return Ok(StageEnd::Blocked(obstacle));
                }
                let after = runner.table.programme(&programme.id).await?.context("a programme is gone")?;
                if after.edits != programme.edits {
                    // Somebody saved other rules meanwhile, so what was sent may be older: once more.
                    continue;
                }
                note_sent(runner, &after, &sent).await?;
                // A difference that is due to changed rules, or to an unconfirmed order, is not the
                // provider's doing.
                let is_own = !after.rules_are_changing() && guardrail.confirmed_at < listed_at;
                let was = listed.iter().find(|listed| is_own && listed.id == guardrail.id);
                report(programme.id.as_str(), was, sent, journal);
            }
            self.next += 1;
        }
        Ok(StageEnd::Done)
    }

    pub(crate) fn next(&self) -> u16 {
        self.next
    }
}

/// Records the provider's answer to the rules of a programme. The schedule of the next minute retries what it
/// refused or lost.
async fn note_sent(
    runner: &Runner<'_>,
    programme: &Programme,
    sent: &Result<Option<ProviderGuardrail>, ProviderError>,
) -> Result<()> {
    let (now, deadline) = (runner.clock.now(), runner.until());
    match sent {
        Ok(Some(sent)) => {
            let guardrail = Guardrail { id: sent.id.clone(), rules: programme.settings.rules(), confirmed_at: now };
            runner.table.confirm_rules(programme, guardrail, now, deadline).await?;
        }
        Ok(None) => runner.table.lose_guardrail(programme, now, deadline).await?,
        Err(ProviderError::Refused { trouble, .. }) if programme.rules_order.is_none() => {
            let order = RulesOrder::again(now).refused(&trouble.message, now);
            runner.table.note_rules_order(programme, Some(order), deadline).await?;
        }
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
