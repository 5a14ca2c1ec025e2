//! Whether the sums agree: what there was before anybody looked, whose the money was, and what nobody explains.

use bursar_core::domain::money::Usd;
use bursar_local::gate::Matcher;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_local::settle::LIMIT;
use bursar_tests::stack;
use serde_json::json;

use super::{ADMIN, change_by_hand, foreign, hours, in_the_morning, invite, mint, provider, rich, spend, sync, watch};

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
    let day = office.table.account_days().await.unwrap().pop().unwrap();
    let dollars = |micros| Usd::from_micros(micros);
    assert_eq!((day.opening, day.residual, day.spent), (dollars(7_000_000), dollars(250_000), dollars(13_750_000)));
    assert_eq!((day.ours, day.ours_gone), (dollars(1_000_000), dollars(500_000)));
    assert_eq!((day.foreign, day.foreign_gone), (dollars(2_000_000), dollars(3_000_000)));
    watch.check_after_sync().await;
    stack.stop().await.unwrap();
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
    // Each number is rounded by less than a micro-dollar, so as much as that for each key says nothing.
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
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn money_that_is_spent_while_a_key_is_asked_for_once_more_is_not_missing_from_the_account() {
    let stack = stack::in_process().await.unwrap();
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    sync(&stack).await;
    // It is not found by its name any more, so it is asked for by its hash when everything else was looked at.
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
    stack.stop().await.unwrap();
}
