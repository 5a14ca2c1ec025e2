//! The account's money, the kind of its key, and whose account it is.

use std::collections::BTreeMap;

use super::*;
use crate::domain::mail::alarm::Cause;
use crate::domain::values::id::DeploymentId;
use crate::domain::values::key::Fingerprint;
use crate::store::KnownAccount;

/// The balance is the purchased credit less the used credit, and it is never overstated.
#[tokio::test]
async fn a_balance_is_never_too_high() {
    for (body, balance) in [
        (
            r#"{"data":{"total_credits":100.00000099,"total_usage":1.3e1}}"#,
            Usd::from_dollars(87),
        ),
        (
            r#"{"data":{"total_credits":5,"total_usage":5.0000001,"novel":[]}}"#,
            Usd::from_micros(-1),
        ),
    ] {
        let (server, provider) = answering(200, body).await;
        assert_eq!(provider.credits(soon()).await.unwrap().balance(), balance);
        assert_eq!(server.lines(), ["GET /api/v1/credits"]);
    }
    for body in [
        r#"{"data":{}}"#,
        r#"{"data":{"total_credits":1,"total_usage":null}}"#,
        r#"{"data":null}"#,
    ] {
        let (_server, provider) = answering(200, body).await;
        assert_eq!(
            ending(&provider.credits(soon()).await),
            "unknown",
            "it is no empty account: {body}"
        );
    }
}

/// A management key is distinguished from an ordinary one by what the provider reports about it.
#[tokio::test]
async fn an_ordinary_key_is_refused() {
    for (said, expected) in [
        (json!({"is_management_key": true}), None),
        (json!({"is_provisioning_key": true}), None),
        (
            json!({"is_provisioning_key": false}),
            Some("is an ordinary key"),
        ),
        (
            json!({"is_management_key": false, "label": "sk-or-v1-0e6...1c96"}),
            Some("“sk-or-v1-0e6...1c96”"),
        ),
        (
            json!({"is_management_key": false, "label": "sk-or-v1-0123456789"}),
            Some("“sk-or-…”"),
        ),
    ] {
        let (server, provider) = answering(200, json!({"data": said})).await;
        let error = provider
            .check_management_key(soon())
            .await
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some(), "{said}");
        assert!(
            error
                .unwrap_or_default()
                .contains(expected.unwrap_or_default()),
            "{said}"
        );
        assert_eq!(server.lines(), ["GET /api/v1/key"]);
    }
}

/// A key whose kind is not reported is judged by what it is allowed to do.
#[tokio::test]
async fn an_undeclared_key_is_tried() {
    for (status, expected) in [(200, "done"), (403, "management key")] {
        let (server, provider, _) = scripted(move |request, _| {
            if request.target == "/api/v1/key" {
                answer(200, r#"{"data":{"label":"x"}}"#)
            } else {
                answer(status, r#"{"data":[],"error":{"message":"Only management keys can perform this operation"}}"#)
            }
        })
        .await;
        assert_eq!(
            ending(&provider.check_management_key(soon()).await),
            expected
        );
        assert_eq!(server.lines()[1], "GET /api/v1/workspaces?limit=1");
    }
}

#[tokio::test]
async fn a_model_is_found_by_either_of_its_slugs_and_no_list_is_empty() {
    let body = r#"{"data": [
        {"id": "a/one", "canonical_slug": "a/one-2026", "pricing": {"prompt": "0.000001", "completion": "0.00000015"}, "expiration_date": "2026-12-03", "x": 1},
        {"id": "a/one:free", "canonical_slug": "a/one-2026", "pricing": {"completion": "0"}, "expiration_date": null},
        {"id": "b/auto", "pricing": {"completion": "-1"}, "expiration_date": 7},
        {"id": "b/two", "expiration_date": "2026-12-03T09:00:00Z"}
    ]}"#;
    let (_server, provider) = answering(200, body).await;
    let listed = provider.models(soon()).await.unwrap();
    let mut lines = Vec::new();
    for slug in [
        "a/one",
        "a/one-2026",
        "a/one:free",
        "b/auto",
        "b/two",
        "c/three",
    ] {
        let model = listed.iter().find(|model| model.is_named(slug));
        lines.push(format!(
            "{slug}: {:?}",
            model.map(|model| (&model.slug, model.answer_price, model.gone_on))
        ));
    }
    assert_eq!(listed.len(), 4);
    insta::assert_snapshot!(lines.join("\n"), @r#"
    a/one: Some(("a/one", Some($0.150000), Some(2026-12-03)))
    a/one-2026: Some(("a/one", Some($0.150000), Some(2026-12-03)))
    a/one:free: Some(("a/one:free", Some($0.000000), None))
    b/auto: Some(("b/auto", None, None))
    b/two: Some(("b/two", None, Some(2026-12-03)))
    c/three: None
    "#);
    let (_server, provider) = answering(200, r#"{"data": []}"#).await;
    assert_eq!(ending(&provider.models(soon()).await), "unknown");
    assert_eq!(ending(&provider.providers(soon()).await), "unknown");
}

const OLD: &str = "sk-or-v1-old";

fn deployment() -> DeploymentId {
    "0123456789".parse().unwrap()
}

fn fingerprint(key: &str) -> Fingerprint {
    ManagementKey::parse(key)
        .unwrap()
        .fingerprint(&deployment())
}

fn known_by(key: &str, listed: &[usize]) -> KnownAccount {
    let listed = listed.iter().map(|number| hash(*number)).collect();
    KnownAccount {
        management_key: fingerprint(key),
        listed,
        of_each_workspace: BTreeMap::new(),
    }
}

async fn check(provider: &Provider, account: &KnownAccount) -> &'static str {
    ending(
        &provider
            .check_account(&deployment(), Some(account), soon())
            .await,
    )
}

/// A management key with a different fingerprint must find one of the listed keys.
#[tokio::test]
async fn a_new_key_proves_its_account() {
    let (server, provider, _) = scripted(|_, before| match before {
        0 => answer(404, &error_json(404, "not found")),
        _ => answer(200, &json!({"data": key_json(2)}).to_string()),
    })
    .await;
    assert_eq!(
        check(&provider, &known_by(MANAGEMENT_KEY, &[1, 2, 3])).await,
        "done"
    );
    assert_eq!(check(&provider, &known_by(OLD, &[])).await, "done");
    provider
        .check_account(&deployment(), None, soon())
        .await
        .unwrap();
    assert!(server.seen().is_empty(), "known, or nothing to go by");
    assert_eq!(check(&provider, &known_by(OLD, &[1, 2, 3])).await, "done");
    let asked: Vec<_> = [1, 2]
        .map(|number| format!("GET /api/v1/keys/{}", hash(number)))
        .into();
    assert_eq!(server.lines(), asked);
}

/// A key that finds none belongs to another account, and only the provider's own 404 proves that.
#[tokio::test]
async fn another_account_needs_a_404() {
    let (server, provider) = answering(404, error_json(404, "not found")).await;
    let error = provider
        .check_account(&deployment(), Some(&known_by(OLD, &[1, 2])), soon())
        .await
        .unwrap_err();
    assert_eq!(server.seen().len(), 2);
    assert_eq!(
        error.refusal(),
        Some(Cause::AnotherAccount {
            management_key: fingerprint(MANAGEMENT_KEY)
        })
    );
    for (known, listed, may) in [
        (OLD, &[1][..], false),
        (MANAGEMENT_KEY, &[1], true),
        (MANAGEMENT_KEY, &[1, 2], false),
    ] {
        let account = known_by(known, listed);
        let believed = provider
            .may_believe_a_404(&hash(1), &deployment(), &account, soon())
            .await;
        assert_eq!(believed.unwrap(), may, "{listed:?}");
    }

    for (status, body, expected) in [
        (404, "<html>no such page</html>", "later"),
        (500, r#"{"error":{"message":"oops"}}"#, "later"),
        (200, "<html>busy</html>", "later"),
        (
            401,
            r#"{"error":{"message":"User not found."}}"#,
            "management key",
        ),
    ] {
        let (_server, provider) = answering(status, body).await;
        assert_eq!(
            check(&provider, &known_by(OLD, &[1])).await,
            expected,
            "{status}"
        );
    }
}

/// A fingerprint is specific to one key and one deployment and reveals nothing of the key.
#[test]
fn a_fingerprint_hides_its_key() {
    assert_eq!(fingerprint("sk-or-v1-a"), fingerprint(" sk-or-v1-a\n"));
    assert_ne!(fingerprint("sk-or-v1-a"), fingerprint("sk-or-v1-b"));
    let elsewhere = ManagementKey::parse("sk-or-v1-a")
        .unwrap()
        .fingerprint(&"9876543210".parse().unwrap());
    assert_ne!(fingerprint("sk-or-v1-a"), elsewhere);
    assert!(!elsewhere.as_str().contains("sk-or"));
}
