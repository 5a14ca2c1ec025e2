//! The guardrails: lists them, and tells their rules again to those that are not as the provider
//! confirmed them last, since a change made at the provider has changed what students may call.
//! Keys that somebody took from under theirs are put back.

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::provider::guardrails::ProviderGuardrail;
use bursar_core::settle::RulesTold;

use crate::compare::{Finding, FindingKind, GrantFinding, Restricted, RestrictedKey};
use crate::repair;
use crate::runner::RunContext;

pub(crate) async fn tell(runner: &RunContext) -> Result<()> {
    let table = &runner.table;
    let journal = &runner.journal;
    let now = runner.clock.now();
    let mut guardrails = Vec::new();
    for programme in &runner.programmes {
        let stored = table.list(Guardrail::of_programme(&programme.id)).await?;
        // The settings and the tiers may have been edited since the run began.
        let tiers = table.tiers().await?;
        let Some(programme) = table.get(Programme::key_of(&programme.id)).await? else {
            continue;
        };
        guardrails.extend(programme.guardrails(stored, &tiers, now));
    }
    if guardrails.is_empty() {
        return Ok(());
    }
    let listed = match runner.provider.guardrails(runner.until()).await {
        Ok(listed) => ListedGuardrails {
            guardrails: listed,
            listed_at: now,
        },
        Err(error) => {
            journal.answered(format!("the guardrails were not listed: {error}"), &error);
            return Ok(());
        }
    };
    for (guardrail, rules) in guardrails {
        let change = listed.change_of(&guardrail);
        let guardrail = if change.is_some() {
            guardrail.doubted()
        } else {
            guardrail
        };
        let owner = &guardrail.owner;
        if !guardrail.is_due(&rules, false, runner.clock.now()) {
            continue;
        }
        match runner
            .settler()
            .tell_rules(&guardrail, &rules, runner.until())
            .await?
        {
            RulesTold::Confirmed => {
                journal
                    .problems_of(change.map(|change| format!("the guardrail of {owner} {change}")));
            }
            RulesTold::Overtaken => {}
            RulesTold::Refused(refusal) => {
                journal.problem(format!(
                    "the guardrail of {owner} was not told its rules: {}",
                    refusal.why
                ));
            }
            RulesTold::Not(error) => {
                journal.answered(
                    format!("the guardrail of {owner} was not told its rules: {error}"),
                    &error,
                );
            }
        }
    }
    Ok(())
}

/// The guardrails at the provider, and when they were listed.
struct ListedGuardrails {
    guardrails: Vec<ProviderGuardrail>,
    listed_at: Moment,
}

impl ListedGuardrails {
    /// What somebody did to a guardrail since the provider confirmed it, as far as nothing else was
    /// sent since.
    fn change_of(&self, guardrail: &Guardrail) -> Option<&'static str> {
        let remote = guardrail
            .remote
            .as_ref()
            .filter(|remote| remote.answered_at < self.listed_at && guardrail.rules.is_settled())?;
        match self.guardrails.iter().find(|listed| listed.id == remote.id) {
            None => Some("was not there any more, and was made again"),
            Some(listed) if listed.spelled() != remote.answered => {
                Some("had other rules at the provider, and has its own again")
            }
            Some(_) => None,
        }
    }
}

/// Lists the keys under each guardrail, and puts those back that are not there any more. A listing
/// that fails keeps no other from being looked at.
pub(crate) async fn put_back(runner: &RunContext, restricted: Restricted) {
    let mut findings = Vec::new();
    for ((programme, guardrail), keys) in restricted {
        let asked_at = runner.clock.now();
        let listed = match runner
            .provider
            .keys_under(&guardrail, || runner.until())
            .await
        {
            Ok(listed) => listed,
            // Another was made, under which a job puts the keys.
            Err(error) if error.is_not_found() => continue,
            Err(error) => {
                let what = format!(
                    "the keys under the guardrails of {programme} were not listed: {error}"
                );
                runner.journal.answered(what, &error);
                continue;
            }
        };
        let lacking = keys
            .into_iter()
            .filter(|restricted| !listed.contains(&restricted.key));
        findings.extend(lacking.map(|RestrictedKey { grant, key }| Finding {
            programme: programme.clone(),
            grant,
            kind: FindingKind::Grant(GrantFinding::NotUnder { key, asked_at }),
        }));
    }
    repair::all(runner, findings, 0).await;
}
