//! The few models that the simulator sells, at prices per token like the real ones, and the lists of them. Their answers are
//! `completions.rs`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Provider;
use super::access::{Caller, caller};
use super::asked::Parameters;
use super::errors::Refusal;
use super::limits::guardrails;
use super::money::Nano;

pub(super) struct Model {
    pub(super) slug: &'static str,
    pub(super) canonical: &'static str,
    pub(super) name: &'static str,
    group: &'static str,
    pub(super) provider: &'static str,
    /// For one token.
    pub(super) prompt: Nano,
    pub(super) completion: Nano,
    context: u64,
    pub(super) max_completion: u64,
    created: i64,
    pub(super) zero_retention: bool,
    pub(super) trains: bool,
}

static MODELS: [Model; 8] = [
    Model {
        slug: "anthropic/claude-opus-4.5",
        canonical: "anthropic/claude-4.5-opus-20251124",
        name: "Anthropic: Claude Opus 4.5",
        group: "Claude",
        provider: "anthropic",
        prompt: Nano::nanos(5_000),
        completion: Nano::nanos(25_000),
        context: 200_000,
        max_completion: 64_000,
        created: 1_764_010_580,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "anthropic/claude-sonnet-4.5",
        canonical: "anthropic/claude-4.5-sonnet-20250929",
        name: "Anthropic: Claude Sonnet 4.5",
        group: "Claude",
        provider: "anthropic",
        prompt: Nano::nanos(3_000),
        completion: Nano::nanos(15_000),
        context: 1_000_000,
        max_completion: 64_000,
        created: 1_759_161_676,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "openai/gpt-5-mini",
        canonical: "openai/gpt-5-mini-2025-08-07",
        name: "OpenAI: GPT-5 Mini",
        group: "GPT",
        provider: "openai",
        prompt: Nano::nanos(250),
        completion: Nano::nanos(2_000),
        context: 400_000,
        max_completion: 128_000,
        created: 1_754_587_407,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "openai/gpt-4o-mini",
        canonical: "openai/gpt-4o-mini",
        name: "OpenAI: GPT-4o-mini",
        group: "GPT",
        provider: "openai",
        prompt: Nano::nanos(150),
        completion: Nano::nanos(600),
        context: 128_000,
        max_completion: 16_384,
        created: 1_721_260_800,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "google/gemini-2.5-flash",
        canonical: "google/gemini-2.5-flash",
        name: "Google: Gemini 2.5 Flash",
        group: "Gemini",
        provider: "google-vertex",
        prompt: Nano::nanos(300),
        completion: Nano::nanos(2_500),
        context: 1_048_576,
        max_completion: 65_535,
        created: 1_750_172_488,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "deepseek/deepseek-r1-0528",
        canonical: "deepseek/deepseek-r1-0528",
        name: "DeepSeek: R1 0528",
        group: "DeepSeek",
        provider: "deepseek",
        prompt: Nano::nanos(500),
        completion: Nano::nanos(2_180),
        context: 163_840,
        max_completion: 163_840,
        created: 1_748_455_170,
        zero_retention: false,
        trains: true,
    },
    Model {
        slug: "meta-llama/llama-3.3-70b-instruct",
        canonical: "meta-llama/llama-3.3-70b-instruct",
        name: "Meta: Llama 3.3 70B Instruct",
        group: "Llama3",
        provider: "deepinfra",
        prompt: Nano::nanos(100),
        completion: Nano::nanos(320),
        context: 131_072,
        max_completion: 16_384,
        created: 1_733_506_137,
        zero_retention: true,
        trains: false,
    },
    Model {
        slug: "meta-llama/llama-3.3-70b-instruct:free",
        canonical: "meta-llama/llama-3.3-70b-instruct:free",
        name: "Meta: Llama 3.3 70B Instruct (free)",
        group: "Llama3",
        provider: "venice",
        prompt: Nano::ZERO,
        completion: Nano::ZERO,
        context: 65_536,
        max_completion: 16_384,
        created: 1_733_506_137,
        zero_retention: false,
        trains: true,
    },
];

/// A model by either of its slugs.
pub(super) fn find(slug: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.slug == slug || model.canonical == slug)
}

pub(super) fn routes() -> Router<Provider> {
    Router::new().route("/models", get(list)).route("/models/user", get(list_for_key))
}

/// Public: a bad key changes nothing.
async fn list(asked: Parameters) -> Result<Json<Value>, Refusal> {
    page(&MODELS.iter().collect::<Vec<_>>(), &asked)
}

/// What is left of the list under the guardrails of the key that asks.
async fn list_for_key(
    State(provider): State<Provider>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Json<Value>, Refusal> {
    let memory = provider.memory();
    let models: Vec<&Model> = match caller(&memory, &headers, provider.now())? {
        Caller::Management(_) => MODELS.iter().collect(),
        Caller::Ordinary(place) => {
            let over: Vec<_> = guardrails(&memory, memory.key(place)).collect();
            MODELS.iter().filter(|model| over.iter().all(|guardrail| guardrail.allows(model))).collect()
        }
    };
    page(&models, &asked)
}

fn page(models: &[&Model], asked: &Parameters) -> Result<Json<Value>, Refusal> {
    let (offset, limit) = (asked.offset()?, asked.number("limit", 500, 1..=1_000)?);
    let data: Vec<Value> = models.iter().skip(offset).take(limit).map(|model| model.object()).collect();
    Ok(Json(json!({ "data": data, "links": { "next": null }, "total_count": models.len() })))
}

impl Model {
    pub(super) fn is_free(&self) -> bool {
        self.slug.ends_with(":free")
    }

    pub(super) fn author(&self) -> &'static str {
        self.slug.split('/').next().unwrap_or_default()
    }

    fn object(&self) -> Value {
        json!({
            "id": self.slug,
            "canonical_slug": self.canonical,
            "name": self.name,
            "created": self.created,
            "context_length": self.context,
            "architecture": {
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "tokenizer": self.group,
                "instruct_type": null,
            },
            "pricing": { "prompt": self.prompt.to_string(), "completion": self.completion.to_string() },
            "top_provider": {
                "context_length": self.context,
                "max_completion_tokens": self.max_completion,
                "is_moderated": false,
            },
            "per_request_limits": null,
            "supported_parameters": ["max_tokens", "stop", "temperature"],
            "supported_voices": null,
            "default_parameters": null,
            "links": { "details": format!("/api/v1/models/{}/endpoints", self.canonical) },
        })
    }
}
