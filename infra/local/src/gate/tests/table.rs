//! The results of each verdict for the real AWS client, with the functions' retry policy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType,
};
use bursar_core::aws::AwsAccess;

use super::*;
use crate::base::function::FunctionName;

pub(super) struct Table {
    pub(super) gate: Gate,
    /// The client through the gate, as a function.
    pub(super) client: Client,
    /// The client that bypasses the gate.
    pub(super) direct: Client,
    _instance: Instance,
}

impl Table {
    pub(super) async fn new() -> Table {
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

    pub(super) async fn has(&self, sk: &str) -> bool {
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

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn key(sk: &str) -> HashMap<String, AttributeValue> {
    [("pk".to_owned(), text("p")), ("sk".to_owned(), text(sk))].into()
}

pub(super) fn item(sk: &str, state: &str) -> HashMap<String, AttributeValue> {
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

#[tokio::test]
async fn errors_of_the_service_are_tried_again_and_at_the_end_carry_their_own_code() {
    for (text, code) in [
        ("status-500", Some("InternalServerError")),
        ("status-503", Some("ServiceUnavailableException")),
        ("status-429", Some("ThrottlingException")),
        ("throttle", Some("ProvisionedThroughputExceededException")),
        ("throttle-rate", Some("ThrottlingException")),
        ("html-502", None),
    ] {
        let table = Table::new().await;
        table.gate.at("dynamodb:PutItem", verdict(text));
        table.put("once").await.unwrap();
        assert_eq!(table.gate.count(), 2, "{text}");
        table.gate.at(Matcher::call("dynamodb:PutItem").next(4), verdict(text));
        let error = table.put("often").await.unwrap_err();
        assert_eq!(error.code(), code, "{text}");
        assert_eq!(table.gate.count(), 6, "{text}");
        assert!(!table.has("often").await, "{text}");
        if code.is_some() {
            let id = aws_sdk_dynamodb::operation::RequestId::request_id(&error).unwrap();
            assert!(id.starts_with("GATE0") && id.ends_with("06"), "{id}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_went_wrong_after_the_effect_is_unknown_to_the_client() {
    let table = Table::new().await;
    table.gate.at(Matcher::call("dynamodb:PutItem").next(4), verdict("truncated"));
    let error = table.put("cut").await.unwrap_err();
    assert!(matches!(error, SdkError::ResponseError(_)), "{error:?}");
    assert!(table.has("cut").await);

    table.gate.at(Matcher::call("dynamodb:PutItem").next(4), verdict("html-502-after"));
    let error = table.put("page").await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 502);
    assert!(table.has("page").await);

    let before = table.gate.count();
    table.gate.at("dynamodb:PutItem", verdict("html-200-after"));
    let error = table.put("fine page").await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 200);
    assert!(table.has("fine page").await);
    assert_eq!(table.gate.count(), before + 1, "what says 200 is not tried again");
}

#[tokio::test]
async fn a_single_write_meets_a_conflict_which_the_client_does_not_try_again() {
    let table = Table::new().await;
    table.gate.at("dynamodb:*", verdict("conflict"));
    assert!(table.client.get_item().table_name("bursar").set_key(Some(key("a"))).send().await.is_ok());
    let error = table.put("a").await.unwrap_err();
    assert!(error.into_service_error().is_transaction_conflict_exception());
    assert_eq!(table.gate.count(), 2);
    assert!(!table.has("a").await);
}

#[tokio::test]
async fn single_writes_are_read_back_too_and_a_real_failure_stays_what_it_was() {
    let table = Table::new().await;
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    table.gate.at("dynamodb:PutItem", verdict("condition-read-back"));
    let put = table.client.put_item().table_name("bursar").set_item(Some(item("a", "new")));
    let put = put.condition_expression("attribute_not_exists(pk)");
    let error = put.return_values_on_condition_check_failure(all_old).send().await.unwrap_err();
    let PutItemError::ConditionalCheckFailedException(failed) = error.into_service_error() else {
        panic!("not a failed condition");
    };
    assert_eq!(failed.item().unwrap(), &item("a", "new"));
    assert!(table.has("a").await);

    table.gate.at("dynamodb:DeleteItem", verdict("condition-read-back"));
    let delete = table.client.delete_item().table_name("bursar").set_key(Some(key("a")));
    let error = delete.condition_expression("attribute_exists(pk)").send().await.unwrap_err();
    assert_eq!(error.code(), Some("ConditionalCheckFailedException"));
    assert!(!table.has("a").await);

    table.gate.at("dynamodb:PutItem", verdict("condition-read-back"));
    table.put("without a condition").await.unwrap();
    table.put_if_absent("b").await.unwrap_err();
    assert!(table.has("b").await, "the rule waited for a write with a condition");

    table.gate.at("dynamodb:PutItem", verdict("condition-read-back"));
    table.put_if_absent("b").await.unwrap_err();
    assert_eq!(table.gate.calls().last().unwrap().effect, Some(400), "it failed by itself");

    table.gate.at("dynamodb:UpdateItem", verdict("condition-read-back"));
    let update = table.client.update_item().table_name("bursar").set_key(Some(key("b")));
    let update = update.update_expression("SET n = :n").expression_attribute_values(":n", text("1"));
    let update = update.condition_expression("attribute_exists(pk)").send().await;
    assert!(update.is_ok(), "a second copy would succeed, so nobody is told that it failed");
}

#[tokio::test]
async fn what_the_table_bills_a_call_with_is_recorded_once_it_is_asked_for() {
    let table = Table::new().await;
    table.put("before").await.unwrap();
    table.gate.count_units();
    table.put("one").await.unwrap();
    let mut large = item("two", "new");
    large.insert("text".to_owned(), text(&"x".repeat(1_500)));
    table.client.put_item().table_name("bursar").set_item(Some(large)).send().await.unwrap();
    table.client.get_item().table_name("bursar").set_key(Some(key("two"))).send().await.unwrap();
    let units: Vec<_> = table.gate.calls().iter().map(|recorded| recorded.units).collect();
    assert_eq!(units, [None, Some(1.0), Some(2.0), Some(0.5)]);
}
