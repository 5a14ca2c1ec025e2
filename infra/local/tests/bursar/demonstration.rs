//! The demonstration that the first `cargo run` builds: whatever the moment, it tells its whole
//! story and ends with nothing waiting or wrong.

use std::ops::Range;
use std::time::Duration;

use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::demo;
use bursar_local::folder::{Folder, Kind};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::stack::{Options, Stack, listen};
use jiff::SignedDuration;
use serde_json::json;

const ADMIN: &str = "admin@example.edu";

/// The demonstration ends well at each hour before noon and at the ends of months.
#[tokio::test]
#[ignore = "plays fifteen demonstrations: cargo xtask long demonstration"]
async fn it_ends_well_before_noon() {
    at_hours(
        0..12,
        [
            "2026-05-31T23:59:59Z",
            "2026-06-01T00:00:00Z",
            "2028-02-29T12:00:00Z",
        ],
    )
    .await;
}

/// The demonstration ends well at each hour after noon and at the ends of a year and a week.
#[tokio::test]
#[ignore = "plays fifteen demonstrations: cargo xtask long demonstration"]
async fn it_ends_well_after_noon() {
    at_hours(
        12..24,
        [
            "2026-12-31T23:30:00Z",
            "2026-11-22T00:20:00Z",
            "2026-11-23T07:10:00Z",
        ],
    )
    .await;
}

/// Each hour on another weekday than the one before, over two months' ends and a change to summer
/// time.
async fn at_hours(hours: Range<i64>, others: [&str; 3]) {
    let first: Moment = "2026-03-08T00:28:00Z".parse().unwrap();
    let hours = hours.map(|hour| first + SignedDuration::from_hours(25 * hour));
    for moment in hours.chain(others.map(|moment| moment.parse().unwrap())) {
        ends_well(moment).await;
    }
}

async fn ends_well(moment: Moment) {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path(), Kind::Demonstration).unwrap();
    let admins = vec![EmailAddress::parse(ADMIN).unwrap()];
    demo::build(
        &folder,
        "http://127.0.0.1:8080",
        &admins,
        &Clock::reading(move || moment),
        |_| {},
    )
    .await
    .unwrap();
    assert!(!folder.is_new());

    let stack = Stack::start(Options {
        files: Some(folder.files()),
        ..Options::new(listen(0).await.unwrap(), admins)
    })
    .await
    .unwrap();
    let off = stack.clock.now().duration_since(moment);
    assert!(
        off.abs() < SignedDuration::from_secs(60),
        "{moment}: the clock is {off:?} from it"
    );

    let mails: Vec<Contents> = stack
        .ses
        .mails()
        .iter()
        .map(|mail| Contents::parse(&mail.raw))
        .collect();
    let of_kind = |kind: &str| {
        mails
            .iter()
            .filter(|mail| mail.kind.as_deref() == Some(kind))
            .collect::<Vec<_>>()
    };
    let account: Vec<_> = of_kind("account")
        .into_iter()
        .map(|mail| &mail.subject)
        .collect();
    assert!(account.is_empty(), "{moment}: an admin is told {account:?}");
    // Two Mondays, two programmes, three readers of each at least.
    assert!(
        of_kind("digest").len() >= 8,
        "{moment}: {} digests",
        of_kind("digest").len()
    );
    assert!(
        !of_kind("alert").is_empty(),
        "{moment}: nothing was crossed"
    );
    let drain = stack
        .schedules
        .run_now(FunctionName::Mail, json!({"task": "drain"}))
        .await
        .unwrap();
    assert_eq!(
        (&drain["sent"], &drain["waiting"]),
        (&json!(0), &json!(0)),
        "{moment}: {drain}"
    );
    stack.settle.settle(Duration::from_secs(60)).await.unwrap();
    assert_eq!(
        stack.ses.mails().len(),
        mails.len(),
        "{moment}: a mail was still due"
    );

    let admin = demo::sign_in(&stack, ADMIN).await.unwrap();
    let warnings = async |path: &str| {
        admin
            .get(path)
            .await
            .unwrap()
            .expect(200)
            .unwrap()
            .texts("warning")
    };
    // One admin only is how this is started, and no part of the story.
    let on_account = warnings("/console/account").await;
    assert!(
        on_account
            .iter()
            .all(|said| said.contains("one admin only")),
        "{moment}: {on_account:?}"
    );
    let pilot = warnings("/console/programmes/cs-pilot").await;
    let bounce = |said: &&String| said.contains("Mail to one student comes back");
    assert_eq!(
        pilot.iter().filter(bounce).count(),
        1,
        "{moment}: {pilot:?}"
    );
    let seminar = warnings("/console/programmes/compilers-seminar").await;
    let dated = |said: &String| said.contains("the budget will be used up around");
    assert!(
        seminar.iter().any(dated),
        "{moment}: no day on which the money is gone: {seminar:?}"
    );
    let account = admin.get("/console/account").await.unwrap();
    assert_eq!(
        account.all("unowned-key").len(),
        3,
        "{moment}: keys that are nobody's"
    );
    stack.stop().await.unwrap();
}
