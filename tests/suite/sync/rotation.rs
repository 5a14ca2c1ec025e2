//! A new management key, promoted between runs, during one and during a claim, without any failure.

use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::Stack;
use bursar_tests::visitor::Visitor;
use serde_json::{Value, json};

use super::{ADMIN, foreign, in_the_morning, invite, mint, problems, provider, rich, signed_in, sync};

/// Puts a key into the secret as its pending version.
pub(crate) async fn put_pending(stack: &Stack, key: &str) {
    let request = aws::http()
        .post(&stack.ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.PutSecretValue")
        .header("content-type", "application/x-amz-json-1.1")
        .body(
            json!({"SecretId": stack.ready.secret, "SecretString": key, "VersionStages": ["AWSPENDING"],
                "ClientRequestToken": format!("{:->40}", &key[key.len().saturating_sub(40)..])})
            .to_string(),
        );
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

async fn rotate(stack: &Stack) -> Value {
    stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "rotate"})).await.unwrap()
}

async fn turn(stack: &Stack, number: u32) {
    let old = bursar_tests::aws::management_key(&stack.ready).await;
    let new = format!("sk-or-v1-management-{number}");
    provider(stack).add_management_key(&new).unwrap();
    put_pending(stack, &new).await;
    assert_eq!(rotate(stack).await, json!({"promoted": true}));
    provider(stack).revoke_management_key(&old).unwrap();
}

#[tokio::test]
async fn no_run_and_no_claim_fails_when_the_management_key_is_exchanged_at_any_moment() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    mint(&stack, &office, &ada).await;
    assert_eq!(sync(&stack).await["complete"], true);
    turn(&stack, 0).await;
    assert_eq!(rotate(&stack).await, json!({"skipped": "nothing pending"}));
    assert_eq!(sync(&stack).await["complete"], true, "between two runs");

    let calls = ["provider:GET /key", "provider:GET /credits", "provider:GET /workspaces", "provider:GET /keys"];
    for (number, call) in (1..).zip(calls) {
        let held = stack.gate.hold(Matcher::call(call).of(FunctionName::UsageSync));
        let meanwhile = async {
            held.arrived().await;
            turn(&stack, number).await;
            drop(held);
        };
        let (report, ()) = tokio::join!(sync(&stack), meanwhile);
        assert_eq!(report["complete"], true, "at {call}: {report}");
    }
    for (number, name) in (10..).zip(["ben", "cat"]) {
        invite(&stack, &office, name, None).await;
        let student = signed_in(&stack, &format!("{name}@x.edu")).await;
        let my = student.get("/my").await.expect(200);
        if name == "ben" {
            turn(&stack, number).await;
        }
        // A claim whose call is at the provider when the old key ends is certainly refused, and the student
        // presses again.
        let shown = student.submit(&my, &format!("/my/{}/reveal", office.programme), &[]).await;
        let shown = if shown.status == 200 {
            shown
        } else {
            let my = student.get("/my").await.expect(200);
            student.submit(&my, &format!("/my/{}/reveal", office.programme), &[]).await
        };
        assert_eq!(shown.status, 200, "{name}: {}", shown.readable());
    }
    assert_eq!(sync(&stack).await["complete"], true);
    stack.finish().await;
}

/// The mails of the alarm, and whether the account page warns.
async fn told(stack: &Stack, admin: &Visitor) -> (usize, bool) {
    // The stream is not read here, so the drain finds the waiting rows.
    for _ in 0..3 {
        stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    }
    let mails = stack
        .ses
        .mails()
        .into_iter()
        .filter(|mail| Contents::of(&mail.raw).subject == "The management key does not work")
        .count();
    let page = admin.get("/console/account").await.expect(200);
    (mails, page.texts("warning").iter().any(|warning| warning.contains("The management key does not work")))
}

#[tokio::test]
async fn a_management_key_that_breaks_in_the_daytime_is_told_once_a_day_by_whoever_meets_it() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    for name in ["ada", "ben"] {
        invite(&stack, &office, name, None).await;
    }
    assert_eq!(sync(&stack).await["complete"], true);
    let (ada, admin) = (signed_in(&stack, "ada@x.edu").await, signed_in(&stack, ADMIN).await);
    let reveal = format!("/my/{}/reveal", office.programme);
    let press = async || {
        let my = ada.get("/my").await.expect(200);
        ada.submit(&my, &reveal, &[]).await.status
    };
    stack.clock.advance(super::minutes(1)).unwrap();
    let breaks = |status| stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(status));
    let broken = breaks(401);
    assert_eq!(told(&stack, &admin).await, (0, false), "nobody has met it yet");
    assert_ne!(press().await, 200);
    assert_eq!(told(&stack, &admin).await, (1, true));
    // Later failures of that day find the alarm raised: another press, and an ordered disable in the work.
    assert_ne!(press().await, 200);
    let ben = invite(&stack, &office, "cat", None).await;
    mint(&stack, &office, &ben).await;
    office
        .table
        .act(office.at(&ben), |view, now| view.revoke(&bursar_core::domain::audit::Actor::Rule, None, now))
        .await
        .unwrap();
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    assert_eq!(told(&stack, &admin).await, (1, true));
    stack.clock.advance(super::hours(24)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    stack.gate.lift(broken);
    let broken = breaks(403);
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    assert_eq!(told(&stack, &admin).await, (2, true), "the work meets it on the next day");
    stack.gate.lift(broken);
    stack.clock.advance(super::minutes(1)).unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(told(&stack, &admin).await, (2, false));
    stack.finish().await;
}

#[tokio::test]
async fn an_ordinary_key_is_refused_by_its_name_and_the_current_one_stays() {
    let stack = in_the_morning().await;
    let made = provider(&stack).add_foreign_key("by hand", None, stack.clock.now()).unwrap();
    foreign(&stack, "another");
    put_pending(&stack, &made.plaintext).await;
    let before = bursar_tests::aws::management_key(&stack.ready).await;
    stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "rotate"})).await.unwrap_err();
    let refused: String = stack.logs.all().into_iter().map(|line| line.text).collect();
    assert!(refused.contains("is an ordinary key"), "{refused}");
    assert!(!refused.contains(&made.plaintext));
    assert_eq!(bursar_tests::aws::management_key(&stack.ready).await, before);
    stack.secrets.put(&stack.ready.secret, &made.plaintext).unwrap();
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(false), &json!(0)), "{report}");
    assert!(problems(&report).contains("is an ordinary key"), "never taken for an account without keys: {report}");
    stack.finish_faulted().await;
}
