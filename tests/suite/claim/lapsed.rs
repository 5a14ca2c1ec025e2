//! A call of a press that is held until the lease has run out and another tab has taken over. One of the two
//! shows a key that works, and the other ends the key that it made.

use std::time::Duration;

use bursar_tests::faults::Matcher;
use bursar_tests::seeds::sample;
use bursar_tests::stack::Left;
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;

use super::faults::{
    Place, TOGETHER, a_sync_later, calls_of, is_enabled, prepared, press_again, ready_for, violations,
};
use super::{Scene, stack};

/// The point at which the call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// On the way to the service, without effect so far.
    There,
    /// On the way back, after it has taken effect.
    Back,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reveal_that_outlives_its_lease_shows_nothing_once_another_tab_took_over() {
    outlive("reveal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_outlives_its_lease_shows_nothing_once_another_tab_took_over() {
    outlive("replace").await;
}

async fn outlive(what: &str) {
    let mut places = calls_of(what).await;
    if what == "replace" {
        // Both kinds of press read the same until an attempt begins.
        places.drain(..places.iter().position(|place| place.call.name.has_effect()).unwrap_or_default());
    }
    let last_write = places.iter().rposition(|place| place.call.name.has_effect());
    let mut cases = Vec::new();
    for (number, place) in places.iter().enumerate() {
        // For a read, the two points differ only in what it saw.
        let waits = if place.call.name.has_effect() { &[Wait::There, Wait::Back][..] } else { &[Wait::Back] };
        // Once the key is recorded, only showing it is left, however long that takes.
        let is_recorded = |wait| Some(number) == last_write && wait == Wait::Back;
        cases.extend(waits.iter().map(|wait| (place, *wait, is_recorded(*wait))));
    }
    for round in sample(cases, 4).chunks(TOGETHER) {
        let stack = stack().await;
        let mut scene = prepared(&stack).await;
        let mut keys = Vec::new();
        for (number, (place, wait, is_recorded)) in round.iter().enumerate() {
            let tell = format!("{what}, {place}, waiting {wait:?}");
            let student = ready_for(&scene, what, &format!("student-{number}@example.edu")).await;
            let key = outlive_at(&mut scene, &student, what, place, *wait, *is_recorded).await;
            keys.push((key, tell));
        }
        a_sync_later(&mut scene, &keys).await;
        stack.finish_leaving(&[Left::AnyMails]).await;
    }
}

async fn outlive_at(
    scene: &mut Scene<'_>,
    student: &Visitor,
    what: &str,
    place: &Place,
    wait: Wait,
    is_recorded: bool,
) -> String {
    let tell = format!("{what}, {place}, waiting {wait:?}");
    let (stack, matcher): (_, Matcher) = (scene.stack, place.next());
    let form = student.get("/my").await.form(&scene.path(what));
    let held = match wait {
        Wait::There => stack.gate.hold(matcher),
        Wait::Back => stack.gate.hold_answers(matcher),
    };
    let takes_over = async {
        let call = tokio::time::timeout(Duration::from_secs(10), held.arrived()).await;
        let call = call.unwrap_or_else(|_| panic!("{tell}: it never happened"));
        stack.clock.advance(SignedDuration::from_secs(61)).unwrap();
        let second = press_again(scene, student).await;
        held.release_call(call.number, None).unwrap();
        second
    };
    let (first, second) = tokio::join!(student.send_form(&form), takes_over);
    drop(held);
    assert_eq!(second.status, 200, "{tell}: the second tab: {}", second.readable());
    let key = second.one("key").text;
    violations(scene, &tell).await;
    if is_recorded {
        let old = first.expect(200).one("key").text;
        assert!(!is_enabled(scene, &old), "{tell}: it was replaced");
    } else {
        assert_eq!(first.status, 409, "{tell}: {}", first.readable());
        assert!(first.all("key").is_empty() && first.alert().is_some(), "{tell}: {}", first.readable());
    }
    key
}
