//! Single writes that the table refuses for a while, because of a conflicting transaction or throttling: they
//! are retried, and the run goes on.

use bursar_core::config::Config;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::{self, Setup};
use serde_json::json;

use super::crooked::Crooked;
use super::{foreign, in_the_morning, invite, mint, rich, spend, sync, watch};

#[tokio::test]
async fn a_conflict_on_the_writing_of_a_reading_does_not_end_the_run() {
    let stack = stack::of(Setup { waits: Waits::shortened(20), ..Setup::default() }).await.unwrap();
    stack.pump.stop().await;
    stack.schedules.stop().await;
    let office = rich(&stack).await;
    let mut keys = Vec::new();
    for name in ["ada", "ben", "cat"] {
        let grant = invite(&stack, &office, name, None).await;
        keys.push(mint(&stack, &office, &grant).await);
    }
    let mut watch = watch(&stack);
    let mut spent = 0;
    // Each verdict comes more often than the SDK retries.
    for (call, verdict) in [
        ("dynamodb:PutItem", Fault::Conflict),
        ("dynamodb:PutItem", Fault::Throttle),
        ("dynamodb:UpdateItem", Fault::Conflict),
        ("dynamodb:UpdateItem", Fault::Throttle),
    ] {
        for key in &keys {
            spend(&stack, key, 1_000_000);
        }
        foreign(&stack, &format!("made before {call} met {verdict}"));
        spent += 3;
        stack.gate.at(Matcher::call(call).of(FunctionName::UsageSync).next(20), verdict);
        let report = sync(&stack).await;
        let tell = format!("{call}, {verdict}: {report}");
        assert_eq!((&report["complete"], &report["readings_recorded"]), (&json!(true), &json!(3)), "{tell}");
        stack.faults_met(&tell);
        let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
        assert_eq!(totals.used.credits.total(), Usd::from_dollars(spent), "{tell}");
        watch.check_after_sync().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_write_that_is_throttled_for_long_is_put_back_behind_the_others_and_the_run_needs_no_second_try() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    for name in ["ada", "ben", "cat"] {
        let grant = invite(&stack, &office, name, None).await;
        let key = mint(&stack, &office, &grant).await;
        spend(&stack, &key, 1_000_000);
        foreign(&stack, &format!("{name}'s own"));
    }
    // A write has two seconds, of which a hundredth is really waited, so each is requeued after the SDK's own
    // retries.
    let hasty = Crooked::configured(&stack, |config| Config { waits: Waits::shortened(100), ..config }).await;
    let every = Matcher::call("dynamodb:PutItem").of(FunctionName::UsageSync);
    stack.gate.at(every.next(100), Fault::Throttle);
    let report = hasty.within(std::time::Duration::from_secs(60), json!({})).await.unwrap();
    let expected = (&json!(true), &json!(3), &json!(0));
    assert_eq!((&report["complete"], &report["readings_recorded"], &report["tries"]), expected, "{report}");
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}
