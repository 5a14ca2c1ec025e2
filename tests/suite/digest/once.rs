//! One digest of a week for each recipient, on its day, however often it is run.

use bursar_core::domain::programme::Weekday;
use bursar_tests::faults::{Fault, Matcher};
use futures_util::future::join_all;

use super::*;

const STAFF: [&str; 3] = ["ann", "ben", "tom"];

#[tokio::test]
async fn each_hears_once_a_week() {
    let mut campus = early().await;
    let maths = programme(&mut campus, "maths", |_| {}).await;
    let nobodys = |settings: &mut Settings| (settings.faculty, settings.assistants) = (Vec::new(), Vec::new());
    let nobodys = programme(&mut campus, "nobodys", nobodys).await;
    assert_eq!(campus.look().await["digests"], 0, "it is not seven yet");
    campus.minutes(61);
    let fresh = campus.programme("fresh", |settings| settings.faculty = vec![address("fay")]).await;
    assert_eq!(campus.look().await["digests"], 2);
    assert_eq!(owed(&campus, Some(&maths)).await, STAFF);
    assert_eq!(owed(&campus, None).await, ["admin"]);
    for hours in [0, 1, 17, 30, 70] {
        campus.minutes(60 * hours);
        assert_eq!(campus.look().await["digests"], 0);
    }
    // A week later, by hand.
    campus.clock.stop_at(at("2026-11-23T07:00:00Z")).unwrap();
    assert_eq!(digests(&campus).await, 3);
    assert_eq!(digests(&campus).await, 0);
    assert_eq!(owed(&campus, Some(&maths)).await, ["ann", "ann", "ben", "ben", "tom", "tom"]);
    assert_eq!(owed(&campus, Some(&fresh)).await, ["fay"], "not on the day on which it was made");
    assert_eq!(owed(&campus, Some(&nobodys)).await, Vec::<String>::new());
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_owe_each_one_mail() {
    let mut campus = early().await;
    let maths = programme(&mut campus, "maths", |_| {}).await;
    campus.minutes(60);
    let at_once = join_all((0..10).map(|_| digests(&campus))).await;
    assert_eq!(at_once.iter().filter_map(Value::as_i64).sum::<i64>(), 2);
    assert_eq!(
        (owed(&campus, Some(&maths)).await, owed(&campus, None).await.len()),
        (STAFF.map(str::to_owned).to_vec(), 1)
    );
    campus.finish().await;
}

#[tokio::test]
async fn another_day_of_the_week_is_no_second_digest() {
    let mut campus = early().await;
    let maths = programme(&mut campus, "maths", |_| {}).await;
    campus.minutes(60);
    digests(&campus).await;
    for (weekday, days) in [(Weekday::Wednesday, 2), (Weekday::Sunday, 4)] {
        campus.set(|settings| settings.digest = Some(weekday)).await;
        campus.minutes(days * 24 * 60);
        digests(&campus).await;
        assert_eq!(owed(&campus, Some(&maths)).await, STAFF);
    }
    campus.finish().await;
}

#[tokio::test]
async fn more_people_than_fit_one_transaction() {
    let mut campus = early().await;
    let faculty = |number: u32| address(&format!("f{number:03}@maths.edu"));
    let maths = programme(&mut campus, "maths", |settings| settings.faculty = (0..75).map(faculty).collect()).await;
    campus.set(|settings| settings.faculty.extend((75..150).map(faculty))).await;
    campus.minutes(60);
    campus.look().await;
    assert_eq!(owed(&campus, Some(&maths)).await.len(), 152);
    // A kill between the two transactions of the next week.
    campus.minutes(7 * 24 * 60);
    let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::ThresholdAlerts);
    campus.gate.at(write.nth(1), Fault::KillAfter);
    assert!(campus.run(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.is_err());
    campus.look().await;
    assert_eq!(owed(&campus, Some(&maths)).await.len(), 2 * 152);
    campus.finish_faulted().await;
}
