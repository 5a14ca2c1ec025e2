//! The models that programmes, groups and edited tiers name, as the provider's list last had them: what vanished from it, and what
//! has doubled its price since it was first named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::programme::Programme;
use crate::domain::programme::tiers::{Tiers, named_in};
use crate::domain::values::money::Usd;

/// The named models, by their slugs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedModels {
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub models: BTreeMap<String, NamedModel>,
}

/// One named model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedModel {
    /// The price from which a doubling is counted: that of the day on which it was named, or doubled last.
    #[serde(default)]
    pub price: TokenPrice,
    /// The time since which the provider does not list it.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dearer: Option<PriceRise>,
}

/// What a million tokens of the question and of the answer cost, where the provider says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPrice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Usd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Usd>,
}

/// The last doubling of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRise {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub from: TokenPrice,
    pub to: TokenPrice,
}

/// What is new about a named model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelNews {
    Vanished { model: String },
    Dearer { model: String, from: TokenPrice, to: TokenPrice },
}

impl NamedModels {
    /// The models after a look at the provider's list. One that is not named any more is forgotten.
    pub fn after(
        before: Option<&NamedModels>,
        named: BTreeSet<String>,
        listed: impl Fn(&str) -> Option<TokenPrice>,
        now: Timestamp,
    ) -> NamedModels {
        let known = |slug: &String| before.and_then(|before| before.models.get(slug)).cloned();
        let model = |slug: String| {
            let is = match (known(&slug), listed(&slug)) {
                (Some(was), Some(price)) => was.at_price(price, now),
                (None, Some(price)) => NamedModel { price, ..NamedModel::default() },
                (was, None) => {
                    let was = was.unwrap_or_default();
                    NamedModel { vanished_at: was.vanished_at.or(Some(now)), ..was }
                }
            };
            (slug, is)
        };
        NamedModels { as_of: now, models: named.into_iter().map(model).collect() }
    }

    /// What turned up from one moment on and before another.
    pub fn news(&self, (from, until): (Timestamp, Timestamp)) -> Vec<ModelNews> {
        let is_new = |at: Timestamp| from <= at && at < until;
        let mut news = Vec::new();
        for (model, is) in &self.models {
            if is.vanished_at.is_some_and(is_new) {
                news.push(ModelNews::Vanished { model: model.clone() });
            }
            if let Some(PriceRise { from, to, .. }) = is.dearer.filter(|rise| is_new(rise.at)) {
                news.push(ModelNews::Dearer { model: model.clone(), from, to });
            }
        }
        news
    }

    /// What an admin may want to mend now: models that are not listed, and prices that doubled since a moment.
    pub fn to_be_mended(&self, dearer_since: Timestamp) -> Vec<ModelNews> {
        let vanished = self.models.iter().filter(|(_, is)| is.vanished_at.is_some());
        let vanished = vanished.map(|(model, _)| ModelNews::Vanished { model: model.clone() });
        let all = self.news((dearer_since, Timestamp::MAX));
        let dearer = all.into_iter().filter(|news| matches!(news, ModelNews::Dearer { .. }));
        vanished.chain(dearer).collect()
    }
}

/// What is new, as an admin reads it.
impl fmt::Display for ModelNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelNews::Vanished { model } => write!(
                f,
                "The provider does not list the model {model} any more. Name another where it stands: in a programme, a group or a tier."
            ),
            ModelNews::Dearer { model, from, to } => write!(
                f,
                "The model {model} costs at least twice what it did: a million tokens are {to} now, and were {from}."
            ),
        }
    }
}

impl fmt::Display for TokenPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |price: Option<Usd>, word: &str| price.map(|price| format!("{} {word}", price.to_cents_up()));
        let both: Vec<String> = of(self.prompt, "in").into_iter().chain(of(self.completion, "out")).collect();
        f.write_str(&both.join(" and "))
    }
}

impl NamedModel {
    fn at_price(self, price: TokenPrice, now: Timestamp) -> NamedModel {
        let has_doubled = |was: Option<Usd>, is: Option<Usd>| {
            was.zip(is).is_some_and(|(was, is)| is > Usd::ZERO && is >= was.times(2))
        };
        let from = self.price;
        match has_doubled(from.prompt, price.prompt) || has_doubled(from.completion, price.completion) {
            true => NamedModel { price, vanished_at: None, dearer: Some(PriceRise { at: now, from, to: price }) },
            false => NamedModel { vanished_at: None, ..self },
        }
    }
}

/// The models that the programmes which go on name, for themselves or a group, and those of edited tiers.
pub fn named_by(programmes: &[Programme], tiers: &Tiers, now: Timestamp) -> BTreeSet<String> {
    let running = programmes.iter().filter(|programme| !programme.is_over(now));
    let rules = running.flat_map(|programme| programme.settings.all_rules());
    let of_rules = rules.flat_map(|rules| rules.resolved(tiers).unwrap_or(rules).models);
    let of_tiers = tiers.iter().filter(|tier| tier.version > 0).flat_map(|tier| tier.models.clone());
    of_rules.chain(of_tiers).filter(|model| named_in(std::slice::from_ref(model)).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u8) -> Timestamp {
        format!("2026-01-{day:02}T00:20:00Z").parse().unwrap()
    }

    fn price(prompt: i64, completion: i64) -> TokenPrice {
        TokenPrice { prompt: Some(Usd::from_micros(prompt)), completion: Some(Usd::from_micros(completion)) }
    }

    fn look(before: Option<&NamedModels>, listed: &[(&str, TokenPrice)], day: u8) -> NamedModels {
        let named = ["a/one", "b/two"].map(str::to_owned).into();
        NamedModels::after(before, named, |slug| Some(listed.iter().find(|(known, _)| *known == slug)?.1), at(day))
    }

    #[test]
    fn what_vanished_is_news_once_and_what_comes_back_is_none() {
        let all = [("a/one", price(10, 20)), ("b/two", price(0, 0))];
        let first = look(None, &all, 1);
        assert_eq!(first.news((at(1), Timestamp::MAX)), []);
        let second = look(Some(&first), &all[1..], 2);
        let third = look(Some(&second), &all[1..], 3);
        assert_eq!(third.news((at(2), at(3))), [ModelNews::Vanished { model: "a/one".to_owned() }]);
        assert_eq!(third.news((at(3), Timestamp::MAX)), []);
        assert_eq!(third.to_be_mended(at(3)), [ModelNews::Vanished { model: "a/one".to_owned() }]);
        assert_eq!(look(Some(&third), &all, 4).to_be_mended(at(1)), []);
    }

    #[test]
    fn a_price_that_has_doubled_since_it_was_named_is_news_and_the_next_is_counted_from_there() {
        let of = |one, two| [("a/one", one), ("b/two", two)];
        let mut known = look(None, &of(price(10, 20), price(0, 0)), 1);
        for (day, one, two, dearer) in [
            (2, price(15, 30), price(0, 0), &[][..]),
            (3, price(19, 40), price(0, 0), &["a/one"]),
            (4, price(37, 79), price(0, 0), &[]),
            (5, price(38, 79), price(0, 1), &["a/one", "b/two"]),
            (6, price(10, 20), price(0, 1), &[]),
        ] {
            known = look(Some(&known), &of(one, two), day);
            let news = known.news((at(day), Timestamp::MAX)).into_iter().map(|news| match news {
                ModelNews::Dearer { model, .. } | ModelNews::Vanished { model } => model,
            });
            assert_eq!(news.collect::<Vec<_>>(), dearer, "day {day}");
        }
    }
}
