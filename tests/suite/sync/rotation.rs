//! A new management key, promoted between runs, during one and during a claim, without any failure.

use bursar_local::invoke::FunctionName::{Console, Mail, UsageSync};
use bursar_tests::aws;
use bursar_tests::campus::{Campus, reports};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::Stack;
use serde_json::{Value, json};

use super::{ACCOUNT, complete, problems, quiet};

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

pub(super) async fn rotate(campus: &Campus) -> Value {
    campus
        .run(UsageSync, json!({"task": "rotate"}))
        .await
        .unwrap()
}

/// Exchanges the management key, and revokes the old one at once.
async fn turn(campus: &Campus, number: usize) {
    let old = aws::management_key(&campus.ready).await;
    let new = format!("sk-or-v1-management-{number}");
    campus.provider().add_management_key(&new).unwrap();
    put_pending(campus, &new).await;
    assert_eq!(rotate(campus).await, json!({"promoted": true}));
    campus.provider().revoke_management_key(&old).unwrap();
}

#[tokio::test]
async fn rotation_fails_no_run_and_no_claim() {
    let mut campus = quiet(&["ada"]).await;
    complete(&campus).await;
    turn(&campus, 0).await;
    assert_eq!(rotate(&campus).await, json!({"skipped": "nothing pending"}));
    complete(&campus).await;
    let calls = [
        "provider:GET /key",
        "provider:GET /credits",
        "provider:GET /workspaces",
        "provider:GET /keys",
    ];
    for (number, call) in (1..).zip(calls) {
        let held = campus.gate.hold(Matcher::call(call).of(UsageSync));
        let meanwhile = async {
            held.arrived().await;
            turn(&campus, number).await;
            drop(held);
        };
        tokio::join!(complete(&campus), meanwhile);
    }
    campus.students(&["ben"]).await;
    let ben = campus.student("ben").await;
    let my = ben.get("/my").await.expect(200);
    turn(&campus, 9).await;
    // A claim whose call is at the provider when the old key ends is certainly refused, and the
    // student presses again.
    if ben.submit(&my, &campus.my("reveal"), &[]).await.status != 200 {
        campus.reveal(&ben).await;
    }
    complete(&campus).await;
    campus.finish().await;
}

/// The mails of the alarm since the last call, and whether the account page warns.
async fn told(campus: &Campus) -> (usize, bool) {
    // The stream is not read here, so the drain finds the waiting rows.
    for _ in 0..3 {
        campus.run(Mail, json!({"task": "drain"})).await.unwrap();
    }
    let is_it = |text: &String| text.contains("The management key does not work");
    let page = campus.admin().await.get(ACCOUNT).await.expect(200);
    (
        campus
            .subjects("account")
            .iter()
            .filter(|subject| is_it(subject))
            .count(),
        page.texts("warning").iter().any(is_it),
    )
}

/// For some seconds OpenRouter refuses the key. The account page says so until the balance is read
/// by it again, and not until the next night.
#[tokio::test]
async fn a_key_that_works_again_is_not_warned_of() {
    let mut campus = quiet(&["cat"]).await;
    campus.students(&["ada"]).await;
    complete(&campus).await;
    campus.minutes(1);
    let broken = campus
        .gate
        .at(Matcher::call("provider:*").every(), Fault::Status(401));
    assert_ne!(
        campus
            .press(&campus.student("ada").await, "reveal")
            .await
            .status,
        200
    );
    campus.gate.lift(broken);
    assert_eq!(told(&campus).await, (1, true));
    campus.minutes(14);
    campus
        .run(UsageSync, json!({"task": "resume"}))
        .await
        .unwrap();
    assert_eq!(told(&campus).await, (0, false));
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_broken_management_key_is_told_once_a_day() {
    let mut campus = quiet(&["cat"]).await;
    campus.students(&["ada"]).await;
    complete(&campus).await;
    campus.minutes(1);
    let ada = campus.student("ada").await;
    let broken = campus
        .gate
        .at(Matcher::call("provider:*").every(), Fault::Status(401));
    assert_eq!(told(&campus).await, (0, false), "nobody has met it yet");
    assert_ne!(campus.press(&ada, "reveal").await.status, 200);
    assert_eq!(told(&campus).await, (1, true));
    // Later failures of that day find the alarm raised: another request, a sync, and an ordered
    // disable in the work.
    assert_ne!(campus.press(&ada, "reveal").await.status, 200);
    let report = campus.sync().await;
    reports(&report, &json!({"complete": false, "keys_missing": 0}));
    assert!(
        problems(&report).contains("the management key does not work"),
        "{report}"
    );
    campus.revoke("cat").await;
    campus.work().await;
    assert_eq!(told(&campus).await, (0, true));
    campus.hours(24);
    campus.gate.lift(broken);
    let broken = campus
        .gate
        .at(Matcher::call("provider:*").every(), Fault::Status(403));
    campus.run(Console, json!({"task": "work"})).await.unwrap();
    assert_eq!(
        told(&campus).await,
        (1, true),
        "the work meets it on the next day"
    );
    campus.gate.lift(broken);
    campus.minutes(1);
    complete(&campus).await;
    assert_eq!(told(&campus).await, (0, false));
    campus.finish().await;
}

#[tokio::test]
async fn an_ordinary_key_is_no_management_key() {
    let campus = quiet(&[]).await;
    let made = campus
        .provider()
        .add_foreign_key("by hand", None, campus.clock.now())
        .unwrap();
    let before = aws::management_key(&campus.ready).await;
    put_pending(&campus, &made.plaintext).await;
    campus
        .run(UsageSync, json!({"task": "rotate"}))
        .await
        .unwrap_err();
    assert!(campus.has_logged("is an ordinary key") && !campus.has_logged(&made.plaintext));
    assert_eq!(
        aws::management_key(&campus.ready).await,
        before,
        "the current one stays"
    );
    campus
        .secrets
        .put(&campus.ready.secret, &made.plaintext)
        .unwrap();
    let report = campus.sync().await;
    reports(&report, &json!({"complete": false, "keys_listed": 0}));
    assert!(
        problems(&report).contains("is an ordinary key"),
        "never taken for an account without keys: {report}"
    );
    campus.finish_faulted().await;
}

const SCOPED: &str = "sk-or-v1-management-scoped";

/// Another workspace, and a key in it.
async fn another_workspace(campus: &Campus) -> (String, String) {
    let other = campus.provider().add_workspace("Other").unwrap();
    let made = aws::http()
        .post(format!("{}/keys", campus.config.provider))
        .bearer_auth(aws::management_key(&campus.ready).await)
        .header("content-type", "application/json")
        .body(json!({"name": "elsewhere", "workspace_id": other}).to_string());
    let made: Value =
        serde_json::from_str(&made.send().await.unwrap().text().await.unwrap()).unwrap();
    (other, made["data"]["hash"].as_str().unwrap().to_owned())
}

/// Gives the functions a management key that may not open a workspace in which they saw a key.
pub(super) async fn close_a_workspace(campus: &Campus) {
    another_workspace(campus).await;
    complete(campus).await;
    let old = aws::management_key(&campus.ready).await;
    campus.provider().scope_management_key(SCOPED).unwrap();
    campus.secrets.put(&campus.ready.secret, SCOPED).unwrap();
    campus.provider().revoke_management_key(&old).unwrap();
    campus.invoke.end_idle().await;
}

/// A management key for one workspace is not promoted and ends nothing in another workspace.
#[tokio::test]
async fn a_narrow_key_is_not_promoted() {
    let campus = quiet(&["ada"]).await;
    let (other, elsewhere) = another_workspace(&campus).await;
    campus.spend_on(&elsewhere, "1");
    complete(&campus).await;
    campus.provider().scope_management_key(SCOPED).unwrap();
    put_pending(&campus, SCOPED).await;
    campus
        .run(UsageSync, json!({"task": "rotate"}))
        .await
        .unwrap_err();
    assert!(campus.has_logged("it may not open the workspace of the key"));
    // Put into the secret by hand, it works for what it may see.
    let old = aws::management_key(&campus.ready).await;
    campus.secrets.put(&campus.ready.secret, SCOPED).unwrap();
    campus.provider().revoke_management_key(&old).unwrap();
    for _ in 0..2 {
        campus.hours(2);
        campus.spend("ada", "1");
        let report = campus.sync().await;
        reports(&report, &json!({"complete": true, "keys_missing": 0}));
    }
    let [known] = &campus.table.foreign_keys().await.unwrap()[..] else {
        panic!("one is known")
    };
    assert_eq!(
        (known.key.as_str(), known.gone_at),
        (&*elsewhere, None),
        "it keeps its reading"
    );
    let page = campus.admin().await.get(ACCOUNT).await.expect(200);
    let warnings = page.texts("warning").join(" ");
    assert!(
        warnings.contains("may not open these workspaces") && warnings.contains(&other),
        "{warnings}"
    );
    campus.judged_after_sync().await;
    campus.finish_faulted().await;
}
