//! Students at 80 and 100 % of their own cap. Each threshold is mailed once, however often it is found, and not
//! at all where no mail is due.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{ActContext, CapScan, CapScanPosition, QueuedMail, SyncState, Table, keys};
use bursar_local::invoke::FunctionName;
use bursar_tests::invariants::{RawTable, Snapshot};
use bursar_tests::office::as_sync;
use bursar_tests::stack::{Left, Stack};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{batch_of, look_at, programme, record, spent, table_of};
use crate::sync::{office_deadline, still};

/// The queued mails to students about their caps: threshold and cap, one line for each mail.
pub(super) fn owed_to(seen: &Snapshot, grant: &GrantId) -> Vec<String> {
    let of_cap = |mail: &QueuedMail| match mail {
        QueuedMail::CapUsed { grant: of, threshold, of_limit, .. } if of == grant => {
            Some(format!("{threshold} of {of_limit}"))
        }
        _ => None,
    };
    seen.outbox.iter().filter_map(|row| of_cap(&row.mail)).collect()
}

fn told_of(programme: &ProgrammeId, grants: &[&GrantId]) -> Value {
    batch_of(grants.iter().map(|grant| record("reading", programme, Some(grant))).collect())
}

/// Writes a changed programme directly, as if it had been edited.
async fn shape(stack: &Stack, programme: &ProgrammeId, change: impl FnOnce(&mut Programme)) {
    let mut shaped = Table::new(&stack.config).programme(programme).await.unwrap().unwrap();
    change(&mut shaped);
    RawTable::at(&stack.ready.dynamodb, &stack.ready.table).keep(&shaped).await.unwrap();
}

fn at<'a>(stack: &Stack, programme: &'a ProgrammeId, grant: &'a GrantId) -> ActContext<'a> {
    ActContext { programme, grant, now: stack.clock.now(), deadline: office_deadline() }
}

/// A sync state in which every key has just been listed.
async fn listed(stack: &Stack) {
    let table = Table::new(&stack.config);
    let known = table.sync_state().await.unwrap();
    let state = SyncState { listed_at: Some(stack.clock.now()), completed_at: Some(stack.clock.now()), ..known };
    assert!(as_sync(&table, async |sync| sync.set_sync_state(&state.next()).await).await);
}

async fn watch(stack: &Stack) -> Value {
    stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap()
}

#[tokio::test]
async fn a_student_is_told_at_eighty_and_at_a_hundred_and_of_both_in_one_night_only_the_higher() {
    let stack = still().await;
    let programme = programme(&stack, "maths").await;
    let mut watch = table_of(&stack);
    for (dollars, expected) in [(79, vec![]), (80, vec!["80"]), (99, vec!["80"]), (100, vec!["80", "100"])] {
        let ada = spent(&stack, &programme, dollars).await;
        look_at(&stack, told_of(&programme, &[&ada])).await.unwrap();
        let expected: Vec<String> =
            expected.into_iter().map(|threshold| format!("{threshold} of 100.000000")).collect();
        assert_eq!(owed_to(watch.check().await, &ada), expected, "at {dollars}");
    }
    let other = super::programme(&stack, "physics").await;
    let ada = spent(&stack, &other, 100).await;
    look_at(&stack, told_of(&other, &[&ada])).await.unwrap();
    let seen = watch.check().await;
    assert_eq!(owed_to(seen, &ada), ["100 of 100.000000"]);
    let of_ada = seen.crossings.iter().filter(|crossing| crossing.programme == other);
    let found: Vec<_> = of_ada.map(|crossing| (crossing.threshold, crossing.is_mailed)).collect();
    assert_eq!(found, [(80, false), (100, true)]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_readings_ten_times_at_once_and_out_of_order_tell_each_student_once() {
    let stack = still().await;
    let programme = programme(&stack, "maths").await;
    let ada = spent(&stack, &programme, 83).await;
    let physics = super::programme(&stack, "physics").await;
    let ben = spent(&stack, &physics, 100).await;
    let (first, second) = (record("reading", &programme, Some(&ada)), record("reading", &physics, Some(&ben)));
    let batches = (0..10).map(|round| match round % 2 {
        0 => batch_of(vec![first.clone(), second.clone(), first.clone()]),
        _ => batch_of(vec![second.clone(), first.clone()]),
    });
    let at_once = futures_util::future::join_all(batches.map(|batch| look_at(&stack, batch))).await;
    assert!(at_once.iter().all(|answer| *answer == Ok(json!({"batchItemFailures": []}))), "{at_once:?}");
    let mut watch = table_of(&stack);
    let seen = watch.check().await;
    assert_eq!(
        (owed_to(seen, &ada), owed_to(seen, &ben)),
        (vec!["80 of 100.000000".to_owned()], vec!["100 of 100.000000".to_owned()])
    );
    stack.finish().await;
}

#[tokio::test]
async fn nobody_is_told_whose_grant_is_over_whose_programme_mails_nothing_or_whose_cap_starts_anew_each_day() {
    let stack = still().await;
    let table = Table::new(&stack.config);
    for name in ["revoked", "dropped", "off", "daily", "closed", "told"] {
        let programme = programme(&stack, name).await;
        let ada = spent(&stack, &programme, 90).await;
        match name {
            "revoked" => drop(
                table
                    .act(at(&stack, &programme, &ada), |view, now| view.revoke(&Actor::Rule, None, now))
                    .await
                    .unwrap(),
            ),
            "dropped" => {
                table
                    .act(at(&stack, &programme, &ada), |view, now| {
                        view.hold(HoldKind::Dropped, &Actor::Rule, None, now)
                    })
                    .await
                    .unwrap();
            }
            "daily" => shape(&stack, &programme, |programme| programme.settings.reset = Reset::Daily).await,
            "off" => shape(&stack, &programme, |programme| programme.settings.student_mails = false).await,
            "closed" => {
                let now = stack.clock.now();
                shape(&stack, &programme, |programme| programme.closed_at = Some(now)).await;
            }
            _ => {}
        }
        look_at(&stack, told_of(&programme, &[&ada])).await.unwrap();
        listed(&stack).await;
        watch(&stack).await;
        // The full watch is not used here: it would rightly report a daily cap that exceeds the pot.
        let mails = table.mails_of(&programme, &ada).await.unwrap();
        let told = mails.iter().filter(|row| matches!(row.mail, QueuedMail::CapUsed { .. })).count();
        assert_eq!(told, usize::from(name == "told"), "{name}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_cap_that_is_lowered_and_raised_again_returns_to_what_was_told() {
    let stack = still().await;
    let table = Table::new(&stack.config);
    let programme = programme(&stack, "maths").await;
    let ada = spent(&stack, &programme, 83).await;
    let mut seen = table_of(&stack);
    let told = ["80 of 100.000000", "80 of 90.000000", "100 of 80.000000"];
    // The pot has room for a cap of at most a hundred dollars.
    for (cap, alerts) in [(100, 1), (90, 2), (100, 2), (80, 3), (90, 3), (100, 3), (80, 3)] {
        let cap = Some(Usd::from_dollars(cap));
        table.act(at(&stack, &programme, &ada), |view, now| view.set_cap(cap, &Actor::Rule, None, now)).await.unwrap();
        // No reading changed, so the check after the next listing finds the crossing.
        stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
        listed(&stack).await;
        watch(&stack).await;
        assert_eq!(owed_to(seen.check().await, &ada), told[..alerts], "{cap:?}");
    }
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn what_the_stream_lost_is_found_once_behind_the_next_listing_and_nobody_is_looked_at_twice() {
    let stack = still().await;
    let programme = programme(&stack, "maths").await;
    let ada = spent(&stack, &programme, 83).await;
    let mut seen = table_of(&stack);
    watch(&stack).await;
    assert!(owed_to(seen.check().await, &ada).is_empty(), "no key was listed yet");
    listed(&stack).await;
    watch(&stack).await;
    assert_eq!(owed_to(seen.check().await, &ada).len(), 1);
    let before = stack.gate.calls().len();
    watch(&stack).await;
    let kinds: Vec<_> = stack.gate.calls().into_iter().skip(before).flat_map(|recorded| recorded.read).collect();
    assert!(kinds.iter().any(|kind| kind == "programme"), "the programmes are read");
    assert!(!kinds.iter().any(|kind| kind == "grant"), "not so grants, before keys are listed again: {kinds:?}");
    stack.finish().await;
}

#[tokio::test]
async fn a_look_whose_time_was_up_goes_on_where_it_was_and_one_that_failed_begins_anew() {
    let stack = still().await;
    let table = Table::new(&stack.config);
    let (maths, physics) = (programme(&stack, "maths").await, programme(&stack, "physics").await);
    let (ada, ben) = (spent(&stack, &maths, 83).await, spent(&stack, &physics, 83).await);
    listed(&stack).await;
    let listed_at = stack.clock.now();
    let next = Some(CapScanPosition { programme: physics.clone(), shard: 0 });
    table.note_cap_scan(&CapScan { listed_at, next }, office_deadline()).await.unwrap();
    watch(&stack).await;
    let mut seen = table_of(&stack);
    assert_eq!((owed_to(seen.check().await, &ada).len(), owed_to(seen.seen().unwrap(), &ben).len()), (0, 1));
    assert_eq!(table.cap_scan().await.unwrap(), Some(CapScan { listed_at, next: None }));

    // After the next listing one grant is corrupt: the others are checked, and the invocation fails.
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    listed(&stack).await;
    let lost = keys::grant(&maths, &ada);
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let whole = seen.seen().unwrap().items[&(lost.pk.clone(), lost.sk.clone())].clone();
    let mut broken = whole.clone();
    broken.remove("epoch");
    raw.put(broken).await.unwrap();
    let failed = stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await;
    assert!(failed.is_err(), "{failed:?}");
    raw.put(whole).await.unwrap();
    watch(&stack).await;
    assert_eq!(owed_to(seen.check().await, &ada).len(), 1);
    stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::PerhapsComplaints(&[("mail", "what a mail is about cannot be read")]),
            // On a Monday a digest is due.
            Left::PerhapsComplaints(&[("threshold-alerts", "there is no digest yet")]),
            Left::Complaints(&[("threshold-alerts", "a look failed"), ("threshold-alerts", "the invocation failed")]),
        ])
        .await;
}
