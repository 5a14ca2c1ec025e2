//! The account's money and the kind of its key.

use super::*;
use crate::scripted::answer;

#[tokio::test]
async fn the_balance_is_what_was_bought_less_what_was_used_and_never_too_high() {
    let (server, provider, _) =
        scripted(|_, _| answer(200, r#"{"data":{"total_credits":100.00000099,"total_usage":1.3e1}}"#)).await;
    let credits = provider.credits(soon()).await.unwrap();
    assert_eq!(credits.balance(), Usd::from_dollars(87));
    assert_eq!(server.lines(), ["GET /api/v1/credits"]);

    let (_server, provider, _) =
        scripted(|_, _| answer(200, r#"{"data":{"total_credits":5,"total_usage":5.0000001,"novel":[]}}"#)).await;
    assert_eq!(provider.credits(soon()).await.unwrap().balance(), Usd::from_micros(-1));
}

#[tokio::test]
async fn credits_that_are_incomplete_are_not_taken_for_an_empty_account() {
    for body in [r#"{"data":{}}"#, r#"{"data":{"total_credits":1,"total_usage":null}}"#, r#"{"data":null}"#, "[]"] {
        let (_server, provider, _) = scripted(move |_, _| answer(200, body)).await;
        assert_eq!(ending(&provider.credits(soon()).await), "unknown", "{body}");
    }
}

#[tokio::test]
async fn a_management_key_is_told_from_an_ordinary_one_by_what_it_says_of_itself() {
    for (said, expected) in [
        (json!({"is_management_key": true}), "done"),
        (json!({"is_management_key": true, "is_provisioning_key": false}), "done"),
        (json!({"is_provisioning_key": true}), "done"),
        (json!({"is_management_key": false, "label": "sk-or-v1-0e6...1c96"}), "management key"),
        (json!({"is_provisioning_key": false}), "management key"),
    ] {
        let (server, provider, _) = scripted(move |_, _| answer(200, &json!({"data": said}).to_string())).await;
        assert_eq!(ending(&provider.check_management_key(soon()).await), expected);
        assert_eq!(server.lines(), ["GET /api/v1/key"]);
    }
}

#[tokio::test]
async fn an_ordinary_key_is_refused_by_its_masked_name() {
    for (label, named) in [("sk-or-v1-0e6...1c96", "“sk-or-v1-0e6...1c96”"), ("sk-or-v1-0123456789", "“sk-or-…”")]
    {
        let body = json!({"data": {"label": label, "is_management_key": false}}).to_string();
        let (_server, provider, _) = scripted(move |_, _| answer(200, &body)).await;
        let error = provider.check_management_key(soon()).await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("ordinary key"), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_say_what_it_is_shows_it_by_what_it_may_do() {
    for (status, expected) in [(200, "done"), (403, "management key")] {
        let (server, provider, _) = scripted(move |request, _| {
            if request.target == "/api/v1/key" {
                answer(200, r#"{"data":{"label":"x"}}"#)
            } else {
                answer(status, r#"{"data":[],"error":{"message":"Only management keys can perform this operation"}}"#)
            }
        })
        .await;
        assert_eq!(ending(&provider.check_management_key(soon()).await), expected);
        assert_eq!(server.lines()[1], "GET /api/v1/workspaces?limit=1");
    }
}

#[tokio::test]
async fn a_pending_key_is_checked_over_the_same_connections_as_itself() {
    let (server, provider, _) = scripted(|_, _| answer(200, r#"{"data":{"is_management_key":true}}"#)).await;
    let pending = provider.asked_with(ManagementKey::parse("sk-or-v1-pending").unwrap());
    pending.check_management_key(soon()).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer sk-or-v1-pending"));
    assert!(!format!("{pending:?}").contains("sk-or"));
}
