//! The demonstration that the first `cargo run` builds: what is in it, and the invariants. That it
//! ends well at any moment is tried beside `bursar`.

use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::GrantState;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{KeptTotals, MailState};
use bursar_local::demo;
use bursar_local::folder::{Folder, Kind};
use bursar_local::inbox::Contents;
use bursar_local::stack::{Options, listen};
use bursar_tests::invariants::RawTable;
use bursar_tests::stack::{self, Stack};
use jiff::SignedDuration;

#[tokio::test]
async fn it_is_a_believable_term() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path(), Kind::Demonstration).unwrap();
    let admins = [EmailAddress::parse("admin@example.edu").unwrap()];
    let ends: Moment = "2026-11-24T20:28:00Z".parse().unwrap();
    demo::build(
        &folder,
        "http://127.0.0.1:8080",
        &admins,
        &Clock::reading(move || ends),
        |_| {},
    )
    .await
    .unwrap();
    assert!(!folder.is_new());

    let files = Some(folder.files());
    let stack = Stack::start(Options {
        files,
        ..Options::new(listen(0).await.unwrap(), admins.to_vec())
    })
    .await;
    let off = stack.clock.now().duration_since(ends);
    assert!(
        off.abs() < SignedDuration::from_secs(60),
        "it ends {off:?} from its end"
    );
    let mut watch = stack::watch(&stack);
    let seen = watch.check().await;

    let pilot: Vec<_> = seen
        .grants
        .values()
        .filter(|grant| grant.programme.as_str() == "cs-pilot")
        .collect();
    let live = pilot
        .iter()
        .filter(|grant| matches!(grant.state, GrantState::Live { .. }))
        .count();
    assert!(pilot.len() == 20 && live > 12, "{live} live");
    assert!(
        seen.outbox
            .iter()
            .any(|row| matches!(row.state, MailState::Bounced { .. })),
        "one address bounced"
    );
    let mut totals = seen.all::<KeptTotals>().map(|kept| kept.totals);
    let totals = totals
        .find(|totals| totals.programme.as_str() == "cs-pilot")
        .unwrap();
    let days: Vec<_> = totals.used.credits.each().collect();
    assert!(
        days.len() > 11 && days.iter().all(|(_, _, exact)| *exact),
        "no night was missed: {days:?}"
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
            .count()
    };
    assert!(of_kind("digest") >= 6, "to faculty and an assistant");
    assert_eq!(of_kind("account"), 0, "nothing is the matter");

    // DynamoDB deletes what has expired at some time, and everything must hold afterwards as well.
    let (raw, mut swept) = (RawTable::at(&stack.ready.dynamodb, &stack.ready.table), 0);
    for item in raw.items().await {
        let ends = item
            .get("ttl")
            .and_then(|ttl| ttl.as_n().ok()?.parse::<i64>().ok());
        if ends.is_some_and(|ends| ends < stack.clock.now().as_second()) {
            raw.delete(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap())
                .await;
            swept += 1;
        }
    }
    assert!(swept > 0, "nothing had run out");
    watch.check().await;
    stack.finish().await;
}
