//! The bundle as a whole: every kind of event reaches its function and is answered.

use std::time::Duration;

use bursar_core::domain::grant::HoldKind;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::Office;
use bursar_tests::stack::{self, Stack};
use jiff::SignedDuration;
use serde_json::{Value, json};

async fn get(stack: &Stack, path: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    client.get(format!("{}{path}", stack.ready.web)).send().await.unwrap()
}

#[tokio::test]
async fn every_kind_of_event_is_answered() {
    let stack = stack::in_process().await.unwrap();
    let start = get(&stack, "/").await;
    assert_eq!(start.status(), 200);
    let policy = start.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(start.headers()[name], value, "{name}");
    }
    assert!(start.headers()["permissions-policy"].to_str().unwrap().contains("camera=()"));
    assert!(start.headers().get("strict-transport-security").is_none(), "this origin is not https");

    let missing = get(&stack, "/nothing/here").await;
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await.unwrap().contains("role=\"alert\""));
    for page in ["/my", "/my/data", "/console", "/console/programmes/cs-pilot"] {
        let sent_away = get(&stack, page).await;
        assert_eq!(
            (sent_away.status().as_u16(), sent_away.headers()["location"].to_str().unwrap()),
            (303, "/"),
            "{page}"
        );
    }
    for page in ["/console/programmes", "/my/cs-pilot/reveal"] {
        let post = || aws::http().post(format!("{}{page}", stack.ready.web));
        let posted = post().send().await.unwrap();
        assert_eq!(posted.status(), 401);
        assert!(posted.text().await.unwrap().contains("role=\"alert\""));
        let foreign = post().header("origin", "https://evil.example").send().await.unwrap();
        assert_eq!(foreign.status(), 403);
    }

    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!((&report["keys_listed"], &report["complete"]), (&json!(0), &json!(true)), "{report}");
    assert_eq!(report["account_balance_usd"], "1000.000000");
    for (function, event, answer) in [
        (FunctionName::UsageSync, json!({"task": "resume"}), json!({"skipped": "nothing to resume"})),
        (FunctionName::UsageSync, json!({"task": "rotate"}), json!({"skipped": "nothing pending"})),
        (FunctionName::Console, json!({"task": "work"}), json!({"carried_out": 0, "put_off": 0})),
        (
            FunctionName::Mail,
            json!({"task": "drain"}),
            json!({"sent": 0, "dropped": 0, "put_off": 0, "failed": 0, "waiting": 0}),
        ),
        (
            FunctionName::ThresholdAlerts,
            json!({"task": "watch"}),
            json!({"programmes": 0, "crossings": 0, "alarms": 0, "digests": 0, "statements": 0}),
        ),
        (FunctionName::ThresholdAlerts, json!({"task": "digest"}), json!({"digests": 0, "left": 0, "failed": []})),
    ] {
        assert_eq!(stack.invoke.invoke(function, event.clone()).await, Ok(answer), "{function} {event}");
    }
    stack.settle.settle(Duration::from_secs(60)).await.unwrap();
    stack.finish().await;
}

#[tokio::test]
async fn an_event_of_nobodys_is_an_error_that_the_log_explains() {
    let stack = stack::in_process().await.unwrap();
    let failed = stack.invoke.invoke(FunctionName::Mail, json!({"task": "dance"})).await;
    assert!(matches!(failed, Err(InvokeError::Failed(_))), "{failed:?}");
    let logs = stack.logs.all();
    assert!(logs.iter().any(|line| line.text.contains("this is no event for the function mail")), "{logs:?}");
    stack.finish_faulted().await;
}

#[tokio::test]
async fn a_reading_is_recorded_once_and_a_repeated_sync_records_nothing() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    // The roster mail must leave before the claim: it is not sent to a student who has a key.
    stack.settle.settle(Duration::from_secs(60)).await.unwrap();
    let hash = office.claim(&grant).await;
    let provider = stack.provider.as_ref().unwrap();
    provider.spend(&hash, Nano::micros(1_250_000), stack.clock.now(), "a/model").unwrap();
    let first = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!((&first["keys_listed"], &first["readings_recorded"]), (&json!(1), &json!(1)), "{first}");
    let second = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!(second["readings_recorded"], 0, "{second}");
    // The roster mail, and the mail about the key.
    stack.settle.settle(Duration::from_secs(60)).await.unwrap();
    assert_eq!(stack.ses.unread().len(), 2);
    stack.finish().await;
}

#[tokio::test]
async fn a_disable_that_is_ordered_is_repeated_by_the_work_until_the_provider_answers() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    let hash = office.claim(&grant).await;
    office
        .table
        .act(office.at(&grant), |view, now| view.hold(HoldKind::Paused, &office.faculty, None, now))
        .await
        .unwrap();
    assert!(!office.key(&hash).disabled);

    let rule = stack.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Before);
    let report = work(&stack).await;
    assert_eq!(report, json!({"carried_out": 0, "put_off": 1}));
    stack.gate.lift(rule);
    assert_eq!(work(&stack).await, json!({"carried_out": 0, "put_off": 0}), "it is due in a minute");
    stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
    let report = work(&stack).await;
    assert_eq!(report, json!({"carried_out": 1, "put_off": 0}));
    assert!(office.key(&hash).disabled);
    let report = work(&stack).await;
    assert_eq!(report, json!({"carried_out": 0, "put_off": 0}));
    stack.finish().await;
}

async fn work(stack: &Stack) -> Value {
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap()
}
