//! Where money goes: completions that spend it, the account's credits, and the reports of what was
//! used.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::Account;
use super::keys::instant;
use super::models::{MODELS, Model, model};
use super::quirks::time;
use super::windows::{Nano, Use, utc_day};
use super::{Answer, Caller, Manager, Provider, Refusal, Who, refuse};

pub(super) fn routes() -> Router<Provider> {
    Router::new()
        .route("/chat/completions", post(complete))
        .route("/credits", get(credits))
        .route("/analytics/query", post(by_key_and_model))
        .route("/models", get(models))
        .route("/providers", get(providers))
}

async fn models(State(provider): State<Provider>) -> Json<Value> {
    let quirks = &provider.account().quirks;
    // Prices of a token are told as texts.
    let object = |model: &&Model| {
        json!({
            "id": model.slug,
            "canonical_slug": model.canonical,
            "name": model.slug,
            "pricing": { "prompt": model.prompt.to_string(), "completion": model.completion.to_string() },
            "top_provider": { "max_completion_tokens": model.longest },
            "expiration_date": quirks.expiration_dates.get(model.slug).map(ToString::to_string),
        })
    };
    let now = provider.now();
    let listed = MODELS.iter().filter(|model| quirks.offers(model.slug, now));
    Json(json!({ "data": listed.map(|model| object(&model)).collect::<Vec<_>>() }))
}

async fn providers() -> Json<Value> {
    let slugs: BTreeSet<&str> = MODELS.iter().map(|model| model.provider).collect();
    let object = |slug| json!({ "name": slug, "slug": slug });
    Json(json!({ "data": slugs.into_iter().map(object).collect::<Vec<_>>() }))
}

// Completions

#[derive(Deserialize)]
struct Question {
    model: String,
    messages: Vec<Value>,
    max_tokens: Option<u64>,
}

/// A question with its model and the tokens that it has itself.
struct Order {
    model: &'static Model,
    prompt_tokens: u64,
    max_tokens: Option<u64>,
}

impl Order {
    /// The longest answer that it allows. Where it says nothing the model's own counts.
    fn longest(&self) -> u64 {
        self.max_tokens.unwrap_or(self.model.longest)
    }

    fn cost(&self, tokens: u64) -> Nano {
        self.model.prompt.times(self.prompt_tokens) + self.model.completion.times(tokens)
    }
}

/// An answer without content that costs what a real one would. It has exactly `max_tokens`, so that
/// a test knows its price.
async fn complete(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Answer {
    let (provider, hash) = provider.addressed(&headers)?;
    let (place, order) = {
        let now = provider.now();
        let mut account = provider.account();
        let place = account.usable(&hash, now)?;
        let Question {
            model: slug,
            messages,
            max_tokens,
        } = serde_json::from_slice(&body)?;
        let model = model(&slug)
            .filter(|model| account.quirks.offers(model.slug, now))
            .ok_or_else(|| refuse(400, format!("{slug} is not a valid model ID")))?;
        let chars: usize = messages
            .iter()
            .filter_map(|message| message["content"].as_str())
            .map(str::len)
            .sum();
        let prompt_tokens = (chars.div_ceil(4) + 3 * messages.len()) as u64;
        let order = Order {
            model,
            prompt_tokens,
            max_tokens,
        };
        admit(&mut account, place, &order, now)?;
        (place, order)
    };
    // Requests side by side know nothing of each other, since only what was charged is considered.
    tokio::task::yield_now().await;
    let tokens = order.max_tokens.unwrap_or(100);
    let cost = order.cost(tokens);
    let Order {
        model,
        prompt_tokens,
        max_tokens,
    } = order;
    let now = provider.now();
    provider.account().change(place, |key| {
        key.charge(model.slug, Use::request(cost, Nano::ZERO), now, now);
    })?;
    Ok(Json(json!({
        "id": format!("gen-{}", Uuid::new_v4()),
        "object": "chat.completion",
        "created": now.as_second(),
        "model": model.canonical,
        "system_fingerprint": null,
        "choices": [{
            "index": 0,
            "finish_reason": if max_tokens.is_some() { "length" } else { "stop" },
            "message": { "role": "assistant", "content": format!("A simulated answer of {tokens} tokens.") },
        }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
            "cost": cost,
        },
    })))
}

/// Checks whether a request may go to its model. A spent limit refuses free models too.
fn admit(
    account: &mut Account,
    place: usize,
    order: &Order,
    now: Timestamp,
) -> Result<(), Refusal> {
    let key = account.key(place);
    let balance = account.books.credits - account.used(now);
    let is_free = order.model.completion == Nano::ZERO;
    if balance < Nano::ZERO || (balance == Nano::ZERO && !is_free) {
        return Err(refuse(
            402,
            "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
        )
        .with(json!({ "limit_source": "openrouter_credits" })));
    }
    let guardrail = key
        .assignment
        .as_ref()
        .and_then(|assignment| account.guardrail(&assignment.guardrail));
    if guardrail.is_some_and(|guardrail| !guardrail.rules.allow(order.model)) {
        return Err(refuse(
            403,
            "No endpoints available matching your guardrail restrictions and data policy.",
        ));
    }
    if let Some(limit) = key.settings.limit {
        let spent = key.spent_in_window(now);
        let reset = key.settings.limit_reset;
        let window = reset.map_or("total".to_owned(), |reset| {
            format!("{reset:?}").to_lowercase()
        });
        if spent >= limit {
            let resets = reset.map_or_else(String::new, |reset| {
                format!("; resets {}", time(reset.end(now)))
            });
            let why = format!(
                "Key limit exceeded ({window} limit). Manage it using https://openrouter.ai/settings/keys. \
                 ${:.2} of ${:.2} used{resets}",
                spent.dollars(),
                limit.dollars()
            );
            return Err(refuse(403, why).with(json!({ "limit_source": "openrouter_key_limit" })));
        }
        let remedy = format!(
            "visit https://openrouter.ai/settings/keys and create a key with a higher {window} limit"
        );
        affordable(order, limit - spent, &remedy, "openrouter_key_limit")?;
    }
    let remedy = "visit https://openrouter.ai/settings/credits and add more credits";
    affordable(order, balance, remedy, "openrouter_credits")?;
    if account.quirks.in_flight_budget && !is_free {
        account
            .in_flight
            .hold(order.cost(order.longest()), balance, now)?;
    }
    Ok(())
}

/// Checks what question and answer may cost at most.
fn affordable(order: &Order, amount_left: Nano, remedy: &str, source: &str) -> Result<(), Refusal> {
    let Order {
        model,
        prompt_tokens,
        ..
    } = order;
    let most_prompt_tokens = amount_left.affords(model.prompt);
    let tokens = order.longest();
    let afforded = (amount_left - order.cost(0)).affords(model.completion);
    let what = if *prompt_tokens > most_prompt_tokens {
        format!("Prompt tokens limit exceeded: {prompt_tokens} > {most_prompt_tokens}.")
    } else if tokens > afforded {
        format!(
            "This request requires more credits, or fewer max_tokens. You requested up to {tokens} tokens, but can only \
             afford {afforded}."
        )
    } else {
        return Ok(());
    };
    Err(refuse(402, format!("{what} To increase, {remedy}"))
        .with(json!({ "limit_source": source })))
}

// Reports

/// An ordinary key gets zeros instead of a 403: a trap of the real provider.
async fn credits(caller: Caller) -> Answer {
    let now = caller.provider.now();
    let account = caller.provider.account();
    let (bought, used) = match caller.who {
        Who::Management(_) => (
            account.books.credits,
            account.used(now - 2 * account.quirks.lag),
        ),
        Who::Ordinary(_) => (Nano::ZERO, Nano::ZERO),
    };
    Ok(Json(
        json!({ "data": { "total_credits": bought, "total_usage": used } }),
    ))
}

#[derive(Deserialize)]
struct Report {
    time_range: Value,
    limit: usize,
    group_limit: Option<usize>,
    #[serde(flatten)]
    query: Value,
}

/// Usage by key, model and day, largest first. Only what the product asks for is answered. A row
/// names a key by its name, so keys of one name share it: a trap of the real provider.
async fn by_key_and_model(manager: Manager, body: Bytes) -> Answer {
    let Report {
        time_range,
        limit,
        group_limit,
        query,
    } = serde_json::from_slice(&body)?;
    let supported = json!({
        "metrics": ["total_usage", "credits_usage", "byok_usage", "request_count"],
        "dimensions": ["api_key_id", "model"],
        "granularity": "day",
        "order_by": { "field": "total_usage", "direction": "desc" },
    });
    if query != supported || !(1..=10_000).contains(&limit) {
        return Err(refuse(400, "The simulator knows no such query"));
    }
    let from = utc_day(instant(&time_range["start"])?);
    let until = utc_day(instant(&time_range["end"])?);
    let (_, account) = manager.account();
    let mut sums: BTreeMap<(Date, &str, &str), Use> = BTreeMap::new();
    for key in account.keys() {
        for (day, model, used) in key.used.days.between(from, until) {
            *sums.entry((day, &key.settings.name, model)).or_default() += used;
        }
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, used)| Reverse(used.total()));
    if let Some(most) = group_limit {
        let mut counts = HashMap::<(&str, &str), usize>::new();
        rows.retain(|((_, key, model), _)| {
            let count = counts.entry((key, model)).or_default();
            *count += 1;
            *count <= most
        });
    }
    let truncated = rows.len() > limit;
    let rows = rows.iter().take(limit).map(|((day, key, model), used)| {
        json!({
            "date__day": day,
            "api_key_id": key,
            "model": model,
            "total_usage": used.total(),
            "credits_usage": used.credit,
            "byok_usage": used.byok,
            "request_count": used.requests.to_string(),
        })
    });
    let rows: Vec<Value> = rows.collect();
    let metadata = json!({ "query_time_ms": 12, "row_count": rows.len(), "truncated": truncated });
    Ok(Json(
        json!({ "data": { "data": rows, "metadata": metadata } }),
    ))
}
