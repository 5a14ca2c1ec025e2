//! `GET /credits`: the amounts that the account bought and used.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::entrance::access::{Caller, caller};
use crate::provider::handle::Provider;
use crate::provider::values::money::Nano;
use crate::provider::values::refusal::Refusal;

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/credits", get(credits))
}

async fn credits(State(provider): State<Provider>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let (now, memory) = (provider.now(), provider.memory());
    let (bought, used) = match caller(&memory, &headers, now)? {
        Caller::Management(_) => (memory.account().credits, memory.used_as_told(now)),
        // An ordinary key gets zeros instead of a 403: a trap of the real provider.
        Caller::Ordinary(_) => (Nano::ZERO, Nano::ZERO),
    };
    Ok(Json(json!({
        "data": { "total_credits": bought.json(), "total_usage": used.json() },
    })))
}
