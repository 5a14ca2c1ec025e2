//! The sync run twice, by two at once, and resumed late. Afterwards the table is as one clean run leaves it.

use bursar_core::store::Run;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::picture::picture;
use bursar_tests::seeds::sized;
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

/// Longer than a lease, and some use.
fn meanwhile(campus: &Campus) {
    campus.minutes(17);
    campus.spend("ada", "2");
}

/// The table after another run has read what disabled keys had left unused.
async fn settled(campus: &Campus) -> Vec<String> {
    campus.judged_after_sync().await;
    campus.minutes(20);
    complete(campus).await;
    picture(campus, &*campus.judged_after_sync().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_runner_changes_nothing() {
    let campus = busy().await;
    meanwhile(&campus);
    let before = campus.gate.calls().len();
    complete(&campus).await;
    let calls = campus.gate.calls().split_off(before);
    let effects = (1..).zip(&calls).filter(|(_, made)| made.name.has_effect()).map(|(nth, _)| nth).skip(1);
    let effects: Vec<u64> = effects.collect();
    let clean = settled(&campus).await;
    campus.finish_faulted().await;

    for nth in sized(vec![effects[effects.len() / 2]], effects) {
        let campus = busy().await;
        let held = campus.gate.hold(Matcher::call("*").of(UsageSync).nth(nth));
        let late = campus.run(UsageSync, json!({}));
        let overtaking = async {
            // The number of calls side by side varies by a few, so the last one may not come.
            if tokio::time::timeout(std::time::Duration::from_secs(20), held.arrived()).await.is_err() {
                return None;
            }
            meanwhile(&campus);
            while campus.sync().await["skipped"] == "running" {
                // A renewal beside the held call may have extended the lease.
                campus.minutes(17);
            }
            let runs = campus.table.newest(Run::all(), 10).await.unwrap().len();
            drop(held);
            Some(runs)
        };
        let (late, on_record) = tokio::join!(late, overtaking);
        if let Some(on_record) = on_record {
            let runs = campus.table.newest(Run::all(), 10).await.unwrap().len();
            assert_eq!(runs, on_record, "call {nth}, {late:?}: the late one puts nothing more on record");
            let settled = settled(&campus).await;
            let missing: Vec<_> = clean.iter().filter(|line| !settled.contains(line)).collect();
            let more: Vec<_> = settled.iter().filter(|line| !clean.contains(line)).collect();
            assert!(missing.is_empty() && more.is_empty(), "call {nth}, {late:?}: {missing:#?} became {more:#?}");
        }
        campus.finish_faulted().await;
    }
}

#[tokio::test]
async fn one_runner_runs_and_a_dead_one_is_soon_forgotten() {
    let campus = quiet(&["ada"]).await;
    (0..250).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    // Twice four minutes for a page are longer than a lease without renewal.
    let pages = || Matcher::call("provider:GET /keys").of(UsageSync);
    let (first, second) = (campus.gate.hold(pages().nth(1)), campus.gate.hold(pages().nth(2)));
    let others = async {
        for held in [first, second] {
            held.arrived().await;
            campus.minutes(4);
            assert_eq!(campus.sync().await, json!({"skipped": "running"}));
            assert_eq!(campus.run(UsageSync, json!({"task": "resume"})).await.unwrap(), json!({"skipped": "running"}));
            drop(held);
        }
    };
    let (report, ()) = tokio::join!(complete(&campus), others);
    assert_eq!(report["keys_listed"], 251);
    campus.gate.at(pages().nth(1), Fault::KillBefore);
    campus.run(UsageSync, json!({})).await.unwrap_err();
    assert_eq!(campus.sync().await, json!({"skipped": "running"}));
    campus.minutes(5);
    complete(&campus).await;
    assert_eq!(campus.table.newest(Run::all(), 10).await.unwrap().len(), 2);
    campus.finish_faulted().await;
}
