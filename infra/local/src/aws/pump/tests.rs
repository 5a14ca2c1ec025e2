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
async fn each_reader_is_given_its_records_in_the_shape_of_lambda() {
    let engine = in_memory();
    let (recorder, kept) = (Arc::new(Recorder::new()), StateFile::in_memory().unwrap());
    let pump = pump(&engine, &recorder, &kept).await;
    put_kind(&client(&engine), "a", "totals").await;
    drained(&pump).await;
    assert_eq!(recorder.calls_of(FunctionName::Mail), Vec::<Value>::new());
    let events = recorder.calls_of(FunctionName::ThresholdAlerts);
    let mut record = events[0]["Records"][0].clone();
    assert_eq!(record["eventID"].as_str().unwrap().len(), 32);
    let arn = record["eventSourceARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/bursar/stream/20"), "{arn}");
    let created = &record["dynamodb"]["ApproximateCreationDateTime"];
    assert!((created.as_f64().unwrap() - Timestamp::now().as_second() as f64).abs() < 60.0);
    let number = &record["dynamodb"]["SequenceNumber"];
    assert_eq!(number.as_str().unwrap().len(), 21);
    assert!(record["dynamodb"]["SizeBytes"].as_u64().unwrap() > 0);
    for name in ["eventID", "eventSourceARN"] {
        record.as_object_mut().unwrap().remove(name);
    }
    for name in ["ApproximateCreationDateTime", "SequenceNumber", "SizeBytes"] {
        record["dynamodb"].as_object_mut().unwrap().remove(name);
    }
    let image = json!({"pk": {"S": "a"}, "sk": {"S": "s"}, "kind": {"S": "totals"}});
    assert_eq!(
        record,
        json!({
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "Keys": {"pk": {"S": "a"}, "sk": {"S": "s"}},
                "NewImage": image,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        })
    );
    pump.stop().await;
}

#[tokio::test]
async fn records_come_in_order_and_in_batches_of_at_most_the_size() {
    let engine = in_memory();
    let client = client(&engine);
    for n in 0..25 {
        put_kind(&client, &format!("{n:02}"), "outbox").await;
    }
    let (recorder, kept) = (Arc::new(Recorder::new()), StateFile::in_memory().unwrap());
    let pump = pump(&engine, &recorder, &kept).await;
    drained(&pump).await;
    let batches = keys(&recorder.calls_of(FunctionName::Mail));
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert!(batches.concat().is_sorted());
    pump.stop().await;
}

#[test]
fn a_batch_is_never_larger_than_lambda_carries() {
    let record = |_| Record { position: Position::START, body: json!("x".repeat(2_500_000)) };
    let sizes: Vec<_> = batches((0..5).map(record), 10).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[tokio::test]
async fn a_reader_is_woken_at_once_when_something_is_written() {
    let engine = in_memory();
    let (recorder, kept) = (Arc::new(Recorder::new()), StateFile::in_memory().unwrap());
    let pump = pump(&engine, &recorder, &kept).await;
    let client = client(&engine);
    let mut waits = Vec::new();
    for n in 1..=9 {
        put_kind(&client, &format!("{n}"), "outbox").await;
        let begin = Instant::now();
        recorder.called(n).await;
        waits.push(begin.elapsed());
    }
    waits.sort_unstable();
    // The wait is a millisecond or two, and by the slow tick alone up to half a second. A loaded machine
    // gets some room.
    assert!(waits[4] < TICK / 4, "{waits:?}");
    pump.stop().await;
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
async fn a_position_that_is_ahead_of_the_table_goes_back_to_its_end() {
    let engine = in_memory();
    let kept = StateFile::in_memory().unwrap();
    let ahead = Position::of("100009999999999999999").unwrap();
    kept.put(COLLECTION, "mail", &ahead).unwrap();
    let recorder = Arc::new(Recorder::new());
    let pump = pump(&engine, &recorder, &kept).await;
    put_kind(&client(&engine), "a", "outbox").await;
    drained(&pump).await;
    assert_eq!(keys(&recorder.calls_of(FunctionName::Mail)), [["a"]]);
    pump.stop().await;
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
async fn a_write_that_changes_nothing_wakes_nobody_as_in_dynamodb() {
    let engine = in_memory();
    let (recorder, kept) = (Arc::new(Recorder::new()), StateFile::in_memory().unwrap());
    let pump = pump(&engine, &recorder, &kept).await;
    let client = client(&engine);
    put_kind(&client, "a", "outbox").await;
    drained(&pump).await;
    put_kind(&client, "a", "outbox").await;
    drained(&pump).await;
    assert_eq!(recorder.calls().len(), 1);
    assert_eq!(pump.changes(), 1);
    pump.stop().await;
}

#[tokio::test]
async fn a_partial_failure_is_tried_again_from_the_first_failed_record_after_a_wait_by_the_product_s_clock() {
    let engine = in_memory();
    let client = client(&engine);
    for pk in ["a", "b", "c"] {
        put_kind(&client, pk, "outbox").await;
    }
    let (kept, clock) = (StateFile::in_memory().unwrap(), standing());
    let times = Arc::new(Mutex::new(Vec::new()));
    let recorder = {
        let (clock, times) = (clock.clone(), Arc::clone(&times));
        Arc::new(Recorder::answering(move |_, event| {
            let mut times = times.lock().unwrap();
            times.push(clock.now().to_string());
            let failed = &event["Records"][1]["dynamodb"]["SequenceNumber"];
            let failures = if times.len() == 1 { json!([{"itemIdentifier": failed}]) } else { json!([]) };
            Ok(json!({"batchItemFailures": failures}))
        }))
    };
    let pump = pump_of(&engine, &recorder, &kept, &clock, readers()).await;
    recorder.called(1).await;
    clock.advance(SignedDuration::from_secs(1)).unwrap();
    drained(&pump).await;
    assert_eq!(*times.lock().unwrap(), ["2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"]);
    let batches = keys(&recorder.calls_of(FunctionName::Mail));
    assert_eq!(batches, [vec!["a", "b", "c"], vec!["b", "c"]]);
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

#[tokio::test]
async fn one_reader_that_fails_does_not_hold_up_the_other() {
    let engine = in_memory();
    let client = client(&engine);
    let recorder = Arc::new(Recorder::answering(|function, _| match function {
        FunctionName::Mail => Err(InvokeError::TimedOut),
        _ => Ok(json!({})),
    }));
    let kept = StateFile::in_memory().unwrap();
    let pump = pump(&engine, &recorder, &kept).await;
    put_kind(&client, "a", "outbox").await;
    recorder.called(1).await;
    put_kind(&client, "b", "totals").await;
    recorder.called(2).await;
    assert_eq!(keys(&recorder.calls_of(FunctionName::ThresholdAlerts)), [["b"]]);
    pump.stop().await;
}

#[tokio::test]
async fn the_stream_is_forgotten_behind_the_slowest_reader_and_nothing_undelivered_is_lost() {
    let engine = in_memory();
    let client = client(&engine);
    let kept = StateFile::in_memory().unwrap();
    let held = Arc::new(AtomicBool::new(true));
    let recorder = {
        let held = Arc::clone(&held);
        Arc::new(Recorder::answering(move |function, _| match function {
            FunctionName::Mail if held.load(Ordering::SeqCst) => Err(InvokeError::TimedOut),
            _ => Ok(json!({})),
        }))
    };
    let several = Vec::from([FunctionName::ThresholdAlerts, FunctionName::Mail].map(|function| StreamReader {
        retries: 1000,
        batch_size: 100,
        ..reader(function, "outbox")
    }));
    let clock = standing();
    let pump = pump_of(&engine, &recorder, &kept, &clock, several).await;
    for n in 0..(3 * FORGET) {
        put_kind(&client, &format!("{n:04}"), "outbox").await;
    }
    let given = |function| keys(&recorder.calls_of(function)).concat();
    let mut position = pump.0.readers[0].1.subscribe();
    let end = engine.stream_end().await.unwrap();
    position.wait_for(|position| *position >= end).await.unwrap();
    assert_eq!(first_left(&engine).await, "0000", "one reader has had none");

    held.store(false, Ordering::SeqCst);
    clock.advance(SignedDuration::from_hours(1)).unwrap();
    drained(&pump).await;
    let mut mail = given(FunctionName::Mail);
    mail.dedup();
    mail.sort_unstable();
    mail.dedup();
    assert_eq!(mail.len(), 3 * FORGET);
    assert_eq!(given(FunctionName::ThresholdAlerts).len(), 3 * FORGET);
    pump.stop().await;
    let left: usize = first_left(&engine).await.parse().unwrap();
    assert!(left >= FORGET, "the first that is left is {left}");
}

/// The key of the oldest record that is still in the engine.
async fn first_left(engine: &Engine) -> String {
    let left = engine.records_after(Position::START, 1).await.unwrap();
    left[0]["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn real_files_survive_a_restart_of_everything_with_nothing_lost_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("table.db"));
    let recorder = Arc::new(Recorder::new());
    for run in 0..3 {
        let engine = Engine::start(&place, "bursar", &schema()).unwrap();
        let kept = StateFile::open(&folder.path().join("state.db")).unwrap();
        let pump = pump(&engine, &recorder, &kept).await;
        let client = client(&engine);
        for n in 0..5 {
            put_kind(&client, &format!("{run}{n}"), "outbox").await;
        }
        drained(&pump).await;
        pump.stop().await;
        put_kind(&client, &format!("{run}5"), "outbox").await;
        engine.stop().await.unwrap();
    }
    let given = keys(&recorder.calls_of(FunctionName::Mail)).concat();
    let wanted: Vec<_> = (0..3).flat_map(|run| (0..6).map(move |n| format!("{run}{n}"))).collect();
    assert_eq!(given, wanted[..17], "the last one comes with the next start");
}
