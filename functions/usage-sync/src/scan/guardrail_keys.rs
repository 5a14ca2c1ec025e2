//! The keys under each guardrail, listed when the first programme that asks for it is scanned, once a run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bursar_core::domain::programme::Settings;
use bursar_core::domain::programme::rule_set::RuleSet;
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::provider::ProviderError;
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
    id: String,
    keys: OnceCell<AssignedKeys>,
}

impl GuardrailKeys {
    pub(crate) fn of(sets: Vec<RuleSet>) -> GuardrailKeys {
        let unlisted = |set: RuleSet| Some((set.id, ListedGuardrail { id: set.guardrail?.id, keys: OnceCell::new() }));
        GuardrailKeys { of: sets.into_iter().filter_map(unlisted).collect() }
    }

    /// The keys under the guardrails that a programme asks for.
    pub(crate) async fn asked_for(
        &self,
        runner: &Runner<'_>,
        settings: &Settings,
    ) -> Result<KeysOfSets, ProviderError> {
        let mut asked = KeysOfSets::new();
        for rules in settings.all_rules() {
            if let Some(guardrail) = self.of.get(&rules.id()) {
                let keys = guardrail.keys.get_or_try_init(|| listed(runner, &guardrail.id)).await?;
                asked.insert(rules.id(), Arc::clone(keys));
            }
        }
        Ok(asked)
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
