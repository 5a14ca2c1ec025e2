//! The stream: its records, their order, and the position from which a reader may continue. Its API is called
//! here by hand.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{Table, item, key, n, s};

#[tokio::test]
async fn the_stream_tells_inserts_changes_and_removals_with_their_images_in_order() {
    let table = Table::fresh().await;
    table.put(item("O#1", "O", [("kind", s("outbox")), ("state", s("waiting")), ("tries", n(0))])).await;
    update(&table, "sent").await;
    table.client.delete_item().table_name(&table.name).set_key(Some(key("O#1", "O"))).send().await.unwrap();

    let records = Stream::of(&table).await.records(None).await;

    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
    let row = |state: &str, tries: &str| {
        let keys = json!({"pk": {"S": "O#1"}, "sk": {"S": "O"}, "kind": {"S": "outbox"}});
        let mut image = keys.as_object().unwrap().clone();
        image.insert("state".to_owned(), json!({"S": state}));
        image.insert("tries".to_owned(), json!({"N": tries}));
        Value::Object(image)
    };
    let (waiting, sent) = (row("waiting", "0"), row("sent", "1"));
    let images: Vec<_> = records.iter().map(|record| (image(record, "OldImage"), image(record, "NewImage"))).collect();
    assert_eq!(images, [(None, Some(&waiting)), (Some(&waiting), Some(&sent)), (Some(&sent), None)]);
    for record in &records {
        assert_eq!(record["dynamodb"]["Keys"], json!({"pk": {"S": "O#1"}, "sk": {"S": "O"}}));
        assert_eq!(record["eventSource"], "aws:dynamodb");
        assert!(record["eventID"].is_string());
    }
    let numbers = sequence(&records);
    assert!(numbers.is_sorted() && numbers[0] < numbers[2], "{numbers:?}");
}

#[tokio::test]
async fn a_reader_goes_on_after_the_last_record_it_has_dealt_with() {
    let table = Table::fresh().await;
    for row in 0..5 {
        table.put(item(&format!("O#{row}"), "O", [])).await;
    }
    let stream = Stream::of(&table).await;
    let all = stream.records(None).await;
    assert_eq!(all.len(), 5);

    let rest = stream.records(all[2]["dynamodb"]["SequenceNumber"].as_str()).await;

    assert_eq!(sequence(&rest), sequence(&all[3..]));
}

#[tokio::test]
async fn a_refused_write_leaves_no_record_and_a_transaction_one_for_each_part() {
    let table = Table::fresh().await;
    let put = |pk: &str| {
        let put = aws_sdk_dynamodb::types::Put::builder().table_name(&table.name).set_item(Some(key(pk, "Z")));
        let put = put.condition_expression("attribute_not_exists(pk)").build().unwrap();
        aws_sdk_dynamodb::types::TransactWriteItem::builder().put(put).build()
    };
    let write = |parts: Vec<_>| table.client.transact_write_items().set_transact_items(Some(parts)).send();

    write(vec![put("a"), put("b")]).await.unwrap();
    assert!(write(vec![put("c"), put("a")]).await.is_err());

    let records = Stream::of(&table).await.records(None).await;
    let mut keys: Vec<_> =
        records.iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b"]);
}

async fn update(table: &Table, state: &str) {
    table
        .client
        .update_item()
        .table_name(&table.name)
        .set_key(Some(key("O#1", "O")))
        .update_expression("SET #state = :state ADD tries :one")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":state", AttributeValue::S(state.to_owned()))
        .expression_attribute_values(":one", n(1))
        .send()
        .await
        .unwrap();
}

fn image<'a>(record: &'a Value, which: &str) -> Option<&'a Value> {
    record["dynamodb"].get(which).filter(|image| !image.is_null())
}

/// Sequence numbers with their lengths, for sorting: they are decimals of any length, and shorter ones come
/// first.
fn sequence(records: &[Value]) -> Vec<(usize, &str)> {
    let numbers = records.iter().map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap());
    numbers.map(|number| (number.len(), number)).collect()
}

struct Stream {
    http: reqwest::Client,
    endpoint: String,
    arn: String,
}

impl Stream {
    async fn of(table: &Table) -> Stream {
        let described = table.client.describe_table().table_name(&table.name).send().await.unwrap();
        let arn = described.table.unwrap().latest_stream_arn.unwrap();
        Stream { http: reqwest::Client::new(), endpoint: table.endpoint.clone(), arn }
    }

    /// All records of all shards, after the given one or from the beginning.
    async fn records(&self, after: Option<&str>) -> Vec<Value> {
        let described = self.call("DescribeStream", json!({"StreamArn": self.arn})).await;
        let mut records = Vec::new();
        for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
            let start = match after {
                Some(number) => json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}),
                None => json!({"ShardIteratorType": "TRIM_HORIZON"}),
            };
            let mut request = json!({"StreamArn": self.arn, "ShardId": shard["ShardId"]});
            request.as_object_mut().unwrap().extend(start.as_object().unwrap().clone());
            let mut iterator = self.call("GetShardIterator", request).await["ShardIterator"].clone();
            // An open shard always has a next iterator: an empty answer means that there are no more records for
            // now.
            while iterator.is_string() {
                let answer = self.call("GetRecords", json!({"ShardIterator": iterator, "Limit": 2})).await;
                let page = answer["Records"].as_array().unwrap();
                if page.is_empty() {
                    break;
                }
                records.extend(page.iter().cloned());
                iterator = answer["NextShardIterator"].clone();
            }
        }
        records
    }

    async fn call(&self, operation: &str, request: Value) -> Value {
        let answer = self
            .http
            .post(&self.endpoint)
            .header("x-amz-target", format!("DynamoDBStreams_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", AUTHORIZATION)
            .header("x-amz-date", "20261120T080000Z")
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{operation}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// A well-formed signature. Neither engine verifies it, but both require one.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host;x-amz-date;x-amz-target, Signature=0000000000000000000000000000000000000000000000000000000000000000";
