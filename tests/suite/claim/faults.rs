//! Faults of a press that no sweep plays: those that last, calls that take effect late, and a press that outlives its lease.

use bursar_local::invoke::FunctionName::Claim;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::{Page, Visitor};

use super::enrol;

const MAKE: &str = "provider:POST /keys";
const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";
const DISABLE: &str = "provider:PATCH /keys/{hash}";

/// Somebody who can press this button now, in a programme whose keys are restricted.
async fn ready(what: &str) -> (Campus, Visitor) {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.restrict().await;
    let ada = enrol(&mut campus, "ada").await;
    if what == "replace" {
        campus.reveal(&ada).await;
    }
    (campus, ada)
}

async fn press_again(campus: &Campus, student: &Visitor) -> Page {
    let my = student.get("/my").await.expect(200);
    let what = if my.offers(&campus.my("replace")) { "replace" } else { "reveal" };
    student.submit(&my, &campus.my(what), &[]).await
}

/// A sync later, the student has one key that works.
async fn has_one_key(campus: Campus, tell: &str) {
    campus.minutes(61);
    assert_eq!(campus.sync().await["complete"], true);
    campus.judged_after_sync().await;
    assert_eq!(campus.enabled(), ["ada"], "{tell}");
    campus.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_effects_change_nothing() {
    for (what, call) in [("reveal", MAKE), ("reveal", ASSIGN), ("replace", DISABLE), ("replace", MAKE)] {
        let (campus, ada) = ready(what).await;
        let form = ada.get("/my").await.form(&campus.my(what));
        campus.gate.at(Matcher::call(call).of(Claim), Fault::Late);
        let page = ada.send_form(&form).await;
        campus.judged().await;
        if page.status != 200 {
            press_again(&campus, &ada).await.expect(200);
        }
        let done = campus.gate.run_late().await;
        assert!(!done.is_empty(), "{what}");
        has_one_key(campus, call).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_lasts_ends_the_press_in_time() {
    for (what, call, verdict) in [
        ("reveal", "dynamodb:TransactWriteItems", Fault::Conflict),
        ("reveal", ASSIGN, Fault::LoseAnswer),
        ("replace", DISABLE, Fault::Status(500)),
        ("replace", "dynamodb:Query", Fault::Status(500)),
    ] {
        let (campus, ada) = ready(what).await;
        let form = ada.get("/my").await.form(&campus.my(what));
        let rule = campus.gate.at(Matcher::call(call).of(Claim).every(), verdict);
        let page = ada.send_form(&form).await;
        campus.gate.lift(rule);
        assert!(matches!(page.status, 409 | 502 | 503) && page.alert().is_some(), "{call}: {}", page.readable());
        campus.minutes(2);
        press_again(&campus, &ada).await.expect(200);
        has_one_key(campus, call).await;
    }
}

/// A call waits until the lease has run out and another tab has taken over; one of the two shows a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_outlives_its_lease_shows_nothing() {
    for (what, call) in [("reveal", MAKE), ("reveal", ASSIGN), ("replace", DISABLE), ("replace", MAKE)] {
        let (campus, ada) = ready(what).await;
        let form = ada.get("/my").await.form(&campus.my(what));
        let held = campus.gate.hold(Matcher::call(call).of(Claim));
        let takes_over = async {
            held.arrived().await;
            campus.minutes(2);
            let second = press_again(&campus, &ada).await;
            held.release(None).unwrap();
            second.expect(200).one("key");
        };
        let (first, ()) = tokio::join!(ada.send_form(&form), takes_over);
        drop(held);
        assert!(first.expect(409).all("key").is_empty(), "{what} at {call}");
        has_one_key(campus, call).await;
    }
}
