//! A run that needs several invocations: each continues where the one before it stopped, whatever happens in between.

use std::time::Duration;

use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use serde_json::{Value, json};

use super::crooked::{Crooked, Told};
use super::{ACCOUNT, complete, problems, quiet};

const LONG: Duration = Duration::from_secs(900);
/// Enough for several parts.
const OTHERS: usize = 900;

/// A campus with enough keys for many pages, before a provider that can be bent.
async fn many() -> (Campus, Crooked) {
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "1");
    (0..OTHERS).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    let crooked = Crooked::before(&campus).await;
    (campus, crooked)
}

/// Refuses pages from this offset on, for so many seconds.
fn up_to(crooked: &Crooked, end: usize, seconds: u32) {
    crooked.bend(move |path, told| {
        let offset = path.split_once("offset=").and_then(|(_, offset)| offset.parse::<usize>().ok());
        match path.starts_with("/keys?") && offset.is_some_and(|offset| offset >= end) {
            true => Told { status: 429, headers: vec![("retry-after", seconds.to_string())], ..told },
            false => told,
        }
    });
}

fn is_left(report: &Value) -> bool {
    report["complete"] == false && problems(report).contains("the run goes on")
}

/// The report of a resumed run, half an hour later, when every pause that it may have is over.
async fn resume(campus: &Campus, crooked: &Crooked) -> Value {
    campus.minutes(30);
    crooked.within(LONG, json!({"task": "resume"})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_retry_after_is_waited_for_by_another_invocation() {
    let campus = quiet(&[]).await;
    campus.foreign("other");
    let crooked = Crooked::before(&campus).await;
    up_to(&crooked, 0, 300);
    let report = tokio::time::timeout(Duration::from_secs(60), crooked.sync()).await;
    let report = report.expect("it waits longer than its lease lasts");
    assert!(is_left(&report) && problems(&report).contains("status 429"), "{report}");
    let page = campus.admin().await.get(ACCOUNT).await.expect(200).readable();
    assert!(page.contains("has not ended") && page.contains("It was tried once and goes on by itself after"), "{page}");
    crooked.straighten();
    let resumed = crooked.within(LONG, json!({"task": "resume"})).await.unwrap();
    assert!(resumed["skipped"].as_str().unwrap().starts_with("not before"), "{resumed}");
    let report = resume(&campus, &crooked).await;
    assert_eq!([&report["complete"], &report["keys_listed"], &report["tries"]], [&json!(true), &json!(1), &json!(1)]);
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_a_dead_invocation_are_not_mixed_with_the_next() {
    let (campus, crooked) = many().await;
    up_to(&crooked, 300, 1_200);
    assert!(is_left(&crooked.sync().await));
    // The invocation's rows are stored, and the checkpoint that would refer to them is not.
    up_to(&crooked, 500, 1_200);
    campus.minutes(30);
    campus.gate.at(Matcher::call("dynamodb:TransactWriteItems").of(UsageSync), Fault::Status(400));
    crooked.within(LONG, json!({"task": "resume"})).await.unwrap_err();
    up_to(&crooked, 700, 1_200);
    assert!(is_left(&resume(&campus, &crooked).await));
    crooked.straighten();
    let report = resume(&campus, &crooked).await;
    let all = [&json!(true), &json!(OTHERS + 1), &json!(0)];
    assert_eq!([&report["complete"], &report["keys_listed"], &report["keys_missing"]], all, "{report}");
    let foreign = campus.table.foreign_keys().await.unwrap();
    assert_eq!(foreign.iter().filter(|key| key.gone_at.is_none()).count(), OTHERS, "each is there");
    assert_eq!(resume(&campus, &crooked).await["skipped"], "nothing to resume");
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_given_up_after_six_hours() {
    let (campus, crooked) = many().await;
    // Nobody goes on with it.
    up_to(&crooked, 300, 1_200);
    assert!(is_left(&crooked.sync().await));
    campus.hours(8);
    campus.spend("ada", "2");
    assert_eq!(resume(&campus, &crooked).await["skipped"], "nothing to resume");
    // It is in trouble all the time, and ends with what it has.
    let (mut tries, mut report) = (1, crooked.sync().await);
    while is_left(&report) || report["skipped"].is_string() {
        report = resume(&campus, &crooked).await;
        tries += u64::from(is_left(&report));
        assert!(tries < 20, "it never ends: {report}");
    }
    assert_eq!((&report["complete"], &report["tries"]), (&json!(false), &json!(tries)), "{report}");
    assert!(problems(&report).contains("not every key was listed") && (6..=12).contains(&tries), "{report}");
    campus.spend("ada", "2");
    assert_eq!(resume(&campus, &crooked).await["skipped"], "nothing to resume");
    complete(&campus).await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_invocation_loses_one_part_of_a_run() {
    let campus = quiet(&["ada"]).await;
    (0..199).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    complete(&campus).await;
    // The call at which the invocation is killed, and whether keys are listed after it.
    for (call, nth, fault, lists) in [
        // Nothing was kept of the night, which the next quarter of an hour begins.
        ("dynamodb:UpdateItem", 1, Fault::KillBefore, true),
        ("dynamodb:PutItem", 1, Fault::KillAfter, true),
        ("provider:GET /credits", 1, Fault::KillBefore, true),
        ("provider:GET /keys", 2, Fault::KillBefore, true),
        ("dynamodb:Query", 9, Fault::KillBefore, false),
        ("provider:GET /credits", 2, Fault::KillBefore, false),
    ] {
        campus.hours(25);
        campus.spend("ada", "1");
        campus.gate.at(Matcher::call(call).of(UsageSync).nth(nth), fault);
        campus.run(UsageSync, json!({})).await.unwrap_err();
        // The lease of the killed invocation expires.
        campus.minutes(15);
        let before = campus.gate.calls().len();
        let report = campus.run(UsageSync, json!({"task": "resume"})).await.unwrap();
        assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(200)), "{call}: {report}");
        let mut asked = campus.gate.calls().split_off(before).into_iter().map(|made| made.name.to_string());
        assert_eq!(asked.any(|name| name == "provider:GET /keys"), lists, "{call} {nth}");
        campus.judged_after_sync().await;
    }
    campus.finish_faulted().await;
}
