//! The results of each verdict for the real AWS client, with the functions' retry policy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use bursar_core::aws::AwsAccess;

use super::*;
use crate::base::function::FunctionName;

struct Table {
    gate: Gate,
    /// The client through the gate, as a function.
    client: Client,
    /// The client that bypasses the gate.
    direct: Client,
    _instance: Instance,
}

impl Table {
    async fn new() -> Table {
        let engine = engine().await;
        let gate = gate_before(&engine).await;
        let instance = gate.instance(FunctionName::Claim);
        let direct = client(&engine);
        let part = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            definition.build().unwrap()
        };
        let key = |name: &str, kind: KeyType| {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            key.build().unwrap()
        };
        direct
            .create_table()
            .table_name("bursar")
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(part("pk"))
            .attribute_definitions(part("sk"))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .send()
            .await
            .unwrap();
        // The SDK has one retry budget for all clients of a region, and other tests use theirs up.
        static REGION: AtomicU32 = AtomicU32::new(0);
        let region = format!("test-{}", REGION.fetch_add(1, Ordering::Relaxed));
        let client = AwsAccess::under(&instance.base(), &region, plain_http()).dynamodb();
        Table { gate, client, direct, _instance: instance }
    }

    async fn put(&self, sk: &str) -> Result<PutItemOutput, SdkError<PutItemError>> {
        self.client.put_item().table_name("bursar").set_item(Some(item(sk, "new"))).send().await
    }

    async fn put_if_absent(&self, sk: &str) -> Result<PutItemOutput, SdkError<PutItemError>> {
        let put = self.client.put_item().table_name("bursar").set_item(Some(item(sk, "new")));
        put.condition_expression("attribute_not_exists(pk)").send().await
    }

    async fn has(&self, sk: &str) -> bool {
        let got = self.direct.get_item().table_name("bursar").set_key(Some(key(sk))).send().await;
        got.unwrap().item.is_some()
    }

    /// The verdict and the function's status, of each call so far.
    fn told(&self) -> Vec<(String, Option<u16>)> {
        let calls = self.gate.calls();
        calls.iter().map(|recorded| (recorded.verdict.as_ref().unwrap().to_string(), recorded.told)).collect()
    }
}

fn client(base: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("eu-central-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("a", "b", None, None, "test"))
        .http_client(plain_http())
        .endpoint_url(base)
        .build();
    Client::from_conf(config)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key(sk: &str) -> HashMap<String, AttributeValue> {
    [("pk".to_owned(), text("p")), ("sk".to_owned(), text(sk))].into()
}

fn item(sk: &str, state: &str) -> HashMap<String, AttributeValue> {
    let mut item = key(sk);
    item.insert("state".to_owned(), text(state));
    item
}

#[tokio::test]
async fn a_call_that_fails_before_its_effect_is_tried_four_times_and_never_happened() {
    let table = Table::new().await;
    table.gate.at("dynamodb:PutItem", verdict("fail-before"));
    table.put("once").await.unwrap();
    assert_eq!(table.told(), [("fail-before".to_owned(), None), ("pass".to_owned(), Some(200))]);

    table.gate.at(Matcher::call("dynamodb:PutItem").next(4), verdict("fail-before"));
    let error = table.put("often").await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(table.gate.count(), 6, "no fifth try");
    assert!(!table.has("often").await);
    assert_eq!(table.gate.unfired(), [""; 0]);
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect_and_the_retry_reads_its_own_write_back() {
    let table = Table::new().await;
    table.gate.at("dynamodb:PutItem", verdict("lose-answer"));
    let error = table.put_if_absent("a").await.unwrap_err();
    assert_eq!(error.code(), Some("ConditionalCheckFailedException"));
    let calls = table.gate.calls();
    assert_eq!((calls[0].effect, calls[0].told), (Some(200), None));
    assert_eq!((calls[1].effect, calls[1].told), (Some(400), Some(400)));

    table.gate.at(Matcher::call("dynamodb:PutItem").next(4), verdict("lose-answer"));
    let error = table.put("b").await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert!(table.has("b").await);
}
