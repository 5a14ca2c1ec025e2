//! What a request costs in calls, and one that outlives its lease.

use std::collections::BTreeMap;

use bursar_local::invoke::FunctionName::Claim;
use bursar_tests::campus::Campus;
use bursar_tests::faults::Matcher;
use bursar_tests::visitor::{Form, Page, Visitor};

use super::enrol;

pub(crate) const MAKE: &str = "provider:POST /keys";
pub(crate) const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";
pub(crate) const DISABLE: &str = "provider:PATCH /keys/{hash}";
/// The calls that change something, by the request that makes them.
const CALLS: [(&str, &str); 4] = [
    ("reveal", MAKE),
    ("reveal", ASSIGN),
    ("replace", DISABLE),
    ("replace", MAKE),
];

/// A programme whose keys are restricted.
async fn restricted() -> Campus {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.restrict().await;
    campus
}

/// Somebody new who can press this button now, and its form.
async fn ready(campus: &mut Campus, number: usize, what: &str) -> (Visitor, Form) {
    let student = enrol(campus, &format!("student-{number}")).await;
    if what == "replace" {
        campus.reveal(&student).await;
    }
    let form = student.get("/my").await.form(&campus.my(what));
    (student, form)
}

async fn press_again(campus: &Campus, student: &Visitor) -> Page {
    let my = student.get("/my").await.expect(200);
    let what = if my.offers(&campus.my("replace")) {
        "replace"
    } else {
        "reveal"
    };
    student.submit(&my, &campus.my(what), &[]).await
}

/// A sync later, each of so many students has one key that works.
async fn have_one_key_each(campus: &Campus, students: usize, tell: &str) {
    campus.minutes(61);
    assert_eq!(campus.sync().await["complete"], true);
    campus.judged_after_sync().await;
    let names: Vec<String> = (0..students)
        .map(|number| format!("student-{number}"))
        .collect();
    assert_eq!(campus.enabled(), names, "{tell}");
}

/// A claim reads the grant twice, and meets others at the budget's item alone, when it begins; that
/// one more has claimed is counted when all is done.
#[tokio::test]
async fn a_first_claim_makes_few_calls() {
    let mut campus = restricted().await;
    let (visitor, form) = ready(&mut campus, 1, "reveal").await;
    let before = campus.gate.calls().len();
    visitor.send_form(&form).await.expect(200);
    let mut made: BTreeMap<String, u32> = BTreeMap::new();
    for call in campus
        .gate
        .calls()
        .split_off(before)
        .into_iter()
        .filter(|call| call.function == Claim)
    {
        *made.entry(call.name.to_string()).or_default() += 1;
    }
    // The session with its address' sign-in, the person's enrolments and the account are read
    // besides.
    insta::assert_debug_snapshot!(made, @r#"
    {
        "dynamodb:GetItem": 11,
        "dynamodb:Query": 5,
        "dynamodb:TransactWriteItems": 2,
        "dynamodb:UpdateItem": 1,
        "provider:POST /guardrails/{id}/assignments/keys": 1,
        "provider:POST /keys": 1,
        "secretsmanager:GetSecretValue": 1,
    }
    "#);
    campus.finish().await;
}

/// A call waits. Another tab that knows of it is refused, until the lease has run out and it takes
/// over; one of the two shows a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_outlives_its_lease_shows_nothing() {
    let mut campus = restricted().await;
    for (number, (what, call)) in CALLS.into_iter().enumerate() {
        let (student, form) = ready(&mut campus, number, what).await;
        let held = campus.gate.hold(Matcher::call(call).of(Claim));
        let mut meanwhile = form.clone();
        let epoch = meanwhile
            .fields
            .iter_mut()
            .find(|(name, _)| name == "epoch")
            .unwrap();
        epoch.1 = (epoch.1.parse::<u32>().unwrap() + 1).to_string();
        let takes_over = async {
            held.arrived().await;
            let refused = student
                .send_form(&meanwhile)
                .await
                .expect(409)
                .alert()
                .unwrap();
            assert!(
                refused.contains("is being made"),
                "{what} at {call}: {refused}"
            );
            campus.minutes(2);
            let second = press_again(&campus, &student).await;
            held.release(None).unwrap();
            second.expect(200).one("key");
        };
        let (first, ()) = tokio::join!(student.send_form(&form), takes_over);
        drop(held);
        assert!(first.expect(409).all("key").is_empty(), "{what} at {call}");
        have_one_key_each(&campus, number + 1, call).await;
    }
    campus.finish_faulted().await;
}
