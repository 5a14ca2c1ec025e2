//! The calls that each kind of key may make, and the refusals of the others.

use super::*;

const MANAGEMENT_CALLS: [(Method, &str); 13] = [
    (Method::GET, "/activity"),
    (Method::POST, "/analytics/query"),
    (Method::GET, "/keys"),
    (Method::POST, "/keys"),
    (Method::GET, "/keys/0"),
    (Method::PATCH, "/keys/0"),
    (Method::DELETE, "/keys/0"),
    (Method::GET, "/workspaces"),
    (Method::GET, "/guardrails"),
    (Method::POST, "/guardrails"),
    (Method::PATCH, "/guardrails/0"),
    (Method::GET, "/guardrails/assignments/keys"),
    (Method::POST, "/guardrails/0/assignments/keys"),
];

#[tokio::test]
async fn an_ordinary_key_may_not_manage() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    for (method, path) in MANAGEMENT_CALLS {
        let (status, refused) = simulator.call(&key.plaintext, method, path, Some(json!({}))).await;
        assert_eq!((status, message(&refused)), (403, "Only management keys can perform this operation"), "{path}");
        assert_eq!(refused["error"]["code"], 403);
    }
}

#[tokio::test]
async fn without_a_key_or_with_an_unknown_one_everything_is_401() {
    let simulator = Simulator::start().await;
    let others = [(Method::GET, "/key"), (Method::GET, "/credits"), (Method::POST, "/chat/completions")];
    for (method, path) in MANAGEMENT_CALLS.into_iter().chain(others) {
        let (status, text) = simulator.send(None, method.clone(), path, Some("{}".into())).await;
        let refused: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, message(&refused)), (401, "Missing Authentication header"), "{path}");
        let (status, refused) = simulator.call("sk-or-v1-unknown", method, path, Some(json!({}))).await;
        assert_eq!((status, message(&refused)), (401, "User not found."), "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_the_same_shape() {
    let simulator = Simulator::start().await;
    for path in [
        "/analytics/meta",
        "/auth/key",
        "/keys/a/b",
        "/guardrails/assignments/members",
        "/models/count",
        "/workspaces/default",
    ] {
        let (status, refused) = simulator.get(path).await;
        assert_eq!((status, &refused["error"]["code"]), (404, &json!(404)), "{path}");
    }
    for (method, path) in [(Method::PUT, "/keys"), (Method::POST, "/workspaces"), (Method::DELETE, "/guardrails")] {
        let (status, refused) = simulator.call(MANAGEMENT, method, path, None).await;
        assert_eq!((status, &refused["error"]["code"]), (405, &json!(405)), "{path}");
    }
}

#[tokio::test]
async fn a_key_reads_about_itself_and_a_management_key_says_that_it_is_one() {
    let simulator = Simulator::start().await;
    let body = json!({ "name": "n", "limit": 5, "limit_reset": "daily", "expires_at": "2027-01-01T00:00:00Z" });
    let key = simulator.key(body).await;
    simulator.spend(&key, "1.25");
    let own = simulator.own(&key).await;
    assert_eq!((&own["is_management_key"], &own["is_provisioning_key"]), (&json!(false), &json!(false)));
    assert_eq!((&own["usage"], &own["limit_remaining"]), (&json!(1.25), &json!(3.75)));
    assert_eq!(own["expires_at"], "2027-01-01T00:00:00Z");
    for absent in ["hash", "name", "disabled"] {
        assert!(own.get(absent).is_none(), "{absent}");
    }
    let budget = json!({
        "scope": "key_limit", "limit_usd": 5, "spend_usd": 1.25, "remaining_usd": 3.75, "reset_interval": "daily",
        "resets_at": "2026-11-19T00:00:00Z", "include_byok": false, "guardrail_id": null, "budget_id": null,
    });
    assert_eq!((&own["budgets"], &own["effective_budget"]), (&json!([budget]), &budget));
    let (_, management) = simulator.get("/key").await;
    assert_eq!(management["data"]["is_management_key"], true);
    assert_eq!(management["data"]["workspace_id"], Value::Null);
    assert_eq!(names(&simulator.get("/keys").await.1), ["n"]);
}

#[tokio::test]
async fn disabled_expired_and_deleted_keys_are_401_everywhere() {
    let simulator = Simulator::start().await;
    let disabled = simulator.key(json!({ "name": "disabled" })).await;
    let deleted = simulator.key(json!({ "name": "deleted" })).await;
    let expired = simulator.key(json!({ "name": "expired", "expires_at": "2026-11-18T12:00:01Z" })).await;
    for key in [&disabled, &deleted, &expired] {
        assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 200);
    }
    simulator.patch(&format!("/keys/{}", disabled.hash), json!({ "disabled": true })).await;
    simulator.delete(&format!("/keys/{}", deleted.hash)).await;
    simulator.at("2026-11-18T12:00:01Z");
    for key in [&disabled, &deleted, &expired] {
        let (status, refused) = simulator.chat(&key.plaintext, DEAR, 1).await;
        assert_eq!((status, message(&refused)), (401, "User not found."));
        for path in ["/key", "/credits", "/keys"] {
            assert_eq!(simulator.call(&key.plaintext, Method::GET, path, None).await.0, 401, "{path}");
        }
    }
    simulator.patch(&format!("/keys/{}", disabled.hash), json!({ "disabled": false })).await;
    assert_eq!(simulator.chat(&disabled.plaintext, DEAR, 1).await.0, 200);
}

#[tokio::test]
async fn a_disable_takes_as_many_calls_to_arrive_as_the_quirk_says() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_quirks(|quirks| quirks.disable_latency = 2);
    let path = format!("/keys/{}", key.hash);
    simulator.patch(&path, json!({ "disabled": true })).await;
    simulator.patch(&path, json!({ "disabled": true })).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(simulator.chat(&key.plaintext, DEAR, 1).await.0);
    }
    assert_eq!(statuses, [200, 200, 401, 401]);
}

#[tokio::test]
async fn a_management_key_cannot_do_inference() {
    let simulator = Simulator::start().await;
    let (status, refused) = simulator.chat(MANAGEMENT, FREE, 1).await;
    assert_eq!((status, message(&refused)), (401, "User not found."));
}

#[tokio::test]
async fn credits_are_the_accounts_and_an_ordinary_key_reads_zeros() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_credits(Nano::usd(50)).unwrap();
    simulator.spend(&key, "1.5");
    simulator.provider.spend_elsewhere(Nano::usd(2)).unwrap();
    let expected = json!({ "data": { "total_credits": 50, "total_usage": 3.5 } });
    assert_eq!(simulator.get("/credits").await, (200, expected.clone()));
    let trap = simulator.call(&key.plaintext, Method::GET, "/credits", None).await;
    assert_eq!(trap, (200, json!({ "data": { "total_credits": 0, "total_usage": 0 } })));
    simulator.provider.set_quirks(|quirks| quirks.credits_zero_for_ordinary_keys = false);
    assert_eq!(simulator.call(&key.plaintext, Method::GET, "/credits", None).await.0, 403);
    simulator.delete(&format!("/keys/{}", key.hash)).await;
    assert_eq!(simulator.get("/credits").await.1, expected);
}

#[tokio::test]
async fn management_keys_can_be_rotated() {
    let simulator = Simulator::start().await;
    simulator.provider.add_management_key("sk-or-v1-next").unwrap();
    assert_eq!(simulator.call("sk-or-v1-next", Method::GET, "/keys", None).await.0, 200);
    simulator.provider.revoke_management_key(MANAGEMENT).unwrap();
    assert_eq!(simulator.get("/keys").await.0, 401);
    assert_eq!(simulator.call("sk-or-v1-next", Method::GET, "/key", None).await.1["data"]["is_management_key"], true);
}
