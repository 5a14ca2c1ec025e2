//! The bundle as a whole: headers, and what each function answers to its events.

use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::campus::Campus;
use serde_json::json;

#[tokio::test]
async fn every_page_has_its_headers() {
    let campus = Campus::open().await;
    let start = campus.browser().get("/").await.expect(200);
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "form-action 'self'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("content-security-policy", "base-uri 'none'"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=()"),
    ] {
        assert!(
            start.header(name).unwrap().contains(part),
            "{name}: {:?}",
            start.header(name)
        );
    }
    assert_eq!(
        start.header("strict-transport-security"),
        None,
        "this origin is not https"
    );
    assert!(
        campus
            .browser()
            .get("/nothing/here")
            .await
            .expect(404)
            .alert()
            .is_some()
    );
    assert!(
        campus
            .browser()
            .post("/console/programmes", &[])
            .await
            .expect(401)
            .alert()
            .is_some()
    );
    campus.finish().await;
}

#[tokio::test]
async fn every_task_is_answered_and_no_other() {
    let campus = Campus::open().await;
    let report = campus.sync().await;
    let seen = (
        &report["keys_listed"],
        &report["complete"],
        &report["account_balance_usd"],
    );
    assert_eq!(
        seen,
        (&json!(0), &json!(true), &json!("1000.000000")),
        "{report}"
    );
    for (function, task, answer) in [
        (
            FunctionName::UsageSync,
            "resume",
            json!({"skipped": "nothing to begin"}),
        ),
        (
            FunctionName::UsageSync,
            "rotate",
            json!({"skipped": "nothing pending"}),
        ),
        (
            FunctionName::Console,
            "work",
            json!({"settled": 0, "put_off": 0}),
        ),
        (
            FunctionName::Mail,
            "drain",
            json!({"sent": 0, "dropped": 0, "put_off": 0, "failed": 0, "waiting": 0}),
        ),
        (
            FunctionName::ThresholdAlerts,
            "watch",
            json!({"programmes": 0, "crossings": 0, "alarms": 0, "digests": 0, "statements": 0}),
        ),
        (
            FunctionName::ThresholdAlerts,
            "digest",
            json!({"digests": 0, "left": 0, "failed": []}),
        ),
    ] {
        assert_eq!(
            campus.run(function, json!({ "task": task })).await,
            Ok(answer),
            "{function} {task}"
        );
    }
    for (function, event) in [
        (FunctionName::Mail, json!({"task": "dance"})),
        (FunctionName::Mail, json!({"task": "work"})),
        (FunctionName::UsageSync, json!(null)),
        (FunctionName::UsageSync, json!({"Records": []})),
        (
            FunctionName::UsageSync,
            json!({"source": "aws.ec2", "detail-type": "EC2 Instance", "detail": {}}),
        ),
    ] {
        let failed = campus.run(function, event.clone()).await;
        assert!(
            matches!(failed, Err(InvokeError::Failed(_))),
            "{function} {event}: {failed:?}"
        );
    }
    assert!(campus.has_logged("this is no event for the function mail"));
    campus.finish_faulted().await;
}
