//! `POST /chat/completions`: answers without content that cost what real ones would, equal for equal
//! requests. With `max_tokens` the answer has exactly that length, so that a test knows its price.

pub(crate) mod limits;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::limits::{Order, admit};
use super::entrance::access::spender;
use super::handle::Provider;
use super::memory::account::Charge;
use super::values::asked::{Fields, not_null, required};
use super::values::money::Nano;
use super::values::refusal::Refusal;
use super::values::{ids, models};

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/chat/completions", post(complete))
}

async fn complete(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let (place, order, stream) = {
        let (now, memory) = (provider.now(), provider.memory());
        let place = spender(&memory, &headers, now).map_err(Refusal::naming_user)?;
        let (order, stream) = asked_for(&body).map_err(Refusal::naming_user)?;
        admit(&memory, memory.key(place), &order, now).map_err(Refusal::naming_user)?;
        (place, order, stream)
    };
    // Between the check and the charge, concurrent requests do not know of this one.
    tokio::task::yield_now().await;
    let answer = Answer::to(&order, &body);
    let cost = order.model.prompt.times(order.prompt_tokens) + order.model.completion.times(answer.tokens);
    let charge = Charge { place, credit: cost, byok: Nano::ZERO, model: order.model.slug.to_owned() };
    let now = provider.now();
    let mut memory = provider.memory();
    memory.completions += 1;
    let id = format!("gen-{}-{}", now.as_second(), ids::derived_uuid(&format!("{now} {}", memory.completions)));
    let completion = answer.object(&id, &order, &charge, now);
    if memory.quirks.hold_settlement {
        memory.held.push(charge);
    } else {
        memory.settle(&charge, now, now)?;
    }
    Ok(if stream { streamed(completion) } else { Json(completion).into_response() })
}

struct Answer {
    tokens: u64,
    finish_reason: &'static str,
}

impl Answer {
    fn to(order: &Order, body: &[u8]) -> Answer {
        match order.max_tokens {
            Some(tokens) => Answer { tokens, finish_reason: "length" },
            None => {
                let spread = u64::from_str_radix(&ids::sha256(&String::from_utf8_lossy(body))[..2], 16).unwrap_or(0);
                Answer { tokens: 32 + spread, finish_reason: "stop" }
            }
        }
    }

    fn object(&self, id: &str, order: &Order, charge: &Charge, now: Timestamp) -> Value {
        json!({
            "id": id,
            "object": "chat.completion",
            "created": now.as_second(),
            "model": order.model.canonical,
            "provider": order.model.provider,
            "system_fingerprint": null,
            "choices": [{
                "index": 0,
                "finish_reason": self.finish_reason,
                "native_finish_reason": self.finish_reason,
                "logprobs": null,
                "message": {
                    "role": "assistant",
                    "content": format!("A simulated answer of {} tokens.", self.tokens),
                    "refusal": null,
                    "reasoning": null,
                },
            }],
            "usage": {
                "prompt_tokens": order.prompt_tokens,
                "completion_tokens": self.tokens,
                "total_tokens": order.prompt_tokens + self.tokens,
                "cost": charge.credit.json(),
                "is_byok": false,
                "cost_details": {
                    "upstream_inference_cost": null,
                    "upstream_inference_prompt_cost": order.model.prompt.times(order.prompt_tokens).json(),
                    "upstream_inference_completions_cost": order.model.completion.times(self.tokens).json(),
                },
            },
        })
    }
}

fn asked_for(body: &[u8]) -> Result<(Order, bool), Refusal> {
    let fields = Fields::parse(body)?;
    let slug = required("model", fields.text("model", 1..=200)?)?;
    let model = models::find(&slug).ok_or_else(|| Refusal::bad_request(format!("{slug} is not a valid model ID")))?;
    let messages = fields.read("messages", "must be a list of at least one message", |messages| {
        let messages = messages.as_array().filter(|messages| !messages.is_empty())?;
        let lengths =
            messages.iter().map(|message| message["role"].is_string().then(|| text_length(&message["content"])));
        lengths.sum::<Option<u64>>().map(|chars| chars.div_ceil(4) + 3 * messages.len() as u64)
    })?;
    let positive = |value: &Value| value.as_u64().filter(|tokens| *tokens > 0);
    let max_tokens = fields.read("max_tokens", "must be a number above zero", positive)?.flatten();
    let newer = fields.read("max_completion_tokens", "must be a number above zero", positive)?.flatten();
    let order = Order { model, prompt_tokens: required("messages", messages)?, max_tokens: newer.or(max_tokens) };
    Ok((order, not_null("stream", fields.flag("stream")?)?.unwrap_or(false)))
}

fn text_length(content: &Value) -> u64 {
    match content {
        Value::String(text) => text.chars().count() as u64,
        Value::Array(parts) => parts.iter().map(|part| text_length(&part["text"])).sum(),
        _ => 0,
    }
}

/// An answer as server-sent events: word by word, then the usage.
fn streamed(completion: Value) -> Response {
    let mut chunk = completion;
    let usage = chunk["usage"].take();
    let choice = chunk["choices"][0].take();
    chunk["object"] = "chat.completion.chunk".into();
    chunk["system_fingerprint"] = "simulated".into();
    if let Value::Object(chunk) = &mut chunk {
        chunk.remove("usage");
    }
    let mut body = ": OPENROUTER PROCESSING\n\n".to_owned();
    let mut send = |delta: Value, finish_reason: &Value, usage: Option<&Value>| {
        chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": null }]);
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        body += &format!("data: {chunk}\n\n");
    };
    for word in choice["message"]["content"].as_str().unwrap_or_default().split_inclusive(' ') {
        send(json!({ "role": "assistant", "content": word }), &Value::Null, None);
    }
    send(json!({ "role": "assistant", "content": "" }), &choice["finish_reason"], None);
    send(json!({ "role": "assistant", "content": "" }), &Value::Null, Some(&usage));
    body += "data: [DONE]\n\n";
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
