//! Whether the books agree: the opening, what our and foreign keys used, and the residual.

use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::{self};
use serde_json::json;

use super::{
    ADMIN, change_by_hand, foreign, hours, in_the_morning, invite, mint, provider, rich, signed_in, spend, sync, watch,
};

const ACCOUNT: &str = "/console/account";

#[tokio::test]
async fn the_opening_is_apart_and_every_dollar_after_it_is_a_keys_a_deleted_keys_or_the_residual() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    let (by_hand, deleted) = (foreign(&stack, "by hand"), foreign(&stack, "deleted"));
    provider(&stack).spend_elsewhere(Nano::usd(7)).unwrap();
    for (key, micros) in [(&key, 1_000_000), (&by_hand, 2_000_000), (&deleted, 3_000_000)] {
        spend(&stack, key, micros);
    }
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    assert_eq!(report["account_balance_usd"], "987.000000", "{report}");
    let mut watch = watch(&stack);
    watch.check_after_sync().await;

    stack.clock.advance(hours(24)).unwrap();
    provider(&stack).delete(&deleted).unwrap();
    let dan = invite(&stack, &office, "dan", None).await;
    let gone = mint(&stack, &office, &dan).await;
    spend(&stack, &gone, 500_000);
    assert_eq!(sync(&stack).await["residual_usd"], "0.000000", "keys that are gone are not forgotten");
    provider(&stack).delete(&gone).unwrap();
    provider(&stack).spend_elsewhere(Nano::micros(250_000)).unwrap();
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.250000")), "{report}");
    let day = office.table.newest_account_days(1).await.unwrap().pop().unwrap();
    let dollars = |micros| Usd::from_micros(micros);
    assert_eq!((day.opening, day.residual, day.spent), (dollars(7_000_000), dollars(250_000), dollars(13_750_000)));
    assert_eq!((day.ours, day.ours_gone), (dollars(1_000_000), dollars(500_000)));
    assert_eq!((day.foreign, day.foreign_gone), (dollars(2_000_000), dollars(3_000_000)));
    watch.check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn money_that_is_spent_while_keys_are_listed_raises_no_alarm_and_more_than_that_does() {
    let stack = stack::in_process().await.unwrap();
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    let by_hand = foreign(&stack, "by hand");
    sync(&stack).await;
    for call in ["provider:GET /keys", "provider:GET /workspaces"] {
        for before in [true, false] {
            let matcher = Matcher::call(call).of(FunctionName::UsageSync);
            let held = if before { stack.gate.hold(matcher) } else { stack.gate.hold_answers(matcher) };
            let meanwhile = async {
                held.arrived().await;
                spend(&stack, &key, 1_234_567);
                spend(&stack, &by_hand, 7_654_321);
                drop(held);
            };
            let (report, ()) = tokio::join!(sync(&stack), meanwhile);
            assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
        }
    }
    // Each number is rounded by less than a micro-dollar, so a difference of that much for each key means nothing.
    provider(&stack).spend_elsewhere(Nano::micros(2)).unwrap();
    sync(&stack).await;
    stack.settle.settle(LIMIT).await.unwrap();
    let to_admin = || stack.ses.unread().into_iter().filter(|mail| mail.to.contains(&ADMIN.to_owned())).count();
    assert_eq!(to_admin(), 0);
    provider(&stack).spend_elsewhere(Nano::micros(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(sync(&stack).await["residual_usd"], "0.000003");
        stack.settle.settle(LIMIT).await.unwrap();
    }
    assert_eq!(to_admin(), 1, "once a day");
    stack.finish().await;
}

#[tokio::test]
async fn what_is_spent_while_the_first_sync_lists_is_no_residual_of_the_next_and_each_complete_sync_leaves_a_cut() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let (key, by_hand) = (mint(&stack, &office, &ada).await, foreign(&stack, "by hand"));
    provider(&stack).spend_elsewhere(Nano::usd(40)).unwrap();
    let held = stack.gate.hold(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
    let spending = async {
        held.arrived().await;
        spend(&stack, &key, 100_000);
        spend(&stack, &by_hand, 200_000);
        drop(held);
    };
    let (report, ()) = tokio::join!(sync(&stack), spending);
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    let mut watch = watch(&stack);
    watch.check_after_sync().await;
    stack.clock.advance(hours(24)).unwrap();
    assert_eq!(sync(&stack).await["residual_usd"], "0.000000", "it was spent while the first one looked");
    stack.clock.advance(hours(24)).unwrap();
    spend(&stack, &key, 1_000_000);
    provider(&stack).spend_elsewhere(Nano::micros(300_000)).unwrap();
    stack.gate.at(Matcher::call("provider:GET /credits").of(FunctionName::UsageSync).nth(2), Fault::Status(400));
    assert_eq!(sync(&stack).await["complete"], false);
    assert_eq!(sync(&stack).await["residual_usd"], "0.300000");
    watch.check_after_sync().await;

    let cuts = office.table.cuts().await.unwrap();
    let parts = cuts.iter().map(|cut| {
        let amounts =
            [cut.programmes[0].used.credits, cut.foreign, cut.opening, cut.residual, cut.unsettled, cut.spent.after];
        amounts.map(Usd::micros)
    });
    let expected = [
        [100_000, 200_000, 39_700_000, 0, 300_000, 40_300_000],
        [100_000, 200_000, 40_000_000, 0, 0, 40_300_000],
        [1_100_000, 200_000, 40_000_000, 300_000, 0, 41_600_000],
    ];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
    stack.finish().await;
}

#[tokio::test]
async fn admins_hear_of_a_residual_once_and_again_only_of_what_is_new() {
    let stack = stack::in_process().await.unwrap();
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    sync(&stack).await;
    let subjects = async || {
        // The mails that came since the last call.
        stack.settle.settle(LIMIT).await.unwrap();
        let told = stack.ses.unread().into_iter().filter(|mail| mail.to.contains(&ADMIN.to_owned()));
        let subject = |raw: &str| raw.lines().find_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned);
        let all = told.filter_map(|mail| subject(&String::from_utf8_lossy(mail.raw.as_ref())));
        all.filter(|subject| ["No key explains", "Keys spent"].iter().any(|begins| subject.starts_with(begins)))
            .collect::<Vec<_>>()
    };
    let night = async |elsewhere: i64| {
        stack.clock.advance(hours(24)).unwrap();
        spend(&stack, &key, 10);
        provider(&stack).spend_elsewhere(Nano::micros(elsewhere)).unwrap();
        sync(&stack).await["residual_usd"].as_str().unwrap().to_owned()
    };
    let [first, second] = ["No key explains $5 that the account spent", "No key explains $2 that the account spent"];
    assert_eq!(night(5_000_000).await, "5.000000");
    assert_eq!(subjects().await, [first]);
    for _ in 0..3 {
        assert_eq!(night(0).await, "5.000000");
    }
    assert!(subjects().await.is_empty(), "it is no news");
    assert_eq!(night(2_000_000).await, "7.000000");
    assert_eq!(subjects().await, [second]);

    // More of it on the same day is mailed on the next.
    provider(&stack).spend_elsewhere(Nano::usd(1)).unwrap();
    assert_eq!(sync(&stack).await["residual_usd"], "8.000000");
    assert!(subjects().await.is_empty());
    night(0).await;
    assert_eq!(subjects().await, ["No key explains $1 that the account spent"]);

    assert_eq!(night(0).await, "8.000000");
    assert!(subjects().await.is_empty());
    let admin = signed_in(&stack, ADMIN).await;
    assert_eq!(admin.get(ACCOUNT).await.expect(200).attributes("residual", "data-usd"), ["8.000000"]);
    night(-8_000_000).await;
    assert_eq!(subjects().await, ["Keys spent $8 more than the account did"], "a refund is news too");
    stack.finish().await;
}

#[tokio::test]
async fn money_that_is_spent_while_a_key_is_asked_for_once_more_is_not_missing_from_the_account() {
    let stack = stack::in_process().await.unwrap();
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    sync(&stack).await;
    // Its name no longer identifies it, so the sync reads it by its hash after everything else.
    change_by_hand(&stack, &key, &json!({"name": "another"}));
    let held = stack.gate.hold(Matcher::call("provider:GET /keys/{hash}").of(FunctionName::UsageSync));
    let spending = async {
        held.arrived().await;
        spend(&stack, &key, 1_000_000);
        drop(held);
    };
    let (report, ()) = tokio::join!(sync(&stack), spending);
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
    assert_eq!(view.readings[0].lifetime(), Usd::from_micros(1_000_000));
    stack.finish().await;
}
