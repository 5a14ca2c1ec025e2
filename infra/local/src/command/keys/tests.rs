//! The listing against the simulated provider, and against answers that this never gives.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::*;
use crate::base::serve::on_a_free_port;
use crate::provider::{MadeKey, Nano, Provider as Simulator};

const MANAGEMENT: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn noon() -> Timestamp {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

fn simulator() -> Simulator {
    Simulator::new(StateFile::in_memory().unwrap(), Clock::reading(noon), MANAGEMENT).unwrap()
}

/// An account with an old key that nobody used, one that was used, and a young one of another name.
fn account() -> (Simulator, [MadeKey; 3]) {
    let simulator = simulator();
    let make = |name, limit, days| simulator.add_foreign_key(name, Nano::parse(limit), noon() - DAY * days).unwrap();
    let keys = [make("course/old", "", 40), make("course/used", "20", 40), make("thesis", "", 1)];
    for (key, amount, ago) in [(1, "7", 31), (1, "3", 30), (1, "0.25", 1), (1, "9", 0), (2, "1", 1)] {
        let amount = Nano::parse(amount).unwrap();
        simulator.spend(&keys[key].hash, amount, noon() - DAY * ago, "openai/gpt-4o-mini").unwrap();
    }
    (simulator, keys)
}

/// Serves the router, and records the requests.
async fn serve(router: Router) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let router = router.layer(from_fn(move |request: Request, next: Next| {
        log.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
        next.run(request)
    }));
    (format!("{}/api/v1", on_a_free_port(router).await), asked)
}

async fn shown(base: &str, management_key: &str, pattern: Option<&str>, json: bool) -> Result<String> {
    let account = Account {
        base: base.to_owned(),
        management_key: management_key.to_owned(),
        clock: Clock::reading(noon),
        table: None,
    };
    let mut out = Vec::new();
    run(KeysOptions { account, pattern: pattern.map(str::to_owned), json, assess: true }, &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn listing(base: &str, pattern: Option<&str>) -> Value {
    serde_json::from_str(&shown(base, MANAGEMENT, pattern, true).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_key_is_listed_and_the_totals_and_what_a_term_would_cost_are_of_those_that_match() {
    let (simulator, [old, used, _]) = account();
    let (base, asked) = serve(simulator.router()).await;
    let all = listing(&base, None).await;
    let names: Vec<&Value> = all["keys"].as_array().unwrap().iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["thesis", "course/used", "course/old"]);
    let totals = json!({
        "keys": 3, "usage_usd": "20.250000", "balance_usd": "979.750000", "without_limit": 2, "unused_30_days": 1
    });
    let assessed = json!({
        "without_limit": 2, "unused_30_days": 1, "last_30_days_usd": "4.250000", "term_usd": "17.000000",
        "prefixes": [
            {"prefix": "course/", "keys": 2, "usage_usd": "19.250000"},
            {"prefix": "", "keys": 1, "usage_usd": "1.000000"},
        ],
    });
    assert_eq!((&all["totals"], &all["assess"]), (&totals, &assessed));

    let course = listing(&base, Some("course/*")).await;
    assert_eq!((&course["totals"]["keys"], &course["totals"]["usage_usd"]), (&json!(2), &json!("19.250000")));
    assert_eq!(course["assess"]["last_30_days_usd"], "3.250000");
    let mut key = course["keys"][0].clone();
    assert!(key.as_object_mut().unwrap().remove("workspace").unwrap().is_string());
    let expected = json!({
        "hash": used.hash, "name": "course/used", "state": "enabled",
        "usage_usd": "19.250000", "usage_daily_usd": "9.000000", "usage_weekly_usd": "9.250000",
        "usage_monthly_usd": "9.250000", "limit_usd": "20.000000",
        "last_used_at": "2026-11-18T12:00:00Z", "created_at": "2026-10-09T12:00:00Z",
    });
    assert_eq!(key, expected);
    assert_eq!((&course["keys"][1]["hash"], &course["keys"][1]["limit_usd"]), (&json!(old.hash), &Value::Null));
    let text = shown(&base, MANAGEMENT, None, false).await.unwrap();
    insta::assert_snapshot!(text.split_once("30 days\n").unwrap().1, @r"

    By the first part of the name:
      course/*                 2 keys      $19.25
      (names of one part)      1 keys       $1.00

    Without a limit: 2 (thesis, course/old)
    Unused for 30 days: 1 (course/old)
    Used in the last 30 days: $4.25; at that pace a term of four months costs $17.00
    ");
    // The query of analytics is a POST that changes nothing.
    let reads = |line: &String| line.starts_with("GET /api/v1/") || line == "POST /api/v1/analytics/query";
    assert!(asked.lock().unwrap().iter().all(reads), "something was changed");
}

#[tokio::test]
async fn recent_use_that_the_provider_does_not_report_is_not_taken_for_none() {
    let (simulator, _) = account();
    simulator.set_quirks(|quirks| quirks.analytics_failure = Some(http::StatusCode::FORBIDDEN));
    let (base, _) = serve(simulator.router()).await;
    let assessed = &listing(&base, None).await["assess"];
    assert_eq!((&assessed["last_30_days_usd"], &assessed["term_usd"]), (&Value::Null, &Value::Null));
    assert!(shown(&base, MANAGEMENT, None, false).await.unwrap().contains("last 30 days: not known"));
}

#[tokio::test]
async fn an_ordinary_key_is_refused_before_it_is_believed_that_the_account_is_empty() {
    let (simulator, [ordinary, ..]) = account();
    let (base, asked) = serve(simulator.router()).await;
    let refused = format!("{:#}", shown(&base, &ordinary.plaintext, None, true).await.unwrap_err());
    assert!(refused.contains("ordinary key") && refused.contains(&base), "{refused}");
    assert!(!refused.contains(&ordinary.plaintext));
    assert_eq!(*asked.lock().unwrap(), ["GET /api/v1/key"]);
}

#[tokio::test]
async fn a_listing_that_did_not_reach_its_end_is_an_error_and_no_shorter_list() {
    let simulator = simulator();
    for number in 0..150 {
        simulator.add_foreign_key(&number.to_string(), None, noon()).unwrap();
    }
    let breaking = simulator.router().layer(from_fn(async |request: Request, next: Next| {
        let query = request.uri().query().unwrap_or_default();
        if request.uri().path().ends_with("/keys") && !query.ends_with("offset=0") {
            return (http::StatusCode::BAD_REQUEST, r#"{"error":{"message":"no"}}"#).into_response();
        }
        next.run(request).await
    }));
    let (base, _) = serve(breaking).await;
    let failed = format!("{:#}", shown(&base, MANAGEMENT, None, true).await.unwrap_err());
    assert!(failed.contains("list keys: status 400, no"), "{failed}");
}
