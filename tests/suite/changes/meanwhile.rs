//! Edits that a sync, a claim or another act overtakes at any of its writes, and copies and moves that are killed at any call.

use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::{each_call, sample};
use bursar_tests::stack::Left;

use super::*;

/// A sync is held while it lists, and before each of its writes, and the cap is edited meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_is_edited_at_any_write_of_a_sync_is_counted_and_sent_all_the_same() {
    let writes = |class: &Class| {
        let is_write = |name: String| name.ends_with(":TransactWriteItems");
        let calls = class.stack.gate.calls();
        let of_sync = calls.iter().filter(|recorded| recorded.call.function == FunctionName::UsageSync);
        of_sync.filter(|recorded| is_write(recorded.call.name.to_string())).count() as u64
    };
    let expected = {
        let class = Class::of(&["ada", "bob"]).await;
        crate::sync::sync(&class.stack).await;
        let before = writes(&class);
        class.stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
        crate::sync::sync(&class.stack).await;
        let expected = writes(&class) - before;
        class.stack.finish_leaving(&[Left::PerhapsMails]).await;
        expected
    };
    assert!(expected > 5, "{expected} writes");
    let writes = (1..=expected).map(|nth| ("dynamodb:TransactWriteItems", nth));
    let reads = [("provider:GET /keys", 1), ("provider:GET /credits", 1), ("provider:GET /keys", 2)];
    for (call, nth) in sample(reads.into_iter().chain(writes), 2) {
        let cap = if nth % 2 == 0 { 8 } else { 30 };
        let class = Class::of(&["ada", "bob"]).await;
        let mut watch = class.watch();
        crate::sync::sync(&class.stack).await;
        class.judged(&mut watch).await;
        class.stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
        let admin = class.admin().await;
        let held = class.stack.gate.hold(Matcher::call(call).of(FunctionName::UsageSync).nth(nth));
        let invoke = class.stack.invoke.clone();
        let sync = tokio::spawn(async move { invoke.invoke(FunctionName::UsageSync, json!({})).await });
        held.arrived().await;
        assert_eq!(edits(&admin, &[("cap_usd", &cap.to_string())]).await.status, 303, "{call} {nth}");
        class.judged(&mut watch).await;
        drop(held);
        assert_eq!(sync.await.unwrap().unwrap()["complete"], true, "{call} {nth}");
        class.judged(&mut watch).await;
        class.stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
        assert_eq!(crate::sync::sync(&class.stack).await["complete"], true);
        watch.check_after_sync().await;
        assert_eq!(class.limits(), vec![dollars(cap); 2], "{call} {nth}");
        assert_eq!(class.reserved().await, Usd::from_dollars(i32::try_from(2 * cap).unwrap()), "{call} {nth}");
        class
            .stack
            .finish_leaving(&[
                Left::PerhapsMails,
                Left::PerhapsComplaints(&[("usage-sync", "the provider did not do it")]),
            ])
            .await;
    }
}

/// A copy with its roster is killed before and after each call; sent again, it has happened once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_killed_at_any_call_is_made_once_when_it_is_sent_again() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let copy = format!("{ID}/copy");
    let with_roster = [("roster", "on"), ("name", "Next")];
    let page = admin.get(ID).await;
    let before = calls_of_the_console(stack);
    assert_eq!(admin.submit(&page, &copy, &with_roster).await.status, 303);
    let calls = calls_of_the_console(stack) - before;
    assert!(calls > 20, "{calls} calls");
    let mut made = 1;
    for (nth, verdict) in sample(each_call(1..calls, &[Fault::KillBefore, Fault::KillAfter]), 5) {
        let page = admin.get(ID).await;
        let rule = stack.gate.at(Matcher::call("*").of(FunctionName::Console).nth(nth), verdict);
        admin.submit(&page, &copy, &with_roster).await;
        stack.gate.lift(rule);
        assert_eq!(admin.submit(&page, &copy, &with_roster).await.status, 303, "{verdict:?} of call {nth}");
        made += 1;
        for _ in 0..2 {
            class.works().await;
        }
        let seen = class.judged(&mut watch).await;
        let of = |id: &str| seen.grants.values().filter(|grant| grant.programme.as_str() == id).count();
        let last = format!("next-{made}");
        assert_eq!((seen.programmes.len(), of(&last)), (made + 1, 2), "{verdict:?} of call {nth}");
    }
    let thrown_away = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, thrown_away, Left::PerhapsUnmetFaults]).await;
}

/// Somebody has a place and no key, so only the settings say what the place costs by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_edit_reserved_is_counted_by_a_sync_that_began_before_it() {
    let class = Class::of(&[]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.office().invite("dan@example.edu").await;
    let dan = signed_in(stack, "dan@example.edu").await;
    stack.gate.at(Matcher::call("provider:POST /keys"), Fault::Status(400));
    assert_eq!(dan.submit(&dan.get("/my").await, "/my/cs-pilot/reveal", &[]).await.status, 502);
    assert_eq!(class.reserved().await, Usd::from_dollars(20));
    class.judged(&mut watch).await;
    let held = stack.gate.hold(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
    let invoke = stack.invoke.clone();
    let sync = tokio::spawn(async move { invoke.invoke(FunctionName::UsageSync, json!({})).await });
    held.arrived().await;
    assert_eq!(edits(&admin, &[("cap_usd", "30")]).await.status, 303);
    drop(held);
    sync.await.unwrap().unwrap();
    watch.check_after_sync().await;
    assert_eq!(class.reserved().await, Usd::from_dollars(30));
    let refused = Left::PerhapsComplaints(&[("claim", ""), ("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, refused]).await;
}
