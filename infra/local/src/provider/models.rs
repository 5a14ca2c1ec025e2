//! The few models that the simulated provider sells.

use super::windows::Nano;

pub(super) struct Model {
    pub(super) slug: &'static str,
    pub(super) canonical: &'static str,
    pub(super) provider: &'static str,
    pub(super) regions: &'static [&'static str],
    /// The prices of a token of the question and of one of the answer.
    pub(super) prompt: Nano,
    pub(super) completion: Nano,
    /// The tokens of its longest answer.
    pub(super) longest: u64,
}

const fn sold(
    slug: &'static str,
    canonical: &'static str,
    provider: &'static str,
    regions: &'static [&'static str],
    [prompt, completion]: [i64; 2],
    longest: u64,
) -> Model {
    Model {
        slug,
        canonical,
        provider,
        regions,
        prompt: Nano::nanos(prompt),
        completion: Nano::nanos(completion),
        longest,
    }
}

/// At realistic prices and with realistic longest answers.
pub(super) static MODELS: [Model; 9] = [
    sold(
        "anthropic/claude-opus-4.5",
        "anthropic/claude-4.5-opus-20251124",
        "anthropic",
        &["us"],
        [5_000, 25_000],
        64_000,
    ),
    sold(
        "anthropic/claude-sonnet-4.5",
        "anthropic/claude-4.5-sonnet-20250929",
        "anthropic",
        &["us"],
        [3_000, 15_000],
        64_000,
    ),
    sold("openai/gpt-5-mini", "openai/gpt-5-mini-2025-08-07", "openai", &["us"], [250, 2_000], 128_000),
    sold("openai/gpt-4o", "openai/gpt-4o", "openai", &["us"], [2_500, 10_000], 16_384),
    sold("openai/gpt-4o-mini", "openai/gpt-4o-mini", "openai", &["us"], [150, 600], 16_384),
    sold(
        "google/gemini-2.5-flash",
        "google/gemini-2.5-flash",
        "google-vertex",
        &["europe", "us"],
        [300, 2_500],
        65_535,
    ),
    sold("deepseek/deepseek-r1-0528", "deepseek/deepseek-r1-0528", "deepseek", &[], [500, 2_180], 32_768),
    sold(
        "meta-llama/llama-3.3-70b-instruct",
        "meta-llama/llama-3.3-70b-instruct",
        "deepinfra",
        &["us"],
        [100, 320],
        16_384,
    ),
    sold(
        "meta-llama/llama-3.3-70b-instruct:free",
        "meta-llama/llama-3.3-70b-instruct:free",
        "venice",
        &["us"],
        [0, 0],
        16_384,
    ),
];

/// A model by either of its slugs.
pub(super) fn model(slug: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.slug == slug || model.canonical == slug)
}
