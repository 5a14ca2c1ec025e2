//! The provider's public list of models.

use super::Provider;
use crate::prelude::*;
use crate::provider::wire::calls::LIST_MODELS;
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::json::{self, Envelope, Unreadable};

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    canonical_slug: Option<String>,
}

impl Provider {
    /// Lists the models that the provider offers to anybody, by each of their slugs.
    pub async fn models(&self, deadline: Deadline) -> Result<BTreeSet<String>, ProviderError> {
        let request = LIST_MODELS.request();
        let listed = |body: &str| {
            let Envelope { data } = json::read::<Envelope<Vec<Row>>>(body)?;
            match data.is_empty() {
                true => Err(Unreadable("the list has no model".to_owned())),
                false => Ok(slugs(data)),
            }
        };
        self.ask(request, deadline, listed).await
    }
}

fn slugs(rows: Vec<Row>) -> BTreeSet<String> {
    rows.into_iter().flat_map(|row| [Some(row.id), row.canonical_slug]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_either_of_its_slugs_and_unknown_fields_do_no_harm() {
        let body = r#"{"data": [
            {"id": "a/one", "canonical_slug": "a/one-2026", "pricing": {"prompt": "0.000001"}, "x": 1},
            {"id": "a/one:free", "canonical_slug": "a/one-2026"},
            {"id": "b/two"}
        ]}"#;
        let listed = slugs(json::read::<Envelope<Vec<Row>>>(body).unwrap().data);
        assert_eq!(Vec::from_iter(listed), ["a/one", "a/one-2026", "a/one:free", "b/two"]);
    }
}
