//! Making, reading, changing and deleting one key.

use super::*;
use crate::provider::Times;
use crate::provider::values::ids;

#[tokio::test]
async fn the_plaintext_is_a_sibling_of_data_and_the_hash_is_inside() {
    let simulator = Simulator::start().await;
    let (status, made) = simulator.post("/keys", json!({ "name": "one", "limit": 20, "limit_reset": "weekly" })).await;
    assert_eq!(status, 201);
    let plaintext = made["key"].as_str().unwrap();
    assert!(plaintext.starts_with("sk-or-v1-") && plaintext.len() == 73);
    let data = &made["data"];
    assert_eq!(data["hash"], ids::sha256(plaintext));
    assert!(data.get("key").is_none() && data.get("key_hash").is_none());
    assert_eq!(data["label"].as_str().unwrap()[..12], plaintext[..12]);
    let expected = json!({
        "hash": data["hash"], "name": "one", "label": data["label"], "disabled": false,
        "limit": 20, "limit_remaining": 20, "limit_reset": "weekly", "include_byok_in_limit": false,
        "usage": 0, "usage_daily": 0, "usage_weekly": 0, "usage_monthly": 0,
        "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0,
        "created_at": "2026-11-18T12:00:00Z", "updated_at": null, "expires_at": null, "last_used_at": null,
        "creator_user_id": data["creator_user_id"], "external_user": null,
        "workspace_id": simulator.default_workspace().await["id"],
    });
    assert_eq!(data, &expected);
}

#[tokio::test]
async fn the_key_object_is_the_same_wherever_it_is_printed_and_the_plaintext_is_never_printed_again() {
    let simulator = Simulator::start().await;
    let (_, made) = simulator.post("/keys", json!({ "name": "one" })).await;
    let hash = made["data"]["hash"].as_str().unwrap();
    let (_, read) = simulator.get(&format!("/keys/{hash}")).await;
    let (_, list) = simulator.get("/keys").await;
    let (_, patched) = simulator.patch(&format!("/keys/{hash}"), json!({ "name": "two" })).await;
    assert_eq!(read, json!({ "data": made["data"] }));
    assert_eq!(list, json!({ "data": [made["data"]] }));
    let fields = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&patched["data"]), fields(&made["data"]));
    for answer in [read, list, patched] {
        assert!(!answer.to_string().contains(made["key"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_trailing_slash_is_tolerated_on_the_keys() {
    let simulator = Simulator::start().await;
    assert_eq!(simulator.post("/keys/", json!({ "name": "one" })).await.0, 201);
    assert_eq!(names(&simulator.get("/keys/").await.1), ["one"]);
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_refused_and_make_no_key() {
    let simulator = Simulator::start().await;
    for body in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": null }),
        json!({ "name": 5 }),
        json!({ "name": "n", "limit": "20" }),
        json!({ "name": "n", "limit": -1 }),
        json!({ "name": "n", "limit_reset": "yearly" }),
        json!({ "name": "n", "include_byok_in_limit": null }),
        json!({ "name": "n", "include_byok_in_limit": "true" }),
        json!({ "name": "n", "workspace_id": "default" }),
        json!({ "name": "n", "workspace_id": "00000000-0000-4000-8000-000000000000" }),
        json!(["name"]),
    ] {
        let (status, refused) = simulator.post("/keys", body.clone()).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!(400)), "{body}");
        assert!(!message(&refused).is_empty());
    }
    let (status, _) = simulator.send(Some(MANAGEMENT), Method::POST, "/keys", Some("{".into())).await;
    assert_eq!(status, 400);
    assert!(simulator.provider.keys().is_empty());
}

#[tokio::test]
async fn expiry_must_be_utc_with_seconds() {
    let simulator = Simulator::start().await;
    for refused in ["2027-01-31T23:59Z", "2027-01-31T23:59:59+01:00", "2027-01-31T23:59:59", "2027-01-31", "soon"] {
        let (status, _) = simulator.post("/keys", json!({ "name": "n", "expires_at": refused })).await;
        assert_eq!(status, 400, "{refused}");
    }
    for accepted in ["2027-01-31T23:59:59Z", "2027-01-31T23:59:59.500Z"] {
        let (status, made) = simulator.post("/keys", json!({ "name": "n", "expires_at": accepted })).await;
        assert_eq!((status, &made["data"]["expires_at"]), (201, &json!("2027-01-31T23:59:59Z")), "{accepted}");
    }
    assert_eq!(simulator.post("/keys", json!({ "name": "n", "expires_at": null })).await.0, 201);
}

#[tokio::test]
async fn fields_that_a_new_key_does_not_accept_are_ignored() {
    let simulator = Simulator::start().await;
    let guardrail = simulator.guardrail(json!({ "name": "none", "allowed_models": [FREE] })).await;
    let body = json!({ "name": "n", "disabled": true, "label": "mine", "guardrail_ids": [guardrail] });
    let key = simulator.key(body).await;
    assert_eq!(simulator.read(&key).await["disabled"], false);
    assert_eq!(simulator.provider.keys()[0].guardrail_id, None);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 10).await.0, 200);
}

#[tokio::test]
async fn two_keys_may_have_one_name_unless_the_quirk_says_otherwise() {
    let simulator = Simulator::start().await;
    let first = simulator.key(json!({ "name": "same" })).await;
    let second = simulator.key(json!({ "name": "same" })).await;
    assert_ne!(first.hash, second.hash);
    simulator.provider.set_quirks(|quirks| quirks.unique_names = true);
    assert_eq!(simulator.post("/keys", json!({ "name": "same" })).await.0, 400);
}

#[tokio::test]
async fn a_patch_changes_what_it_carries_and_null_is_not_absent() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 20, "limit_reset": "monthly" })).await;
    let path = format!("/keys/{}", key.hash);
    simulator.at("2026-11-18T12:00:05Z");
    let (_, patched) = simulator.patch(&path, json!({ "limit": 12.5 })).await;
    assert_eq!(patched["data"]["limit"], 12.5);
    assert_eq!(patched["data"]["limit_reset"], "monthly");
    assert_eq!(patched["data"]["updated_at"], "2026-11-18T12:00:05Z");
    let (_, patched) = simulator.patch(&path, json!({ "limit": null, "limit_reset": null })).await;
    assert_eq!((&patched["data"]["limit"], &patched["data"]["limit_remaining"]), (&Value::Null, &Value::Null));
    assert_eq!(patched["data"]["limit_reset"], Value::Null);
    for body in
        [json!({ "disabled": null }), json!({ "name": null }), json!({ "limit": "5" }), json!({ "limit_reset": "" })]
    {
        assert_eq!(simulator.patch(&path, body.clone()).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn a_patch_without_an_accepted_field_is_refused_and_with_one_the_others_are_ignored() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "expires_at": "2027-01-01T00:00:00Z" })).await;
    let path = format!("/keys/{}", key.hash);
    for body in [json!({}), json!({ "expires_at": "2028-01-01T00:00:00Z" }), json!({ "creator_user_id": "u" })] {
        let (status, refused) = simulator.patch(&path, body).await;
        assert_eq!((status, message(&refused)), (400, "No update fields provided"));
    }
    let body = json!({ "name": "m", "expires_at": "2028-01-01T00:00:00Z", "hash": "x", "usage": 0 });
    let (status, patched) = simulator.patch(&path, body).await;
    assert_eq!((status, &patched["data"]["name"]), (200, &json!("m")));
    assert_eq!(patched["data"]["expires_at"], "2027-01-01T00:00:00Z");
    assert_eq!(patched["data"]["hash"], key.hash);
}

#[tokio::test]
async fn deleting_answers_200_once_and_404_ever_after() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let path = format!("/keys/{}", key.hash);
    assert_eq!(simulator.delete(&path).await, (200, json!({ "deleted": true })));
    assert_eq!(simulator.delete(&path).await.0, 404);
    assert_eq!(simulator.get(&path).await.0, 404);
    assert_eq!(simulator.patch(&path, json!({ "disabled": true })).await.0, 404);
    assert_eq!(names(&simulator.get("/keys?include_disabled=true&include_expired=true").await.1), [""; 0]);
    assert!(simulator.provider.keys()[0].deleted);
}

#[tokio::test]
async fn instants_come_in_the_spelling_that_the_quirk_says() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "expires_at": "2027-01-01T00:00:00Z" })).await;
    simulator.provider.set_quirks(|quirks| quirks.times = Times::OffsetWithMicroseconds);
    let read = simulator.read(&key).await;
    assert_eq!(read["created_at"], "2026-11-18T12:00:00.000000+00:00");
    assert_eq!(read["expires_at"], "2027-01-01T00:00:00.000000+00:00");
}

#[tokio::test]
async fn fields_are_absent_if_the_quirk_says_so() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let absent = ["workspace_id", "last_used_at", "usage_daily", "expires_at"];
    simulator.provider.set_quirks(|quirks| quirks.absent_fields = absent.to_vec());
    let (read, own) = (simulator.read(&key).await, simulator.own(&key).await);
    for field in absent {
        assert!(read.get(field).is_none() && own.get(field).is_none(), "{field}");
    }
    assert!(read.get("usage_weekly").is_some() && own.get("usage_weekly").is_some());
}
