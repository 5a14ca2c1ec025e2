//! Guardrails and who is under them.

use super::super::guardrails::GuardrailRules;
use super::*;
use crate::domain::programme::rules::{DataPolicy, Region, Rules};
use crate::scripted::answer;

fn rules(models: &[&str], data_policy: DataPolicy) -> GuardrailRules {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    let regions = if data_policy == DataPolicy::ZeroRetention { vec![Region::Europe] } else { Vec::new() };
    let rules = Rules { models, regions, data_policy, ..Rules::default() };
    GuardrailRules { name: "cs-pilot".to_owned(), rules }
}

fn guardrail_json(id: &str) -> String {
    json!({"data": {"id": id, "name": "cs-pilot", "allowed_models": ["a/b-20260101"], "limit_usd": null}}).to_string()
}

#[tokio::test]
async fn a_guardrail_is_made_once_read_and_replaced() {
    let (server, provider, _) = scripted(|request, _| {
        match request.method.as_str() {
            "POST" => answer(201, &guardrail_json("g-1")),
            // The answer repeats the request.
            _ => answer(200, &format!(r#"{{"data":{{"id":"g-1",{}}}"#, &request.body[1..])),
        }
    })
    .await;
    let made = provider.create_guardrail(&rules(&["a/b"], DataPolicy::Account), Some("w-1"), soon()).await.unwrap();
    assert_eq!(made.allowed_models, Some(vec!["a/b-20260101".to_owned()]));
    provider.patch_guardrail("g/1?", &rules(&[], DataPolicy::ZeroRetention), soon()).await.unwrap();

    assert_eq!(server.lines(), ["POST /api/v1/guardrails", "PATCH /api/v1/guardrails/g%2F1%3F"]);
    let made: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!((&made["allowed_models"], &made["workspace_id"]), (&json!(["a/b"]), &json!("w-1")));
    let changed: Value = serde_json::from_str(&server.seen()[1].body).unwrap();
    assert_eq!(changed["allowed_models"], Value::Null, "null clears, an empty list is refused");
    assert!(changed.as_object().unwrap().contains_key("allowed_models"));
    assert_eq!((&changed["enforce_zdr_other"], &changed["enable_paid_model_training"]), (&json!(true), &json!(false)));
    assert!(changed.get("workspace_id").is_none());
    assert_eq!((&made["allowed_data_regions"], &changed["allowed_data_regions"]), (&Value::Null, &json!(["europe"])));
}

#[tokio::test]
async fn a_guardrail_of_unknown_outcome_is_not_made_a_second_time() {
    let (server, provider, _) = scripted(|_, _| ScriptedAct::Drop).await;
    let made = provider.create_guardrail(&rules(&["a/b"], DataPolicy::NoTraining), None, soon()).await;
    assert_eq!(ending(&made), "unknown");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_guardrail_that_is_not_there_is_none() {
    let (_server, provider, _) = scripted(|_, _| answer(404, &error_json(404, "no such guardrail"))).await;
    let changed = provider.patch_guardrail("g-1", &rules(&[], DataPolicy::Account), soon()).await;
    assert_eq!(changed.unwrap(), None);
}

fn hashes(count: usize) -> Vec<KeyHash> {
    (0..count).map(hash).collect()
}

#[tokio::test]
async fn keys_are_assigned_a_hundred_at_a_time_and_every_count_is_compared() {
    let (server, provider, _) = scripted(|request, _| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let count = body["key_hashes"].as_array().unwrap().len();
        answer(200, &json!({"assigned_count": count}).to_string())
    })
    .await;
    provider.assign_keys("g-1", &hashes(230), soon()).await.unwrap();
    provider.assign_keys("g-1", &[], soon()).await.unwrap();
    assert_eq!(server.lines(), ["POST /api/v1/guardrails/g-1/assignments/keys"; 3]);
    let lengths: Vec<usize> = server.seen().iter().map(|seen| seen.body.matches(",").count() + 1).collect();
    assert_eq!(lengths, [100, 100, 30]);
}

/// The outcome when the provider counts fewer keys than were assigned, and lists the first `listed` of them.
async fn undercounting(listed: usize) -> Result<(), ProviderError> {
    let (_server, provider, _) = scripted(move |request, _| {
        if request.method == "POST" {
            return answer(200, r#"{"assigned_count":"0"}"#);
        }
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        let rows: Vec<Value> = (offset..listed.min(offset + 100))
            .map(|number| json!({"id": "a", "guardrail_id": "g-1", "key_hash": hash(number), "key_name": "n"}))
            .collect();
        answer(200, &json!({"data": rows, "total_count": listed}).to_string())
    })
    .await;
    provider.assign_keys("g-1", &hashes(3), soon()).await
}

#[tokio::test]
async fn a_count_that_is_too_low_is_believed_only_when_the_list_agrees() {
    assert_eq!(ending(&undercounting(130).await), "done");
    let error = undercounting(2).await.unwrap_err();
    assert!(error.to_string().contains("1 of 3 keys are not under the guardrail"), "{error}");
    assert_eq!(ending(&undercounting(0).await), "unknown");
}

#[tokio::test]
async fn an_assignment_whose_answer_was_lost_is_made_again_and_a_refused_one_is_not() {
    let (server, provider, _) = scripted(|_, before| match before {
        0 => ScriptedAct::Drop,
        _ => answer(200, r#"{"assigned_count":1}"#).into(),
    })
    .await;
    provider.assign_keys("g-1", &hashes(1), soon()).await.unwrap();
    assert_eq!(server.seen().len(), 2);

    let (server, provider, _) = scripted(|_, _| answer(404, &error_json(404, "no such guardrail"))).await;
    assert_eq!(ending(&provider.assign_keys("g-1", &hashes(1), soon()).await), "refused");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn assignments_of_all_guardrails_are_listed_page_by_page() {
    let (server, provider, _) = scripted(|request, _| {
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        let rows: Vec<Value> = (offset..250.min(offset + 100))
            .map(|number| json!({"id": number, "guardrail_id": "g-1", "key_hash": hash(number), "assigned_by": null}))
            .collect();
        answer(200, &json!({"data": rows, "total_count": 250}).to_string())
    })
    .await;
    let mut assignments = provider.assignments(None);
    let mut count = 0;
    while let Some(page) = assignments.next(soon()).await.unwrap() {
        count += page.len();
    }
    assert_eq!(count, 250);
    assert_eq!(server.lines()[0], "GET /api/v1/guardrails/assignments/keys?limit=100&offset=0");
}

#[tokio::test]
async fn guardrails_of_a_workspace_can_be_looked_through_for_a_name() {
    let (server, provider, _) =
        scripted(|_, _| answer(200, r#"{"data":[{"id":"g-1","name":"cs-pilot"}],"total_count":1}"#)).await;
    let all = provider.guardrails(Some("w-1"), soon()).await.unwrap();
    assert_eq!(all.iter().map(|guardrail| guardrail.name.as_str()).collect::<Vec<_>>(), ["cs-pilot"]);
    assert_eq!(server.lines()[0], "GET /api/v1/guardrails?workspace_id=w-1&limit=100&offset=0");
}
