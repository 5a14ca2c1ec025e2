//! Alerts at the thresholds of a budget and of a student's cap, and about a budget that is promised
//! in full: each recipient is told once, however often it is found.

use std::time::Duration;

use bursar_core::deadline::Waits;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::usage::crossing::{ALL, Scope};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::QueuedMail;
use bursar_local::invoke::FunctionName::{ThresholdAlerts, UsageSync};
use bursar_tests::campus::{Campus, address, reports};
use bursar_tests::faults::{Call, Fault, Matcher};
use bursar_tests::stack::Setup;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::sync::crooked::Crooked;

/// Two faculty, a budget and a cap of a hundred dollars, Ada with a key and Bob who waits for one.
/// The stream is not delivered, so what runs is what a test calls.
async fn class() -> Campus {
    class_with(Setup::default()).await
}

async fn class_with(setup: Setup<'_>) -> Campus {
    let mut campus = Campus::of(setup).await;
    campus.pump.stop().await;
    programme(&mut campus, "maths").await;
    campus
}

async fn programme(campus: &mut Campus, name: &str) {
    campus
        .programme(name, |settings| {
            settings.allowance.cap = Usd::from_dollars(100);
            settings.people.faculty = ["ann", "ben", "ann"].map(address).to_vec();
        })
        .await;
    campus.budget(100).await;
    campus.students_with_keys(&["ada"]).await;
    campus.students(&["bob"]).await;
}

/// Ada spends, and a sync records it.
async fn spends(campus: &Campus, dollars: &str) {
    campus.spend("ada", dollars);
    campus.minutes(20);
    assert_eq!(campus.sync().await["complete"], true);
}

/// A stream record of an item of this kind that was written for a programme.
fn record(kind: &str, programme: &ProgrammeId) -> Value {
    let image = json!({"kind": {"S": kind}, "programme": {"S": programme.as_str()}});
    json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": {"NewImage": image}})
}

/// A batch of these records, numbered in order.
fn batch_of(mut records: Vec<Value>) -> Value {
    for (number, record) in records.iter_mut().enumerate() {
        record["dynamodb"]["SequenceNumber"] = format!("1000000000000000000{number:02}").into();
    }
    json!({"Records": records})
}

/// What a sync's totals cause.
async fn told(campus: &Campus) -> Value {
    let records = vec![
        record("totals", &campus.programme),
        record("budget", &campus.programme),
    ];
    campus
        .run(ThresholdAlerts, batch_of(records))
        .await
        .unwrap()
}

/// The queued mails of this programme about limits, one for each recipient.
async fn owed(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let of = |mail: &QueuedMail| match mail {
        QueuedMail::Alert {
            programme,
            scope,
            threshold,
            of_limit,
            ..
        } if *programme == campus.programme => match scope {
            Scope::Reserved if *threshold == ALL => {
                Some(format!("promised {}", of_limit.to_dollars()))
            }
            Scope::Reserved => Some(format!("some of {}", of_limit.to_dollars())),
            _ => Some(format!("budget {threshold} of {}", of_limit.to_dollars())),
        },
        QueuedMail::CapUsed {
            programme,
            threshold,
            of_limit,
            ..
        } if *programme == campus.programme => {
            Some(format!("cap {threshold} of {}", of_limit.to_dollars()))
        }
        _ => None,
    };
    let mut owed: Vec<String> = seen.outbox.iter().filter_map(|row| of(&row.mail)).collect();
    owed.sort();
    owed
}

#[tokio::test]
async fn a_test_alert_goes_to_the_person_who_asks_for_it() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("faye")];
            settings.people.assistants = vec![address("asta")];
        })
        .await;
    campus.budget(100).await;
    campus.students_with_keys(&["ada"]).await;
    spends(&campus, "7.20").await;
    let asta = campus.student("asta").await;
    let (alerts, test) = (campus.console("/alerts"), campus.console("/alerts/test"));
    let page = asta.get(&alerts).await;
    let sent = asta.submit(&page, &test, &[]).await.expect(303);
    assert_eq!(sent.location(), Some(&*alerts));
    // A page that is refused says nothing of it, the next one does, and only that.
    assert!(
        asta.get("/console/account")
            .await
            .expect(404)
            .all("notice")
            .is_empty()
    );
    let said = asta.get(&alerts).await.text("notice");
    assert_eq!(
        said.as_deref(),
        Some("A test alert is on its way to you. Nobody else gets it.")
    );
    assert!(asta.get(&alerts).await.all("notice").is_empty());
    assert_eq!(
        asta.submit(&page, &test, &[])
            .await
            .expect(429)
            .header("retry-after"),
        Some("60")
    );
    campus.settle().await;
    let mails = campus.mails("test");
    let told: Vec<_> = mails
        .iter()
        .map(|mail| (&*mail.to, &*mail.contents.subject))
        .collect();
    assert_eq!(
        told,
        [("asta@example.edu", "Test: CS pilot has used 7% of $100")]
    );
    assert!(
        asta.get(&alerts).await.all("alert").is_empty()
            && campus.judged().await.crossings.is_empty()
    );
    campus.minutes(1);
    asta.submit(&page, &test, &[]).await.expect(303);
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_at_once_tell_each_recipient_once() {
    let campus = class().await;
    spends(&campus, "83").await;
    let at_once = join_all((0..10).map(|_| told(&campus))).await;
    assert!(
        at_once
            .iter()
            .all(|answer| *answer == json!({"batchItemFailures": []})),
        "{at_once:?}"
    );
    told(&campus).await;
    campus.look().await;
    let mut mails = owed(&campus).await;
    mails.dedup();
    assert_eq!(
        (owed(&campus).await.len(), mails),
        (
            5,
            ["budget 80 of $100", "cap 80 of $100", "promised $100"]
                .map(str::to_owned)
                .to_vec()
        )
    );
    campus.finish().await;
}

#[tokio::test]
async fn a_limit_that_returns_to_what_was_told_is_not_told_again() {
    let campus = class().await;
    spends(&campus, "96").await;
    let (first, then) = (["budget 95 of $100"; 2], ["budget 80 of $120"; 2]);
    for (budget, alerts) in [(100, 2), (500, 2), (120, 4), (100, 4)] {
        campus.budget(budget).await;
        // No totals changed, so the hourly check finds the crossing.
        assert_eq!(campus.look().await["programmes"], 1);
        let of_budget: Vec<String> = owed(&campus)
            .await
            .into_iter()
            .filter(|mail| mail.starts_with("budget"))
            .collect();
        assert_eq!(
            of_budget,
            [then, first].concat()[4 - alerts..],
            "at {budget}"
        );
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_student_is_told_twice_of_each_cap() {
    let campus = class().await;
    campus.budget(1_000).await;
    for (dollars, expected) in [("79", 0), ("1", 1), ("19", 1)] {
        spends(&campus, dollars).await;
        assert_eq!(owed(&campus).await.len(), expected, "{dollars} more");
    }
    let mails = ["cap 100 of $80", "cap 80 of $100", "cap 80 of $120"];
    for (cap, alerts) in [(120, 2), (80, 3), (100, 3)] {
        let cap = Some(Usd::from_dollars(cap));
        campus
            .table
            .act(campus.on("ada"), |view, now| {
                view.set_cap(cap, &Actor::Rule, None, now)
            })
            .await
            .unwrap();
        // No reading changed.
        campus.minutes(60);
        campus.sync().await;
        assert_eq!(owed(&campus).await, mails[3 - alerts..], "{cap:?}");
    }
    spends(&campus, "1").await;
    campus.finish().await;
}

#[tokio::test]
async fn only_whom_it_concerns_is_told_of_a_cap() {
    let mut campus = Campus::open().await;
    campus.pump.stop().await;
    for name in ["off", "daily", "closed", "told"] {
        campus
            .programme(name, |settings| {
                settings.allowance.cap = Usd::from_dollars(100);
                settings.mails.student_mails = name != "off";
                settings.basis.reset = if name == "daily" {
                    Reset::Daily
                } else {
                    Reset::None
                };
            })
            .await;
        campus.students_with_keys(&["ada"]).await;
        if name == "closed" {
            campus.close(&campus.admin().await).await.expect(303);
        }
        spends(&campus, "90").await;
        assert_eq!(
            owed(&campus).await.contains(&"cap 80 of $100".to_owned()),
            name == "told",
            "{name}"
        );
    }
    campus.finish().await;
}

/// Two runs at once, the older of which wakes before it tells the student: the mail is one, and the
/// watch reads no grants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_tell_a_student_once() {
    let campus = class().await;
    campus.spend("ada", "83");
    campus.minutes(20);
    // The only mail of a run.
    let held = campus.gate.hold(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .on("O#"),
    );
    let older = campus.run(UsageSync, json!({}));
    let newer = async {
        let mailed = held.arrived().await.number;
        campus.minutes(16);
        assert_eq!(campus.sync().await["complete"], true);
        assert_eq!(owed(&campus).await, ["cap 80 of $100"]);
        drop(held);
        mailed
    };
    let (older, mailed) = tokio::join!(older, newer);
    assert_eq!(older.unwrap()["complete"], true);
    campus.look().await;
    assert!(owed(&campus).await.starts_with(
        &["budget 80 of $100", "budget 80 of $100", "cap 80 of $100"].map(str::to_owned)
    ));
    // What comes after the caps in a run leaves them nothing to wait for.
    let calls = campus.gate.calls();
    let by_model = calls
        .iter()
        .find(|call| &*call.name.operation == "POST /analytics/query")
        .unwrap();
    assert!(mailed < by_model.number, "{mailed}, {by_model:?}");
    // A night without news reads no grant by itself.
    campus.minutes(30);
    campus.sync().await;
    let again = &campus.gate.calls()[calls.len()..];
    let by_itself = |call: &&Call| {
        let of_grants = call.parts.iter().any(|part| part.partition == "G#");
        call.function == UsageSync && of_grants && &*call.name.operation != "Query"
    };
    assert_eq!(again.iter().filter(by_itself).count(), 0, "{again:?}");
    let watched = campus
        .gate
        .calls()
        .into_iter()
        .filter(|made| made.function == ThresholdAlerts);
    let partitions: Vec<String> = watched
        .flat_map(|made| made.parts)
        .map(|part| part.partition)
        .collect();
    assert!(
        partitions.iter().any(|partition| partition == "P#")
            && !partitions.iter().any(|partition| partition == "G#")
    );
    campus.finish().await;
}

/// A run without time for caps has another begin at the next quarter of an hour, and a cap that
/// cannot be written waits for the next night.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caps_that_a_run_left_are_judged_by_the_next() {
    let campus = class_with(Setup {
        waits: Waits::WHOLE,
        ..Setup::default()
    })
    .await;
    let quarter = async || {
        campus.minutes(15);
        campus
            .run(UsageSync, json!({"task": "resume"}))
            .await
            .unwrap()
    };
    let has = async |cap: &str| owed(&campus).await.contains(&cap.to_owned());
    campus.spend("ada", "83");
    campus.minutes(20);
    let crooked = Crooked::before(&campus).await;
    let report = crooked
        .within(Duration::from_secs(10), json!({}))
        .await
        .unwrap();
    reports(&report, &json!({"complete": true, "problems": []}));
    assert!(!has("cap 80 of $100").await);
    assert_eq!(quarter().await["complete"], true);
    assert!(has("cap 80 of $100").await);
    assert_eq!(quarter().await["skipped"], "nothing to begin");

    campus.spend("ada", "17");
    campus.hours(24);
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(UsageSync)
            .on("O#"),
        Fault::Status(400),
    );
    let report = campus.sync().await;
    let problem = report["problems"][0].as_str().unwrap();
    assert!(
        report["complete"] == true && problem.starts_with("the cap of the grant"),
        "{report}"
    );
    assert_eq!(quarter().await["skipped"], "nothing to begin");
    campus.hours(24);
    campus.sync().await;
    assert!(has("cap 100 of $100").await);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_promised_budget_is_told_once_for_each_amount() {
    let mut campus = Campus::open().await;
    campus.pump.stop().await;
    campus.programme("maths", |_| {}).await;
    // A cap is $20, so two reservations fit and a third does not.
    campus.budget(59).await;
    campus.students(&["ada"]).await;
    // Who waits has no key; who has one, and nobody after them, is no reason for an alert.
    for (claims, waits, budget, promised) in [
        ("ada", None, 20, &[][..]),
        ("bob", None, 40, &[]),
        ("bob", Some("cyd"), 59, &["promised $59"]),
        ("bob", Some("cyd"), 60, &["promised $59"]),
        ("cyd", Some("dan"), 79, &["promised $59", "promised $79"]),
    ] {
        campus.budget(budget).await;
        campus.students_with_keys(&[claims]).await;
        campus.students(waits.as_slice()).await;
        for _ in 0..2 {
            told(&campus).await;
            assert_eq!(owed(&campus).await, promised, "{claims} with {budget}");
        }
    }
    for budget in [100, 79] {
        campus.budget(budget).await;
        told(&campus).await;
        assert_eq!(owed(&campus).await.len(), 2, "{budget}");
    }
    campus.finish().await;
}

/// A key takes the cap of each window to come, and of its person's group: what decides is the
/// dearest that somebody waits for.
#[tokio::test]
async fn a_budget_is_promised_by_what_keys_take() {
    let mut campus = Campus::open().await;
    campus.pump.stop().await;
    campus
        .programme("weekly", |settings| {
            settings.allowance.cap = Usd::from_dollars(5);
            settings.basis.reset = Reset::Weekly;
        })
        .await;
    campus.students(&["ada"]).await;
    let settings = campus.settings().await;
    let key = settings.cost_of_a_key(settings.allowance.cap, campus.clock.now());
    assert!(key > Usd::from_dollars(50), "{key}");
    campus
        .budget(i32::try_from(key.micros() / 1_000_000).unwrap() + 20)
        .await;
    campus.keys().await;
    campus.students(&["bob"]).await;
    told(&campus).await;
    assert_eq!(owed(&campus).await.len(), 1);

    campus
        .programme("groups", |settings| {
            settings
                .allowance
                .group_caps
                .insert("lab".to_owned(), Usd::from_dollars(5));
        })
        .await;
    campus.budget(29).await;
    for name in ["ada", "bob"] {
        campus.student_in(name, Some("lab")).await;
    }
    campus.keys().await;
    campus.student_in("cyd", Some("lab")).await;
    told(&campus).await;
    assert!(
        owed(&campus).await.is_empty(),
        "19 are left, and a key of the lab takes 5"
    );
    campus.students(&["dan"]).await;
    told(&campus).await;
    assert_eq!(owed(&campus).await, ["some of $29"]);
    for name in ["eve", "fay"] {
        campus.student_in(name, Some("lab")).await;
    }
    for name in ["cyd", "eve", "fay"] {
        campus.reveal(&campus.student(name).await).await;
    }
    told(&campus).await;
    assert_eq!(owed(&campus).await, ["promised $29", "some of $29"]);

    // Who hands a key back takes what is left of it again.
    campus.programme("tidy", |_| {}).await;
    campus.budget(40).await;
    campus.students_with_keys(&["ada", "bob"]).await;
    campus.spend("bob", "0.50");
    campus
        .press(&campus.student("bob").await, "return")
        .await
        .expect(303);
    campus.hours(1);
    campus.sync().await;
    told(&campus).await;
    assert!(owed(&campus).await.is_empty());
    campus.finish().await;
}

/// One transaction holds an alert for each who may hear, and every threshold.
#[tokio::test]
async fn as_many_as_may_hear_are_told_of_every_threshold_at_once() {
    let campus = Campus::with_keys(&["ada"]).await;
    let people = |role: &str, most: usize| {
        (0..most)
            .map(|one| address(&format!("{role}{one}")))
            .collect::<Vec<_>>()
    };
    campus
        .set(|settings| {
            settings.people.faculty = people("faculty", 50);
            settings.people.assistants = people("assistant", 20);
            settings.mails.alert_assistants = true;
            settings.mails.thresholds = (1..=20).collect();
        })
        .await;
    campus.budget(50).await;
    campus.spend("ada", "15");
    campus.sync().await;
    campus.settle().await;
    assert_eq!(campus.mails("alert").len(), 70);
    campus.finish().await;
}
