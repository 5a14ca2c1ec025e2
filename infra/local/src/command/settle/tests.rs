//! Settling over functions that a recorder plays.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::*;
use crate::aws::engine::Engine;
use crate::aws::engine::tests::{client, in_memory, put};
use crate::aws::invoke::{Invoke, InvokeError};
use crate::aws::recorder::Recorder;
use crate::aws::schedules::SyncEvery;
use crate::aws::template::Template;
use crate::base::clock::StackClock;
use crate::base::state_file::StateFile;

/// A stack without functions, in whose place it has a recorder.
pub(crate) struct Bundle {
    pub(crate) engine: Engine,
    pub(crate) pump: Pump,
    pub(crate) schedules: Schedules,
    pub(crate) clock: StackClock,
    pub(crate) settle: Settle,
}

pub(crate) async fn bundle(engine: Engine, recorder: &Arc<Recorder>) -> Bundle {
    let template = Template::bundled().unwrap();
    let kept = StateFile::in_memory().unwrap();
    let clock = StackClock::open(kept.clone()).unwrap();
    let invoke = Arc::clone(recorder) as Arc<dyn Invoke>;
    let readers = template.readers.clone();
    let pump = Pump::start(engine.clone(), Arc::clone(&invoke), kept.clone(), clock.clone(), "us-east-1", readers);
    let pump = pump.await.unwrap();
    let schedules = Schedules::new(template, SyncEvery::Never, invoke, kept, clock.clone()).unwrap();
    Bundle { settle: Settle::new(pump.clone(), schedules.clone()), engine, pump, schedules, clock }
}

impl Bundle {
    pub(crate) async fn stop(self) {
        self.schedules.stop().await;
        self.pump.stop().await;
        self.engine.stop().await.unwrap();
    }
}

/// Functions that write: `work` writes an outbox row for each job, `mail` sends the rows that it is given
/// or finds.
#[derive(Default)]
struct Functions {
    jobs: Mutex<Vec<&'static str>>,
    sent: Mutex<BTreeSet<String>>,
}

impl Functions {
    async fn answer(&self, client: &Client, function: FunctionName, event: Value) -> Value {
        match function {
            FunctionName::Console => {
                let job = self.jobs.lock().unwrap().pop();
                if let Some(job) = job {
                    put(client, job, &[("kind", "outbox"), ("class", "urgent"), ("state", "waiting")]).await;
                }
            }
            FunctionName::Mail => {
                let records = event["Records"].as_array().cloned().unwrap_or_default();
                for record in records {
                    let row = record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned();
                    put(client, &row, &[("kind", "outbox"), ("class", "urgent"), ("state", "sent")]).await;
                    self.sent.lock().unwrap().insert(row);
                }
            }
            _ => {}
        }
        json!({})
    }
}

#[tokio::test]
async fn it_goes_on_until_work_stream_and_drain_have_nothing_left() {
    let engine = in_memory();
    let functions = Arc::new(Functions::default());
    functions.jobs.lock().unwrap().extend(["a", "b", "c"]);
    let recorder = {
        let (client, functions) = (client(&engine), Arc::clone(&functions));
        Recorder::answering_later(move |function, event| {
            let (client, functions) = (client.clone(), Arc::clone(&functions));
            async move { Ok(functions.answer(&client, function, event).await) }.boxed()
        })
    };
    let recorder = Arc::new(recorder);
    let bundle = bundle(engine, &recorder).await;
    bundle.settle.settle(LIMIT).await.unwrap();
    assert_eq!(*functions.sent.lock().unwrap(), BTreeSet::from(["a", "b", "c"].map(str::to_owned)));
    let rounds = recorder.calls_of(FunctionName::Console).len();
    assert_eq!(rounds, 4, "one for each job, and one that found nothing");
    bundle.stop().await;
}

#[tokio::test]
async fn a_round_that_fails_is_repeated() {
    let failures = AtomicUsize::new(2);
    let recorder = Arc::new(Recorder::answering(move |_, _| {
        let left = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Err(InvokeError::Killed) } else { Ok(json!({})) }
    }));
    let bundle = bundle(in_memory(), &recorder).await;
    bundle.settle.settle(LIMIT).await.unwrap();
    assert_eq!(recorder.calls().len(), 4, "two rounds, the first of which failed twice");
    bundle.stop().await;
}

#[tokio::test]
async fn what_never_comes_to_rest_ends_at_the_limit_and_a_run_under_way_is_not_cut() {
    let engine = in_memory();
    let (cut, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let recorder = {
        let (client, cut, finished) = (client(&engine), Arc::clone(&cut), Arc::clone(&finished));
        Recorder::answering_later(move |_, _| -> BoxFuture<'static, Result<Value, InvokeError>> {
            let (client, cut, finished) = (client.clone(), Arc::clone(&cut), Arc::clone(&finished));
            async move {
                let number = cut.fetch_add(1, Ordering::SeqCst);
                put(&client, "counter", &[("n", &number.to_string())]).await;
                finished.fetch_add(1, Ordering::SeqCst);
                Ok(json!({}))
            }
            .boxed()
        })
    };
    let recorder = Arc::new(recorder);
    let bundle = bundle(engine, &recorder).await;
    let settled = bundle.settle.settle(Duration::from_millis(100)).await;
    assert!(matches!(settled, Err(NotSettled::InTime(_))), "{settled:?}");
    // This waits for the end of the interrupted run.
    bundle.schedules.run_now(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    bundle.schedules.run_now(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    assert_eq!(cut.load(Ordering::SeqCst), finished.load(Ordering::SeqCst));
    bundle.stop().await;
}

#[tokio::test]
async fn failed_stream_batches_are_tried_again_at_once_and_not_waited_for() {
    let engine = in_memory();
    put(&client(&engine), "a", &[("kind", "outbox"), ("class", "urgent"), ("state", "waiting")]).await;
    let recorder = Arc::new(Recorder::answering(|_, event| match event.get("Records") {
        Some(_) => Err(InvokeError::TimedOut),
        None => Ok(json!({})),
    }));
    let bundle = bundle(engine, &recorder).await;
    bundle.clock.stop_at(bundle.clock.now()).unwrap();
    bundle.settle.settle(LIMIT).await.unwrap();
    assert_eq!(bundle.pump.dead_letters().all().unwrap().len(), 1);
    bundle.stop().await;
}
