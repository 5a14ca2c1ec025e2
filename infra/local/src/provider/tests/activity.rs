//! The account's usage by model on completed days.

use jiff::ToSpan;

use super::*;

const CHEAP: &str = "openai/gpt-4o-mini";

async fn two_keys() -> Simulator {
    let simulator = Simulator::start().await;
    let (one, other) = (simulator.key(json!({ "name": "one" })).await, simulator.key(json!({ "name": "other" })).await);
    let yesterday = simulator.provider.now() - 24.hours();
    let spend = |key: &Held, dollars, model| {
        simulator.provider.spend(&key.hash, Nano::usd(dollars), yesterday, model).unwrap();
    };
    spend(&one, 1, CHEAP);
    spend(&one, 2, DEAR);
    spend(&other, 4, CHEAP);
    simulator.provider.spend_byok(&other.hash, Nano::usd(8), yesterday, CHEAP).unwrap();
    simulator
}

async fn rows(simulator: &Simulator, query: &str) -> Vec<Value> {
    let (status, answer) = simulator.get(&format!("/activity{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn rows_are_by_day_and_endpoint_and_name_no_key() {
    let simulator = two_keys().await;
    let rows = rows(&simulator, "?date=2026-11-17").await;
    let told: Vec<_> =
        rows.iter().map(|row| (row["model"].as_str().unwrap(), &row["usage"], &row["byok_usage_inference"])).collect();
    let (none, five, two, eight) = (json!(0), json!(5), json!(2), json!(8));
    assert_eq!(told, [(CHEAP, &none, &eight), (CHEAP, &five, &none), (DEAR, &two, &none)]);
    assert_ne!(rows[0]["endpoint_id"], rows[1]["endpoint_id"], "a model may have several endpoints");
    assert_eq!(rows[2]["model_permaslug"], "anthropic/claude-4.5-opus-20251124");
    assert_eq!((&rows[1]["requests"], &rows[1]["date"]), (&json!(2), &json!("2026-11-17")));
    for row in &rows {
        let fields: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert!(!fields.iter().any(|field| field.contains("key") || *field == "workspace_id"), "{fields:?}");
    }
    simulator.provider.set_quirks(|quirks| quirks.activity_days_with_time = true);
    assert_eq!(self::rows(&simulator, "?date=2026-11-17").await[0]["date"], "2026-11-17 00:00:00");
}

#[tokio::test]
async fn only_the_last_thirty_completed_days_are_told() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let noon = simulator.provider.now();
    for day in 0..40 {
        simulator.provider.spend(&key.hash, Nano::usd(1), noon - (24 * day).hours(), CHEAP).unwrap();
    }
    for (day, rows) in [("2026-11-17", 1), ("2026-10-19", 1)] {
        assert_eq!(self::rows(&simulator, &format!("?date={day}")).await.len(), rows, "{day}");
    }
    for (day, status) in [("2026-11-18", 400), ("2026-10-18", 400), ("2026-10-19", 200), ("yesterday", 400), ("", 400)]
    {
        assert_eq!(simulator.get(&format!("/activity?date={day}")).await.0, status, "{day}");
    }
}
