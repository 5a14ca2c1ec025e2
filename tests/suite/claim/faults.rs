//! Each call of a claim and of a replacement with every fault, once: the invariants hold, and the student
//! presses again. Shared with the other tests of faults are the calls of a press, and a student's return.

use std::collections::BTreeMap;

use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Call, Fault, Matcher, Service};
use bursar_tests::seeds::sample;
use bursar_tests::stack::{Left, Stack, WARNING};
use bursar_tests::visitor::{Page, Visitor};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Scene, minutes, stack};

/// The complaints of the students' pages, whichever of their calls fails.
pub(super) const COMPLAINTS: [(&str, &str); 6] = [
    ("claim", WARNING),
    ("claim", "a claim could not go on"),
    ("claim", "a page could not be made"),
    ("claim", "the instance is thrown away"),
    ("claim", "an attempt was not given up; its lease runs out"),
    ("claim", "a retired key's last reading could not be written"),
];

/// A call of a claim, by its name and its number among those of that name in the request.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) call: Call,
    pub(super) nth: u64,
}

/// The number of cases that share a stack: with more, checking all of them takes longer than starting another.
pub(super) const TOGETHER: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_of_reveal_at_most_one_key_is_shown_and_the_student_presses_again() {
    explore("reveal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_of_replace_the_old_key_ends_first_and_the_student_presses_again() {
    explore("replace").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_does_only_after_the_student_pressed_again_changes_nothing() {
    for what in ["reveal", "replace"] {
        let stack = stack().await;
        let mut scene = prepared(&stack).await;
        let places = calls_of(what).await.into_iter().filter(|place| place.call.name.has_effect());
        let cases = places.filter(Place::is_the_providers).map(|place| (place, Fault::Late));
        for (number, (place, late)) in sample(cases, 1).into_iter().enumerate() {
            let tell = format!("{what}, {place}, {late}");
            let student = ready_for(&scene, what, &format!("{late}-{number}@example.edu")).await;
            let page = press_at(&scene, &student, what, &place, late).await;
            let key = comes_back(&mut scene, &student, &page, &tell).await;
            let done = stack.gate.run_late().await;
            assert!(!done.is_empty(), "{tell}");
            violations(&mut scene, &format!("{tell}, done at last")).await;
            a_sync_later(&mut scene, &[(key, tell)]).await;
        }
        stack.finish_leaving(&[Left::AnyMails, Left::Complaints(&[("claim", "the provider did not do it")])]).await;
    }
}

impl Place {
    pub(super) fn is_the_providers(&self) -> bool {
        self.call.name.service == Service::Provider
    }

    /// A matcher for this call of the next press.
    pub(super) fn next(&self) -> Matcher {
        Matcher::call(&self.call.name.to_string()).of(FunctionName::Claim).nth(self.nth)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} number {}", self.call.name, self.nth)
    }
}

async fn explore(what: &'static str) {
    let mut places = calls_of(what).await;
    if what == "replace" {
        // Both kinds of press read the same until an attempt begins.
        places.drain(..places.iter().position(|place| place.call.name.has_effect()).unwrap_or_default());
    }
    let cases: Vec<(Place, Fault)> = places
        .into_iter()
        .flat_map(|place| faults_of(&place).into_iter().map(move |verdict| (place.clone(), verdict)))
        .collect();
    let rounds: Vec<Vec<_>> = sample(cases, 8).chunks(TOGETHER).map(<[_]>::to_vec).collect();
    // While one waits for a client's next retry, the other goes on.
    let rounds = rounds.into_iter().map(|round| tokio::spawn(each(what, round)));
    stream::iter(rounds).buffer_unordered(3).for_each(async |ended| ended.unwrap()).await;
}

async fn each(what: &'static str, faults: Vec<(Place, Fault)>) {
    let stack = stack().await;
    let mut scene = prepared(&stack).await;
    let mut keys = Vec::new();
    for (number, (place, verdict)) in faults.into_iter().enumerate() {
        let tell = format!("{what}, {place}, {verdict}");
        let student = ready_for(&scene, what, &format!("student-{number}@example.edu")).await;
        let page = press_at(&scene, &student, what, &place, verdict).await;
        stack.gate.run_late().await;
        keys.push((comes_back(&mut scene, &student, &page, &tell).await, tell));
    }
    a_sync_later(&mut scene, &keys).await;
    stack.finish_leaving(&[Left::AnyMails, Left::PerhapsComplaints(&COMPLAINTS)]).await;
}

/// A programme whose keys are restricted, so that a press makes every call that it can. Nothing runs but what a
/// test starts.
pub(super) async fn prepared(stack: &Stack) -> Scene<'_> {
    stack.schedules.stop().await;
    let scene = Scene::over(stack).await;
    scene.restrict().await;
    scene
}

/// A person who can press this button now.
pub(super) async fn ready_for(scene: &Scene<'_>, what: &str, address: &str) -> Visitor {
    let (_, student) = scene.student(address).await;
    if what == "replace" {
        scene.reveal(&student).await;
    }
    student
}

/// The page of a press in which one call gets this verdict.
async fn press_at(scene: &Scene<'_>, student: &Visitor, what: &str, place: &Place, verdict: Fault) -> Page {
    let form = student.get("/my").await.form(&scene.path(what));
    scene.stack.gate.at(place.next(), verdict);
    let page = student.send_form(&form).await;
    scene.stack.faults_met(&format!("{what}, {place}, {verdict}"));
    page
}

/// The key of a student who returns later: that of this page, or the one that another press shows.
pub(super) async fn comes_back(scene: &mut Scene<'_>, student: &Visitor, page: &Page, tell: &str) -> String {
    violations(scene, tell).await;
    assert!(page.status == 200 || page.all("key").is_empty(), "{tell}: a key on a page of {}", page.status);
    // A press that was killed holds the grant until its lease runs out.
    scene.stack.clock.advance(minutes(2)).unwrap();
    if page.status == 200 {
        return page.one("key").text;
    }
    let again = press_again(scene, student).await;
    assert_eq!(again.status, 200, "{tell}: pressed again: {}", again.readable());
    again.one("key").text
}

/// Runs a sync, after which nothing may be wrong. These keys, the last ones that were shown to each student,
/// must work.
pub(super) async fn a_sync_later(scene: &mut Scene<'_>, keys: &[(String, String)]) {
    let report = scene.stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert!(report.get("skipped").is_none(), "{report}");
    scene.stack.pump.drained().await.unwrap();
    let violations = scene.watch.violations(report["complete"] == true).await.unwrap();
    assert!(violations.is_empty(), "{keys:?}: {violations:#?}");
    for (key, tell) in keys {
        assert!(is_enabled(scene, key), "{tell}: the key that was shown last does not work");
    }
}

pub(super) fn is_enabled(scene: &Scene<'_>, key: &str) -> bool {
    let hash = HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
    let keys = scene.stack.provider.as_ref().unwrap().keys();
    keys.iter().any(|key| key.hash == hash && !key.disabled)
}

pub(super) async fn press_again(scene: &Scene<'_>, student: &Visitor) -> Page {
    let my = student.get("/my").await.expect(200);
    let what = ["reveal", "replace"].into_iter().find(|what| my.offers(&scene.path(what)));
    student.submit(&my, &scene.path(what.unwrap_or("reveal")), &[]).await
}

/// The calls of a press without faults.
pub(super) async fn calls_of(what: &str) -> Vec<Place> {
    let stack = stack().await;
    let scene = prepared(&stack).await;
    // A process learns at its first press to which account the management key belongs.
    ready_for(&scene, "replace", "first@example.edu").await;
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
    stack.finish_leaving(&[Left::AnyMails]).await;
    assert!(places.iter().filter(|place| place.is_the_providers()).count() >= 2, "{places:?}");
    places
}

/// The faults of a call with different meanings for its caller; the store's handling of each has tests of its
/// own. A read has no effect, so for it only a missing answer matters.
fn faults_of(place: &Place) -> Vec<Fault> {
    let name = &place.call.name;
    if !name.has_effect() && !place.is_the_providers() {
        return vec![Fault::Status(400)];
    }
    let told: &[Fault] = match &*name.operation {
        "POST /keys" => {
            &[Fault::RetryAfter(429, 0), Fault::Status(500), Fault::LoseAnswer, Fault::LoseAnswer, Fault::Late]
        }
        _ if place.is_the_providers() => {
            &[Fault::RetryAfter(429, 0), Fault::Status(500), Fault::LoseAnswer, Fault::Late]
        }
        _ => &[Fault::Conflict, Fault::LoseAnswer],
    };
    let faults = Fault::all_of(name).into_iter();
    let always = [Fault::Before, Fault::LoseAnswer, Fault::KillBefore, Fault::KillAfter];
    faults.filter(|verdict| always.iter().chain(told).any(|known| known == verdict)).collect()
}

pub(super) async fn violations(scene: &mut Scene<'_>, tell: &str) {
    scene.stack.pump.drained().await.unwrap();
    let violations = scene.watch.violations(false).await.unwrap();
    assert!(violations.is_empty(), "{tell}: {violations:#?}\n{}", scene.stack.gate.transcript());
}
