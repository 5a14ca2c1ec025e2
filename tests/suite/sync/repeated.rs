//! The sync run twice, and by two at once.

use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::faults::{Fault, Matcher};
use serde_json::json;

use super::{busy, changed, complete, quiet, without_runs};

#[tokio::test]
async fn a_second_run_writes_only_its_own_record() {
    let campus = busy().await;
    // By the second night a window has turned, a key counts as gone, and what the first night found is settled.
    for night in 0..2 {
        let orphans = complete(&campus).await["orphans_disabled"].clone();
        assert_eq!(orphans, u64::from(night == 0), "night {night}");
        // The use of a gone key appears in the account's sums now, and the next run gives it back.
        complete(&campus).await;
        let before = without_runs(&*campus.judged_after_sync().await);
        let again = complete(&campus).await;
        assert_eq!((&again["readings_recorded"], &again["orphans_disabled"]), (&json!(0), &json!(0)), "{again}");
        let seen = campus.judged_after_sync().await;
        assert_eq!(changed(&before, &seen), Vec::<String>::new(), "night {night}");
        campus.hours(24);
        campus.spend("ada", "0.000007");
    }
    campus.finish_faulted().await;
}

#[tokio::test]
async fn one_runner_runs_and_a_dead_one_is_soon_forgotten() {
    let campus = quiet(&["ada"]).await;
    let held = campus.gate.hold(Matcher::call("provider:GET /keys").of(UsageSync).nth(1));
    let others = async {
        held.arrived().await;
        assert_eq!(campus.sync().await, json!({"skipped": "running"}));
        drop(held);
    };
    let (report, ()) = tokio::join!(complete(&campus), others);
    assert_eq!(report["keys_listed"], 1);
    campus.gate.at(Matcher::call("provider:GET /keys").of(UsageSync).nth(1), Fault::KillBefore);
    campus.run(UsageSync, json!({})).await.unwrap_err();
    assert_eq!(campus.sync().await, json!({"skipped": "running"}));
    campus.minutes(15);
    complete(&campus).await;
    campus.finish_faulted().await;
}
