//! The few models that the simulated provider sells, at realistic prices and with realistic longest
//! answers.

use std::sync::LazyLock;

use serde::Deserialize;

use super::windows::Nano;

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) slug: &'static str,
    pub(super) canonical: &'static str,
    pub(super) provider: &'static str,
    #[serde(borrow)]
    pub(super) regions: Vec<&'static str>,
    /// The prices of a token of the question and of one of the answer.
    pub(super) prompt: Nano,
    pub(super) completion: Nano,
    /// The tokens of its longest answer.
    pub(super) longest: u64,
}

#[expect(clippy::expect_used, reason = "the list is a part of the program")]
pub(super) static MODELS: LazyLock<Vec<Model>> =
    LazyLock::new(|| serde_json::from_str(include_str!("models.json")).expect("a list of models"));

/// A model by either of its slugs.
pub(super) fn model(slug: &str) -> Option<&'static Model> {
    MODELS
        .iter()
        .find(|model| model.slug == slug || model.canonical == slug)
}
