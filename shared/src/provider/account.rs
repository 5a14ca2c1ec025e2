//! The account as a whole: its money and its workspaces; and what the provider offers to anybody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Provider;
use crate::deadline::Deadline;
use crate::domain::programme::rules::ListedModel;
use crate::domain::values::money::{Usd, promised, spent};
use crate::provider::wire::calls::{CREDITS, Call, LIST_MODELS, LIST_PROVIDERS, LIST_WORKSPACES};
use crate::provider::wire::error::Result;
use crate::provider::wire::json;
use crate::provider::wire::json::Unreadable;
use crate::provider::wire::pages::{ListRow, PageReader};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Credits {
    pub bought: Usd,
    pub used: Usd,
}

/// A workspace that the management key can see. Every key lies in one.
#[derive(Debug, Clone, Deserialize)]
pub struct Workspace {
    pub id: String,
}

#[derive(Deserialize)]
struct CreditsAnswer {
    #[serde(default, deserialize_with = "promised")]
    total_credits: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    total_usage: Option<Usd>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    canonical_slug: Option<String>,
    #[serde(default)]
    pricing: Value,
    #[serde(default)]
    expiration_date: Value,
}

#[derive(Deserialize)]
struct Seller {
    slug: String,
}

impl Credits {
    pub fn balance(self) -> Usd {
        self.bought - self.used
    }
}

impl Provider {
    /// Reads the account's credits. An ordinary key may be answered with zeros, so the key is
    /// checked before the answer is trusted (`check_management_key`).
    pub async fn credits(&self, deadline: Deadline) -> Result<Credits> {
        self.ask(CREDITS.request(), deadline, read_credits).await
    }

    pub async fn workspaces(&self, deadline: Deadline) -> Result<Vec<Workspace>> {
        PageReader::new(self, &LIST_WORKSPACES, "", &[])
            .all(|| deadline)
            .await
    }

    /// Lists the models that the provider offers.
    pub async fn models(&self, deadline: Deadline) -> Result<Vec<ListedModel>> {
        self.list(&LIST_MODELS, deadline, |model: Model| [listed(model)])
            .await
    }

    pub async fn providers(&self, deadline: Deadline) -> Result<BTreeSet<String>> {
        self.list(&LIST_PROVIDERS, deadline, |seller: Seller| [seller.slug])
            .await
    }

    async fn list<T: serde::de::DeserializeOwned, P: IntoIterator, L: FromIterator<P::Item>>(
        &self,
        call: &'static Call,
        deadline: Deadline,
        parts: impl Fn(T) -> P,
    ) -> Result<L> {
        self.ask(call.request(), deadline, |body| {
            let rows: Vec<T> = json::data(body)?;
            if rows.is_empty() {
                return Err(Unreadable("the list is empty".to_owned()));
            }
            Ok(rows.into_iter().flat_map(&parts).collect())
        })
        .await
    }
}

fn listed(model: Model) -> ListedModel {
    // Told of one token.
    let price = model.pricing["completion"]
        .as_str()
        .and_then(|price| Usd::parse_ceil(&format!("{price}e6")).ok());
    // A day, which nobody promises to stay without a time.
    let gone_on = model
        .expiration_date
        .as_str()
        .and_then(|text| text.get(..10)?.parse().ok());
    ListedModel {
        // Variants such as `:free` share the canonical slug of their model.
        canonical: model
            .canonical_slug
            .filter(|canonical| !model.id.contains(':') && *canonical != model.id),
        slug: model.id,
        answer_price: price.filter(|price| *price >= Usd::ZERO),
        gone_on,
    }
}

fn read_credits(body: &str) -> Result<Credits, Unreadable> {
    let credits: CreditsAnswer = json::data(body)?;
    match (credits.total_credits, credits.total_usage) {
        (Some(bought), Some(used)) => Ok(Credits { bought, used }),
        _ => Err(Unreadable(
            "the answer lacks what was bought or used".to_owned(),
        )),
    }
}

impl ListRow for Workspace {
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}
