//! `GET /key`: a key's data about itself, including whether it is a management key.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::entrance::access::{Caller, caller};
use crate::provider::handle::Provider;
use crate::provider::inference::limits::Budget;
use crate::provider::memory::key::Key;
use crate::provider::values::money::Nano;
use crate::provider::values::refusal::Refusal;

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/key", get(own))
}

async fn own(State(provider): State<Provider>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let (now, memory) = (provider.now(), provider.memory());
    let caller = caller(&memory, &headers, now)?;
    let (key, management) = match caller {
        Caller::Ordinary(place) => (memory.key(place).clone(), false),
        Caller::Management(label) => (Key::blank(String::new(), label, String::new(), now), true),
    };
    let budget = Budget::of(&key, now).map(|budget| budget.object(now));
    let mut data = key.counters(now, &memory.quirks);
    let rest = json!({
        "is_free_tier": memory.account().credits <= Nano::ZERO,
        "is_management_key": management,
        "is_provisioning_key": management,
        "rate_limit": { "requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore." },
        "workspace_id": (!management).then_some(&key.workspace),
        "organization_id": null,
        "allowed_data_regions": ["global"],
        // The SDK's models require the field.
        "free_model_daily_requests": { "used": 0, "limit": 1_000, "remaining": 1_000 },
        "budgets": budget.iter().collect::<Vec<_>>(),
        "effective_budget": budget,
    });
    data.extend(rest.as_object().cloned().unwrap_or_default());
    Ok(Json(json!({ "data": memory.quirks.printed(data) })))
}
