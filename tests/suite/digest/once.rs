//! One digest of a week for each recipient, on its day. A run that is repeated, overtaken, cut off or missed
//! does not change that.

use bursar_core::domain::programme::Weekday;
use bursar_core::store::{Author, CloseOutcome};
use bursar_tests::faults::{Fault, Matcher};

use super::*;

const STAFF: [&str; 3] = ["ann", "ben", "tom"];

#[tokio::test]
async fn each_who_hears_has_one_digest_a_week_however_often_it_is_looked_for() {
    let mut monday = Monday::early().await;
    let maths = monday.programme("maths", |_| {}).await;
    let report = monday.run("watch").await.unwrap();
    assert_eq!(report["digests"], 0, "it is not seven yet: {report}");
    monday.advance(1);
    assert_eq!(monday.run("digest").await.unwrap(), json!({"digests": 2, "left": 0, "failed": []}));
    assert_eq!(monday.owed(Some(&maths)).await, STAFF);
    assert_eq!(monday.owed(None).await, ["admin"]);
    for hours in [0, 1, 17, 30, 70] {
        monday.advance(hours);
        assert_eq!(monday.run("digest").await.unwrap()["digests"], 0);
        assert_eq!(monday.run("watch").await.unwrap()["digests"], 0);
    }
    assert_eq!(monday.owed(Some(&maths)).await, STAFF);
    // A week later.
    monday.advance(7 * 24 - 118);
    assert_eq!(monday.now(), at("2026-11-23T07:00:00Z"));
    assert_eq!(monday.run("digest").await.unwrap()["digests"], 2);
    assert_eq!(monday.owed(Some(&maths)).await, ["ann", "ann", "ben", "ben", "tom", "tom"]);
    monday.stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_looks_at_once_owe_each_one_mail() {
    let mut monday = Monday::early().await;
    let maths = monday.programme("maths", |_| {}).await;
    monday.advance(1);
    let at_once = futures_util::future::join_all((0..10).map(|_| monday.run("digest"))).await;
    let made: i64 = at_once.iter().map(|report| report.as_ref().unwrap()["digests"].as_i64().unwrap()).sum();
    assert_eq!(made, 2);
    assert_eq!(monday.owed(Some(&maths)).await, STAFF);
    assert_eq!(monday.owed(None).await, ["admin"]);
    monday.stack.finish().await;
}

#[tokio::test]
async fn a_digest_that_was_missed_is_made_up_for_with_the_days_it_would_have_had_and_later_the_next_tells_it() {
    for (hours, digests) in [(1, 2), (24, 2), (47, 2), (49, 0)] {
        let mut monday = Monday::early().await;
        let maths = monday.programme("maths", |_| {}).await;
        monday.advance(hours);
        let report = monday.run("watch").await.unwrap();
        assert_eq!(report["digests"], digests, "after {hours} hours: {report}");
        assert_eq!(monday.owed(Some(&maths)).await.len(), if digests > 0 { 3 } else { 0 });
        let week = date(2026, 11, 16);
        let of_maths = monday.table.digest(&maths, week).await.unwrap().map(|digest| digest.days);
        let of_account = monday.table.account_digest(week).await.unwrap().map(|digest| digest.days);
        let days = (digests > 0).then_some((date(2026, 11, 9), date(2026, 11, 15)));
        assert_eq!([of_maths, of_account], [days; 2], "after {hours} hours");
        monday.stack.finish().await;
    }
}

#[tokio::test]
async fn the_watch_brings_it_on_its_day_in_the_morning_of_the_programmes_own_zone() {
    use Weekday::{Monday as Mon, Tuesday as Tue};
    let mut monday = Monday::early().await;
    // Hours after 06:00 UTC at which it is past seven in the zone; at all other hours that are tried no digest
    // is due.
    let places = [
        ("UTC", Some(Mon), 1),
        ("America/Denver", Some(Mon), 8),
        ("America/Los_Angeles", Some(Mon), 9),
        ("Pacific/Honolulu", Some(Mon), 11),
        ("Pacific/Kiritimati", Some(Tue), 11),
        ("Asia/Kathmandu", Some(Tue), 20),
        ("Europe/Berlin", None, 0),
    ];
    let mut programmes = Vec::new();
    for (number, (zone, day, hours)) in places.into_iter().enumerate() {
        let change = |settings: &mut Settings| {
            settings.term = Term::new(date(2026, 10, 12), date(2027, 2, 6), zone).unwrap();
            settings.digest = day;
        };
        programmes.push((monday.programme(&format!("place {number}"), change).await, zone, hours));
    }
    let mut passed = 0;
    for hour in [0, 1, 7, 8, 9, 10, 11, 19, 20, 24] {
        monday.advance(hour - passed);
        passed = hour;
        monday.run("watch").await.unwrap();
        for (programme, zone, hours) in &programmes {
            let owed = if *hours > 0 && *hours <= hour { 3 } else { 0 };
            assert_eq!(monday.owed(Some(programme)).await.len(), owed, "{zone} after {hour} hours");
        }
    }
    monday.stack.finish().await;
}

#[tokio::test]
async fn a_programme_that_has_not_begun_was_over_long_ago_or_was_made_since_has_none() {
    let mut monday = Monday::early().await;
    let term =
        |from: Date, to: Date| move |settings: &mut Settings| settings.term = Term::new(from, to, "UTC").unwrap();
    let later = monday.programme("later", term(date(2026, 11, 17), date(2027, 2, 6))).await;
    let over = monday.programme("over", term(date(2026, 10, 1), date(2026, 11, 8))).await;
    let ended = monday.programme("ended", term(date(2026, 10, 1), date(2026, 11, 9))).await;
    let closed = monday.programme("closed", |_| {}).await;
    let nobodys = monday.programme("nobodys", |settings| {
        settings.faculty.clear();
        settings.assistants.clear();
    });
    let nobodys = nobodys.await;
    let by = |text| Author { actor: &Actor::Rule, now: at(text), deadline: soon() };
    assert_eq!(monday.table.close(&closed, by("2026-11-08T12:00:00Z")).await.unwrap(), CloseOutcome::Done);
    monday.advance(1);
    let settings = monday.table.programme(&ended).await.unwrap().unwrap().settings;
    let fresh = Settings {
        name: "fresh".to_owned(),
        term: Term::new(date(2026, 10, 1), date(2027, 2, 6), "UTC").unwrap(),
        ..settings
    };
    let fresh = monday.table.create_programme(fresh, Usd::from_dollars(9), by("2026-11-16T07:00:01Z")).await.unwrap();
    monday.run("watch").await.unwrap();
    for (programme, digests) in [(&later, 0), (&over, 0), (&ended, 3), (&closed, 0), (&nobodys, 0), (&fresh, 0)] {
        assert_eq!(monday.owed(Some(programme)).await.len(), digests, "{programme}");
    }
    // A digest by hand includes a programme that was created today.
    monday.advance(1);
    monday.run("digest").await.unwrap();
    assert_eq!(monday.owed(Some(&fresh)).await.len(), 3);
    monday.stack.finish().await;
}

#[tokio::test]
async fn another_day_within_the_week_is_no_second_digest() {
    let mut monday = Monday::early().await;
    let maths = monday.programme("maths", |_| {}).await;
    monday.advance(1);
    monday.run("digest").await.unwrap();
    monday.edit(&maths, |settings| settings.digest = Some(Weekday::Wednesday)).await;
    monday.advance(48);
    monday.run("digest").await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await, STAFF);
    monday.edit(&maths, sundays).await;
    monday.advance(4 * 24);
    monday.run("digest").await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await, STAFF, "the same week's Sunday");
    monday.stack.finish().await;
}

#[tokio::test]
async fn more_people_than_fit_one_transaction_are_each_told_once() {
    let mut monday = Monday::early().await;
    let address = |number: u32| EmailAddress::parse(&format!("f{number:03}@maths.edu")).unwrap();
    let maths = monday.programme("maths", |settings| settings.faculty = (0..75).map(address).collect()).await;
    monday.edit(&maths, |settings| settings.faculty.extend((75..150).map(address))).await;
    monday.advance(1);
    let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::ThresholdAlerts);
    monday.run("watch").await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await.len(), 152);
    // A kill between the two transactions of the next week.
    monday.advance(7 * 24);
    monday.stack.gate.at(write.nth(1), Fault::KillAfter);
    assert!(monday.run("watch").await.is_err());
    monday.run("watch").await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await.len(), 2 * 152);
    monday.stack.finish_faulted().await;
}
