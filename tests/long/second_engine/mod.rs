//! The behaviour of DynamoDB on which the product relies, asked of an engine by other authors. The
//! suite runs on the embedded one; `cargo xtask long second-engine` names the other.

mod reading;
mod transactions;

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use bursar_core::store::items::Item;
use bursar_tests::invariants::RawTable;

/// A fresh table with the template's schema, on the engine under test.
async fn fresh() -> RawTable {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    // A second engine may outlive a test process, so each name is used once.
    let name = format!(
        "bursar-{}-{}",
        std::process::id(),
        MADE.fetch_add(1, Ordering::Relaxed)
    );
    let table = RawTable::at(&endpoint(), &name);
    create(&table).await;
    table
}

/// The item by a strongly consistent read.
async fn get(table: &RawTable, pk: &str, sk: &str) -> Option<Item> {
    let request = table
        .client
        .get_item()
        .table_name(&table.name)
        .set_key(Some(key(pk, sk)));
    request.consistent_read(true).send().await.unwrap().item
}

/// The address of the engine under test.
fn endpoint() -> String {
    std::env::var("BURSAR_TEST_DYNAMODB").expect("use cargo xtask long")
}

async fn create(table: &RawTable) {
    let string = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("queue", KeyType::Hash))
        .key_schema(key("due", KeyType::Range))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
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
    keys.into_iter()
        .chain(attributes)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
