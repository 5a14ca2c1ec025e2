//! `GET /activity`: the account's usage by model and endpoint on one of the last 30 completed UTC days,
//! without its keys.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::days::{DayUse, Row};
use crate::provider::values::asked::{Parameters, invalid};
use crate::provider::values::refusal::Refusal;
use crate::provider::values::windows::utc_day;
use crate::provider::values::{ids, models};

const DAYS: i64 = 30;

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/activity", get(activity))
}

async fn activity(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let (today, memory) = (utc_day(provider.now()), provider.memory());
    let day = asked.get("date").filter(|day| day.len() == 10).and_then(|day| day.parse::<Date>().ok());
    let day = day.ok_or_else(|| invalid("date", "must be a day"))?;
    if !(today.saturating_sub(DAYS.days())..today).contains(&day) {
        return Err(Refusal::bad_request("Date must be within the last 30 (completed) UTC days"));
    }
    if let Some(status) = memory.quirks.analytics_failure {
        return Err(Refusal::failed(status));
    }
    // BYOK usage has an endpoint of its own.
    let mut endpoints: BTreeMap<(&str, bool), DayUse> = BTreeMap::new();
    for (_, Row { model, byok, used, .. }) in memory.days.between(day, day.saturating_add(1.day())) {
        *endpoints.entry((model, *byok)).or_default() += *used;
    }
    let rows = endpoints.iter().rev().map(|((model, byok), used)| row(day, model, *byok, used));
    Ok(Json(json!({ "data": rows.collect::<Vec<_>>() })))
}

fn row(day: Date, model: &str, byok: bool, used: &DayUse) -> Value {
    let known = models::find(model);
    let permaslug = known.map_or(model, |known| known.canonical);
    let endpoint = format!("endpoint of {permaslug}{}", if byok { " with the account's own key" } else { "" });
    json!({
        "date": day.to_string(),
        "model": model,
        "model_permaslug": permaslug,
        "endpoint_id": ids::derived_uuid(&endpoint),
        "provider_name": known.map_or("unknown", |known| known.provider),
        "usage": used.credit.json(),
        "byok_usage_inference": used.byok.json(),
        "requests": used.requests,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
    })
}
