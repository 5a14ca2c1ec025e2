//! The end of a term, disables that fail, keys that are found disabled or gone at the provider, and limits that drifted.

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::{GrantState, Stopped};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::Office;
use serde_json::{Value, json};

use super::{
    change_by_hand, grant, hours, in_the_morning, invite, is_enabled, mint, minutes, problems, provider, rich, shape,
    spend, sync, watch,
};

const GONE: GrantState = GrantState::Stopped { why: Stopped::GoneAtProvider };

async fn acts(office: &Office<'_>, of: &GrantId) -> Vec<Act> {
    let entries = office.table.entries_on_grant(&office.programme, of).await.unwrap();
    entries.into_iter().map(|entry| entry.what.act).collect()
}

fn limit(stack: &bursar_tests::stack::Stack, key: &str) -> Option<Nano> {
    provider(stack).keys().into_iter().find(|known| known.hash == key).unwrap().limit
}

#[tokio::test]
async fn the_end_of_a_term_ends_all_live_keys_in_one_run_and_the_next_gives_back_what_was_reserved() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let mut keys = Vec::new();
    for number in 0..60 {
        let grant = invite(&stack, &office, &format!("s{number}"), None).await;
        keys.push(mint(&stack, &office, &grant).await);
    }
    keys.iter().take(3).for_each(|key| spend(&stack, key, 1_500_000));
    stack.clock.advance(hours(24 * 95)).unwrap();
    let report = sync(&stack).await;
    assert_eq!(report["complete"], true, "{report}");
    let grants = office.table.grants(&office.programme).await.unwrap();
    assert!(grants.len() == 60 && grants.iter().all(|grant| grant.state == GrantState::Ended));
    assert!(keys.iter().all(|key| !is_enabled(&stack, key)));
    let reserved = async || office.table.pot(&office.programme).await.unwrap().unwrap().reserved;
    assert_eq!(reserved().await, Usd::from_dollars(1200), "nobody has read since what they spent");
    stack.clock.advance(hours(24)).unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(reserved().await, Usd::from_micros(4_500_000));
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_run_in_which_a_disable_failed_is_not_complete_and_the_next_one_is() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    office
        .table
        .act(office.at(&ada), |view, now| view.revoke(&bursar_core::domain::audit::Actor::Rule, None, now))
        .await
        .unwrap();
    let rule = stack.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Status(400));
    let report = sync(&stack).await;
    assert!(report["complete"] == false && problems(&report).contains(&key), "{report}");
    stack.gate.lift(rule);
    assert_eq!(sync(&stack).await["complete"], true);
    assert!(!is_enabled(&stack, &key));
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_live_key_that_was_disabled_or_deleted_by_hand_stops_its_grant_once_that_is_sure() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let (of_ada, of_ben) = (mint(&stack, &office, &ada).await, mint(&stack, &office, &ben).await);
    spend(&stack, &of_ben, 100);
    let mut watch = watch(&stack);
    sync(&stack).await;
    watch.check_after_sync().await;
    // A key younger than the run does not count as missing.
    stack.clock.advance(minutes(1)).unwrap();
    provider(&stack).disable(&of_ada).unwrap();
    provider(&stack).delete(&of_ben).unwrap();
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(true), &json!(1)), "{report}");
    assert_eq!(grant(&office, &ada).await.state, GONE);
    assert!(acts(&office, &ada).await.contains(&Act::Stopped));
    assert!(grant(&office, &ben).await.live().is_some(), "one answer may be wrong");
    watch.check_after_sync().await;
    for (after, is_gone) in [(minutes(59), false), (minutes(2), true), (minutes(1), true)] {
        stack.clock.advance(after).unwrap();
        let report = sync(&stack).await;
        assert_eq!(report["residual_usd"], "0.000000", "what it used stays: {report}");
        assert_eq!(grant(&office, &ben).await.state == GONE, is_gone, "{after:?}: {report}");
        watch.check_after_sync().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_key_that_its_student_replaced_between_the_listing_and_a_second_look_is_left_alone() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    for gone in [false, true] {
        let ada = invite(&stack, &office, &format!("ada-{gone}"), None).await;
        let old = mint(&stack, &office, &ada).await;
        if gone {
            provider(&stack).delete(&old).unwrap();
            sync(&stack).await;
            stack.clock.advance(hours(2)).unwrap();
        } else {
            provider(&stack).disable(&old).unwrap();
        }
        let look = Matcher::call("provider:GET /keys/{hash}").of(FunctionName::UsageSync);
        let held = stack.gate.hold_answers(look);
        let meanwhile = async {
            held.arrived().await;
            let begun = super::begin_with(&stack, &office, &ada, !gone).await;
            let new = super::make(&stack, &office, &ada, &begun).await;
            super::record(&office, &ada, &begun, &new).await;
            drop(held);
            new
        };
        let (report, new) = tokio::join!(sync(&stack), meanwhile);
        let known = grant(&office, &ada).await;
        assert_eq!(known.live().unwrap().key.as_ref().unwrap().as_str(), new, "{gone}: {report}");
        assert!(!acts(&office, &ada).await.contains(&Act::Stopped) && is_enabled(&stack, &new));
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_limit_that_somebody_changed_or_took_off_is_sent_again() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    for drifted in [json!(1), json!(500), Value::Null] {
        change_by_hand(&stack, &key, &json!({"limit": drifted}));
        assert_eq!(sync(&stack).await["complete"], true);
        assert_eq!(limit(&stack, &key), Some(Nano::usd(20)), "{drifted}");
    }
    office
        .table
        .act(office.at(&ada), |view, now| view.set_cap(Some(Usd::from_dollars(30)), &office.faculty, None, now))
        .await
        .unwrap();
    sync(&stack).await;
    assert_eq!(limit(&stack, &key), Some(Nano::usd(30)));
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn what_retired_keys_used_comes_off_the_limit_until_the_window_turns_and_a_key_with_nothing_left_is_stopped() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.reset = Reset::Daily).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let mut keys = Vec::new();
    for of in [&ada, &ben] {
        let old = mint(&stack, &office, of).await;
        let new = mint(&stack, &office, of).await;
        spend(&stack, &old, if of == &ada { 5_000_000 } else { 19_995_000 });
        keys.push(new);
    }
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(limit(&stack, &keys[0]), Some(Nano::usd(15)));
    assert_eq!(grant(&office, &ben).await.state, GrantState::Stopped { why: Stopped::UsedUp });
    assert!(!is_enabled(&stack, &keys[1]));
    stack.clock.advance(hours(24)).unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(limit(&stack, &keys[0]), Some(Nano::usd(20)), "the window turned");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}
