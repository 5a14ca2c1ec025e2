//! What a key may call, as the provider has confirmed it, and whether the grant's next key can be put under its rules.

use bursar_core::domain::grant::View;
use bursar_core::domain::programme::rule_set::{Guardrail, RuleSet};
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::id::RuleSetId;
use bursar_core::store::{StoreError, Table};

/// The rules of a grant's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyRules {
    /// What the provider has confirmed for the live key; by default everything may be called.
    pub(crate) confirmed: Rules,
    /// Whether the live key is to be under other rules, which the provider is still to confirm.
    pub(crate) is_changing: bool,
    /// The guardrail of the next key, if it has to be under one.
    pub(crate) next: NextGuardrail,
}

/// The guardrail that the next key is put under before it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum NextGuardrail {
    #[default]
    None,
    Confirmed {
        set: RuleSetId,
        guardrail: Guardrail,
    },
    /// The provider has not confirmed the rules yet, so no key is made.
    NotConfirmed,
}

impl KeyRules {
    pub(crate) async fn of(table: &Table, view: &View) -> Result<KeyRules, StoreError> {
        let Some(live) = view.grant.live() else {
            return Ok(KeyRules { next: NextGuardrail::of(table, view).await?, ..KeyRules::default() });
        };
        let set = match &live.rule_set {
            Some(set) => table.get(RuleSet::key_of(set)).await?,
            None => None,
        };
        let is_other = view.rules_wanted().is_some_and(|wanted| live.rule_set != Some(wanted.id()));
        // Of a tier that was edited the set stays, and is told anew.
        let is_told_anew = set.as_ref().is_some_and(|set| set.order.is_some());
        let confirmed = set.and_then(|set| set.guardrail).map(|known| known.rules);
        Ok(KeyRules {
            confirmed: confirmed.unwrap_or_default(),
            is_changing: is_other || is_told_anew || live.rules_ordered.is_some(),
            next: NextGuardrail::of(table, view).await?,
        })
    }
}

impl NextGuardrail {
    pub(crate) async fn of(table: &Table, view: &View) -> Result<NextGuardrail, StoreError> {
        let Some(rules) = view.rules_of_next_key() else { return Ok(NextGuardrail::None) };
        let set = rules.id();
        Ok(match guardrail(table, &set).await? {
            Some(guardrail) => NextGuardrail::Confirmed { set, guardrail },
            None => NextGuardrail::NotConfirmed,
        })
    }
}

async fn guardrail(table: &Table, set: &RuleSetId) -> Result<Option<Guardrail>, StoreError> {
    Ok(table.get(RuleSet::key_of(set)).await?.and_then(|set| set.guardrail))
}
