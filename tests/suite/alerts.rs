//! Alerts at the thresholds of a budget and of a student's cap, and about a budget that is promised in full: each recipient is told once,
//! however often it is found.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::usage::crossing::{ALL, Scope};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{CapScan, CapScanPosition, QueuedMail};
use bursar_local::invoke::FunctionName::ThresholdAlerts;
use bursar_tests::campus::{Campus, address};
use bursar_tests::office::soon;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Two faculty, a budget and a cap of a hundred dollars, Ada with a key and Bob who waits for one. The stream is not delivered, so what runs is what a test calls.
async fn class() -> Campus {
    let mut campus = Campus::open().await;
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
    campus.students(&["ada"]).await;
    campus.keys().await;
    campus.students(&["bob"]).await;
}

/// Ada spends, and a sync records it.
async fn spends(campus: &Campus, dollars: &str) {
    campus.spend("ada", dollars);
    campus.minutes(20);
    assert_eq!(campus.sync().await["complete"], true);
}

/// A stream record of an item of this kind that was written for a programme, or for a grant in it.
fn record(kind: &str, programme: &ProgrammeId, grant: Option<&GrantId>) -> Value {
    let mut image = json!({"kind": {"S": kind}, "programme": {"S": programme.as_str()}});
    if let Some(grant) = grant {
        image["grant"] = json!({"S": grant.as_str()});
    }
    json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": {"NewImage": image}})
}

/// A batch of these records, numbered in order.
fn batch_of(mut records: Vec<Value>) -> Value {
    for (number, record) in records.iter_mut().enumerate() {
        record["dynamodb"]["SequenceNumber"] = format!("1000000000000000000{number:02}").into();
    }
    json!({"Records": records})
}

/// What a sync's totals and readings cause.
async fn told(campus: &Campus) -> Value {
    let records = vec![
        record("totals", &campus.programme, None),
        record("reading", &campus.programme, Some(campus.id("ada"))),
        record("budget", &campus.programme, None),
    ];
    campus.run(ThresholdAlerts, batch_of(records)).await.unwrap()
}

/// The queued mails of this programme about limits, one for each recipient.
async fn owed(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let of = |mail: &QueuedMail| match mail {
        QueuedMail::Alert { programme, scope, threshold, of_limit, .. } if *programme == campus.programme => {
            match scope {
                Scope::Reserved if *threshold == ALL => Some(format!("promised {}", of_limit.to_dollars())),
                Scope::Reserved => Some(format!("some of {}", of_limit.to_dollars())),
                _ => Some(format!("budget {threshold} of {}", of_limit.to_dollars())),
            }
        }
        QueuedMail::CapUsed { programme, threshold, of_limit, .. } if *programme == campus.programme => {
            Some(format!("cap {threshold} of {}", of_limit.to_dollars()))
        }
        _ => None,
    };
    let mut owed: Vec<String> = seen.outbox.iter().filter_map(|row| of(&row.mail)).collect();
    owed.sort();
    owed
}

/// How often a student is told of a cap.
async fn of_cap(campus: &Campus, programme: &ProgrammeId, grant: &GrantId) -> usize {
    let mails = campus.table.mails_of(programme, grant).await.unwrap();
    mails.iter().filter(|row| matches!(row.mail, QueuedMail::CapUsed { .. })).count()
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
    campus.students(&["ada"]).await;
    campus.keys().await;
    spends(&campus, "7.20").await;
    let asta = campus.student("asta").await;
    let (alerts, test) = (campus.console("/alerts"), campus.console("/alerts/test"));
    let page = asta.get(&alerts).await;
    let sent = asta.submit(&page, &test, &[]).await.expect(303);
    assert_eq!(sent.location(), Some(&*alerts));
    // A page that is refused says nothing of it, the next one does, and only that.
    assert!(asta.get("/console/account").await.expect(404).all("notice").is_empty());
    let said = asta.get(&alerts).await.text("notice");
    assert_eq!(said.as_deref(), Some("A test alert is on its way to you. Nobody else gets it."));
    assert!(asta.get(&alerts).await.all("notice").is_empty());
    assert_eq!(asta.submit(&page, &test, &[]).await.expect(429).header("retry-after"), Some("60"));
    campus.settle().await;
    let mails = campus.mails("test");
    let told: Vec<_> = mails.iter().map(|mail| (&*mail.to, &*mail.contents.subject)).collect();
    assert_eq!(told, [("asta@example.edu", "Test: CS pilot has used 7% of $100")]);
    assert!(asta.get(&alerts).await.all("alert").is_empty() && campus.judged().await.crossings.is_empty());
    campus.minutes(1);
    asta.submit(&page, &test, &[]).await.expect(303);
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_at_once_tell_each_recipient_once() {
    let campus = class().await;
    spends(&campus, "83").await;
    let at_once = join_all((0..10).map(|_| told(&campus))).await;
    assert!(at_once.iter().all(|answer| *answer == json!({"batchItemFailures": []})), "{at_once:?}");
    told(&campus).await;
    campus.look().await;
    let mut mails = owed(&campus).await;
    mails.dedup();
    assert_eq!(
        (owed(&campus).await.len(), mails),
        (5, ["budget 80 of $100", "cap 80 of $100", "promised $100"].map(str::to_owned).to_vec())
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
        let of_budget: Vec<String> =
            owed(&campus).await.into_iter().filter(|mail| mail.starts_with("budget")).collect();
        assert_eq!(of_budget, [then, first].concat()[4 - alerts..], "at {budget}");
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_student_is_told_twice_of_each_cap() {
    let campus = class().await;
    campus.budget(1_000).await;
    for (dollars, expected) in [("79", 0), ("1", 1), ("19", 1)] {
        spends(&campus, dollars).await;
        told(&campus).await;
        assert_eq!(owed(&campus).await.len(), expected, "{dollars} more");
    }
    let mails = ["cap 100 of $80", "cap 80 of $100", "cap 80 of $120"];
    for (cap, alerts) in [(120, 2), (80, 3), (100, 3)] {
        let cap = Some(Usd::from_dollars(cap));
        campus.table.act(campus.on("ada"), |view, now| view.set_cap(cap, &Actor::Rule, None, now)).await.unwrap();
        // No reading changed, so the check after the next listing finds the crossing.
        campus.minutes(60);
        campus.sync().await;
        campus.look().await;
        assert_eq!(owed(&campus).await, mails[3 - alerts..], "{cap:?}");
    }
    spends(&campus, "1").await;
    told(&campus).await;
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
                settings.basis.reset = if name == "daily" { Reset::Daily } else { Reset::None };
            })
            .await;
        campus.students(&["ada"]).await;
        campus.keys().await;
        spends(&campus, "90").await;
        if name == "closed" {
            campus.close(&campus.admin().await).await.expect(303);
        }
        told(&campus).await;
        campus.look().await;
        assert_eq!(owed(&campus).await.contains(&"cap 80 of $100".to_owned()), name == "told", "{name}");
    }
    campus.finish().await;
}

#[tokio::test]
async fn what_the_stream_lost_is_found_after_the_next_listing() {
    let campus = class().await;
    spends(&campus, "83").await;
    campus.look().await;
    assert!(owed(&campus).await.contains(&"cap 80 of $100".to_owned()));
    let before = campus.gate.calls().len();
    campus.look().await;
    let parts = campus.gate.calls().into_iter().skip(before).flat_map(|made| made.parts);
    let partitions: Vec<String> = parts.map(|part| part.partition).collect();
    assert!(partitions.iter().any(|partition| partition == "P#"), "the programmes are read");
    assert!(!partitions.iter().any(|partition| partition == "G#"), "not so grants, before keys are listed again");
    campus.finish().await;
}

#[tokio::test]
async fn a_check_out_of_time_goes_on_and_a_failed_one_restarts() {
    let mut campus = class().await;
    campus.spend("ada", "83");
    let (maths, ada) = (campus.programme.clone(), campus.id("ada").clone());
    programme(&mut campus, "physics").await;
    spends(&campus, "83").await;
    let listed_at = campus.table.sync_state().await.unwrap().listed_at.unwrap();
    let next = Some(CapScanPosition { programme: campus.programme.clone(), shard: 0 });
    campus.table.note_cap_scan(&CapScan { listed_at, next: next.clone(), has_failed: false }, soon()).await.unwrap();
    campus.look().await;
    assert_eq!((of_cap(&campus, &maths, &ada).await, owed(&campus).await.len()), (0, 5));
    assert_eq!(
        campus.table.get(CapScan::key_of()).await.unwrap(),
        Some(CapScan { listed_at, next: None, has_failed: false })
    );

    // Of a scan that goes on, one grant is corrupt: the invocation fails, and the next begins with the first programme.
    campus.table.note_cap_scan(&CapScan { listed_at, next, has_failed: false }, soon()).await.unwrap();
    let lost = Grant::key_of(&campus.programme, campus.id("ada")).item;
    let whole = campus.judged().await.items[&(lost.pk, lost.sk)].clone();
    let mut broken = whole.clone();
    broken.remove("epoch");
    campus.raw().put(broken).await;
    assert!(campus.run(ThresholdAlerts, json!({"task": "watch"})).await.is_err());
    campus.raw().put(whole).await;
    campus.look().await;
    assert_eq!(of_cap(&campus, &maths, &ada).await, 1);
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
        campus.students(&[claims]).await;
        campus.keys().await;
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

/// A key takes the cap of each window to come, and of its person's group: what decides is the dearest that somebody waits for.
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
    campus.budget(i32::try_from(key.micros() / 1_000_000).unwrap() + 20).await;
    campus.keys().await;
    campus.students(&["bob"]).await;
    told(&campus).await;
    assert_eq!(owed(&campus).await.len(), 1);

    campus
        .programme("groups", |settings| {
            settings.allowance.group_caps.insert("lab".to_owned(), Usd::from_dollars(5));
        })
        .await;
    campus.budget(29).await;
    for name in ["ada", "bob"] {
        campus.student_in(name, Some("lab")).await;
    }
    campus.keys().await;
    campus.student_in("cyd", Some("lab")).await;
    told(&campus).await;
    assert!(owed(&campus).await.is_empty(), "19 are left, and a key of the lab takes 5");
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
    campus.students(&["ada", "bob"]).await;
    campus.keys().await;
    campus.spend("bob", "0.50");
    campus.press(&campus.student("bob").await, "return").await.expect(303);
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
    let people = |role: &str, most: usize| (0..most).map(|one| address(&format!("{role}{one}"))).collect::<Vec<_>>();
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
