//! The behaviour of DynamoDB that the product relies on, checked against two independent engines: the embedded
//! one by default, or the one at `BURSAR_TEST_DYNAMODB`, which `cargo xtask long second-engine` sets.

mod reading;
mod transactions;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use bursar_core::store::items::Item;
use bursar_local::engine::{Engine, Place};
use bursar_local::serve::serve;
use bursar_tests::invariants::RawTable;

/// A fresh table with the template's schema, on the engine under test.
async fn fresh() -> RawTable {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    // A second engine may outlive a test process, so each name is used once.
    let name = format!("bursar-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let table = RawTable::at(endpoint(), &name);
    create(&table).await;
    table
}

/// The item by a strongly consistent read.
async fn get(table: &RawTable, pk: &str, sk: &str) -> Option<Item> {
    let request = table.client.get_item().table_name(&table.name).set_key(Some(key(pk, sk)));
    request.consistent_read(true).send().await.unwrap().item
}

/// The address of the engine under test.
fn endpoint() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| std::env::var("BURSAR_TEST_DYNAMODB").unwrap_or_else(|_| embedded()))
}

/// Starts the embedded engine in memory, with a runtime of its own that outlives each test's.
fn embedded() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let engine = Engine::start(&Place::Memory, "unused").unwrap();
            serve(listener, engine.router(), std::future::pending()).await;
        });
    });
    endpoint
}

async fn create(table: &RawTable) {
    let string = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("queue", KeyType::Hash))
        .key_schema(key("due", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .unwrap();
    table
        .client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(["pk", "sk", "queue", "due"].map(string).to_vec()))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(due)
        .send()
        .await
        .unwrap();
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl std::fmt::Display + Copy) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn key(pk: &str, sk: &str) -> Item {
    item(pk, sk, [])
}

fn item<const N: usize>(pk: &str, sk: &str, attributes: [(&str, AttributeValue); N]) -> Item {
    let keys = [("pk", s(pk)), ("sk", s(sk))];
    keys.into_iter().chain(attributes).map(|(name, value)| (name.to_owned(), value)).collect()
}
