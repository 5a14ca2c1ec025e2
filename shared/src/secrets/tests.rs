//! The management key as it is read, kept, read again and rotated.

use std::sync::Mutex as Lock;

use aws_smithy_http_client::Builder;
use serde_json::{Value, json};

use super::*;
use crate::scripted::{Scripted, ScriptedAct, SeenRequest, answer};

/// A Secrets Manager of one secret, whose versions the test changes under way.
#[derive(Clone, Default)]
struct Versions(Arc<Lock<Vec<Version>>>);

#[derive(Clone)]
struct Version {
    id: &'static str,
    text: &'static str,
    stages: Vec<&'static str>,
}

impl Versions {
    fn put(&self, id: &'static str, text: &'static str, stage: &'static str) {
        let mut versions = self.0.lock().unwrap();
        for version in versions.iter_mut() {
            version.stages.retain(|known| *known != stage);
        }
        versions.push(Version { id, text, stages: vec![stage] });
    }

    fn act(&self, request: &SeenRequest) -> ScriptedAct {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let mut versions = self.0.lock().unwrap();
        let stage = body["VersionStage"].as_str().unwrap();
        match request.header("x-amz-target") {
            Some("secretsmanager.GetSecretValue") => {
                let found = versions.iter().find(|version| version.stages.contains(&stage));
                let Some(Version { id, text, .. }) = found else {
                    return refusal("ResourceNotFoundException");
                };
                answer(200, &json!({"SecretString": text, "VersionId": id, "Name": body["SecretId"]}).to_string())
            }
            Some("secretsmanager.UpdateSecretVersionStage") => {
                let (from, to) = (body["RemoveFromVersionId"].as_str(), body["MoveToVersionId"].as_str());
                let holder = versions.iter().find(|version| version.stages.contains(&stage));
                if holder.map(|version| version.id) != from {
                    return refusal("InvalidParameterException");
                }
                for version in versions.iter_mut() {
                    version.stages.retain(|known| *known != stage);
                    if Some(version.id) == to {
                        version.stages.push("AWSCURRENT");
                    }
                }
                answer(200, "{}")
            }
            other => panic!("{other:?} is not asked for"),
        }
    }
}

fn refusal(code: &str) -> ScriptedAct {
    let body = json!({"__type": code, "message": "the key is sk-or-v1-secret"}).to_string();
    answer(400, &body).with("content-type", "application/x-amz-json-1.1")
}

fn stored_at(origin: &str) -> ManagementKeys {
    let http = Builder::new().build_http();
    ManagementKeys(Source::Stored(Arc::new(SecretStore {
        access: AwsAccess::under(origin, "eu-central-1", http),
        client: OnceLock::new(),
        secret: "bursar/management-key".to_owned(),
        kept: Mutex::new(None),
    })))
}

async fn start(versions: &Versions) -> (Scripted, ManagementKeys) {
    let versions = versions.clone();
    let server = Scripted::start(move |request, _| versions.act(request)).await;
    let keys = stored_at(&server.origin());
    (server, keys)
}

fn key(text: &str) -> ManagementKey {
    ManagementKey::parse(text).unwrap()
}

#[tokio::test]
async fn the_current_key_is_read_once_and_its_trailing_newline_is_ignored() {
    let versions = Versions::default();
    versions.put("v1", "sk-or-v1-first\n", CURRENT);
    let (server, keys) = start(&versions).await;
    for _ in 0..3 {
        assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
    }
    assert_eq!(server.seen().len(), 1);
    assert!(server.seen()[0].body.contains("bursar/management-key"));
}

#[tokio::test]
async fn after_five_minutes_the_key_is_read_again_and_not_before() {
    let versions = Versions::default();
    versions.put("v1", "sk-or-v1-first", CURRENT);
    let (server, keys) = start(&versions).await;
    keys.current().await.unwrap();
    versions.put("v2", "sk-or-v1-second", CURRENT);

    advance(KEPT_FOR - Duration::from_secs(1)).await;
    assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-second"));
    assert_eq!(server.seen().len(), 2);
}

/// Moves the monotonic clock; sockets are used only while it runs by itself.
async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn all_who_were_refused_share_one_fresh_read() {
    let versions = Versions::default();
    versions.put("v1", "sk-or-v1-first", CURRENT);
    let (server, keys) = start(&versions).await;
    let first = keys.current().await.unwrap();
    versions.put("v2", "sk-or-v1-second", CURRENT);

    let fresh = futures_util::future::join_all((0..8).map(|_| keys.refresh(&first))).await;
    assert!(fresh.into_iter().all(|fresh| fresh.unwrap() == key("sk-or-v1-second")));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_pending_key_is_found_promoted_and_used_at_once() {
    let versions = Versions::default();
    versions.put("v1", "sk-or-v1-first", CURRENT);
    let (_server, keys) = start(&versions).await;
    assert!(keys.pending().await.unwrap().is_none());

    versions.put("v2", "sk-or-v1-second\n", PENDING);
    keys.current().await.unwrap();
    let pending = keys.pending().await.unwrap().unwrap();
    assert_eq!(pending.key, key("sk-or-v1-second"));
    keys.promote(&pending).await.unwrap();
    assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-second"));
    // The stage stays on the version, but there is nothing left to promote.
    assert!(keys.pending().await.unwrap().is_none());
}

#[tokio::test]
async fn promoting_twice_changes_nothing_and_a_lost_answer_is_found_out() {
    let versions = Versions::default();
    versions.put("v1", "sk-or-v1-first", CURRENT);
    versions.put("v2", "sk-or-v1-second", PENDING);
    let script = versions.clone();
    let mut moved = false;
    let server = Scripted::start(move |request, _| {
        let moves = request.header("x-amz-target") == Some("secretsmanager.UpdateSecretVersionStage");
        let is_first = moves && !std::mem::replace(&mut moved, true);
        let act = script.act(request);
        if is_first { ScriptedAct::Drop } else { act }
    })
    .await;
    let keys = stored_at(&server.origin());
    let pending = keys.pending().await.unwrap().unwrap();
    keys.promote(&pending).await.unwrap();

    let before = server.seen().len();
    keys.promote(&pending).await.unwrap();
    let asked: Vec<_> =
        server.seen()[before..].iter().filter_map(|seen| seen.header("x-amz-target").map(str::to_owned)).collect();
    assert_eq!(asked, ["secretsmanager.GetSecretValue"]);
}

#[tokio::test]
async fn a_secret_that_is_missing_or_holds_no_key_is_told_without_its_text() {
    let versions = Versions::default();
    let (_server, keys) = start(&versions).await;
    let missing = keys.current().await.unwrap_err();
    assert!(matches!(&missing, SecretError::Unanswered(failure) if failure.code == "ResourceNotFoundException"));

    versions.put("v1", "sk-or-v1-secret and a note", CURRENT);
    let wrong = keys.current().await.unwrap_err();
    assert!(matches!(wrong, SecretError::NotAKey(_)));
    versions.put("v2", " \n", CURRENT);
    assert!(matches!(keys.current().await, Err(SecretError::NotAKey(_))));

    for told in [format!("{missing} {missing:?}"), format!("{wrong} {wrong:?}")] {
        assert!(!told.contains("secret and") && !told.contains("sk-or"), "{told}");
    }
}

#[test]
fn a_management_key_is_masked_wherever_it_is_printed() {
    let keys = ManagementKeys::fixed(key("sk-or-v1-secret"));
    let pending = PendingKey { key: key("sk-or-v1-secret"), version: "v1".to_owned() };
    let printed = format!("{keys:?} {pending:?} {:?}", key("sk-or-v1-secret"));
    assert!(!printed.contains("sk-or"), "{printed}");
}
