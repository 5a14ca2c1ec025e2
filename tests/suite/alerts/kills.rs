//! Faults in each call of `threshold-alerts`: it fails, is lost or kills the function. Each recipient has one
//! mail queued in the end. That holds whether the trigger was totals, a reading or the clock.

use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{SyncState, Table};
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::faults::{Call, Fault, Matcher, Recorded};
use bursar_tests::office::as_sync;
use bursar_tests::seeds::sample;
use bursar_tests::stack::{Left, Stack};
use serde_json::{Value, json};

use super::{batch_of, caps, look, look_at, owed, programme, record, spent, table_of};
use crate::sync::still;

/// The trigger of the invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WokenBy {
    Totals,
    Reading,
    Clock,
}

impl WokenBy {
    async fn wake(self, stack: &Stack, programme: &ProgrammeId) -> Result<Value, InvokeError> {
        match self {
            WokenBy::Totals => look(stack, programme).await,
            WokenBy::Reading => {
                let ada = Table::new(&stack.config).grants(programme).await.unwrap().remove(0).id;
                look_at(stack, batch_of(vec![record("reading", programme, Some(&ada))])).await
            }
            WokenBy::Clock => stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await,
        }
    }

    /// The numbers of mails about the pot and about the cap that are queued in the end.
    fn owes(self) -> (usize, usize) {
        match self {
            WokenBy::Totals => (2, 0),
            WokenBy::Reading => (0, 1),
            WokenBy::Clock => (2, 1),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_each_recipient_is_told_once_in_the_end() {
    every_fault(WokenBy::Totals, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_a_student_is_told_once_in_the_end() {
    every_fault(WokenBy::Reading, 15).await;
}

#[tokio::test]
async fn whatever_becomes_of_a_call_of_the_watch_all_are_told_once_in_the_end() {
    let mut cases = Vec::new();
    for (call, nth) in calls_of(WokenBy::Clock).await {
        let (name, has_effect) = (call.name.to_string(), call.name.has_effect());
        // The sixteen partitions of a programme are read alike, so a few of their reads are enough.
        if !has_effect && nth > 6 && nth % 8 != 0 {
            continue;
        }
        cases.push((name.clone(), nth, 1, Fault::KillBefore));
        if has_effect {
            cases.push((name, nth, 1, Fault::KillAfter));
        }
    }
    assert!(cases.len() > 15, "{}", cases.len());
    for case in sample(cases, 3) {
        // The hourly check covers the whole table, so each case has a stack of its own.
        faulted(WokenBy::Clock, vec![case]).await;
    }
}

/// Every call in order, with its number among the calls of its name.
async fn calls_of(woken: WokenBy) -> Vec<(Call, u64)> {
    let stack = unwatched().await;
    begin(&stack, "maths").await;
    let before = stack.gate.calls().len();
    woken.wake(&stack, &"maths".parse().unwrap()).await.unwrap();
    let mut calls: Vec<(Call, u64)> = Vec::new();
    for Recorded { call, .. } in stack.gate.calls().into_iter().skip(before) {
        let nth = 1 + calls.iter().filter(|(earlier, _)| earlier.name == call.name).count() as u64;
        if call.function == FunctionName::ThresholdAlerts {
            calls.push((call, nth));
        }
    }
    stack.finish().await;
    calls
}

/// A stack whose schedules do not run.
async fn unwatched() -> Stack {
    let stack = still().await;
    stack.schedules.stop().await;
    stack
}

/// A programme with much spending, and a complete listing of the keys.
async fn begin(stack: &Stack, name: &str) -> ProgrammeId {
    let programme = programme(stack, name).await;
    spent(stack, &programme, 83).await;
    let table = Table::new(&stack.config);
    let state = table.sync_state().await.unwrap();
    let now = Some(stack.clock.now());
    assert!(
        as_sync(&table, async |sync| sync
            .set_sync_state(&SyncState { listed_at: now, completed_at: now, ..state }.next())
            .await)
        .await
    );
    programme
}

async fn every_fault(woken: WokenBy, at_least: usize) {
    let mut cases = Vec::new();
    for (call, nth) in calls_of(woken).await {
        let faults = Fault::all_of(&call.name).into_iter();
        let matters = |verdict: &Fault| {
            // A read has no effect, so a lost answer is like a failed call.
            call.name.has_effect() || [Fault::Before, Fault::KillBefore].contains(verdict)
        };
        for verdict in faults.filter(matters) {
            cases.push((call.name.to_string(), nth, 1, verdict));
            if &*call.name.operation == "TransactWriteItems" && verdict == Fault::Conflict {
                cases.push((call.name.to_string(), nth, 3, verdict));
            }
        }
    }
    assert!(cases.len() > at_least, "{}", cases.len());
    const LANES: usize = 2;
    let cases = sample(cases, 6);
    let size = cases.len().div_ceil(LANES);
    let lanes = cases.chunks(size).map(|cases| tokio::spawn(faulted(woken, cases.to_vec())));
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
}

async fn faulted(woken: WokenBy, cases: Vec<(String, u64, u64, Fault)>) {
    let stack = unwatched().await;
    let mut watch = table_of(&stack);
    for (case, (name, nth, times, verdict)) in cases.into_iter().enumerate() {
        let programme = begin(&stack, &format!("maths-{case}")).await;
        for nth in nth..nth + times {
            stack.gate.at(Matcher::call(&name).of(FunctionName::ThresholdAlerts).nth(nth), verdict);
        }
        let first = woken.wake(&stack, &programme).await;
        let what = format!("{woken:?}: {verdict} at {name} {nth}, {times} times: {first:?}");
        stack.faults_met(&what);
        woken.wake(&stack, &programme).await.unwrap();
        let seen = watch.check().await;
        let ada = seen.grants.values().find(|grant| grant.programme == programme).unwrap().id.clone();
        let (of_pot, of_cap) = (owed(seen, &programme), caps::owed_to(seen, &ada));
        assert_eq!((of_pot.len(), of_cap.len()), woken.owes(), "{what}: {of_pot:?}, {of_cap:?}");
        assert!(of_pot.iter().chain(&of_cap).all(|alert| alert == "80 of 100.000000"), "{what}");
    }
    stack
        .finish_leaving(&[Left::PerhapsComplaints(&[
            ("threshold-alerts", "its cap is looked at again"),
            ("threshold-alerts", "its crossings are looked for again"),
            ("threshold-alerts", "the instance is thrown away"),
        ])])
        .await;
}
