//! Guardrails, their assignments, and their effect on inference.

use super::*;

#[tokio::test]
async fn a_guardrail_has_every_field_and_needs_only_a_name() {
    let simulator = Simulator::start().await;
    let (status, made) = simulator.post("/guardrails", json!({ "name": "plain" })).await;
    assert_eq!(status, 201);
    let data = &made["data"];
    assert_eq!(data["workspace_id"], simulator.default_workspace().await["id"]);
    assert_eq!((&data["limit_usd"], &data["reset_interval"]), (&Value::Null, &Value::Null));
    assert_eq!((&data["allowed_models"], &data["include_byok_in_budgets"]), (&Value::Null, &json!(false)));
    let id = data["id"].as_str().unwrap();
    assert_eq!(simulator.get(&format!("/guardrails/{id}")).await, (200, made.clone()));
    assert_eq!(simulator.get("/guardrails").await.1, json!({ "data": [data], "total_count": 1 }));
    assert_eq!(simulator.get("/guardrails/0").await.0, 404);
    assert_eq!(simulator.patch("/guardrails/0", json!({ "name": "mine" })).await.0, 404);
    let path = format!("/guardrails/{id}");
    assert_eq!(simulator.delete(&path).await, (200, json!({ "deleted": true })));
    assert_eq!((simulator.get(&path).await.0, simulator.delete(&path).await.0), (404, 404));
}

#[tokio::test]
async fn a_guardrail_without_a_name_or_with_an_empty_list_is_refused() {
    let simulator = Simulator::start().await;
    for body in [
        json!({ "allowed_models": [DEAR] }),
        json!({ "name": "x".repeat(201) }),
        json!({ "name": "n", "allowed_models": [] }),
        json!({ "name": "n", "allowed_providers": [""] }),
        json!({ "name": "n", "enforce_zdr_openai": "yes" }),
    ] {
        assert_eq!(simulator.post("/guardrails", body.clone()).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn collections_are_replaced_as_a_whole_and_models_come_back_canonical() {
    let simulator = Simulator::start().await;
    let body = json!({ "name": "n", "allowed_models": [DEAR, "some/other"], "enforce_zdr_xai": true, "enforce_zdr_openai": true });
    let id = simulator.guardrail(body).await;
    let path = format!("/guardrails/{id}");
    let (_, read) = simulator.get(&path).await;
    assert_eq!(read["data"]["allowed_models"], json!(["anthropic/claude-4.5-opus-20251124", "some/other"]));
    assert_eq!((&read["data"]["enforce_zdr_xai"], &read["data"]["enforce_zdr_other"]), (&json!(true), &Value::Null));
    let (_, patched) = simulator.patch(&path, json!({ "allowed_models": [FREE], "enforce_zdr_xai": null })).await;
    assert_eq!(patched["data"]["allowed_models"], json!([FREE]));
    assert_eq!(patched["data"]["enforce_zdr_xai"], Value::Null);
    assert_eq!(simulator.patch(&path, json!({ "allowed_models": [] })).await.0, 400);
    let (_, cleared) = simulator.patch(&path, json!({ "allowed_models": null })).await;
    assert_eq!(cleared["data"]["allowed_models"], Value::Null);
    assert_eq!(cleared["data"]["enforce_zdr_openai"], true);
}

#[tokio::test]
async fn a_guardrail_enforces_nothing_until_it_is_assigned() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let id = simulator.guardrail(json!({ "name": "only free", "allowed_models": [FREE] })).await;
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 200);
    simulator.assign(&id, &key).await;
    let (status, refused) = simulator.chat(&key.plaintext, DEAR, 1).await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!(403)));
    assert_eq!(simulator.chat(&key.plaintext, FREE, 1).await.0, 200);
    simulator.provider.delete_guardrail(&id).unwrap();
    assert_eq!(simulator.get(&format!("/guardrails/{id}")).await.0, 404);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 200);
}

#[tokio::test]
async fn providers_retention_and_training_restrict_as_well() {
    let simulator = Simulator::start().await;
    for (body, model, allowed) in [
        (json!({ "allowed_providers": ["openai"] }), "openai/gpt-4o-mini", true),
        (json!({ "allowed_providers": ["openai"] }), DEAR, false),
        (json!({ "enforce_zdr_anthropic": true }), DEAR, true),
        (json!({ "enforce_zdr_other": true }), "deepseek/deepseek-r1-0528", false),
        (json!({ "enforce_zdr_anthropic": true }), "deepseek/deepseek-r1-0528", true),
        (json!({ "enable_paid_model_training": false }), "deepseek/deepseek-r1-0528", false),
        (json!({ "enable_free_model_training": false }), FREE, false),
    ] {
        let key = simulator.key(json!({ "name": "n" })).await;
        let mut wanted = body.clone();
        wanted["name"] = "n".into();
        simulator.assign(&simulator.guardrail(wanted).await, &key).await;
        let status = simulator.chat(&key.plaintext, model, 1).await.0;
        assert_eq!(status, if allowed { 200 } else { 403 }, "{body} {model}");
    }
}

#[tokio::test]
async fn a_key_has_at_most_one_guardrail_and_assigning_replaces_silently() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let first = simulator.guardrail(json!({ "name": "first" })).await;
    let second = simulator.guardrail(json!({ "name": "second" })).await;
    simulator.assign(&first, &key).await;
    simulator.assign(&second, &key).await;
    let total = async |path: &str| simulator.get(path).await.1["total_count"].as_u64().unwrap();
    assert_eq!(total(&format!("/guardrails/{first}/assignments/keys")).await, 0);
    assert_eq!(total(&format!("/guardrails/{second}/assignments/keys")).await, 1);
    let (_, all) = simulator.get("/guardrails/assignments/keys").await;
    let row = &all["data"][0];
    assert_eq!((&all["total_count"], &row["guardrail_id"]), (&json!(1), &json!(second)));
    assert_eq!((&row["key_hash"], &row["key_name"]), (&json!(key.hash), &json!("n")));
    assert!(row["id"].is_string() && row["key_label"].is_string() && row["created_at"].is_string());
    simulator.provider.unassign(&key.hash).unwrap();
    assert_eq!(total("/guardrails/assignments/keys").await, 0);
}

#[tokio::test]
async fn assigning_again_is_harmless_and_is_counted_as_the_quirk_says() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let id = simulator.guardrail(json!({ "name": "n" })).await;
    simulator.assign(&id, &key).await;
    simulator.assign(&id, &key).await;
    simulator.provider.set_quirks(|quirks| quirks.reassignment_counted = false);
    let path = format!("/guardrails/{id}/assignments/keys");
    assert_eq!(simulator.post(&path, json!({ "key_hashes": [key.hash] })).await.1["assigned_count"], 0);
    assert_eq!(simulator.get(&path).await.1["total_count"], 1);
}

#[tokio::test]
async fn hashes_that_are_no_keys_are_skipped_or_refuse_the_whole() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let id = simulator.guardrail(json!({ "name": "n" })).await;
    let path = format!("/guardrails/{id}/assignments/keys");
    let body = json!({ "key_hashes": ["0", key.hash] });
    simulator.provider.set_quirks(|quirks| quirks.partial_assignment = false);
    assert_eq!(simulator.post(&path, body.clone()).await.0, 404);
    assert_eq!(simulator.get(&path).await.1["total_count"], 0);
    simulator.provider.set_quirks(|quirks| quirks.partial_assignment = true);
    assert_eq!(simulator.post(&path, body.clone()).await, (200, json!({ "assigned_count": 1 })));
    for body in [json!({}), json!({ "key_hashes": [] }), json!({ "key_hashes": "x" })] {
        assert_eq!(simulator.post(&path, body).await.0, 400);
    }
    simulator.provider.set_quirks(|quirks| quirks.max_key_hashes = Some(1));
    assert_eq!(simulator.post(&path, body.clone()).await.0, 400);
    assert_eq!(simulator.post("/guardrails/0/assignments/keys", body).await.0, 404);
}

#[tokio::test]
async fn key_and_guardrail_must_lie_in_the_same_workspace() {
    let simulator = Simulator::start().await;
    let workspace = simulator.workspace("course");
    let here = simulator.key(json!({ "name": "here" })).await;
    let there = simulator.key(json!({ "name": "there", "workspace_id": workspace })).await;
    let id = simulator.guardrail(json!({ "name": "n", "workspace_id": workspace })).await;
    let path = format!("/guardrails/{id}/assignments/keys");
    assert_eq!(simulator.post(&path, json!({ "key_hashes": [there.hash, here.hash] })).await.0, 400);
    assert_eq!(simulator.get(&path).await.1["total_count"], 0);
    simulator.assign(&id, &there).await;
    assert_eq!(names(&simulator.get("/guardrails").await.1), [""; 0]);
    assert_eq!(names(&simulator.get(&format!("/guardrails?workspace_id={workspace}")).await.1), ["n"]);
}

#[tokio::test]
async fn lists_have_pages_of_fifty_and_at_most_a_hundred() {
    let simulator = Simulator::start().await;
    let id = simulator.guardrail(json!({ "name": "n" })).await;
    let noon = simulator.provider.now();
    let made = (0..120).map(|number| simulator.provider.add_foreign_key(&number.to_string(), None, noon).unwrap().hash);
    let path = format!("/guardrails/{id}/assignments/keys");
    let body = json!({ "key_hashes": made.collect::<Vec<_>>() });
    assert_eq!(simulator.post(&path, body).await.1["assigned_count"], 120);
    for path in [path.as_str(), "/guardrails/assignments/keys"] {
        for (query, rows) in [("", 50), ("?limit=100", 100), ("?limit=100&offset=100", 20), ("?offset=120", 0)] {
            let (_, page) = simulator.get(&format!("{path}{query}")).await;
            assert_eq!((page["data"].as_array().unwrap().len(), &page["total_count"]), (rows, &json!(120)), "{query}");
        }
        for query in ["?limit=0", "?limit=101", "?offset=-1"] {
            assert_eq!(simulator.get(&format!("{path}{query}")).await.0, 400, "{query}");
        }
    }
}
