//! The pump between a real engine and functions that a test plays.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use super::*;
use crate::aws::engine::Place;
use crate::aws::engine::tests::{client, in_memory, put, schema};
use crate::aws::invoke::InvokeError;
use crate::aws::recorder::Recorder;
use crate::aws::template::filter::Filter;
use crate::base::clock::tests::HandClock;
use crate::base::function::FunctionName;

fn reader(function: FunctionName, kind: &str) -> StreamReader {
    let pattern = json!({"dynamodb": {"NewImage": {"kind": {"S": [kind]}}}});
    StreamReader {
        function,
        filters: vec![Filter::parse(&pattern.to_string()).unwrap()],
        batch_size: 10,
        retries: 2,
        bisect: true,
        partial: true,
    }
}

fn readers() -> Vec<StreamReader> {
    vec![reader(FunctionName::ThresholdAlerts, "totals"), reader(FunctionName::Mail, "outbox")]
}

/// A stopped clock, so that nothing waits by real time.
fn standing() -> StackClock {
    let hand = HandClock::at("2026-11-20T10:00:00Z");
    let clock = StackClock::over(hand.clock(), StateFile::in_memory().unwrap()).unwrap();
    clock.stop_at("2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap()).unwrap();
    clock
}

async fn pump(engine: &Engine, recorder: &Arc<Recorder>, kept: &StateFile) -> Pump {
    pump_of(engine, recorder, kept, &standing(), readers()).await
}

async fn pump_of(
    engine: &Engine,
    recorder: &Arc<Recorder>,
    kept: &StateFile,
    clock: &StackClock,
    readers: Vec<StreamReader>,
) -> Pump {
    let invoke: Arc<dyn Invoke> = Arc::clone(recorder) as Arc<dyn Invoke>;
    let pump = Pump::start(engine.clone(), invoke, kept.clone(), clock.clone(), "us-east-1", readers);
    pump.await.unwrap()
}

async fn put_kind(client: &Client, pk: &str, kind: &str) {
    put(client, pk, &[("kind", kind)]).await;
}

async fn drained(pump: &Pump) {
    let drained = tokio::time::timeout(Duration::from_secs(20), pump.drained());
    drained.await.expect("drained in time").unwrap();
}

/// The keys of the records of each batch.
fn keys(events: &[Value]) -> Vec<Vec<String>> {
    let of_event = |event: &Value| {
        let records = event["Records"].as_array().unwrap().iter();
        records.map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned()).collect()
    };
    events.iter().map(of_event).collect()
}

#[tokio::test]
async fn a_restart_goes_on_from_the_kept_position_and_hands_on_again_what_was_not_answered() {
    let engine = in_memory();
    let kept = StateFile::in_memory().unwrap();
    let client = client(&engine);
    let killed = Arc::new(AtomicBool::new(true));
    let recorder = {
        let killed = Arc::clone(&killed);
        Arc::new(Recorder::answering(move |_, event| {
            let second = event["Records"][0]["dynamodb"]["Keys"]["pk"]["S"] == "b";
            if second && killed.load(Ordering::SeqCst) { Err(InvokeError::Killed) } else { Ok(json!({})) }
        }))
    };
    let first = pump(&engine, &recorder, &kept).await;
    put_kind(&client, "a", "outbox").await;
    recorder.called(1).await;
    put_kind(&client, "b", "outbox").await;
    recorder.called(2).await;
    first.stop().await;

    killed.store(false, Ordering::SeqCst);
    let second = pump(&engine, &recorder, &kept).await;
    drained(&second).await;
    assert_eq!(keys(&recorder.calls_of(FunctionName::Mail)), [["a"], ["b"], ["b"]]);
    second.stop().await;
}

#[tokio::test]
async fn a_reader_that_wants_nothing_of_what_was_written_passes_it() {
    let engine = in_memory();
    let (recorder, kept) = (Arc::new(Recorder::new()), StateFile::in_memory().unwrap());
    let pump = pump(&engine, &recorder, &kept).await;
    put_kind(&client(&engine), "a", "grant").await;
    drained(&pump).await;
    assert!(recorder.calls().is_empty());
    let end = engine.stream_end().await.unwrap();
    assert_eq!(kept.get::<Position>(COLLECTION, "mail").unwrap(), Some(end));
    pump.stop().await;
}

#[tokio::test]
async fn what_cannot_be_handed_on_becomes_a_dead_letter_and_the_rest_goes_on() {
    let engine = in_memory();
    let client = client(&engine);
    for pk in ["a", "b", "bad", "d"] {
        put_kind(&client, pk, "outbox").await;
    }
    let recorder = Arc::new(Recorder::answering(|_, event| {
        let bad = event["Records"].as_array().unwrap().iter().any(|r| r["dynamodb"]["Keys"]["pk"]["S"] == "bad");
        if bad { Err(InvokeError::Failed("it cannot read this".to_owned())) } else { Ok(json!({})) }
    }));
    let kept = StateFile::in_memory().unwrap();
    let pump = pump(&engine, &recorder, &kept).await;
    let hurry = pump.hurry();
    drained(&pump).await;
    drop(hurry);
    let answered = keys(&recorder.calls_of(FunctionName::Mail));
    assert!(answered.contains(&vec!["a".to_owned(), "b".to_owned()]));
    assert!(answered.contains(&vec!["d".to_owned()]));
    let letters = pump.dead_letters().all().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].function.as_str(), letters[0].tries), ("mail", 3));
    assert!(letters[0].error.contains("cannot read"));
    assert!(matches!(&letters[0].about, DeadLetterContent::Records { count: 1, .. }));
    assert_eq!(letters, DeadLetters::over(kept).all().unwrap(), "they are kept");
    pump.stop().await;
}
