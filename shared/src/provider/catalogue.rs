//! The providers whose models the provider sells, by their slugs.

use super::Provider;
use crate::prelude::*;
use crate::provider::wire::calls::LIST_PROVIDERS;
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::json::{self, Envelope, Unreadable};

#[derive(Deserialize)]
struct Row {
    slug: String,
}

impl Provider {
    /// Lists the slugs of all providers that models can be called at.
    pub async fn providers(&self, deadline: Deadline) -> Result<BTreeSet<String>, ProviderError> {
        let request = LIST_PROVIDERS.request();
        let listed = |body: &str| {
            let Envelope { data } = json::read::<Envelope<Vec<Row>>>(body)?;
            match data.is_empty() {
                true => Err(Unreadable("the list has no provider".to_owned())),
                false => Ok(data.into_iter().map(|row| row.slug).collect()),
            }
        };
        self.ask(request, deadline, listed).await
    }
}
