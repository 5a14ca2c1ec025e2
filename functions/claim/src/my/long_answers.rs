//! Whether what is left pays for an answer as long as coding agents ask for, and with which models.
//! The provider refuses a request that could cost more than is left, however short its answer would
//! be.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::View;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ListedModels, StoreError, Table};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::my::rules::StudentRules;

/// The days in which a model was used lately.
const LATELY: i64 = 14;

/// The most that a long answer of each model costs, the dearest first.
#[derive(Default)]
pub(crate) struct LongAnswers(BTreeSet<(Reverse<Usd>, String)>);

impl LongAnswers {
    /// Of the models that are named in the key's rules, or else of those that its class used
    /// lately.
    pub(crate) async fn read(
        table: &Table,
        listed: &ListedModels,
        view: &View,
        rules: &StudentRules,
        now: Moment,
    ) -> Result<LongAnswers, StoreError> {
        let named = &rules.confirmed.models;
        let today = utc_date(now);
        if !named.is_empty() {
            return Ok(LongAnswers::new(listed, named.iter().cloned(), today));
        }
        let lately = (today.saturating_sub(LATELY.days()), today);
        let uses = table.models_of(&view.programme.id, false, lately).await?;
        Ok(LongAnswers::new(
            listed,
            uses.into_iter().map(|used| used.model),
            today,
        ))
    }

    fn new(
        listed: &ListedModels,
        models: impl Iterator<Item = String>,
        today: Date,
    ) -> LongAnswers {
        let offered = models.filter(|model| listed.offered(model, today).is_some());
        LongAnswers(
            offered
                .filter_map(|model| Some((Reverse(listed.long_answer(&model)?), model)))
                .collect(),
        )
    }

    /// What is told to somebody with too little left for the dearest.
    pub(crate) fn too_dear(&self, amount_left: Usd) -> Option<String> {
        let (Reverse(cost), dearest) = self
            .0
            .first()
            .filter(|(Reverse(cost), _)| amount_left < *cost)?;
        let within = self
            .0
            .iter()
            .find(|(Reverse(cost), _)| *cost <= amount_left);
        let within = within.map_or(String::new(), |(_, model)| {
            format!(" It is enough for {model}.")
        });
        Some(format!(
            "Too little is left for a coding agent with {dearest}: it asks for 32,000 tokens with each request, which could cost {}, \
             and OpenRouter refuses that.{within}",
            cost.to_dollars()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::listed;

    fn told(models: &[&str], cents: i64) -> String {
        let prices = [
            ("a/large", 25),
            ("b/medium", 10),
            ("c/small", 1),
            ("d/small:free", 0),
        ];
        let listed = listed(prices);
        let models = models.iter().map(|model| (*model).to_owned());
        LongAnswers::new(&listed, models, utc_date(listed.as_of))
            .too_dear(Usd::CENT.times(cents.try_into().unwrap()))
            .unwrap_or_default()
    }

    #[test]
    fn the_dearest_is_too_dear() {
        let all = [
            "c/small",
            "b/medium",
            "z/unknown",
            "a/large",
            "d/small:free",
        ];
        insta::assert_snapshot!(told(&all, 79), @"Too little is left for a coding agent with a/large: it asks for 32,000 tokens with each request, which could cost $0.80, and OpenRouter refuses that. It is enough for b/medium.");
        insta::assert_snapshot!(told(&["a/large"], 79), @"Too little is left for a coding agent with a/large: it asks for 32,000 tokens with each request, which could cost $0.80, and OpenRouter refuses that.");
        assert!(
            told(&all, 31).ends_with("It is enough for c/small."),
            "{}",
            told(&all, 31)
        );
        assert!(
            told(&all, 3).ends_with("It is enough for d/small:free."),
            "{}",
            told(&all, 3)
        );
        assert_eq!(
            [told(&all, 80), told(&["z/unknown"], 1), told(&[], 1)],
            ["", "", ""]
        );
    }
}
