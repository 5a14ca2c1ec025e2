//! A run that needs several invocations: each continues where the one before it stopped, whatever happens in between.

use std::time::Duration;

use bursar_core::config::Config;
use bursar_core::deadline::Waits;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::Office;
use bursar_tests::seeds;
use bursar_tests::stack::Stack;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::crooked::{Crooked, Told};
use super::{
    ADMIN, change_by_hand, changed, foreign, hours, in_the_morning, invite, is_enabled, mint, problems, rich,
    signed_in, spend, sync, watch, without_runs,
};

/// A time of which a second is reserved for the checkpoint.
const SHORT: Duration = Duration::from_millis(1_250);
const LONG: Duration = Duration::from_secs(900);
/// Enough for several parts, and in `long` for 27 pages.
const OTHERS: usize = if seeds::LONG { 2_600 } else { 900 };

/// A programme with enough keys for many pages.
async fn many(stack: &Stack) -> (Office<'_>, Vec<String>) {
    let office = rich(stack).await;
    let mut keys = Vec::new();
    for number in 0..6 {
        let grant = invite(stack, &office, &format!("s{number}"), None).await;
        keys.push(mint(stack, &office, &grant).await);
        spend(stack, &keys[number], 1_000_000);
        for other in 0..OTHERS / 6 {
            foreign(stack, &format!("other {number} {other}"));
        }
    }
    (office, keys)
}

/// Refuses pages from this offset on, with a long `Retry-After`.
fn up_to(crooked: &Crooked, end: usize) {
    crooked.bend(move |path, told| {
        let offset = path.split_once("offset=").and_then(|(_, offset)| offset.parse::<usize>().ok());
        match path.starts_with("/keys?") && offset.is_some_and(|offset| offset >= end) {
            true => Told { status: 429, headers: vec![("retry-after", "1200".to_owned())], ..told },
            false => told,
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_wants_to_be_asked_in_five_minutes_is_asked_by_another_invocation() {
    let stack = in_the_morning().await;
    foreign(&stack, "other");
    let crooked = Crooked::before(&stack).await;
    crooked.bend(|path, told| match path.starts_with("/keys?") {
        true => Told { status: 429, headers: vec![("retry-after", "300".to_owned())], ..told },
        false => told,
    });
    let report = tokio::time::timeout(Duration::from_secs(60), crooked.within(LONG, json!({}))).await;
    let report = report.expect("it waits longer than its lease lasts").unwrap();
    assert!(is_left(&report) && problems(&report).contains("status 429"), "{report}");
    let page = signed_in(&stack, ADMIN).await.get("/console/account").await.expect(200).readable();
    assert!(page.contains("has not ended") && page.contains("It was tried once and goes on by itself after"), "{page}");
    crooked.straighten();
    let resumed = crooked.within(LONG, json!({"task": "resume"})).await.unwrap();
    assert!(resumed["skipped"].as_str().unwrap().starts_with("not before"), "{resumed}");
    let report = resume(&stack, &crooked).await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(1)), "{report}");
    assert_eq!(report["tries"], 1);
    stack.finish().await;
}

fn is_left(report: &Value) -> bool {
    report["complete"] == false && problems(report).contains("the run goes on")
}

/// The report of a resumed run, half an hour later, when every pause that it may have is over.
async fn resume(stack: &Stack, crooked: &Crooked) -> Value {
    stack.clock.advance(SignedDuration::from_mins(30)).unwrap();
    crooked.within(LONG, json!({"task": "resume"})).await.unwrap()
}

#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_several_invocations_ends_complete_with_what_one_would_have_left() {
    let stack = in_the_morning().await;
    let (office, keys) = many(&stack).await;
    let short = Crooked::before(&stack).await;
    short.slow_down(Duration::from_millis(200));
    let (mut left, mut new) = (0, Vec::new());
    let report = loop {
        // On a slow machine the shortest time may achieve nothing.
        let time = SHORT + Duration::from_millis(30) * left;
        let report = short.within(time, json!({})).await.unwrap();
        if !is_left(&report) {
            break report;
        }
        left += 1;
        assert!(left < 60, "it never ends: {report}");
        // Meanwhile a student claims, and foreign keys are made.
        if left < 4 {
            let grant = invite(&stack, &office, &format!("new{left}"), None).await;
            new.push(mint(&stack, &office, &grant).await);
            foreign(&stack, &format!("new {left}"));
        }
    };
    assert!(left >= 2, "one was enough");
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    assert!(report["keys_listed"].as_u64().unwrap() >= (OTHERS / 6 * 6 + keys.len()) as u64, "{report}");
    let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
    assert_eq!(totals.used.credits.total(), Usd::from_dollars(6));
    let mut watch = watch(&stack);
    watch.check_after_sync().await;
    // The next run finds the new keys; after that nothing is left to be recorded.
    assert_eq!(sync(&stack).await["complete"], true);
    let before = without_runs(watch.check_after_sync().await);
    assert_eq!(sync(&stack).await["readings_recorded"], 0);
    assert_eq!(changed(&before, watch.check_after_sync().await), Vec::<String>::new());
    stack.finish().await;
}

#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_takes_more_than_two_minutes_is_listed_to_its_end_by_one_invocation() {
    let stack = in_the_morning().await;
    // 16 seconds for each of 27 pages, the first alone and then four at a time, take more than 120 seconds; a
    // tenth of that is really waited.
    many(&stack).await;
    let waits = Waits::shortened(10);
    let slow = Crooked::configured(&stack, |config| Config { waits, ..config }).await;
    slow.slow_down(Duration::from_millis(1_600));
    let report = slow.within(LONG / 10, json!({})).await.unwrap();
    assert_eq!(report["complete"], true, "{report}");
    assert!(report["duration_ms"].as_u64().unwrap() > 120_000 / 10, "{report}");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_invocation_kept_before_it_died_is_not_mixed_with_what_the_next_one_keeps() {
    let stack = in_the_morning().await;
    let (office, _) = many(&stack).await;
    let short = Crooked::before(&stack).await;
    up_to(&short, 300);
    assert!(is_left(&short.within(LONG, json!({})).await.unwrap()));
    // The invocation's rows are stored, and the checkpoint that would refer to them is not.
    up_to(&short, 500);
    stack.clock.advance(SignedDuration::from_mins(30)).unwrap();
    stack.gate.at(Matcher::call("dynamodb:TransactWriteItems"), Fault::Status(400));
    short.within(LONG, json!({"task": "resume"})).await.unwrap_err();
    up_to(&short, 700);
    assert!(is_left(&resume(&stack, &short).await));
    short.straighten();
    let report = resume(&stack, &short).await;
    let (all, missing) = (json!(OTHERS / 6 * 6 + 6), json!(0));
    assert_eq!(
        (&report["complete"], &report["keys_listed"], &report["keys_missing"]),
        (&json!(true), &all, &missing),
        "{report}"
    );
    let foreign = office.table.foreign_keys().await.unwrap();
    assert_eq!(foreign.iter().filter(|key| key.gone_at.is_none()).count(), OTHERS / 6 * 6, "each is there");
    assert_eq!(short.within(LONG, json!({"task": "resume"})).await.unwrap()["skipped"], "nothing to resume");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_nobody_went_on_with_is_begun_anew() {
    let stack = in_the_morning().await;
    let (_, keys) = many(&stack).await;
    let short = Crooked::before(&stack).await;
    up_to(&short, 300);
    assert!(is_left(&short.within(LONG, json!({})).await.unwrap()));
    short.straighten();
    stack.clock.advance(hours(8)).unwrap();
    spend(&stack, &keys[5], 2_000_000);
    assert_eq!(short.within(LONG, json!({"task": "resume"})).await.unwrap()["skipped"], "nothing to resume");
    let report = short.within(LONG, json!({})).await.unwrap();
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_six_hours_of_trouble_a_run_ends_with_what_it_has_and_the_next_begins_anew() {
    let stack = in_the_morning().await;
    let (_, keys) = many(&stack).await;
    let short = Crooked::before(&stack).await;
    up_to(&short, 300);
    assert!(is_left(&short.within(LONG, json!({})).await.unwrap()));
    let mut tries = 1;
    let report = loop {
        let report = resume(&stack, &short).await;
        if !is_left(&report) && report["skipped"].is_null() {
            break report;
        }
        tries += u64::from(is_left(&report));
        assert!(tries < 20, "it never ends: {report}");
    };
    assert_eq!((&report["complete"], &report["tries"]), (&json!(false), &json!(tries)), "{report}");
    assert!(problems(&report).contains("not every key was listed"), "{report}");
    assert!((6..=12).contains(&tries), "{tries} tries in six hours");
    short.straighten();
    spend(&stack, &keys[5], 2_000_000);
    assert_eq!(resume(&stack, &short).await["skipped"], "nothing to resume");
    let report = short.within(LONG, json!({})).await.unwrap();
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_invocation_loses_one_part_of_a_run_and_no_more() {
    // The call at which the invocation is killed, and whether keys are listed after it.
    for (call, nth, lists) in [
        ("provider:GET /credits", 1, true),
        ("provider:GET /keys", 2, true),
        ("dynamodb:Query", 9, false),
        ("provider:GET /credits", 2, false),
    ] {
        let stack = in_the_morning().await;
        let office = rich(&stack).await;
        let ada = invite(&stack, &office, "ada", None).await;
        let key = mint(&stack, &office, &ada).await;
        spend(&stack, &key, 1_000_000);
        (0..199).for_each(|other| drop(foreign(&stack, &format!("other {other}"))));
        stack.gate.at(Matcher::call(call).of(FunctionName::UsageSync).nth(nth), Fault::KillBefore);
        stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap_err();
        // The lease of the killed invocation expires.
        stack.clock.advance(SignedDuration::from_mins(15)).unwrap();
        let before = stack.gate.calls().len();
        let report = stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})).await.unwrap();
        assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(200)), "{call}: {report}");
        let mut asked = stack.gate.calls().into_iter().skip(before).map(|made| made.call.name.to_string());
        assert_eq!(asked.any(|name| name == "provider:GET /keys"), lists, "{call} {nth}");
        watch(&stack).check_after_sync().await;
        stack.finish_faulted().await;
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_disabled_now_is_tried_again_by_the_next_invocation_and_the_run_is_complete() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    assert_eq!(sync(&stack).await["complete"], true);
    office.table.act(office.at(&ada), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    let rule = stack.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Status(503));
    let report = sync(&stack).await;
    assert!(is_left(&report) && problems(&report).contains("status 503"), "{report}");
    assert!(is_enabled(&stack, &key));
    stack.gate.lift(rule);
    stack.clock.advance(SignedDuration::from_mins(30)).unwrap();
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})).await.unwrap();
    assert_eq!((&report["complete"], &report["tries"]), (&json!(true), &json!(1)), "{report}");
    assert!(!is_enabled(&stack, &key));
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_night_that_was_lost_before_anything_was_kept_of_it_is_begun_by_the_next_quarter_of_an_hour() {
    let stack = in_the_morning().await;
    foreign(&stack, "other");
    assert_eq!(sync(&stack).await["complete"], true);
    let resume = async || {
        stack.clock.advance(SignedDuration::from_mins(15)).unwrap();
        stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})).await.unwrap()
    };
    for (call, verdict) in [("dynamodb:UpdateItem", Fault::KillBefore), ("dynamodb:PutItem", Fault::KillAfter)] {
        assert_eq!(resume().await["skipped"], "nothing to resume", "the day has a run");
        stack.clock.advance(hours(24)).unwrap();
        stack.gate.at(Matcher::call(call).of(FunctionName::UsageSync), verdict);
        stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap_err();
        let report = resume().await;
        assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(1)), "{call}: {report}");
    }
    watch(&stack).check_after_sync().await;
    stack.finish_faulted().await;
}

#[tokio::test]
async fn what_a_renamed_key_used_is_in_the_sums_also_when_the_invocation_that_recorded_it_died() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    assert_eq!(sync(&stack).await["complete"], true);
    change_by_hand(&stack, &key, &json!({"name": "mine"}));
    spend(&stack, &key, 2_000_000);
    let held = stack.gate.hold(Matcher::call("provider:GET /keys/{hash}").of(FunctionName::UsageSync));
    let dies = async {
        held.arrived().await;
        stack.gate.at(Matcher::call("dynamodb:PutItem").of(FunctionName::UsageSync), Fault::KillAfter);
        drop(held);
    };
    let (died, ()) = tokio::join!(stack.invoke.invoke(FunctionName::UsageSync, json!({})), dies);
    died.unwrap_err();
    stack.clock.advance(SignedDuration::from_mins(15)).unwrap();
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})).await.unwrap();
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    let account = office.table.account().await.unwrap().unwrap();
    assert_eq!(account.ours.credits.total(), Usd::from_dollars(2));
    watch(&stack).check_after_sync().await;
    stack.finish_faulted().await;
}
