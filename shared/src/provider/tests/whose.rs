//! Whose account a management key is of.

use super::*;
use crate::domain::mail::alarm::Cause;
use crate::domain::values::key::Fingerprint;
use crate::prelude::*;
use crate::store::KnownAccount;

const OLD: &str = "sk-or-v1-old";

fn deployment() -> DeploymentId {
    "0123456789".parse().unwrap()
}

fn fingerprint(key: &str) -> Fingerprint {
    ManagementKey::parse(key).unwrap().fingerprint(&deployment())
}

fn known_by(key: &str, listed: &[usize]) -> KnownAccount {
    KnownAccount { management_key: fingerprint(key), listed: listed.iter().map(|number| hash(*number)).collect() }
}

async fn check(provider: &Provider, account: &KnownAccount) -> &'static str {
    ending(&provider.check_account(&deployment(), Some(account), soon()).await)
}

#[tokio::test]
async fn a_key_of_another_fingerprint_has_to_find_one_of_the_listed_keys() {
    let (server, provider, _) = scripted(|_, before| match before {
        0 => answer(404, &error_json(404, "not found")),
        _ => answer(200, &json!({"data": key_json(2)}).to_string()),
    })
    .await;
    assert_eq!(check(&provider, &known_by(MANAGEMENT_KEY, &[1, 2, 3])).await, "done");
    assert_eq!(check(&provider, &known_by(OLD, &[])).await, "done");
    provider.check_account(&deployment(), None, soon()).await.unwrap();
    assert!(server.seen().is_empty(), "known, or nothing to go by");
    assert_eq!(check(&provider, &known_by(OLD, &[1, 2, 3])).await, "done");
    let asked: Vec<_> = [1, 2].map(|number| format!("GET /api/v1/keys/{}", hash(number))).into();
    assert_eq!(server.lines(), asked);
}

#[tokio::test]
async fn a_key_that_finds_none_is_of_another_account_and_only_the_providers_own_404_proves_it() {
    let (server, provider) = answering(404, error_json(404, "not found")).await;
    let error = provider.check_account(&deployment(), Some(&known_by(OLD, &[1, 2])), soon()).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
    assert_eq!(error.refusal(), Some(Cause::AnotherAccount { management_key: fingerprint(MANAGEMENT_KEY) }));
    assert!(!provider.finds_one_of(&known_by(MANAGEMENT_KEY, &[1]), soon()).await.unwrap());

    for (status, body, expected) in [
        (404, "<html>no such page</html>", "later"),
        (500, r#"{"error":{"message":"oops"}}"#, "later"),
        (200, "<html>busy</html>", "later"),
        (401, r#"{"error":{"message":"User not found."}}"#, "management key"),
    ] {
        let (_server, provider) = answering(status, body).await;
        assert_eq!(check(&provider, &known_by(OLD, &[1])).await, expected, "{status}");
    }
}

#[test]
fn a_fingerprint_is_of_one_key_and_one_deployment_and_tells_nothing_of_the_key() {
    assert_eq!(fingerprint("sk-or-v1-a"), fingerprint(" sk-or-v1-a\n"));
    assert_ne!(fingerprint("sk-or-v1-a"), fingerprint("sk-or-v1-b"));
    let elsewhere = ManagementKey::parse("sk-or-v1-a").unwrap().fingerprint(&"9876543210".parse().unwrap());
    assert_ne!(fingerprint("sk-or-v1-a"), elsewhere);
    assert!(!elsewhere.as_str().contains("sk-or"));
}
