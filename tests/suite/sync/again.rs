//! A run that dies or meets trouble: it is over, and the schedule of each quarter of an hour begins another from nothing.

use bursar_core::store::items::Item;
use bursar_core::store::{BegunBy, Run};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::sample;
use serde_json::{Value, json};

use super::crooked::{Crooked, Told};
use super::{ACCOUNT, complete, problems, quiet};

async fn quarter(campus: &Campus) -> Value {
    campus.minutes(15);
    campus.run(UsageSync, json!({"task": "resume"})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_without_a_provider_is_begun_eight_times_and_then_the_alarm_is_alone() {
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "1");
    complete(&campus).await;
    campus.hours(24);
    let crooked = Crooked::before(&campus).await;
    crooked.bend(|path, told| match path.starts_with("/keys?") {
        true => Told { status: 400, ..told },
        false => told,
    });
    let scheduled = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
    let first = crooked.within(std::time::Duration::from_secs(900), scheduled).await.unwrap();
    assert!(problems(&first).contains("not every key was listed"), "{first}");
    let mut begun = Vec::new();
    for quarters in 1..=90 {
        campus.minutes(15);
        let event = json!({"task": "resume"});
        let report = crooked.within(std::time::Duration::from_secs(900), event).await.unwrap();
        if report["skipped"].is_null() {
            begun.push(quarters);
        }
        if quarters == 1 {
            let page = campus.admin().await.get(ACCOUNT).await.expect(200).readable();
            assert!(page.contains("It is begun again by itself at about"), "{page}");
            // What a person begins is not counted.
            assert_eq!(crooked.sync().await["complete"], false);
        }
    }
    assert_eq!(begun, [1, 2, 4, 8, 16, 32, 64]);
    for _ in 0..3 {
        campus.drain().await;
    }
    assert_eq!(campus.mails("account").len(), 2, "one alarm for each of the two days");
    crooked.straighten();
    complete(&campus).await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_begun_again_from_nothing() {
    let campus = quiet(&["ada"]).await;
    (0..199).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    complete(&campus).await;
    let kills = [
        ("provider:GET /keys", 2, Fault::KillBefore),
        ("dynamodb:PutItem", 1, Fault::KillAfter),
        ("provider:GET /credits", 2, Fault::KillBefore),
        ("dynamodb:Query", 9, Fault::KillBefore),
        ("dynamodb:TransactWriteItems", 2, Fault::KillAfter),
    ];
    for (call, nth, fault) in sample(kills, 2) {
        campus.hours(25);
        campus.spend("ada", "1");
        campus.gate.at(Matcher::call(call).of(UsageSync).nth(nth), fault);
        campus.run(UsageSync, json!({})).await.unwrap_err();
        assert_eq!(campus.sync().await, json!({"skipped": "running"}), "it has its lease until its own end");
        let report = quarter(&campus).await;
        assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(200)), "{call}: {report}");
        assert_eq!(quarter(&campus).await["skipped"], "nothing to begin");
        let runs = campus.table.newest(Run::all(), 2).await.unwrap();
        let seen = runs.iter().map(|run| (run.begun_by, run.ended_at.is_some())).collect::<Vec<_>>();
        assert_eq!(seen, [(BegunBy::Quarter, true), (BegunBy::Night, false)], "each is on record from its beginning");
        campus.judged_after_sync().await;
    }
    // The night that never began at all is begun by the next quarter of an hour.
    campus.hours(25);
    assert_eq!(quarter(&campus).await["complete"], true);
    campus.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_run_wrote_stays_where_an_older_one_wakes() {
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "1");
    complete(&campus).await;
    campus.hours(1);
    // All sums are written by then.
    let held = campus.gate.hold(Matcher::call("provider:GET /credits").of(UsageSync).nth(2));
    let older = campus.run(UsageSync, json!({}));
    let newer = async {
        held.arrived().await;
        campus.minutes(16);
        campus.spend("ada", "2");
        complete(&campus).await;
        let after = stands(&campus).await;
        drop(held);
        after
    };
    let (older, after) = tokio::join!(older, newer);
    let older = older.unwrap();
    assert!(older["complete"] == false && problems(&older).contains("a later run was faster"), "{older}");
    let now = stands(&campus).await;
    let changed: Vec<_> = now.iter().filter(|item| !after.contains(item)).collect();
    assert!(changed.is_empty() && now.len() == after.len(), "{changed:#?}");
    campus.judged_after_sync().await;
    campus.finish_faulted().await;
}

/// What runs leave that is no reading.
async fn stands(campus: &Campus) -> Vec<Item> {
    let seen = campus.judged().await;
    let of_runs = ["sync", "totals", "cut", "meta", "account", "account-day"];
    let items = seen.items.values().filter(|item| of_runs.contains(&item["kind"].as_s().unwrap().as_str()));
    items.cloned().collect()
}
