//! The template's schema in DynamoDB's terms: to create a table, and to find where an existing one differs.

use serde_json::{Value, json};

use crate::aws::template::{Index, Keys, TableSchema};

const BOTH_IMAGES: &str = "NEW_AND_OLD_IMAGES";

/// The body of `CreateTable`.
pub(super) fn create_table(table: &str, schema: &TableSchema) -> Value {
    let attributes = schema.attributes.iter();
    let mut request = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes.map(|(name, of)| json!({"AttributeName": name, "AttributeType": of})).collect::<Value>(),
        "KeySchema": key_schema(&schema.keys),
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": BOTH_IMAGES},
    });
    // An empty list is refused.
    if !schema.indexes.is_empty() {
        let indexes = schema.indexes.iter().map(|(name, index)| {
            let mut projection = json!({"ProjectionType": index.projection});
            if !index.included.is_empty() {
                projection["NonKeyAttributes"] = json!(index.included);
            }
            json!({"IndexName": name, "KeySchema": key_schema(&index.keys), "Projection": projection})
        });
        request["GlobalSecondaryIndexes"] = indexes.collect();
    }
    request
}

/// The body of `UpdateTimeToLive`.
pub(super) fn update_time_to_live(table: &str, schema: &TableSchema) -> Value {
    json!({
        "TableName": table,
        "TimeToLiveSpecification": {"AttributeName": schema.ttl, "Enabled": true},
    })
}

/// The first part in which an existing table differs from the template.
pub(super) fn difference(described: &Value, ttl: Option<&str>, wanted: &TableSchema) -> Option<&'static str> {
    let attribute = |attribute: &Value| (text(attribute, "AttributeName"), text(attribute, "AttributeType"));
    let found = TableSchema {
        attributes: list(described, "AttributeDefinitions").map(attribute).collect(),
        keys: keys(described),
        indexes: list(described, "GlobalSecondaryIndexes").map(index).collect(),
        ttl: ttl.unwrap_or_default().to_owned(),
    };
    let stream = &described["StreamSpecification"];
    let streams = stream["StreamEnabled"] == true && stream["StreamViewType"] == BOTH_IMAGES;
    let parts = [
        ("attributes", found.attributes == wanted.attributes),
        ("keys", found.keys == wanted.keys),
        ("indexes", found.indexes == wanted.indexes),
        ("time to live", found.ttl == wanted.ttl),
        ("stream", streams),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part)
}

fn key_schema(keys: &Keys) -> Value {
    let hash = json!({"AttributeName": keys.hash, "KeyType": "HASH"});
    let range = keys.range.iter().map(|range| json!({"AttributeName": range, "KeyType": "RANGE"}));
    std::iter::once(hash).chain(range).collect()
}

fn keys(of: &Value) -> Keys {
    let of_type = |key_type| {
        let key = list(of, "KeySchema").find(|key| key["KeyType"] == key_type);
        key.map(|key| text(key, "AttributeName"))
    };
    Keys { hash: of_type("HASH").unwrap_or_default(), range: of_type("RANGE") }
}

fn index(index: &Value) -> (String, Index) {
    let projection = &index["Projection"];
    let included = list(projection, "NonKeyAttributes").filter_map(|name| name.as_str().map(str::to_owned));
    let read =
        Index { keys: keys(index), projection: text(projection, "ProjectionType"), included: included.collect() };
    (text(index, "IndexName"), read)
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}
