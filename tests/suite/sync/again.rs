//! A run that dies or meets trouble: it is over, and the schedule of each quarter of an hour begins
//! another from nothing. One after another, or two at once, change no figure that is right.

use std::collections::BTreeSet;

use bursar_core::store::items::Item;
use bursar_core::store::{BegunBy, Run};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::{Campus, name_people, reports};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::{sample, sized};
use serde_json::json;

use super::crooked::{Crooked, Told};
use super::safety_limit::quarter;
use super::{ACCOUNT, busy, calls_of_a_run, changed, complete, problems, quiet, without_runs};

/// A night without a provider is begun eight times, and afterwards there is only the alarm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_night_has_eight_tries() {
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "1");
    complete(&campus).await;
    campus.hours(24);
    let crooked = Crooked::before(&campus).await;
    crooked.bend(|path, told| match path.starts_with("/keys?") {
        true => Told {
            status: 400,
            ..told
        },
        false => told,
    });
    let scheduled = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
    let first = crooked
        .within(std::time::Duration::from_secs(900), scheduled)
        .await
        .unwrap();
    assert!(
        problems(&first).contains("not every key was listed"),
        "{first}"
    );
    let mut begun = Vec::new();
    for quarters in 1..=90 {
        campus.minutes(15);
        let event = json!({"task": "resume"});
        let report = crooked
            .within(std::time::Duration::from_secs(900), event)
            .await
            .unwrap();
        if report["skipped"].is_null() {
            begun.push(quarters);
        }
        if quarters == 1 {
            let page = campus
                .admin()
                .await
                .get(ACCOUNT)
                .await
                .expect(200)
                .readable();
            assert!(
                page.contains("The check begins again by itself at about"),
                "{page}"
            );
            // What a person begins is not counted.
            assert_eq!(crooked.sync().await["complete"], false);
        }
    }
    assert_eq!(begun, [1, 2, 4, 8, 16, 32, 64]);
    for _ in 0..3 {
        campus.drain().await;
    }
    assert_eq!(
        campus.mails("account").len(),
        2,
        "one alarm for each of the two days"
    );
    crooked.straighten();
    complete(&campus).await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_run_that_could_not_write_a_disable_is_begun_again() {
    let mut campus = quiet(&["ben"]).await;
    campus.students(&["ada"]).await;
    campus.press_with("ada", "reveal", Fault::KillAfter).await;
    let orphan = campus.key("ada").hash;
    campus.hours(2);
    // Behind the run's own two transactions comes the one that takes in what nobody was shown.
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .nth(3),
        Fault::Status(400),
    );
    let report = campus.sync().await;
    assert!(
        report["complete"] == false && campus.is_on(&orphan),
        "{report}"
    );
    assert_eq!(quarter(&campus).await["complete"], true);
    assert!(!campus.is_on(&orphan));
    campus.judged_after_sync().await;
    campus.finish_faulted().await;
}

/// The second to get the lease looks again, and finds that the first has run.
#[tokio::test]
async fn of_two_that_begin_at_once_one_runs() {
    let campus = quiet(&["ada"]).await;
    complete(&campus).await;
    campus.hours(25);
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:TransactWriteItems").of(UsageSync));
    let first = async {
        held.arrived().await;
        let report = quarter(&campus).await;
        drop(held);
        report
    };
    let (second, first) = tokio::join!(quarter(&campus), first);
    assert_eq!(
        (&first["complete"], &second["skipped"]),
        (&json!(true), &json!("nothing to begin"))
    );
    campus.finish().await;
}

/// After three nights a disable that fails hinders no run, unless there are more than five.
#[tokio::test]
async fn a_few_stubborn_disables_hinder_no_run() {
    let names = name_people(0..6);
    let campus = quiet(&names).await;
    campus.gate.at(
        Matcher::call("provider:PATCH /keys/{hash}").every(),
        Fault::Status(400),
    );
    for (ended, nights) in [
        (&names[..5], [false, false, true]),
        (&names[5..], [false; 3]),
    ] {
        for name in ended {
            campus.revoke(name).await;
        }
        for is_complete in nights {
            assert_eq!(campus.sync().await["complete"], is_complete);
            campus.hours(24);
        }
    }
    campus.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_begun_again_from_nothing() {
    let campus = quiet(&["ada"]).await;
    (0..199).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    complete(&campus).await;
    campus.hours(25);
    campus.spend("ada", "1");
    campus.gate.at(
        Matcher::call("provider:GET /keys").of(UsageSync).nth(2),
        Fault::KillBefore,
    );
    campus.run(UsageSync, json!({})).await.unwrap_err();
    assert_eq!(
        campus.sync().await,
        json!({"skipped": "running"}),
        "it has its lease until its own end"
    );
    let report = quarter(&campus).await;
    reports(&report, &json!({"complete": true, "keys_listed": 200}));
    assert_eq!(quarter(&campus).await["skipped"], "nothing to begin");
    let runs = campus.table.newest(Run::all(), 2).await.unwrap();
    let seen = runs
        .iter()
        .map(|run| (run.begun_by, run.ended_at.is_some()))
        .collect::<Vec<_>>();
    assert_eq!(
        seen,
        [(BegunBy::Quarter, true), (BegunBy::Night, false)],
        "each is on record from its beginning"
    );
    campus.judged_after_sync().await;
    // The night that never began at all is begun by the next quarter of an hour.
    campus.hours(25);
    assert_eq!(quarter(&campus).await["complete"], true);
    campus.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_run_wrote_stays_where_an_older_one_wakes() {
    let campus = quiet(&["ada", "ben"]).await;
    campus.spend("ben", "1");
    complete(&campus).await;
    campus.hours(1);
    campus.spend("ben", "1");
    let calls = (1..).zip(calls_of_a_run(&campus).await);
    let writes = calls
        .filter(|(_, made)| made.name.has_effect())
        .map(|(nth, _)| nth);
    // But for the first, which takes the lease. After the state of the sync come the run's own
    // report and the end of its lease.
    let writes: Vec<u64> = writes.skip(1).collect();
    for nth in sample(writes.into_iter().rev().skip(sized(2, 0)), 2) {
        campus.hours(1);
        campus.spend("ben", "1");
        let held = campus.gate.hold(Matcher::call("*").of(UsageSync).nth(nth));
        let older = campus.run(UsageSync, json!({}));
        let newer = async {
            held.arrived().await;
            assert_eq!(campus.sync().await, json!({"skipped": "running"}));
            campus.minutes(16);
            campus.spend("ada", "1");
            complete(&campus).await;
            let after = stands(&campus).await;
            drop(held);
            after
        };
        let (older, after) = tokio::join!(older, newer);
        let older = older.unwrap();
        let is_late = problems(&older).contains("a later run was faster");
        assert!(older["complete"] != is_late, "call {nth}: {older}");
        let now = stands(&campus).await;
        let changed: Vec<_> = now.iter().filter(|item| !after.contains(item)).collect();
        assert!(
            changed.is_empty() && now.len() == after.len(),
            "call {nth}: {changed:#?}"
        );
        campus.judged_after_sync().await;
    }
    campus.finish_faulted().await;
}

/// Right after a whole one it leaves its own record, cut and lease, and another instant on totals
/// and report.
#[tokio::test]
async fn a_second_run_changes_no_figure() {
    let campus = busy().await;
    // By the second night a window has turned, a key counts as gone, and what the first night found
    // is settled.
    for night in 0..2 {
        let orphans = complete(&campus).await["orphans_disabled"].clone();
        assert_eq!(orphans, u64::from(night == 0), "night {night}");
        if night == 0 {
            // What a run ends is free by the next.
            complete(&campus).await;
        }
        let before = campus.judged_after_sync().await;
        campus.minutes(1);
        let again = complete(&campus).await;
        reports(
            &again,
            &json!({"readings_recorded": 0, "orphans_disabled": 0}),
        );
        let seen = campus.judged_after_sync().await;
        assert_eq!(
            changed(&without_runs(&before), &seen),
            Vec::<String>::new(),
            "night {night}"
        );
        let written = seen
            .items
            .iter()
            .filter(|(key, item)| before.items.get(*key) != Some(*item));
        let written: BTreeSet<&str> = written
            .map(|(_, item)| item["kind"].as_s().unwrap().as_str())
            .collect();
        let allowed = ["account", "cut", "lease", "people", "run", "sync", "totals"];
        assert_eq!(written, BTreeSet::from(allowed), "night {night}");
        campus.hours(24);
        campus.spend("ada", "0.000007");
    }
    campus.finish_faulted().await;
}

/// What runs leave that is no reading, and the newest report.
async fn stands(campus: &Campus) -> Vec<Item> {
    let seen = campus.judged().await;
    let of_runs = ["sync", "totals", "budget", "cut", "meta", "account"];
    let items = seen
        .items
        .values()
        .filter(|item| of_runs.contains(&item["kind"].as_s().unwrap().as_str()));
    let newest = seen
        .items
        .values()
        .filter(|item| item["kind"].as_s().is_ok_and(|kind| kind == "run"));
    items
        .chain(newest.max_by_key(|run| run["sk"].as_s().unwrap().clone()))
        .cloned()
        .collect()
}
