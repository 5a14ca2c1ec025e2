//! The listing against the simulated provider, and against answers that this never gives.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::*;
use crate::provider::{Nano, Provider as Simulator};

const MANAGEMENT: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";

fn noon() -> Timestamp {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

fn clock() -> Clock {
    Clock::reading(noon)
}

fn simulator() -> Simulator {
    Simulator::new(StateFile::in_memory().unwrap(), clock(), MANAGEMENT).unwrap()
}

/// Serves the router, and records the requests.
async fn serve(router: Router) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let router = router.layer(from_fn(move |request: Request, next: Next| {
        log.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
        next.run(request)
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, asked)
}

async fn shown(base: &str, management_key: &str, pattern: Option<&str>, json: bool) -> Result<String> {
    told(base, management_key, pattern, json, false).await
}

async fn told(base: &str, management_key: &str, pattern: Option<&str>, json: bool, assess: bool) -> Result<String> {
    let account =
        Account { base: base.to_owned(), management_key: management_key.to_owned(), clock: clock(), table: None };
    let mut out = Vec::new();
    run(KeysOptions { account, pattern: pattern.map(str::to_owned), json, assess }, &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn listing(base: &str, pattern: Option<&str>) -> Value {
    serde_json::from_str(&shown(base, MANAGEMENT, pattern, true).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_key_is_listed_with_its_spending_and_the_totals_are_of_those_that_match() {
    let simulator = simulator();
    let day = SignedDuration::from_hours(24);
    let old = simulator.add_foreign_key("course/old", None, noon() - day * 40).unwrap();
    let used = simulator.add_foreign_key("course/used", Nano::parse("20"), noon() - day * 40).unwrap();
    simulator.add_foreign_key("other", Nano::parse("5"), noon() - day).unwrap();
    simulator.spend(&used.hash, Nano::parse("3").unwrap(), noon() - day * 20, "openai/gpt-4o-mini").unwrap();
    simulator.spend(&used.hash, Nano::parse("0.5").unwrap(), noon(), "openai/gpt-4o-mini").unwrap();
    let (base, asked) = serve(simulator.router()).await;

    let all = listing(&base, None).await;
    let names: Vec<&str> = all["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["other", "course/used", "course/old"]);
    assert_eq!(
        all["totals"],
        json!({
            "keys": 3, "usage_usd": "3.500000", "balance_usd": "996.500000", "without_limit": 1, "unused_30_days": 1
        })
    );
    let course = listing(&base, Some("course/*")).await;
    assert_eq!((&course["totals"]["keys"], &course["totals"]["usage_usd"]), (&json!(2), &json!("3.500000")));
    let mut key = course["keys"][0].clone();
    let workspace = key.as_object_mut().unwrap().remove("workspace").unwrap();
    assert!(workspace.is_string());
    assert_eq!(
        key,
        json!({
            "hash": used.hash, "name": "course/used", "state": "enabled",
            "usage_usd": "3.500000", "usage_daily_usd": "0.500000", "usage_weekly_usd": "0.500000",
            "usage_monthly_usd": "0.500000", "limit_usd": "20.000000",
            "last_used_at": "2026-11-18T12:00:00Z", "created_at": "2026-10-09T12:00:00Z",
        })
    );
    assert_eq!((&course["keys"][1]["hash"], &course["keys"][1]["limit_usd"]), (&json!(old.hash), &Value::Null));
    assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("GET /api/v1/")), "something was changed");
}

#[tokio::test]
async fn an_assessment_tells_what_is_there_and_what_a_term_would_cost() {
    let simulator = simulator();
    let day = SignedDuration::from_hours(24);
    simulator.add_foreign_key("course/old", None, noon() - day * 40).unwrap();
    let used = simulator.add_foreign_key("course/used", Nano::parse("20"), noon() - day * 40).unwrap();
    let other = simulator.add_foreign_key("thesis", None, noon() - day).unwrap();
    for (hash, amount, ago) in [
        (&used.hash, "7", 31),
        (&used.hash, "3", 30),
        (&used.hash, "0.25", 1),
        (&used.hash, "9", 0),
        (&other.hash, "1", 1),
    ] {
        simulator.spend(hash, Nano::parse(amount).unwrap(), noon() - day * ago, "openai/gpt-4o-mini").unwrap();
    }
    let (base, _) = serve(simulator.router()).await;
    let assess = async |pattern| -> Value {
        let shown: Value = serde_json::from_str(&told(&base, MANAGEMENT, pattern, true, true).await.unwrap()).unwrap();
        shown["assess"].clone()
    };
    assert_eq!(
        assess(None).await,
        json!({
            "without_limit": 2, "unused_30_days": 1, "last_30_days_usd": "4.250000", "term_usd": "17.000000",
            "prefixes": [
                {"prefix": "course/", "keys": 2, "usage_usd": "19.250000"},
                {"prefix": "", "keys": 1, "usage_usd": "1.000000"},
            ],
        })
    );
    let course = assess(Some("course/*")).await;
    assert_eq!((&course["last_30_days_usd"], &course["without_limit"]), (&json!("3.250000"), &json!(1)));
    let shown = told(&base, MANAGEMENT, None, false, true).await.unwrap();
    let assessed = shown.split_once("30 days\n").unwrap().1;
    insta::assert_snapshot!(assessed, @r"

    By the first part of the name:
      course/*                 2 keys      $19.25
      (names of one part)      1 keys       $1.00

    Without a limit: 2 (thesis, course/old)
    Unused for 30 days: 1 (course/old)
    Used in the last 30 days: $4.25; at that pace a term of four months costs $17.00
    ");
    assert!(listing(&base, None).await.get("assess").is_none(), "nobody asked for it");
}

#[tokio::test]
async fn recent_use_that_the_provider_does_not_report_is_not_taken_for_none() {
    let simulator = simulator();
    simulator.add_foreign_key("course/old", None, noon()).unwrap();
    let (base, _) = serve(simulator.router()).await;
    simulator.set_quirks(|quirks| quirks.analytics_failure = Some(http::StatusCode::FORBIDDEN));
    let shown: Value = serde_json::from_str(&told(&base, MANAGEMENT, None, true, true).await.unwrap()).unwrap();
    assert_eq!((&shown["assess"]["last_30_days_usd"], &shown["assess"]["term_usd"]), (&Value::Null, &Value::Null));
    assert!(told(&base, MANAGEMENT, None, false, true).await.unwrap().contains("last 30 days: not known"));
}

#[tokio::test]
async fn an_empty_account_is_an_empty_list_and_no_error() {
    let (base, _) = serve(simulator().router()).await;
    let empty = listing(&base, None).await;
    assert_eq!((&empty["keys"], &empty["totals"]["usage_usd"]), (&json!([]), &json!("0.000000")));
    assert!(shown(&base, MANAGEMENT, None, false).await.unwrap().contains("0 keys"));
}

#[tokio::test]
async fn an_ordinary_key_is_refused_before_it_is_believed_that_the_account_is_empty() {
    let simulator = simulator();
    let ordinary = simulator.add_foreign_key("mine", None, noon()).unwrap();
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
    let breaking = simulator.router().layer(from_fn(async |request: Request, next: Next| -> Response {
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

#[tokio::test]
async fn a_folder_in_which_nothing_runs_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = of_running_demonstration(folder.path()).await.err().unwrap().to_string();
    assert!(refused.contains("cargo run"), "{refused}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
}
