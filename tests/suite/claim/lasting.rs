//! A call of a press that fails for longer than the clients retry. The page says so in time, and once the
//! service works again the student returns and gets a key.

use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher, Service};
use bursar_tests::seeds::sample;
use bursar_tests::stack::{self, Left};
use futures_util::future::join_all;

use super::faults::{COMPLAINTS, Place, a_sync_later, calls_of, comes_back, prepared, ready_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_lasts_ends_the_press_in_time_and_the_student_gets_a_key_when_it_is_over() {
    let mut cases = Vec::new();
    for what in ["reveal", "replace"] {
        let mut read = Vec::new();
        for place in calls_of(what).await {
            let (name, verdicts) = (&place.call.name, verdicts(&place));
            // Reads of one name fail alike, so one of them is enough.
            let is_new = name.has_effect() || place.is_the_providers() || !read.contains(name);
            if is_new {
                read.push(name.clone());
                cases.extend(verdicts.iter().map(|verdict| (what, place.clone(), *verdict)));
            }
        }
    }
    // Nearly all of a case is the wait for the next retry.
    join_all(sample(cases, 4).into_iter().map(|(what, place, verdict)| tokio::spawn(last(what, place, verdict))))
        .await
        .into_iter()
        .for_each(|ended| ended.unwrap());
}

/// The faults that can last. The call that makes a key is made once, so for that one there are none.
fn verdicts(place: &Place) -> &'static [Fault] {
    match (place.call.name.service, &*place.call.name.operation) {
        (Service::Provider, "POST /keys") => &[],
        (Service::Provider, _) => &[Fault::LoseAnswer, Fault::Status(500), Fault::Status(429)],
        (_, operation) if operation.starts_with("TransactWrite") => &[Fault::LoseAnswer, Fault::Conflict],
        _ => &[Fault::Status(500)],
    }
}

async fn last(what: &'static str, place: Place, verdict: Fault) {
    let tell = format!("{what}, {place}, {verdict} for long");
    let stack = stack::in_process().await.unwrap();
    let mut scene = prepared(&stack).await;
    let student = ready_for(&scene, what, "ada@example.edu").await;
    let form = student.get("/my").await.form(&scene.path(what));
    let calls = Matcher::call(&place.call.name.to_string()).of(FunctionName::Claim).after(place.nth - 1);
    let rule = stack.gate.at(calls, verdict);
    let page = student.send_form(&form).await;
    assert!(matches!(page.status, 200 | 409 | 502 | 503), "{tell}: {} {}", page.status, page.readable());
    assert!(page.status == 200 || page.alert().is_some(), "{tell}: {}", page.readable());
    stack.gate.lift(rule);
    let key = comes_back(&mut scene, &student, &page, &tell).await;
    a_sync_later(&mut scene, &[(key, tell)]).await;
    stack.finish_leaving(&[Left::AnyMails, Left::PerhapsComplaints(&COMPLAINTS)]).await;
}
