//! What a key may call, as the provider has confirmed it, and whether the grant's next key can be
//! put under its guardrail.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{NextGuardrail, View};
use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ListedModels, StoreError, Table};

use crate::my::example::ANY_MODEL;
use crate::my::long_answers::LongAnswers;

#[derive(Default)]
pub(crate) struct StudentRules {
    /// What the provider has confirmed for the live key; by default everything may be called.
    pub(crate) confirmed: Rules,
    /// Whether all models that may be called are gone from the provider's list.
    pub(crate) are_gone: bool,
    /// The model of examples where none is named, if the usual one is gone.
    pub(crate) other_model: Option<String>,
    /// Whether the live key is to be under other rules, which the provider is still to confirm.
    pub(crate) is_changing: bool,
    /// The guardrail of the next key, if it has to be under one.
    pub(crate) next: NextGuardrail,
    /// What the live key must have left for a coding agent; by default nothing is known.
    pub(crate) long_answers: LongAnswers,
}

impl StudentRules {
    pub(crate) async fn read(table: &Table, view: &View) -> Result<StudentRules, StoreError> {
        let next = view.next_guardrail();
        let Some((live, owner)) = view.grant.live().zip(view.guardrail_wanted()) else {
            return Ok(StudentRules {
                next,
                ..StudentRules::default()
            });
        };
        let under = live.guardrail.known();
        let guardrail = under.and_then(|under| {
            view.guardrail(&GuardrailOwner {
                group: under.group.clone(),
                ..owner.clone()
            })
        });
        let rules = view
            .programme
            .settings
            .rules
            .rules_for(view.grant.group.as_deref())
            .resolve(&table.tiers().await?);
        let is_right = guardrail
            .is_some_and(|guardrail| guardrail.owner == owner && guardrail.rules.is(&rules));
        // One that was made again holds no key that was under the former one.
        let confirmed = guardrail.and_then(Guardrail::confirmed);
        let confirmed =
            confirmed.filter(|confirmed| under.is_some_and(|under| under.id == confirmed.id));
        let is_settled = under.is_some_and(|under| live.guardrail.is(under));
        Ok(StudentRules {
            is_changing: !is_right || confirmed.is_none() || !is_settled,
            confirmed: confirmed
                .map(|confirmed| confirmed.rules)
                .unwrap_or_default(),
            next,
            ..StudentRules::default()
        })
    }

    /// The rules without the models that are gone, as far as the provider's list is known.
    pub(crate) fn naming(mut self, listed: Option<&ListedModels>, now: Moment) -> StudentRules {
        let Some(listed) = listed else { return self };
        let today = utc_date(now);
        let named = &mut self.confirmed.models;
        let were_named = !named.is_empty();
        named.retain(|slug| listed.offered(slug, today).is_some());
        self.are_gone = were_named && named.is_empty();
        if listed.offered(ANY_MODEL, today).is_none() {
            self.other_model = listed
                .models
                .iter()
                .find(|model| !model.is_gone(today))
                .map(|model| model.slug.clone());
        }
        self
    }
}
