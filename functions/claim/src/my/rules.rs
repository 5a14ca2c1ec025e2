//! What a key may call, as the provider has confirmed it, and whether the grant's next key can be put under its guardrail.

use bursar_core::domain::grant::KeyGuardrail;
use bursar_core::store::Table;

use crate::prelude::*;

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
        of: GuardrailOwner,
        confirmed: ConfirmedRules,
    },
    /// The provider has not confirmed any rules of it yet, so no key is made.
    NotConfirmed,
}

impl KeyRules {
    pub(crate) async fn of(table: &Table, view: &View) -> Result<KeyRules, StoreError> {
        let next = NextGuardrail::of(table, view).await?;
        let Some((live, wanted)) = view.grant.live().zip(view.guardrail_wanted()) else {
            return Ok(KeyRules { next, ..KeyRules::default() });
        };
        let owner = |under: &KeyGuardrail| GuardrailOwner { group: under.group.clone(), ..wanted.clone() };
        let guardrail = match live.guardrail.as_ref().map(owner) {
            Some(owner) => table.get(Guardrail::key_of(&owner)).await?,
            None => None,
        };
        let rules = view.programme.settings.rules.of(view.grant.group.as_deref()).resolved(&table.tiers().await?);
        let is_right = guardrail.as_ref().is_some_and(|known| known.of == wanted && known.rules.is(&rules));
        let confirmed = guardrail.and_then(|known| known.confirmed());
        // One that was made again holds no key that was under the former one.
        let confirmed = confirmed.filter(|known| live.guardrail.as_ref().is_some_and(|under| under.id == known.id));
        Ok(KeyRules {
            is_changing: !is_right || confirmed.is_none() || live.rules_ordered.is_some(),
            confirmed: confirmed.map(|known| known.rules).unwrap_or_default(),
            next,
        })
    }
}

impl NextGuardrail {
    pub(crate) async fn of(table: &Table, view: &View) -> Result<NextGuardrail, StoreError> {
        let Some(of) = view.guardrail_of_next_key() else { return Ok(NextGuardrail::None) };
        Ok(match table.get(Guardrail::key_of(&of)).await?.and_then(|known| known.confirmed()) {
            Some(confirmed) => NextGuardrail::Confirmed { of, confirmed },
            None => NextGuardrail::NotConfirmed,
        })
    }
}
