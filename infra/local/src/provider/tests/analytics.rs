//! Reports of usage by key, model and day.

use axum::http::StatusCode;
use jiff::ToSpan;

use super::*;
use crate::provider::ModelNames;

const CHEAP: &str = "openai/gpt-4o-mini";

/// The week that ends with the day on which simulators start.
fn week() -> Value {
    json!({ "start": "2026-11-12T00:00:00Z", "end": "2026-11-19T00:00:00Z" })
}

/// A report by key, model and day.
pub(super) fn whole() -> Value {
    json!({
        "metrics": ["total_usage", "credits_usage", "byok_usage", "request_count"],
        "dimensions": ["api_key_id", "model"],
        "granularity": "day",
        "time_range": week(),
        "order_by": { "field": "total_usage", "direction": "desc" },
    })
}

fn with(mut query: Value, change: Value) -> Value {
    let Value::Object(change) = change else { panic!("no object") };
    query.as_object_mut().unwrap().extend(change);
    query
}

impl Simulator {
    async fn query(&self, query: Value) -> Value {
        let (status, answer) = self.post("/analytics/query", query).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    fn spend_on(&self, hash: &str, usd: &str, days_ago: i64, model: &str) {
        let when = self.provider.now() - (24 * days_ago).hours();
        self.provider.spend(hash, Nano::parse(usd).unwrap(), when, model).unwrap();
    }
}

#[tokio::test]
async fn what_was_used_is_told_by_the_names_of_keys_by_model_and_by_day() {
    let simulator = Simulator::start().await;
    let (one, other) = (simulator.key(json!({ "name": "one" })).await, simulator.key(json!({ "name": "other" })).await);
    simulator.spend_on(&one.hash, "1.5", 1, CHEAP);
    simulator.spend_on(&one.hash, "0.5", 1, CHEAP);
    simulator.spend_on(&other.hash, "4", 0, CHEAP);
    simulator.provider.spend_byok(&one.hash, Nano::usd(1), simulator.provider.now(), CHEAP).unwrap();
    simulator.chat(&other.plaintext, DEAR, 1_000).await;
    let data = simulator.query(whole()).await;
    let row = |key: &str, model: &str, day: &str, credits: f64, byok: u64, requests: &str| {
        json!({ "date__day": day, "api_key_id": key, "model": model, "total_usage": number(credits + byok as f64),
            "credits_usage": number(credits), "byok_usage": byok, "request_count": requests })
    };
    let expected = json!([
        row("other", CHEAP, "2026-11-18", 4.0, 0, "1"),
        row("one", CHEAP, "2026-11-17", 2.0, 0, "2"),
        row("one", CHEAP, "2026-11-18", 0.0, 1, "1"),
        row("other", DEAR, "2026-11-18", 0.025_025, 0, "1"),
    ]);
    assert_eq!(data["data"], expected);
    assert_eq!(data["metadata"]["row_count"], 4);
    assert_eq!(data["metadata"]["truncated"], false);
    assert!(data["metadata"]["query_time_ms"].is_number() && data.get("warnings").is_none());
}

/// A JSON number; whole amounts are printed without a point.
fn number(amount: f64) -> Value {
    if amount.fract() == 0.0 { json!(amount as u64) } else { json!(amount) }
}

#[tokio::test]
async fn keys_of_one_name_are_one_row() {
    let simulator = Simulator::start().await;
    for _ in 0..2 {
        let key = simulator.key(json!({ "name": "twin" })).await;
        simulator.spend_on(&key.hash, "1", 0, CHEAP);
    }
    let data = simulator.query(whole()).await;
    assert_eq!((&data["data"][0]["credits_usage"], data["data"].as_array().unwrap().len()), (&json!(2), 1));
}

#[tokio::test]
async fn what_does_not_fit_is_left_out_from_the_end_and_said() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    for day in 0..5 {
        simulator.spend_on(&key.hash, &(day + 1).to_string(), day, CHEAP);
    }
    let spent = |data: &Value| -> Vec<u64> {
        data["data"].as_array().unwrap().iter().map(|row| row["total_usage"].as_u64().unwrap()).collect()
    };
    let data = simulator.query(with(whole(), json!({ "limit": 2 }))).await;
    assert_eq!((spent(&data), &data["metadata"]["truncated"]), (vec![5, 4], &json!(true)));
    assert_eq!(data["metadata"]["row_count"], 2);
    let data = simulator.query(with(whole(), json!({ "limit": 5 }))).await;
    assert_eq!(data["metadata"]["truncated"], false);
    let data = simulator.query(with(whole(), json!({ "group_limit": 3 }))).await;
    assert_eq!(spent(&data), [5, 4, 3]);

    simulator.provider.set_quirks(|quirks| {
        quirks.analytics_rows = 3;
        quirks.truncation_told = false;
    });
    let data = simulator.query(with(whole(), json!({ "limit": 5 }))).await;
    assert_eq!((spent(&data), data["metadata"].get("truncated")), (vec![5, 4, 3], None));
}

#[tokio::test]
async fn a_range_of_time_holds_its_first_instant_and_perhaps_its_last() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    for day in 0..4 {
        simulator.spend_on(&key.hash, "1", day, CHEAP);
    }
    let range = json!({ "time_range": { "start": "2026-11-16T00:00:00Z", "end": "2026-11-18T00:00:00Z" } });
    let days = async || simulator.query(with(whole(), range.clone())).await["data"].as_array().unwrap().len();
    assert_eq!(days().await, 2);
    simulator.provider.set_quirks(|quirks| quirks.end_of_range_included = true);
    assert_eq!(days().await, 3);
}

#[tokio::test]
async fn each_quirk_of_analytics_has_its_other_position() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    simulator.spend_on(&key.hash, "0.3", 0, CHEAP);
    simulator.delete(&format!("/keys/{}", key.hash)).await;
    let data = simulator.query(whole()).await;
    assert_eq!(data["data"][0]["api_key_id"], "n", "a deleted key keeps its name");
    simulator.provider.set_quirks(|quirks| {
        quirks.counts_as_strings = false;
        quirks.analytics_models = ModelNames::Display;
        quirks.analytics_cached = true;
        quirks.deleted_keys_forgotten = true;
        quirks.float_tails = true;
    });
    let data = simulator.query(whole()).await;
    let row = &data["data"][0];
    assert_eq!((&row["request_count"], &row["model"]), (&json!(1), &json!("OpenAI: GPT-4o-mini")));
    assert_eq!((&row["api_key_id"], &row["credits_usage"]), (&Value::Null, &json!(0.300_000_000_000_000_04)));
    assert_eq!(data["cachedAt"], simulator.provider.now().as_millisecond());
}

#[tokio::test]
async fn only_a_management_key_may_ask_and_only_what_makes_sense() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let ordinary = simulator.call(&key.plaintext, Method::POST, "/analytics/query", Some(whole())).await;
    assert_eq!((ordinary.0, message(&ordinary.1)), (403, "Only management keys can perform this operation"));
    let (day, later) = ("2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z");
    for change in [
        json!({ "metrics": null }),
        json!({ "metrics": [] }),
        json!({ "metrics": ["money"] }),
        json!({ "dimensions": ["api_key_id", "model", "user"] }),
        json!({ "granularity": "fortnight" }),
        json!({ "time_range": { "start": day } }),
        json!({ "time_range": { "start": later, "end": day } }),
        json!({ "time_range": { "start": day, "end": day } }),
        json!({ "time_range": { "start": "2026-11-18", "end": later } }),
        json!({ "time_range": { "start": "2026-11-18T00:00Z", "end": later } }),
        json!({ "time_range": { "start": "2025-11-18T00:00:00Z", "end": later } }),
        json!({ "limit": 0 }),
        json!({ "limit": 10_001 }),
        json!({ "order_by": { "field": "tokens_prompt", "direction": "desc" } }),
        json!({ "order_by": { "field": "total_usage", "direction": "down" } }),
    ] {
        let (status, refused) = simulator.post("/analytics/query", with(whole(), change.clone())).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!(400)), "{change}");
    }
    let (status, _) = simulator.send(Some(MANAGEMENT), Method::POST, "/analytics/query", Some("no json".into())).await;
    assert_eq!(status, 400);
    for status in [StatusCode::REQUEST_TIMEOUT, StatusCode::INTERNAL_SERVER_ERROR] {
        simulator.provider.set_quirks(|quirks| quirks.analytics_failure = Some(status));
        assert_eq!(simulator.post("/analytics/query", whole()).await.0, status.as_u16());
        assert_eq!(simulator.get("/activity?date=2026-11-17").await.0, status.as_u16());
    }
}

#[tokio::test]
async fn four_hundred_days_are_remembered_and_kept() {
    let kept = StateFile::in_memory().unwrap();
    let simulator = Simulator::over(kept.clone()).await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let noon = simulator.provider.now();
    let history: Vec<(Timestamp, Nano)> =
        (0..500).rev().map(|day| (noon - (24 * day).hours(), Nano::micros(day + 1))).collect();
    simulator.provider.spend_history(&key.hash, &history, CHEAP).unwrap();
    let year = with(
        whole(),
        json!({ "limit": 10_000, "time_range": { "start": "2025-11-19T00:00:00Z", "end": "2026-11-19T00:00:00Z" } }),
    );
    let before = simulator.query(year.clone()).await["data"].clone();
    assert_eq!(before.as_array().unwrap().len(), 365);
    let months = kept.all::<Value>("provider-days").unwrap();
    let days: usize = months.iter().map(|(_, rows)| rows.as_array().unwrap().len()).sum();
    assert_eq!((months.len(), days), (14, 401));
    let simulator = Simulator::over(kept).await;
    assert_eq!(simulator.query(year).await["data"], before);
    simulator.spend_on(&key.hash, "1", 0, CHEAP);
    let rows = simulator.query(whole()).await["data"].clone();
    let today = rows.as_array().unwrap().iter().find(|row| row["date__day"] == "2026-11-18").unwrap();
    assert_eq!(today["request_count"], "2");
}
