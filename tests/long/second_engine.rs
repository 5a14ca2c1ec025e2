//! The behaviour of DynamoDB that the product relies on, checked against two independent engines: the embedded
//! one by default, or the one at `BURSAR_TEST_DYNAMODB`, which `cargo xtask long second-engine` sets.

mod conditions;
mod reading;
mod transactions;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use bursar_local::engine::{Engine, Place};
use bursar_local::serve::serve;

type Item = HashMap<String, AttributeValue>;

/// A fresh table with the template's schema, on the engine under test.
struct Table {
    client: Client,
    name: String,
}

impl Table {
    async fn fresh() -> Table {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let client = client(endpoint());
        // A second engine may outlive a test process, so each name is used once.
        let name = format!("bursar-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        create(&client, &name).await;
        Table { client, name }
    }

    /// Puts an item without a condition.
    async fn put(&self, item: Item) {
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.unwrap();
    }

    /// The item by a strongly consistent read.
    async fn get(&self, pk: &str, sk: &str) -> Option<Item> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key(pk, sk)));
        request.consistent_read(true).send().await.unwrap().item
    }
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

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn create(client: &Client, name: &str) {
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
    client
        .create_table()
        .table_name(name)
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
