//! Changes of guardrails by hand at the provider. The sync reports them, and restores what is the
//! product's.

use bursar_tests::aws;
use bursar_tests::campus::reports;
use bursar_tests::faults::{Fault, Matcher};
use serde_json::{Value, json};

use crate::sync::{problems, quiet};

#[tokio::test]
async fn a_changed_guardrail_is_told_its_rules_again() {
    let campus = quiet(&[]).await;
    let made = campus.restrict().await;
    let url = format!("{}/guardrails/{made}", campus.ready.provider);
    let management = aws::management_key(&campus.ready).await;
    let rules = async || {
        let answer = aws::http()
            .get(&url)
            .bearer_auth(&management)
            .send()
            .await
            .unwrap();
        let mut rules = answer.json::<Value>().await.unwrap()["data"].take();
        rules.as_object_mut().unwrap().remove("updated_at");
        rules
    };
    let report = campus.sync().await;
    reports(&report, &json!({"complete": true, "problems": []}));
    let rules_before = rules().await;
    for drift in [
        json!({"allowed_models": ["openai/gpt-4o-mini", "openai/gpt-4o"]}),
        json!({"allowed_models": null}),
        json!({"allowed_providers": ["openai"]}),
        json!({"enable_paid_model_training": true}),
        json!({"name": "mine"}),
    ] {
        let patch = aws::http()
            .patch(&url)
            .bearer_auth(&management)
            .json(&drift);
        assert_eq!(patch.send().await.unwrap().status(), 200, "{drift}");
        assert_ne!(rules().await, rules_before, "{drift}");
        // What is listed at the instant of an answer may be from before it.
        assert_eq!(campus.sync().await["problems"], json!([]), "{drift}");
        campus.minutes(1);
        let rule = campus.gate.at(
            Matcher::call("provider:PATCH /guardrails/{id}").every(),
            Fault::Status(400),
        );
        let report = campus.sync().await;
        assert!(
            problems(&report).contains("was not told its rules"),
            "{report}"
        );
        campus.gate.lift(rule);
        campus.minutes(2);
        let report = campus.sync().await;
        assert_eq!(
            (&report["complete"], rules().await),
            (&json!(true), rules_before.clone()),
            "{drift}: {report}"
        );
        assert!(
            problems(&report).contains("had other rules at the provider"),
            "{drift}: {report}"
        );
        let report = campus.sync().await;
        reports(&report, &json!({"complete": true, "problems": []}));
    }
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_deleted_guardrail_is_made_again() {
    let mut campus = quiet(&[]).await;
    campus.restrict().await;
    campus.students_with_keys(&["ada"]).await;
    campus.students(&["bob"]).await;
    assert_eq!(campus.sync().await["complete"], true);
    campus.judged().await;
    let deleted = async || {
        let guardrail = campus.guardrail().await.unwrap().id;
        campus.provider().delete_guardrail(&guardrail).unwrap();
        guardrail
    };
    campus.minutes(1);
    // The sync sees it by itself.
    let first = deleted().await;
    let report = campus.sync().await;
    assert!(
        report["complete"] == true && problems(&report).contains("was made again"),
        "{report}"
    );
    campus.judged_after_sync().await;
    campus.work().await;
    let second = campus.guardrail().await.unwrap().id;
    assert_ne!(first, second);
    assert_eq!(
        campus.key("ada").guardrail_id,
        Some(second.clone()),
        "put under it by a job"
    );
    let report = campus.sync().await;
    reports(&report, &json!({"complete": true, "problems": []}));
    // A claim sees it first.
    assert_eq!(deleted().await, second);
    let student = campus.student("bob").await;
    let refused = student.fill("/my", "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(refused.status, 502, "{:?}", refused.alerts());
    campus.judged().await;
    campus.minutes(2);
    campus.work().await;
    let shown = student.fill("/my", "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(shown.status, 200, "{:?}", shown.alerts());
    campus.judged().await;
    let third = campus.guardrail().await.map(|guardrail| guardrail.id);
    assert_eq!(campus.key("ada").guardrail_id, third, "before any sync");
    let report = campus.sync().await;
    assert_eq!(report["complete"], true, "{report}");
    campus.judged_after_sync().await;
    assert_eq!(campus.key("ada").guardrail_id, third);
    assert_eq!(campus.key("bob").guardrail_id, third);
    campus.finish_faulted().await;
}
