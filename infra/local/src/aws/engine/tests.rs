//! The engine as the bundle uses it: kept, damaged, refused, trimmed.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;

use super::*;
use crate::aws::template::Template;

const TABLE: &str = "bursar";

pub(crate) fn schema() -> TableSchema {
    Template::bundled().unwrap().table.clone()
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

fn refusal(path: &Path) -> String {
    let before = fs::read(path).ok();
    let refused = Engine::start(&Place::File(path.to_owned()), TABLE, &schema()).err().unwrap();
    assert_eq!(fs::read(path).ok(), before, "the file is as it was");
    let message = format!("{refused:#}");
    assert!(message.contains("table.db") && message.contains("--data"), "{message}");
    message
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
