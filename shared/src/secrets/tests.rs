//! The management key as it is read, kept and read again. Its rotation is played over the real stack.

use std::sync::Mutex as Lock;

use serde_json::json;

use super::*;
use crate::config;
use crate::scripted::{Scripted, answer};

/// A Secrets Manager of one secret, whose text the test changes under way.
type Text = Arc<Lock<Option<&'static str>>>;

async fn start(text: Option<&'static str>) -> (Scripted, ManagementKeys, Text) {
    let text = Text::new(Lock::new(text));
    let told = Arc::clone(&text);
    let server = Scripted::start(move |request, _| {
        assert_eq!(request.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
        assert!(request.body.contains("bursar/management-key"));
        match *told.lock().unwrap() {
            Some(text) => answer(200, &json!({"SecretString": text, "VersionId": "v", "Name": "s"}).to_string()),
            None => {
                let body = json!({"__type": "ResourceNotFoundException", "message": "the key is sk-or-v1-secret"});
                answer(400, &body.to_string()).with("content-type", "application/x-amz-json-1.1")
            }
        }
    })
    .await;
    let keys = ManagementKeys::of(&config::of_variables(&server.origin(), &[]).unwrap());
    (server, keys, text)
}

fn key(text: &str) -> ManagementKey {
    ManagementKey::parse(text).unwrap()
}

#[tokio::test]
async fn the_current_key_is_read_once_in_five_minutes_and_its_trailing_newline_is_ignored() {
    let (server, keys, text) = start(Some("sk-or-v1-first\n")).await;
    assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
    *text.lock().unwrap() = Some("sk-or-v1-second");
    advance(KEPT_FOR - Duration::from_secs(1)).await;
    assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
    assert_eq!(server.seen().len(), 1);
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
    let (server, keys, text) = start(Some("sk-or-v1-first")).await;
    let first = keys.current().await.unwrap();
    *text.lock().unwrap() = Some("sk-or-v1-second");
    let fresh = futures_util::future::join_all((0..8).map(|_| keys.refresh(&first))).await;
    assert!(fresh.into_iter().all(|fresh| fresh.unwrap() == key("sk-or-v1-second")));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_secret_that_is_missing_or_holds_no_key_is_told_without_its_text() {
    let (_server, keys, text) = start(None).await;
    let missing = keys.current().await.unwrap_err();
    assert!(matches!(&missing, SecretError::Unanswered(failure) if failure.code == "ResourceNotFoundException"));
    assert!(!format!("{missing} {missing:?}").contains("sk-or"), "{missing:?}");
    for wrong in ["sk-or-v1-secret and a note", " \n"] {
        *text.lock().unwrap() = Some(wrong);
        let error = keys.current().await.unwrap_err();
        assert!(matches!(error, SecretError::NotAKey(_)));
        assert!(!format!("{error} {error:?}").contains("sk-or"), "{error:?}");
    }
}

#[test]
fn a_management_key_is_masked_wherever_it_is_printed() {
    let keys = ManagementKeys::fixed(key("sk-or-v1-secret"));
    let pending = PendingKey { key: key("sk-or-v1-secret"), version: "v1".to_owned() };
    let printed = format!("{keys:?} {pending:?} {:?}", key("sk-or-v1-secret"));
    assert!(!printed.contains("sk-or"), "{printed}");
}
