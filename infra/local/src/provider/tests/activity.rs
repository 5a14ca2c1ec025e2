//! What the account used by model on completed days.

use jiff::ToSpan;

use super::*;

const CHEAP: &str = "openai/gpt-4o-mini";

async fn two_keys() -> (Simulator, Held, Held) {
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
    (simulator, one, other)
}

async fn rows(simulator: &Simulator, query: &str) -> Vec<Value> {
    let (status, answer) = simulator.get(&format!("/activity{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn rows_are_by_day_and_endpoint_and_name_no_key() {
    let (simulator, ..) = two_keys().await;
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
    assert_eq!(self::rows(&simulator, "").await[0]["date"], "2026-11-17 00:00:00");
}

#[tokio::test]
async fn only_the_last_thirty_completed_days_are_told() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let noon = simulator.provider.now();
    for day in 0..40 {
        simulator.provider.spend(&key.hash, Nano::usd(1), noon - (24 * day).hours(), CHEAP).unwrap();
    }
    let rows = rows(&simulator, "").await;
    assert_eq!((rows.len(), &rows[0]["date"], &rows[29]["date"]), (30, &json!("2026-11-17"), &json!("2026-10-19")));
    for (day, status) in [("2026-11-18", 400), ("2026-10-18", 400), ("2026-10-19", 200), ("yesterday", 400)] {
        assert_eq!(simulator.get(&format!("/activity?date={day}")).await.0, status, "{day}");
    }
}

#[tokio::test]
async fn a_key_a_workspace_and_a_person_narrow_it_down() {
    let (simulator, one, _) = two_keys().await;
    let elsewhere = simulator.workspace("elsewhere").await;
    let home = simulator.default_workspace().await["id"].as_str().unwrap().to_owned();
    let nobody = "f".repeat(64);
    let count = async |query: String| rows(&simulator, &query).await.len();
    assert_eq!(count(format!("?api_key_hash={}", one.hash)).await, 2);
    assert_eq!(count(format!("?workspace_id={home}")).await, 3);
    assert_eq!(count(format!("?workspace_id={elsewhere}")).await, 0);
    assert_eq!(count("?user_id=user_nobody".to_owned()).await, 0);
    simulator.patch(&format!("/keys/{}", one.hash), json!({ "workspace_id": elsewhere })).await;
    let split = rows(&simulator, "?group_by=workspace").await;
    assert_eq!(split.iter().filter(|row| row["workspace_id"] == json!(elsewhere)).count(), 2);
    assert_eq!(split.len(), 4);
    for (query, status) in [
        (format!("?api_key_hash={nobody}"), 404),
        ("?workspace_id=00000000-0000-4000-8000-000000000000".to_owned(), 404),
        ("?workspace_id=default".to_owned(), 400),
        ("?group_by=model".to_owned(), 400),
    ] {
        assert_eq!(simulator.get(&format!("/activity{query}")).await.0, status, "{query}");
    }
    assert_eq!(simulator.call(&one.plaintext, Method::GET, "/activity", None).await.0, 403);
}
