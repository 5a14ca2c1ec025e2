//! Guardrails and who is under them.

use super::super::guardrails::GuardrailRules;
use super::*;
use crate::domain::programme::rules::{DataPolicy, Region, Rules};

fn rules(models: &[&str], data_policy: DataPolicy) -> GuardrailRules {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    let regions = if data_policy == DataPolicy::ZeroRetention {
        vec![Region::Europe]
    } else {
        Vec::new()
    };
    let rules = Rules {
        models,
        regions,
        data_policy,
        ..Rules::default()
    };
    GuardrailRules {
        name: "cs-pilot".to_owned(),
        rules,
    }
}

#[tokio::test]
async fn a_guardrail_is_made_once_read_and_replaced() {
    let (server, provider, _) = scripted(|request, _| {
        match request.method.as_str() {
            "POST" => answer(
                201,
                r#"{"data":{"id":"g-1","name":"cs-pilot","allowed_models":["a/b-2026"]}}"#,
            ),
            // The answer repeats the request.
            _ => answer(
                200,
                &format!(r#"{{"data":{{"id":"g-1",{}}}"#, &request.body[1..]),
            ),
        }
    })
    .await;
    let made = provider
        .create_guardrail(&rules(&["a/b"], DataPolicy::Account), soon())
        .await
        .unwrap();
    assert_eq!(made.allowed_models, Some(vec!["a/b-2026".to_owned()]));
    provider
        .patch_guardrail("g/1?", &rules(&[], DataPolicy::ZeroRetention), soon())
        .await
        .unwrap();

    assert_eq!(
        server.lines(),
        [
            "POST /api/v1/guardrails",
            "PATCH /api/v1/guardrails/g%2F1%3F"
        ]
    );
    let made: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(made["allowed_models"], json!(["a/b"]));
    let changed: Value = serde_json::from_str(&server.seen()[1].body).unwrap();
    assert_eq!(
        changed["allowed_models"],
        Value::Null,
        "null clears, an empty list is refused"
    );
    assert!(changed.as_object().unwrap().contains_key("allowed_models"));
    assert_eq!(
        (
            &changed["enforce_zdr_other"],
            &changed["enable_paid_model_training"]
        ),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (
            &made["allowed_data_regions"],
            &changed["allowed_data_regions"]
        ),
        (&Value::Null, &json!(["europe"]))
    );
}

/// A guardrail creation of unknown outcome is not repeated, and updating a missing guardrail
/// returns none.
#[tokio::test]
async fn a_guardrail_is_made_once() {
    let (server, provider, _) = scripted(|_, _| ScriptedAct::Drop).await;
    assert_eq!(
        ending(
            &provider
                .create_guardrail(&rules(&["a/b"], DataPolicy::NoTraining), soon())
                .await
        ),
        "unknown"
    );
    assert_eq!(server.seen().len(), 1);
    let (_server, provider) = answering(404, error_json(404, "no such guardrail")).await;
    assert_eq!(
        provider
            .patch_guardrail("g-1", &rules(&[], DataPolicy::Account), soon())
            .await
            .unwrap(),
        None
    );
}

/// The outcome of putting the third key under a guardrail, when the provider counts so many and
/// lists the first `listed`.
async fn assigned(counted: Value, listed: usize) -> Result<(), ProviderError> {
    let (_server, provider, _) = scripted(move |request, _| {
        if request.method == "POST" {
            return answer(200, &json!({"assigned_count": counted}).to_string());
        }
        let offset: usize = request.query("offset").unwrap().parse().unwrap();
        let rows: Vec<Value> = (offset..listed.min(offset + 100))
            .map(|number| json!({"id": "a", "guardrail_id": "g-1", "key_hash": hash(number), "key_name": "n"}))
            .collect();
        answer(200, &json!({"data": rows, "total_count": listed}).to_string())
    })
    .await;
    provider.assign_key("g-1", &hash(2), soon()).await
}

#[tokio::test]
async fn a_key_is_assigned_when_it_is_counted_or_listed() {
    assert_eq!(ending(&assigned(json!(1), 0).await), "done");
    assert_eq!(ending(&assigned(json!("0"), 130).await), "done");
    let error = assigned(json!(null), 2).await.unwrap_err();
    assert!(
        error.to_string().contains("is not under the guardrail"),
        "{error}"
    );
    assert_eq!(ending(&assigned(json!(0), 0).await), "unknown");
}
