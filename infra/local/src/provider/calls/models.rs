//! `GET /models` and `GET /providers`: the public lists, which need no key.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::handle::Provider;
use crate::provider::values::models::{self, Model};

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/models", get(list)).route("/providers", get(providers))
}

async fn list(State(provider): State<Provider>) -> Json<Value> {
    let memory = provider.memory();
    let object = |model: &Model| {
        let (prompt, completion) = memory.listed.price(model)?;
        Some(json!({
            "id": model.slug,
            "canonical_slug": model.canonical,
            "name": model.name,
            "pricing": { "prompt": prompt.dollars(), "completion": completion.dollars() },
        }))
    };
    Json(json!({ "data": models::all().iter().filter_map(object).collect::<Vec<_>>() }))
}

async fn providers() -> Json<Value> {
    let slugs: BTreeSet<&str> = models::all().iter().map(|model| model.provider).collect();
    let rows = slugs.into_iter().map(|slug| json!({ "name": slug, "slug": slug }));
    Json(json!({ "data": rows.collect::<Vec<_>>() }))
}
