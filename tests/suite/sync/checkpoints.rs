//! A run that needs several invocations: each continues where the one before it stopped, whatever happens in between.

use std::time::Duration;

use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::sample;
use serde_json::{Value, json};

use super::crooked::{Crooked, Told};
use super::{ACCOUNT, complete, problems, quiet};

const LONG: Duration = Duration::from_secs(900);
/// Enough for several pages.
const OTHERS: usize = 500;

/// Refuses pages from this offset on, for twenty minutes.
fn up_to(crooked: &Crooked, end: usize) {
    crooked.bend(move |path, told| {
        let offset = path.split_once("offset=").and_then(|(_, offset)| offset.parse::<usize>().ok());
        match path.starts_with("/keys?") && offset.is_some_and(|offset| offset >= end) {
            true => Told { status: 429, headers: vec![("retry-after", "1200".to_owned())], ..told },
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
async fn a_run_goes_on_where_it_stopped_and_ends_after_six_hours() {
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "1");
    (0..OTHERS).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    let crooked = Crooked::before(&campus).await;
    up_to(&crooked, 200);
    // It does not wait longer than its lease lasts.
    let report = tokio::time::timeout(Duration::from_secs(60), crooked.sync()).await.unwrap();
    assert!(is_left(&report), "{report}");
    let page = campus.admin().await.get(ACCOUNT).await.expect(200).readable();
    assert!(page.contains("has not ended") && page.contains("It was tried once and goes on by itself after"), "{page}");
    let resumed = crooked.within(LONG, json!({"task": "resume"})).await.unwrap();
    assert!(resumed["skipped"].as_str().unwrap().starts_with("not before"), "{resumed}");
    // The next invocation's rows are stored, and the checkpoint that would refer to them is not.
    up_to(&crooked, 300);
    campus.minutes(30);
    campus.gate.at(Matcher::call("dynamodb:TransactWriteItems").of(UsageSync), Fault::Status(400));
    crooked.within(LONG, json!({"task": "resume"})).await.unwrap_err();
    up_to(&crooked, 400);
    assert!(is_left(&resume(&campus, &crooked).await));
    crooked.straighten();
    let report = resume(&campus, &crooked).await;
    let all = [&json!(true), &json!(OTHERS + 1), &json!(0)];
    assert_eq!([&report["complete"], &report["keys_listed"], &report["keys_missing"]], all, "{report}");
    let foreign = campus.table.foreign_keys().await.unwrap();
    assert_eq!(foreign.iter().filter(|key| key.gone_at.is_none()).count(), OTHERS, "each is there");
    assert_eq!(resume(&campus, &crooked).await["skipped"], "nothing to resume");
    campus.judged_after_sync().await;

    // Another run nobody goes on with, and one that is in trouble all the time ends with what it has.
    campus.hours(2);
    up_to(&crooked, 200);
    assert!(is_left(&crooked.sync().await));
    campus.hours(8);
    campus.spend("ada", "2");
    assert_eq!(resume(&campus, &crooked).await["skipped"], "nothing to resume");
    let (mut tries, mut report) = (1, crooked.sync().await);
    while is_left(&report) || report["skipped"].is_string() {
        report = resume(&campus, &crooked).await;
        tries += u64::from(is_left(&report));
        assert!(tries < 20, "it never ends: {report}");
    }
    assert_eq!((&report["complete"], &report["tries"]), (&json!(false), &json!(tries)), "{report}");
    assert!(problems(&report).contains("not every key was listed") && (6..=12).contains(&tries), "{report}");
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
    let kills = [
        ("provider:GET /keys", 2, Fault::KillBefore, true),
        // Nothing was kept of the night, which the next quarter of an hour begins.
        ("dynamodb:TransactWriteItems", 1, Fault::KillBefore, true),
        ("dynamodb:PutItem", 1, Fault::KillAfter, true),
        ("provider:GET /credits", 1, Fault::KillBefore, true),
        ("dynamodb:Query", 9, Fault::KillBefore, false),
        ("provider:GET /credits", 2, Fault::KillBefore, false),
    ];
    for (call, nth, fault, lists) in sample(kills, 2) {
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
