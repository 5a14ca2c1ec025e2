//! The few models that the simulator sells, at realistic prices per token.

use super::money::Nano;

pub(crate) struct Model {
    pub(crate) slug: &'static str,
    pub(crate) canonical: &'static str,
    pub(crate) name: &'static str,
    pub(crate) provider: &'static str,
    /// The price of one token of the question.
    pub(crate) prompt: Nano,
    /// The price of one token of the answer.
    pub(crate) completion: Nano,
    pub(crate) data: Data,
}

/// The data policy of the model's provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Forgets,
    Trains,
}

static MODELS: [Model; 9] = [
    model(
        ["anthropic/claude-opus-4.5", "anthropic/claude-4.5-opus-20251124", "Anthropic: Claude Opus 4.5", "anthropic"],
        [5_000, 25_000],
        Data::Forgets,
    ),
    model(
        [
            "anthropic/claude-sonnet-4.5",
            "anthropic/claude-4.5-sonnet-20250929",
            "Anthropic: Claude Sonnet 4.5",
            "anthropic",
        ],
        [3_000, 15_000],
        Data::Forgets,
    ),
    model(
        ["openai/gpt-5-mini", "openai/gpt-5-mini-2025-08-07", "OpenAI: GPT-5 Mini", "openai"],
        [250, 2_000],
        Data::Forgets,
    ),
    model(["openai/gpt-4o", "openai/gpt-4o", "OpenAI: GPT-4o", "openai"], [2_500, 10_000], Data::Forgets),
    model(["openai/gpt-4o-mini", "openai/gpt-4o-mini", "OpenAI: GPT-4o-mini", "openai"], [150, 600], Data::Forgets),
    model(
        ["google/gemini-2.5-flash", "google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "google-vertex"],
        [300, 2_500],
        Data::Forgets,
    ),
    model(
        ["deepseek/deepseek-r1-0528", "deepseek/deepseek-r1-0528", "DeepSeek: R1 0528", "deepseek"],
        [500, 2_180],
        Data::Trains,
    ),
    model(
        [
            "meta-llama/llama-3.3-70b-instruct",
            "meta-llama/llama-3.3-70b-instruct",
            "Meta: Llama 3.3 70B Instruct",
            "deepinfra",
        ],
        [100, 320],
        Data::Forgets,
    ),
    model(
        [
            "meta-llama/llama-3.3-70b-instruct:free",
            "meta-llama/llama-3.3-70b-instruct:free",
            "Meta: Llama 3.3 70B Instruct (free)",
            "venice",
        ],
        [0, 0],
        Data::Trains,
    ),
];

const fn model(names: [&'static str; 4], nanos_per_token: [i64; 2], data: Data) -> Model {
    let [slug, canonical, name, provider] = names;
    let [prompt, completion] = nanos_per_token;
    Model { slug, canonical, name, provider, prompt: Nano::nanos(prompt), completion: Nano::nanos(completion), data }
}

/// Every model.
pub(crate) fn all() -> &'static [Model] {
    &MODELS
}

/// A model by either of its slugs.
pub(crate) fn find(slug: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.slug == slug || model.canonical == slug)
}

impl Model {
    pub(crate) fn is_free(&self) -> bool {
        self.slug.ends_with(":free")
    }

    /// The regions in which it can be called.
    pub(crate) fn regions(&self) -> &'static [&'static str] {
        match self.provider {
            "google-vertex" => &["europe", "us"],
            "deepseek" => &[],
            _ => &["us"],
        }
    }

    pub(crate) fn author(&self) -> &'static str {
        self.slug.split('/').next().unwrap_or_default()
    }
}
