//! What was stored is a promise: each later version reads the dump of an earlier one, finishes what was under way in
//! it, and every invariant holds. `cargo xtask fixture` writes the dump of this version.

mod story;

use std::collections::BTreeSet;

use bursar_core::domain::grant::{AttemptState, Grant, GrantState};
use bursar_core::store::items::Item;
use bursar_core::store::{KINDS, MailState};
use bursar_local::invoke::FunctionName;
use bursar_local::settle::LIMIT;
use bursar_tests::fixture::Dump;
use bursar_tests::invariants::{RawTable, Snapshot, Watch};
use bursar_tests::stack::{self, Left, Setup, Stack};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::console::{ADMIN, signed_in};

/// The version whose shapes these are. Before the first tag there is one, written anew whenever a shape changes.
const VERSION: &str = "unreleased";
/// Set by `cargo xtask fixture`.
const WRITE: &str = "BURSAR_WRITE_FIXTURE";

/// The kinds that the story leaves out, each with the reason.
const ABSENT: [(&str, &str); 2] = [
    ("bulk-stop", "while it stands no bulk mail goes, and those that are under way would wait for a press"),
    ("group-totals", "only a programme of more than twenty groups has them apart"),
];

#[tokio::test]
async fn the_newest_dump_has_the_shapes_that_are_stored_now() {
    let data = tempfile::tempdir().unwrap();
    let stack = stack::of(Setup {
        at: Some("2026-10-25T08:00:00Z".parse().unwrap()),
        data: Some(data.path()),
        ..Setup::default()
    })
    .await
    .unwrap();
    story::tell(&stack).await;
    let now = Dump::of(&stack, data.path()).await.unwrap();
    let killed = "the instance is thrown away";
    let complaints = [
        ("mail", "is given up"),
        ("mail", "account"),
        ("usage-sync", "\"status\":404"),
        ("usage-sync", killed),
        ("claim", killed),
        ("console", killed),
    ];
    stack.finish_leaving(&[Left::AnyMails, Left::Complaints(&complaints)]).await;

    let shapes = now.shapes();
    let absent: BTreeSet<&str> = KINDS.iter().copied().filter(|kind| !shapes.contains_key(*kind)).collect();
    assert_eq!(absent, ABSENT.iter().map(|(kind, _)| *kind).collect(), "the story has every other kind");
    if std::env::var_os(WRITE).is_some() {
        now.keep(VERSION).unwrap();
    }
    let kept = Dump::kept().unwrap();
    let (_, kept) = kept.iter().find(|(name, _)| name == VERSION).unwrap();
    assert_eq!(kept.shapes(), shapes, "a shape has changed: run cargo xtask fixture, and commit what it writes");
}

#[tokio::test]
async fn each_kept_dump_is_read_and_what_was_under_way_in_it_is_finished() {
    let kept = Dump::kept().unwrap();
    assert!(!kept.is_empty());
    for (name, dump) in kept {
        let data = tempfile::tempdir().unwrap();
        let stack = dump.restore(data.path()).await.unwrap();
        let mut watch = watch(&stack);
        let before = watch.check().await;
        assert_eq!(states(before), ["ended", "invited", "live", "minting", "paused", "revoked", "stopped"], "{name}");
        assert!(before.items.values().any(is_running_job), "{name}: an import is under way");

        // Two days pass, in which an admin lets the sync do what the guard held back.
        stack.settle.settle(LIMIT).await.unwrap();
        stack.schedules.advance(SignedDuration::from_hours(1)).await.unwrap();
        // This goes on with the run that was killed, which began before.
        sync(&stack).await;
        watch.check().await;
        let admin = signed_in(&stack, ADMIN).await;
        let account = admin.get("/console/account").await;
        admin.submit(&account, "/console/account/release", &[]).await.expect(303);
        watch.check().await;
        for _ in 0..2 {
            stack.schedules.advance(SignedDuration::from_hours(24)).await.unwrap();
            let report = sync(&stack).await;
            assert_eq!(report["complete"], true, "{name}: {report}");
            stack.settle.settle(LIMIT).await.unwrap();
            watch.check_after_sync().await;
        }

        let after = watch.check().await;
        assert_eq!(states(after), ["ended", "invited", "live", "paused", "revoked", "stopped"], "{name}");
        assert!(!after.items.values().any(is_running_job), "{name}: the import is done");
        let cs = after.grants.values().filter(|grant| grant.programme.as_str() == "cs-pilot");
        assert_eq!(cs.count(), 70, "{name}: everybody in the file is invited");
        let open = after
            .outbox
            .iter()
            .filter(|row| matches!(row.state, MailState::Waiting { .. } | MailState::Sending { .. }));
        assert_eq!(open.count(), 0, "{name}: every mail is sent or given up");
        let open = after
            .grants
            .values()
            .flat_map(|grant| &grant.attempts)
            .filter(|attempt| attempt.state == AttemptState::Open);
        assert_eq!(open.count(), 0, "{name}");
        let ordered = after.grants.values().filter(|grant| grant.urgency().is_some());
        assert_eq!(ordered.count(), 0, "{name}: the provider was told of everything");
        // Keys that were deleted by hand are still asked for.
        let gone = ["usage-sync", "console"].map(|function| (function, "\"status\":404"));
        stack.finish_leaving(&[Left::AnyMails, Left::PerhapsComplaints(&gone)]).await;
    }
}

/// A watch on what a dump holds; the mails that were sent before are not in it.
fn watch(stack: &Stack) -> Watch {
    let logs = stack.logs.clone();
    Watch::over(RawTable::at(&stack.ready.dynamodb, &stack.ready.table), stack.clock.as_clock())
        .with_provider(stack.provider.clone().unwrap())
        .with_gate(stack.gate.clone())
        .with_stream(stack.engine.clone())
        .with_logs(move || logs.all().into_iter().map(|line| line.text).collect())
}

async fn sync(stack: &Stack) -> Value {
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap()
}

/// The states of the grants as pages name them, each once.
fn states(seen: &Snapshot) -> Vec<&'static str> {
    let state = |grant: &Grant| match grant.state {
        GrantState::Revoked | GrantState::Ended => grant.state.as_str(),
        _ if !grant.holds.is_empty() => "paused",
        _ => grant.state.as_str(),
    };
    seen.grants.values().map(state).collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_running_job(item: &Item) -> bool {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    text("kind") == Some("job") && item.contains_key("queue")
}
