//! The keys under each guardrail, listed when the first programme that asks for it is scanned, once a run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::programme::rule_set::RuleSet;
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::guardrails::Told;
use bursar_core::provider::ProviderError;
use bursar_core::store::StoreError;
use tokio::sync::OnceCell;

use crate::runner::Runner;

/// The keys under the guardrails of some rule sets.
pub(crate) type KeysOfSets = HashMap<RuleSetId, AssignedKeys>;

type AssignedKeys = Arc<HashSet<KeyHash>>;

/// The guardrails of all rule sets that have one, each with its keys once they are listed.
pub(crate) struct GuardrailKeys {
    of: HashMap<RuleSetId, ListedGuardrail>,
}

struct ListedGuardrail {
    set: RuleSet,
    keys: OnceCell<AssignedKeys>,
}

/// The guardrails that one programme asks for.
#[derive(Default)]
pub(crate) struct AskedFor {
    pub(crate) keys: KeysOfSets,
    /// What was found, a sentence each.
    pub(crate) problems: Vec<String>,
    /// The error of a listing that failed. It keeps no other guardrail from being looked at.
    pub(crate) failed: Option<ProviderError>,
}

impl GuardrailKeys {
    pub(crate) fn of(sets: Vec<RuleSet>) -> GuardrailKeys {
        let made = sets.into_iter().filter(|set| set.guardrail.is_some());
        let unlisted = |set: RuleSet| (set.id.clone(), ListedGuardrail { set, keys: OnceCell::new() });
        GuardrailKeys { of: made.map(unlisted).collect() }
    }

    /// The keys under the guardrails that a programme asks for. An obstacle that may pass is an error of the whole.
    pub(crate) async fn asked_for(&self, runner: &Runner<'_>, settings: &Settings) -> Result<AskedFor> {
        let mut asked = AskedFor::default();
        for rules in settings.all_rules() {
            let Some(guardrail) = self.of.get(&rules.id()) else { continue };
            let listed = guardrail.keys.get_or_try_init(|| guardrail.listed(runner, &mut asked.problems)).await;
            match listed {
                Ok(keys) => drop(asked.keys.insert(rules.id(), Arc::clone(keys))),
                Err(NotListed::Provider(error)) if runner.obstacle(&error).is_none() => asked.failed = Some(error),
                Err(NotListed::Provider(error)) => return Err(error.into()),
                Err(NotListed::Table(error)) => return Err(error.into()),
            }
        }
        Ok(asked)
    }
}

/// The reason that the keys under a guardrail are not known.
enum NotListed {
    Provider(ProviderError),
    Table(StoreError),
}

impl ListedGuardrail {
    /// The keys under it. One that is not there any more is made anew, and has none: the run puts them under it.
    async fn listed(&self, runner: &Runner<'_>, problems: &mut Vec<String>) -> Result<AssignedKeys, NotListed> {
        let Some(known) = &self.set.guardrail else { return Ok(AssignedKeys::default()) };
        let gone = match listed(runner, &known.id).await {
            Err(error) if error.is_not_found() => error,
            listed => return listed.map_err(NotListed::Provider),
        };
        let again = runner.orders().make_guardrail_again(&self.set.id, runner.until()).await;
        match again.map_err(NotListed::Table)? {
            Told::Confirmed { guardrail, .. } => {
                problems.push(format!("the guardrail {} was not there any more, and was made anew", known.id));
                listed(runner, &guardrail.id).await.map_err(NotListed::Provider)
            }
            Told::Not { error, .. } => Err(NotListed::Provider(error)),
            Told::Overtaken => Err(NotListed::Provider(gone)),
        }
    }
}

async fn listed(runner: &Runner<'_>, guardrail: &str) -> Result<AssignedKeys, ProviderError> {
    let mut assignments = runner.provider.assignments(Some(guardrail));
    let mut assigned = HashSet::new();
    while let Some(page) = assignments.next(runner.until()).await? {
        assigned.extend(page.into_iter().map(|assignment| assignment.key_hash));
    }
    Ok(Arc::new(assigned))
}
