//! Each call of a claim and of a replacement going wrong in every way, once and for longer than the clients try: the invariants
//! hold, and the student presses again.

use std::collections::BTreeMap;

use bursar_local::gate::{Call, Matcher, Service, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_tests::visitor::{Page, Visitor};

use super::{Scene, minutes, stack};

/// A call of a claim: which of its name, counted in the request.
#[derive(Debug, Clone)]
struct Place {
    call: Call,
    nth: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_of_reveal_at_most_one_key_is_shown_and_the_student_presses_again() {
    explore("reveal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_of_replace_the_old_key_ends_first_and_the_student_presses_again() {
    explore("replace").await;
}

impl Place {
    fn is_the_providers(&self) -> bool {
        self.call.name.service == Service::Provider
    }
}

async fn explore(what: &str) {
    let (writes, reads): (Vec<Place>, Vec<Place>) =
        calls_of(what).await.into_iter().partition(|place| place.call.name.has_effect() || place.is_the_providers());
    for place in writes {
        let faults = faults_of(&place).into_iter().map(|verdict| (place.clone(), verdict));
        each(what, faults.collect()).await;
    }
    // A read that does not come has no effect but that the press ends there.
    each(what, reads.into_iter().map(|place| (place, Verdict::KillBefore)).collect()).await;
}

async fn each(what: &str, faults: Vec<(Place, Verdict)>) {
    let stack = stack().await;
    let mut scene = Scene::over(&stack).await;
    for (number, (place, verdict)) in faults.into_iter().enumerate() {
        let tell = format!("{what}, {} number {}, {verdict}", place.call.name, place.nth);
        let student = ready_for(&scene, what, &format!("student-{number}@example.edu")).await;
        let form = student.get("/my").await.form(&scene.path(what));
        let matcher = Matcher::call(&place.call.name.to_string()).of(FunctionName::Claim).nth(place.nth);
        stack.gate.at(matcher, verdict);
        let page = student.send_form(&form).await;
        assert_eq!(stack.gate.unfired(), Vec::<String>::new(), "{tell}: it never happened");
        stack.gate.run_late().await;
        violations(&mut scene, &tell).await;
        assert!(page.status == 200 || page.all("key").is_empty(), "{tell}: a key on a page of {}", page.status);

        // Whoever was killed holds the grant until the lease runs out.
        stack.clock.advance(minutes(2)).unwrap();
        let again = press_again(&scene, &student).await;
        assert_eq!(again.status, 200, "{tell}: pressed again: {}", again.readable());
        violations(&mut scene, &format!("{tell}, pressed again")).await;
    }
    stack.stop().await.unwrap();
}

/// Somebody who can press that now.
async fn ready_for(scene: &Scene<'_>, what: &str, address: &str) -> Visitor {
    let (_, student) = scene.student(address).await;
    if what == "replace" {
        scene.reveal(&student).await;
    }
    student
}

async fn press_again(scene: &Scene<'_>, student: &Visitor) -> Page {
    let my = student.get("/my").await.expect(200);
    let what = ["reveal", "replace"].into_iter().find(|what| my.offers(&scene.path(what)));
    student.submit(&my, &scene.path(what.unwrap_or("reveal")), &[]).await
}

/// The calls of a press that goes well.
async fn calls_of(what: &str) -> Vec<Place> {
    let stack = stack().await;
    let scene = Scene::over(&stack).await;
    let student = ready_for(&scene, what, "ada@example.edu").await;
    let form = student.get("/my").await.form(&scene.path(what));
    let before = stack.gate.calls().len();
    student.send_form(&form).await.expect(200);
    let mut counts = BTreeMap::<String, u64>::new();
    let mut places = Vec::new();
    for made in stack.gate.calls().into_iter().skip(before) {
        // The management key was read long before.
        if made.call.function != FunctionName::Claim || made.call.name.service == Service::SecretsManager {
            continue;
        }
        let nth = counts.entry(made.call.name.to_string()).or_default();
        *nth += 1;
        places.push(Place { call: made.call, nth: *nth });
    }
    stack.stop().await.unwrap();
    assert!(places.len() >= 3, "{places:?}");
    places
}

/// Those that mean something else to the client than another of them does.
fn faults_of(place: &Place) -> Vec<Verdict> {
    let faults = Verdict::faults_of(&place.call.name, &place.call.shape).into_iter();
    let same = ["status-503", "html-502-after", "status-429", "status-503-retry-0", "throttle-rate", "late-502"];
    faults.filter(|verdict| !same.contains(&verdict.to_string().as_str())).collect()
}

async fn violations(scene: &mut Scene<'_>, tell: &str) {
    scene.stack.pump.drained().await.unwrap();
    let violations = scene.watch.violations(false).await.unwrap();
    assert!(violations.is_empty(), "{tell}: {violations:#?}\n{}", scene.stack.gate.transcript());
}
