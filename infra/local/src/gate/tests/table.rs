//! What the real client of AWS makes of each verdict, with the policy of retries that the functions have.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, CancellationReason, ConditionCheck, Delete, KeySchemaElement,
    KeyType, Put, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem, Update,
};
use bursar_core::aws::AwsAccess;

use super::*;
use crate::invoke::FunctionName;

struct Table {
    gate: Gate,
    /// Through the gate, as a function.
    client: Client,
    /// Past the gate.
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
            let definition = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S);
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
        let client = AwsAccess::under(&instance.base(), "eu-central-1", plain_http()).dynamodb();
        Table {
            gate,
            client,
            direct,
            _instance: instance,
        }
    }

    async fn put(&self, sk: &str) -> Result<PutItemOutput, SdkError<PutItemError>> {
        self.client
            .put_item()
            .table_name("bursar")
            .set_item(Some(item(sk, "new")))
            .send()
            .await
    }

    async fn put_if_absent(&self, sk: &str) -> Result<PutItemOutput, SdkError<PutItemError>> {
        let put = self
            .client
            .put_item()
            .table_name("bursar")
            .set_item(Some(item(sk, "new")));
        put.condition_expression("attribute_not_exists(pk)").send().await
    }

    async fn has(&self, sk: &str) -> bool {
        let got = self
            .direct
            .get_item()
            .table_name("bursar")
            .set_key(Some(key(sk)))
            .send()
            .await;
        got.unwrap().item.is_some()
    }

    /// The verdict and what the function was told, of each call so far.
    fn told(&self) -> Vec<(String, Option<u16>)> {
        let calls = self.gate.calls();
        calls
            .iter()
            .map(|recorded| (recorded.verdict.as_ref().unwrap().to_string(), recorded.told))
            .collect()
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

fn codes(reasons: &[CancellationReason]) -> Vec<&str> {
    reasons.iter().filter_map(CancellationReason::code).collect()
}

#[tokio::test]
async fn probe() {
    for (text, times) in [
        ("fail-before", 1),
        ("fail-before", 4),
        ("lose-answer", 4),
        ("status-429", 1),
        ("status-429", 4),
        ("status-500", 1),
        ("status-500", 4),
        ("status-503-retry-1", 1),
        ("html-502", 4),
        ("html-200-after", 1),
        ("truncated", 1),
        ("truncated", 4),
        ("throttle", 1),
        ("throttle", 4),
        ("throttle-rate", 4),
        ("conflict", 1),
        ("condition-read-back", 1),
    ] {
        let table = Table::new().await;
        table
            .gate
            .at(Matcher::call("dynamodb:PutItem").next(times), verdict(text));
        let begun = std::time::Instant::now();
        let result = table.put_if_absent("a").await;
        let short = match &result {
            Ok(_) => "ok".to_owned(),
            Err(e) => format!(
                "{:?} {:?} {}",
                e.code(),
                e.meta().message(),
                format!("{e:?}").chars().take(60).collect::<String>()
            ),
        };
        println!(
            "{text} x{times}: {short} {:?} has={} {:?}",
            begun.elapsed(),
            table.has("a").await,
            table.gate.unfired()
        );
        println!("{}", table.gate.transcript());
    }
}
