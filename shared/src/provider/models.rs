//! The provider's public list of models, with their prices.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Provider;
use crate::deadline::Deadline;
use crate::domain::programme::named_models::TokenPrice;
use crate::domain::values::money::Usd;
use crate::provider::wire::calls::LIST_MODELS;
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::json::{self, Envelope, Unreadable};
use crate::provider::wire::send::ApiRequest;

/// The models that the provider lists, by each of their slugs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelList(BTreeMap<String, TokenPrice>);

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    canonical_slug: Option<String>,
    #[serde(default, deserialize_with = "json::or_default")]
    pricing: Pricing,
}

/// Dollars for one token, as decimal texts.
#[derive(Default, Deserialize)]
struct Pricing {
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    completion: Option<String>,
}

impl ModelList {
    /// The prices of a model, by its slug or its canonical slug; `None` if it is not listed.
    pub fn get(&self, slug: &str) -> Option<&TokenPrice> {
        self.0.get(slug)
    }
}

impl Provider {
    /// Lists the models that the provider offers to anybody.
    pub async fn models(&self, deadline: Deadline) -> Result<ModelList, ProviderError> {
        let ask = ApiRequest { call: &LIST_MODELS, path: &["models"], query: &[], body: None };
        let listed = |body: &str| {
            let Envelope { data } = json::read::<Envelope<Vec<Row>>>(body)?;
            match data.is_empty() {
                true => Err(Unreadable("the list has no model".to_owned())),
                false => Ok(ModelList::of(data)),
            }
        };
        self.ask(ask, deadline, listed).await
    }
}

impl ModelList {
    fn of(rows: Vec<Row>) -> ModelList {
        let mut models = BTreeMap::new();
        for Row { id, canonical_slug, pricing } in rows {
            let prices =
                TokenPrice { prompt: per_million(pricing.prompt), completion: per_million(pricing.completion) };
            if let Some(canonical) = canonical_slug {
                models.entry(canonical).or_insert(prices);
            }
            models.insert(id, prices);
        }
        ModelList(models)
    }
}

/// The price of a million tokens, by the price of one.
fn per_million(price: Option<String>) -> Option<Usd> {
    let price = price?;
    let (mantissa, exponent) = price.split_once(['e', 'E']).unwrap_or((&price, "0"));
    let exponent = exponent.parse::<i32>().ok()?.checked_add(6)?;
    Usd::parse_ceil(&format!("{mantissa}e{exponent}")).ok().filter(|price| *price >= Usd::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(body: &str) -> ModelList {
        ModelList::of(json::read::<Envelope<Vec<Row>>>(body).unwrap().data)
    }

    #[test]
    fn a_price_for_a_token_is_exact_for_a_million_and_what_is_no_price_is_none() {
        let price = |text: &str| per_million(Some(text.to_owned()));
        assert_eq!(price("0.00000015"), Some(Usd::from_micros(150_000)));
        assert_eq!(price("1.5e-7"), Some(Usd::from_micros(150_000)));
        assert_eq!((price("0"), price("0.000015")), (Some(Usd::ZERO), Some(Usd::from_dollars(15))));
        assert_eq!((price("-1"), price("free"), price("1e99999999999"), per_million(None)), (None, None, None, None));
    }

    #[test]
    fn a_model_is_found_by_either_of_its_slugs_and_unknown_fields_and_missing_prices_do_no_harm() {
        let listed = list(
            r#"{"data": [
                {"id": "a/one", "canonical_slug": "a/one-2026", "pricing": {"prompt": "0.000001", "image": "0"}, "x": 1},
                {"id": "a/one:free", "canonical_slug": "a/one-2026", "pricing": null},
                {"id": "b/two"}
            ]}"#,
        );
        let dollar = TokenPrice { prompt: Some(Usd::from_dollars(1)), completion: None };
        assert_eq!((listed.get("a/one"), listed.get("a/one-2026")), (Some(&dollar), Some(&dollar)));
        assert_eq!(
            (listed.get("a/one:free"), listed.get("b/two")),
            (Some(&TokenPrice::default()), Some(&TokenPrice::default()))
        );
        assert_eq!(listed.get("c/three"), None);
    }
}
