//! `GET /models` and `GET /providers`: the public lists, which need no key.

use std::collections::BTreeSet;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::handle::Provider;
use crate::provider::values::models::{self, Model};

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/models", get(list)).route("/providers", get(providers))
}

async fn list() -> Json<Value> {
    let object = |model: &Model| json!({ "id": model.slug, "canonical_slug": model.canonical, "name": model.name });
    Json(json!({ "data": models::all().iter().map(object).collect::<Vec<_>>() }))
}

async fn providers() -> Json<Value> {
    let slugs: BTreeSet<&str> = models::all().iter().map(|model| model.provider).collect();
    let rows = slugs.into_iter().map(|slug| json!({ "name": slug, "slug": slug }));
    Json(json!({ "data": rows.collect::<Vec<_>>() }))
}
