//! Workspaces: what they print, what they refuse.

use super::*;

#[tokio::test]
async fn there_is_a_default_workspace_from_the_start() {
    let simulator = Simulator::start().await;
    let (status, list) = simulator.get("/workspaces").await;
    assert_eq!((status, &list["total_count"], names(&list)), (200, &json!(1), vec!["Default"]));
    let by_slug = simulator.default_workspace().await;
    assert_eq!(by_slug, list["data"][0]);
    let by_id = simulator.get(&format!("/workspaces/{}", by_slug["id"].as_str().unwrap())).await;
    assert_eq!(by_id.1["data"], by_slug);
    assert_ne!(by_slug["default_guardrail_id"], by_slug["id"]);
    assert_eq!(simulator.get("/workspaces/nowhere").await.0, 404);
}

#[tokio::test]
async fn names_and_slugs_are_checked_and_slugs_are_unique() {
    let simulator = Simulator::start().await;
    for body in [
        json!({ "name": "n" }),
        json!({ "slug": "s" }),
        json!({ "name": "", "slug": "s" }),
        json!({ "name": "n", "slug": "S" }),
        json!({ "name": "n", "slug": "a--b" }),
        json!({ "name": "n", "slug": "-a" }),
        json!({ "name": "n", "slug": "a".repeat(51) }),
        json!({ "name": "n", "slug": "default" }),
        json!({ "name": "n", "slug": "s", "io_logging_sampling_rate": 2 }),
        json!({ "name": "n", "slug": "s", "description": "x".repeat(501) }),
    ] {
        assert_eq!(simulator.post("/workspaces", body.clone()).await.0, 400, "{body}");
    }
    let body = json!({ "name": "CS 101", "slug": "cs-101", "description": "Autumn", "io_logging_sampling_rate": 0.5 });
    let (status, made) = simulator.post("/workspaces", body).await;
    assert_eq!((status, &made["data"]["description"]), (201, &json!("Autumn")));
    assert_eq!((&made["data"]["io_logging_sampling_rate"], &made["data"]["updated_at"]), (&json!(0.5), &Value::Null));
    let patch = json!({ "name": "CS 102", "slug": "cs-102", "description": null });
    let (status, patched) = simulator.patch("/workspaces/cs-101", patch).await;
    assert_eq!(
        (status, &patched["data"]["name"], &patched["data"]["description"]),
        (200, &json!("CS 102"), &Value::Null)
    );
    assert_eq!(patched["data"]["id"], made["data"]["id"]);
    assert_eq!(simulator.patch("/workspaces/cs-102", json!({ "slug": "default" })).await.0, 400);
    assert_eq!(simulator.get("/workspaces/cs-101").await.0, 404);
}

#[tokio::test]
async fn a_workspace_with_active_keys_cannot_be_deleted_and_goes_with_its_guardrails() {
    let simulator = Simulator::start().await;
    let workspace = simulator.workspace("course").await;
    let guardrail = simulator.guardrail(json!({ "name": "n", "workspace_id": workspace })).await;
    let key = simulator.key(json!({ "name": "n", "workspace_id": workspace })).await;
    assert_eq!(simulator.delete("/workspaces/course").await.0, 400);
    simulator.patch(&format!("/keys/{}", key.hash), json!({ "disabled": true })).await;
    assert_eq!(simulator.delete("/workspaces/course").await, (200, json!({ "deleted": true })));
    assert_eq!(simulator.delete("/workspaces/course").await.0, 404);
    assert_eq!(simulator.get(&format!("/guardrails/{guardrail}")).await.0, 404);
    assert_eq!(simulator.patch(&format!("/keys/{}", key.hash), json!({ "disabled": false })).await.0, 403);
}

#[tokio::test]
async fn deleting_the_default_workspace_must_be_confirmed_and_disables_its_keys_for_good() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    assert_eq!(simulator.delete("/workspaces/default").await.0, 400);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 200);
    let path = "/workspaces/default?confirm_default_workspace_deletion=true";
    assert_eq!(simulator.delete(path).await.0, 200);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 401);
    assert_eq!(simulator.patch(&format!("/keys/{}", key.hash), json!({ "disabled": false })).await.0, 403);
    assert_eq!(simulator.get("/keys").await.0, 400);
    assert_eq!(simulator.post("/keys", json!({ "name": "n" })).await.0, 400);
    assert_eq!(simulator.post("/guardrails", json!({ "name": "n" })).await.0, 400);
}

#[tokio::test]
async fn workspaces_come_in_pages_newest_first() {
    let simulator = Simulator::start().await;
    for number in 1..=3 {
        simulator.at(&format!("2026-11-18T12:00:0{number}Z"));
        simulator.workspace(&format!("w{number}")).await;
    }
    let (_, page) = simulator.get("/workspaces?limit=2").await;
    assert_eq!((names(&page), &page["total_count"]), (vec!["w3", "w2"], &json!(4)));
    assert_eq!(names(&simulator.get("/workspaces?limit=2&offset=2").await.1), ["w1", "Default"]);
}
