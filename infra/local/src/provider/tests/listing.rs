//! `GET /keys` and `GET /workspaces`: pages, hidden entries, workspaces.

use super::*;
use jiff::ToSpan;

#[tokio::test]
async fn a_page_is_the_hundred_newest_and_says_nothing_of_the_total() {
    let simulator = Simulator::start().await;
    let noon = simulator.provider.now();
    for number in 0..205_i64 {
        simulator.provider.add_foreign_key(&number.to_string(), None, noon + number.seconds()).unwrap();
    }
    let all = "include_disabled=true&include_expired=true";
    for query in ["", all] {
        let (_, first) = simulator.get(&format!("/keys?{query}")).await;
        assert_eq!(first.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"]);
        let first = names(&first).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((first.len(), first[0].as_str(), first[99].as_str()), (100, "204", "105"));
        let (_, last) = simulator.get(&format!("/keys?offset=200&{query}")).await;
        assert_eq!(names(&last), ["4", "3", "2", "1", "0"]);
        assert_eq!(names(&simulator.get(&format!("/keys?offset=205&{query}")).await.1), [""; 0]);
        let (_, limited) = simulator.get(&format!("/keys?limit=5&{query}")).await;
        assert_eq!(names(&limited).len(), 100);
    }
    for offset in ["-1", "x", "1.5"] {
        assert_eq!(simulator.get(&format!("/keys?offset={offset}")).await.0, 400, "{offset}");
    }
}

#[tokio::test]
async fn creations_and_deletions_shift_the_pages() {
    let simulator = Simulator::start().await;
    let noon = simulator.provider.now();
    for number in 0..150_i64 {
        simulator.provider.add_foreign_key(&number.to_string(), None, noon + number.seconds()).unwrap();
    }
    let second_page = async || names(&simulator.get("/keys?offset=100").await.1)[0].to_owned();
    assert_eq!(second_page().await, "49");
    let newest = simulator.provider.add_foreign_key("new", None, noon + 1.hour()).unwrap();
    assert_eq!(second_page().await, "50");
    simulator.provider.delete(&newest.hash).unwrap();
    simulator.provider.delete(&simulator.provider.keys()[149].hash).unwrap();
    assert_eq!(second_page().await, "48");
}

#[tokio::test]
async fn disabled_and_expired_keys_are_hidden_unless_asked_for() {
    let simulator = Simulator::start().await;
    simulator.key(json!({ "name": "plain" })).await;
    simulator.key(json!({ "name": "expired", "expires_at": "2026-11-18T12:00:10Z" })).await;
    let disabled = simulator.key(json!({ "name": "disabled" })).await;
    simulator.patch(&format!("/keys/{}", disabled.hash), json!({ "disabled": true })).await;
    assert_eq!(names(&simulator.get("/keys").await.1), ["expired", "plain"]);
    simulator.at("2026-11-18T12:00:10Z");
    for (query, shown) in [
        ("", vec!["plain"]),
        ("?include_disabled=false&include_expired=false", vec!["plain"]),
        ("?include_disabled=1", vec!["plain"]),
        ("?include_disabled=true", vec!["disabled", "plain"]),
        ("?include_expired=true", vec!["expired", "plain"]),
        ("?include_disabled=true&include_expired=true", vec!["disabled", "expired", "plain"]),
    ] {
        assert_eq!(names(&simulator.get(&format!("/keys{query}")).await.1), shown, "{query}");
    }
    simulator.provider.set_quirks(|quirks| quirks.include_disabled_by_default = true);
    assert_eq!(names(&simulator.get("/keys").await.1), ["disabled", "plain"]);
    assert_eq!(names(&simulator.get("/keys?include_disabled=false").await.1), ["plain"]);
}

#[tokio::test]
async fn without_a_workspace_only_the_default_one_is_listed() {
    let simulator = Simulator::start().await;
    let workspace = simulator.workspace("course");
    simulator.key(json!({ "name": "here" })).await;
    let there = simulator.key(json!({ "name": "there", "workspace_id": workspace })).await;
    assert_eq!(names(&simulator.get("/keys").await.1), ["here"]);
    assert_eq!(names(&simulator.get(&format!("/keys?workspace_id={workspace}")).await.1), ["there"]);
    assert_eq!(simulator.read(&there).await["workspace_id"], workspace);
    assert_eq!(simulator.get("/keys?workspace_id=course").await.0, 400);
    assert_eq!(simulator.get("/keys?workspace_id=00000000-0000-4000-8000-000000000000").await.0, 404);
}

#[tokio::test]
async fn a_key_that_moves_keeps_its_secret_and_its_guardrail() {
    let simulator = Simulator::start().await;
    let workspace = simulator.workspace("course");
    let key = simulator.key(json!({ "name": "mover" })).await;
    let guardrail = simulator.guardrail(json!({ "name": "only free", "allowed_models": [FREE] })).await;
    simulator.assign(&guardrail, &key).await;
    let path = format!("/keys/{}", key.hash);
    let (status, moved) = simulator.patch(&path, json!({ "workspace_id": workspace })).await;
    assert_eq!((status, &moved["data"]["workspace_id"]), (200, &json!(workspace)));
    assert_eq!(simulator.patch(&path, json!({ "workspace_id": workspace })).await.0, 200);
    assert_eq!(names(&simulator.get("/keys").await.1), [""; 0]);
    assert_eq!(names(&simulator.get(&format!("/keys?workspace_id={workspace}")).await.1), ["mover"]);
    assert_eq!(simulator.own(&key).await["workspace_id"], workspace);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 403);
    let nowhere = json!({ "workspace_id": "00000000-0000-4000-8000-000000000000" });
    assert_eq!(simulator.patch(&path, nowhere).await.0, 404);
}

#[tokio::test]
async fn there_is_a_default_workspace_from_the_start() {
    let simulator = Simulator::start().await;
    let (status, list) = simulator.get("/workspaces").await;
    assert_eq!((status, &list["total_count"], names(&list)), (200, &json!(1), vec!["Default"]));
    let default = &list["data"][0];
    assert_ne!(default["default_guardrail_id"], default["id"]);
}

#[tokio::test]
async fn workspaces_come_in_pages_newest_first() {
    let simulator = Simulator::start().await;
    for number in 1..=3 {
        simulator.at(&format!("2026-11-18T12:00:0{number}Z"));
        simulator.workspace(&format!("w{number}"));
    }
    let (_, page) = simulator.get("/workspaces?limit=2").await;
    assert_eq!((names(&page), &page["total_count"]), (vec!["w3", "w2"], &json!(4)));
    assert_eq!(names(&simulator.get("/workspaces?limit=2&offset=2").await.1), ["w1", "Default"]);
}
