//! The engine as the bundle uses it: kept, damaged, refused, trimmed.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::*;
use crate::aws::template::Template;

const TABLE: &str = "bursar";

pub(crate) fn schema() -> TableSchema {
    Template::bundled().unwrap().table
}

pub(crate) fn in_memory() -> Engine {
    Engine::start(&Place::Memory, TABLE, &schema()).unwrap()
}

pub(crate) fn client(engine: &Engine) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(engine.origin())
        .build();
    Client::from_conf(config)
}

pub(crate) async fn put(client: &Client, pk: &str, attributes: &[(&str, &str)]) {
    let attributes = [("pk", pk), ("sk", "s")].into_iter().chain(attributes.iter().copied());
    let item = attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
    let put = client.put_item().table_name(TABLE).set_item(Some(item.collect()));
    put.send().await.unwrap();
}

fn position_of(record: &Value) -> Position {
    Position::of(record["dynamodb"]["SequenceNumber"].as_str().unwrap()).unwrap()
}

fn keys_of(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap()).collect()
}

fn refusal(path: &Path) -> String {
    let before = fs::read(path).ok();
    let refused = Engine::start(&Place::File(path.to_owned()), TABLE, &schema()).err().unwrap();
    assert_eq!(fs::read(path).ok(), before, "the file is as it was");
    let message = format!("{refused:#}");
    assert!(message.contains("table.db") && message.contains("--data"), "{message}");
    message
}

#[tokio::test]
async fn the_table_is_as_the_template_says_and_speaks_the_protocol_of_the_sdk() {
    let engine = in_memory();
    let client = client(&engine);
    let described = client.describe_table().table_name(TABLE).send().await.unwrap();
    let table = described.table().unwrap();
    assert_eq!(table.global_secondary_indexes()[0].index_name(), Some("due"));
    let stream = table.stream_specification().unwrap();
    assert!(stream.stream_enabled());
    assert_eq!(stream.stream_view_type().unwrap().as_str(), "NEW_AND_OLD_IMAGES");
    let ttl = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("ttl"));

    put(&client, "O#1", &[("queue", "urgent"), ("due", "2026-11-20")]).await;
    put(&client, "O#2", &[]).await;
    let due = client
        .query()
        .table_name(TABLE)
        .index_name("due")
        .key_condition_expression("queue = :q")
        .expression_attribute_values(":q", AttributeValue::S("urgent".into()));
    assert_eq!(due.send().await.unwrap().count(), 1);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_the_log_is_folded_in_when_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("table.db"));
    let engine = Engine::start(&place, TABLE, &schema()).unwrap();
    put(&client(&engine), "a", &[]).await;
    engine.stop().await.unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["table.db"]);

    let engine = Engine::start(&place, TABLE, &schema()).unwrap();
    let got = client(&engine)
        .get_item()
        .table_name(TABLE)
        .key("pk", AttributeValue::S("a".into()))
        .key("sk", AttributeValue::S("s".into()));
    assert!(got.send().await.unwrap().item().is_some());
    engine.stop().await.unwrap();
    assert!(engine.stream_end().await.is_err(), "a stopped engine answers nothing");
}

#[tokio::test]
async fn what_a_kill_left_in_the_log_is_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(&Place::File(folder.path().join("table.db")), TABLE, &schema()).unwrap();
    put(&client(&engine), "a", &[]).await;
    // The files that a killed process would leave behind.
    let killed = tempfile::tempdir().unwrap();
    for name in ["table.db", "table.db-wal"] {
        fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    engine.stop().await.unwrap();

    let engine = Engine::start(&Place::File(killed.path().join("table.db")), TABLE, &schema()).unwrap();
    let records = engine.records_after(Position::START, 10).await.unwrap();
    assert_eq!(keys_of(&records), ["a"]);
    engine.stop().await.unwrap();
}

#[test]
fn a_table_of_another_schema_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.db");
    let mut other = schema();
    other.indexes.clear();
    other.attributes.retain(|name, _| name == "pk" || name == "sk");
    make_file(&path, TABLE, &other).unwrap();
    assert!(refusal(&path).contains("other attributes"));

    fs::remove_file(&path).unwrap();
    let mut other = schema();
    other.ttl = "expires".to_owned();
    make_file(&path, TABLE, &other).unwrap();
    assert!(refusal(&path).contains("other time to live"));

    fs::remove_file(&path).unwrap();
    let mut other = schema();
    other.indexes.get_mut("due").unwrap().projection = "ALL".to_owned();
    make_file(&path, TABLE, &other).unwrap();
    assert!(refusal(&path).contains("other indexes"));

    fs::remove_file(&path).unwrap();
    make_file(&path, "another", &schema()).unwrap();
    assert!(refusal(&path).contains("no table bursar"));
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_named_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.db");
    fs::write(&path, "a letter to my grandmother, and not a short one at that").unwrap();
    refusal(&path);
    fs::write(&path, "").unwrap();
    refusal(&path);
    fs::remove_file(&path).unwrap();

    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    drop(foreign);
    refusal(&path);
    fs::remove_file(&path).unwrap();

    let engine = Engine::start(&Place::File(path.clone()), TABLE, &schema()).unwrap();
    let client = client(&engine);
    for n in 0..100 {
        put(&client, &format!("p{n}"), &[("text", &"x".repeat(1000))]).await;
    }
    engine.stop().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xAA);
    fs::write(&path, &bytes).unwrap();
    refusal(&path);

    fs::write(&path, &bytes[..middle]).unwrap();
    refusal(&path);
}

#[tokio::test]
async fn the_log_of_a_damaged_file_is_not_folded_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(&Place::File(folder.path().join("table.db")), TABLE, &schema()).unwrap();
    for n in 0..20 {
        put(&client(&engine), &format!("p{n}"), &[("text", &"x".repeat(1000))]).await;
    }
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("table.db");
    let mut bytes = fs::read(folder.path().join("table.db")).unwrap();
    bytes[4096..].fill(0xAA);
    fs::write(&path, &bytes).unwrap();
    let log = fs::read(folder.path().join("table.db-wal")).unwrap();
    fs::write(copy.path().join("table.db-wal"), &log).unwrap();
    engine.stop().await.unwrap();

    refusal(&path);
    assert_eq!(fs::read(copy.path().join("table.db-wal")).unwrap(), log);
}

#[test]
fn a_log_without_its_file_is_not_folded_into_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.db-wal"), "frames").unwrap();
    let message = refusal(&folder.path().join("table.db"));
    assert!(message.contains("table.db-wal"), "{message}");
    assert!(!folder.path().join("table.db").exists());
}

#[test]
fn a_table_whose_making_was_killed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.db.new"), "half of it").unwrap();
    fs::write(folder.path().join("table.db.new-wal"), "and its log").unwrap();
    let path = folder.path().join("table.db");
    drop(open_file(&path, TABLE, &schema()).unwrap());
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["table.db"]);
}

#[tokio::test]
async fn records_come_in_order_and_from_after_the_position_asked_for() {
    let engine = in_memory();
    let client = client(&engine);
    for pk in ["a", "b", "c"] {
        put(&client, pk, &[]).await;
    }
    put(&client, "a", &[("text", "changed")]).await;
    let all = engine.records_after(Position::START, 10).await.unwrap();
    assert_eq!(keys_of(&all), ["a", "b", "c", "a"]);
    assert_eq!(all[3]["eventName"], "MODIFY");
    assert_eq!(all[3]["dynamodb"]["OldImage"]["text"], Value::Null);
    assert_eq!(all[3]["dynamodb"]["NewImage"]["text"]["S"], "changed");
    assert_eq!(position_of(&all[3]), engine.stream_end().await.unwrap());
    assert_eq!(position_of(&all[0]).to_string(), all[0]["dynamodb"]["SequenceNumber"].as_str().unwrap());

    let two = engine.records_after(position_of(&all[1]), 1).await.unwrap();
    assert_eq!(keys_of(&two), ["c"]);
    assert!(engine.records_after(position_of(&all[3]), 10).await.unwrap().is_empty());
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn trimming_forgets_what_is_before_a_position_and_never_numbers_a_record_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("table.db"));
    let engine = Engine::start(&place, TABLE, &schema()).unwrap();
    for pk in ["a", "b", "c"] {
        put(&client(&engine), pk, &[]).await;
    }
    let all = engine.records_after(Position::START, 10).await.unwrap();
    assert_eq!(engine.trim(position_of(&all[1])).await.unwrap(), 1);
    let left = engine.records_after(position_of(&all[1]), 10).await.unwrap();
    assert_eq!(keys_of(&left), ["c"]);

    let end = engine.stream_end().await.unwrap();
    engine.trim(end).await.unwrap();
    assert_eq!(engine.stream_end().await.unwrap(), end, "the last record stays");
    engine.stop().await.unwrap();
    let engine = Engine::start(&place, TABLE, &schema()).unwrap();
    put(&client(&engine), "d", &[]).await;
    assert!(engine.stream_end().await.unwrap() > end);
    assert_eq!(keys_of(&engine.records_after(end, 10).await.unwrap()), ["d"]);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_stream_is_forgotten_to_its_end() {
    let engine = in_memory();
    let database = lock(&engine.0.database).clone().unwrap();
    for n in 0..1001 {
        let item = json!({"TableName": TABLE, "Item": {"pk": {"S": n.to_string()}, "sk": {"S": "s"}}});
        database.put_item(serde_json::from_value(item).unwrap()).unwrap();
    }
    assert_eq!(engine.trim(engine.stream_end().await.unwrap()).await.unwrap(), 1000);
    assert_eq!(engine.records_after(Position::START, 10).await.unwrap().len(), 1);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn the_folder_does_not_grow_when_the_stream_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(&Place::File(folder.path().join("table.db")), TABLE, &schema()).unwrap();
    let client = client(&engine);
    let mut sizes = Vec::new();
    for _ in 0..8 {
        for n in 0..50 {
            put(&client, "one", &[("text", &format!("{n}{}", "x".repeat(16_000)))]).await;
        }
        engine.trim(engine.stream_end().await.unwrap()).await.unwrap();
        let files = fs::read_dir(folder.path()).unwrap();
        sizes.push(files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>());
    }
    // A round writes more than a megabyte of records. The space of one round and of the log is reused by
    // the next.
    let (early, late) = (sizes[2], sizes[7]);
    assert!(late < early + 1_000_000, "{sizes:?}");
    engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimming_while_others_write_fails_no_write_and_loses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    for place in [Place::File(folder.path().join("table.db")), Place::Memory] {
        let engine = Engine::start(&place, TABLE, &schema()).unwrap();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let client = client(&engine);
                tokio::spawn(async move {
                    for n in 0..100 {
                        put(&client, &format!("{writer}"), &[("n", &format!("{n}"))]).await;
                    }
                })
            })
            .collect();
        let mut position = Position::START;
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while seen.values().map(Vec::len).sum::<usize>() < 400 {
            for record in engine.records_after(position, 7).await.unwrap() {
                position = position_of(&record);
                let image = &record["dynamodb"]["NewImage"];
                let writer = seen.entry(image["pk"]["S"].to_string()).or_default();
                writer.push(image["n"]["S"].as_str().unwrap().to_owned());
            }
            engine.trim(position).await.unwrap();
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let wanted: Vec<String> = (0..100).map(|n: i32| n.to_string()).collect();
        assert!(seen.values().all(|numbers| *numbers == wanted), "{seen:?}");
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_listens_is_told_of_a_write_by_anybody() {
    let engine = in_memory();
    let client = client(&engine);
    let mut changes = engine.changes();
    for pk in ["a", "b"] {
        changes.mark_unchanged();
        put(&client, pk, &[]).await;
        let told = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
        told.expect("told in time").unwrap();
    }
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn the_sweep_deletes_what_ran_out_but_not_while_the_product_lives_in_the_past() {
    let engine = in_memory();
    let item = [
        ("pk", AttributeValue::S("S#1".into())),
        ("sk", AttributeValue::S("s".into())),
        ("ttl", AttributeValue::N("1700000000".into())),
    ];
    let item = item.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    client(&engine).put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    let past = Timestamp::now() - SignedDuration::from_hours(24);
    assert_eq!(engine.sweep(past).await.unwrap(), 0);
    let mut changes = engine.changes();
    changes.mark_unchanged();
    assert_eq!(engine.sweep(Timestamp::now()).await.unwrap(), 1);
    assert!(changes.has_changed().unwrap());
    let records = engine.records_after(Position::START, 10).await.unwrap();
    assert_eq!(records[1]["eventName"], "REMOVE");
    assert_eq!(records[1]["userIdentity"]["principalId"], "dynamodb.amazonaws.com");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn many_engines_live_in_one_process_without_sharing_anything() {
    let (one, other) = (in_memory(), in_memory());
    put(&client(&one), "a", &[]).await;
    assert_ne!(one.stream_end().await.unwrap(), Position::START);
    assert_eq!(other.stream_end().await.unwrap(), Position::START);
    one.stop().await.unwrap();
    put(&client(&other), "b", &[]).await;
    other.stop().await.unwrap();
}
