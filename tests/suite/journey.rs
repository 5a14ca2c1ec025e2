//! The first journey, in process and through the five real binaries, with the invariants checked after each
//! step. It is played again by a process that is killed after each step.

use std::collections::BTreeSet;

use bursar_tests::journey::{Journey, STEPS};
use bursar_tests::process::Bursar;
use bursar_tests::stack::{self, Setup, Stack};

async fn goes_well(stack: Stack) {
    let mut watch = stack::watch(&stack);
    let mut journey = Journey::at(&stack.ready).unwrap();
    watch.check().await;
    for step in STEPS {
        journey.take(step).await.unwrap();
        watch.check().await;
    }
    // The journey has read the mails itself.
    stack.ses.unread();
    // What the end of every stack holds against the documents is not nothing.
    let calls = stack.gate.calls();
    let written: BTreeSet<&String> = calls.iter().flat_map(|recorded| &recorded.call.shape.kinds).collect();
    let read: BTreeSet<&String> = calls.iter().flat_map(|recorded| &recorded.read).collect();
    assert!(written.len() > 10 && read.len() > 10, "hardly anything was seen: {written:?} {read:?}");
    stack.finish().await;
}

#[tokio::test]
async fn it_goes_well_with_the_functions_in_this_process() {
    goes_well(stack::in_process().await.unwrap()).await;
}

#[tokio::test]
async fn it_goes_well_through_the_five_real_binaries() {
    goes_well(stack::with_binaries().await.unwrap()).await;
}

#[tokio::test]
async fn killed_after_each_step_it_goes_on_and_nothing_is_doubled() {
    let data = tempfile::tempdir().unwrap();
    let mut bursar = Bursar::start(data.path()).await.unwrap();
    let mut journey = Journey::at(&bursar.ready).unwrap();
    for step in STEPS {
        journey.take(step).await.unwrap();
        bursar.kill().await.unwrap();
        bursar = Bursar::start(data.path()).await.unwrap();
        journey.moved_to(&bursar.ready);
    }
    bursar.interrupt().await.unwrap();

    // The data folder keeps the invariants after a restart as well.
    let stack = stack::of(Setup { data: Some(data.path()), ..Setup::default() }).await.unwrap();
    stack::watch(&stack).check().await;
    // The journey has read them, in the processes before.
    stack.ses.unread();
    stack.finish().await;
}
