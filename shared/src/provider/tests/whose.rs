//! Whose account a management key is of.

use super::*;
use crate::domain::mail::alarm::Cause;
use crate::domain::values::id::DeploymentId;
use crate::domain::values::key::Fingerprint;
use crate::scripted::{ScriptedAnswer, answer};
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

fn found(number: usize) -> ScriptedAnswer {
    answer(200, &json!({"data": key_json(number)}).to_string())
}

fn not_there() -> ScriptedAnswer {
    answer(404, &error_json(404, "not found"))
}

async fn check(provider: &Provider, account: &KnownAccount) -> &'static str {
    ending(&provider.check_account(&deployment(), Some(account), soon()).await)
}

#[tokio::test]
async fn a_key_of_another_fingerprint_has_to_find_one_of_the_listed_keys() {
    let (server, provider, _) = scripted(|_, before| if before == 0 { not_there() } else { found(2) }).await;
    assert_eq!(check(&provider, &known_by(MANAGEMENT_KEY, &[1, 2, 3])).await, "done");
    assert_eq!(check(&provider, &known_by(OLD, &[])).await, "done");
    provider.check_account(&deployment(), None, soon()).await.unwrap();
    assert!(server.seen().is_empty(), "known, or nothing to go by");
    assert_eq!(check(&provider, &known_by(OLD, &[1, 2, 3])).await, "done");
    let asked: Vec<_> = [1, 2].map(|number| format!("GET /api/v1/keys/{}", hash(number))).into();
    assert_eq!(server.lines(), asked);
}

#[tokio::test]
async fn a_key_that_finds_none_of_them_is_of_another_account() {
    let (server, provider, _) = scripted(|_, _| not_there()).await;
    let error = provider.check_account(&deployment(), Some(&known_by(OLD, &[1, 2])), soon()).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
    let cause = Cause::AnotherAccount { management_key: fingerprint(MANAGEMENT_KEY) };
    assert_eq!(error.refusal(), Some(cause));
    assert!(!provider.finds_one_of(&known_by(MANAGEMENT_KEY, &[1]), soon()).await.unwrap());
}

#[tokio::test]
async fn what_is_neither_a_key_nor_the_providers_own_404_proves_nothing() {
    type Case = (fn() -> ScriptedAnswer, &'static str);
    let answers: [Case; 5] = [
        (|| answer(404, "<html>no such page</html>"), "later"),
        (|| answer(500, &error_json(500, "oops")), "later"),
        (|| answer(200, "<html>busy</html>"), "later"),
        (|| answer(429, &error_json(429, "slow down")).with("retry-after", "300"), "later"),
        (|| answer(401, &error_json(401, "User not found.")), "management key"),
    ];
    for (odd, expected) in answers {
        let (_server, provider, _) = scripted(move |_, _| odd()).await;
        assert_eq!(check(&provider, &known_by(OLD, &[1])).await, expected);
    }
}

#[test]
fn a_fingerprint_is_of_one_key_and_one_deployment_and_tells_nothing_of_the_key() {
    let of = |key: &str, deployment: &str| ManagementKey::parse(key).unwrap().fingerprint(&deployment.parse().unwrap());
    assert_eq!(of("sk-or-v1-a", "0123456789"), of(" sk-or-v1-a\n", "0123456789"));
    assert_ne!(of("sk-or-v1-a", "0123456789"), of("sk-or-v1-b", "0123456789"));
    assert_ne!(of("sk-or-v1-a", "0123456789"), of("sk-or-v1-a", "9876543210"));
    assert!(!of("sk-or-v1-a", "0123456789").as_str().contains("sk-or"));
}
