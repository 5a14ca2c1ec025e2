//! A conditional write that took effect, with the answer that a second copy would get: its condition
//! failed. The table itself is asked for that answer, so that its reasons and items are true.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

use super::answer;
use super::upstream::UpstreamRequest;
use crate::gate::Inner;
use crate::gate::call::Call;

/// The answer to a second copy of a write that has just taken effect. `None` if the copy would succeed too,
/// since then its condition cannot fail.
///
/// The copy is sent as a transaction with one more item, a check that always fails. So it changes nothing.
pub(super) async fn read_back(gate: &Inner, call: &Call, asked: &UpstreamRequest) -> Option<Response<Bytes>> {
    let request: Value = serde_json::from_slice(&asked.body).ok()?;
    let mut items = match &*call.name.operation {
        "TransactWriteItems" => request["TransactItems"].as_array()?.clone(),
        operation => vec![json!({ operation.strip_suffix("Item")?: single(&request)? })],
    };
    let table = table_of(items.first()?)?.to_owned();
    items.push(never(gate, asked, &table).await?);
    let body = json!({ "TransactItems": items });
    let cancelled = gate.way.send(like(asked, "TransactWriteItems", &body)).await?;
    let mut cancelled: Value = serde_json::from_slice(cancelled.body()).ok()?;
    let Value::Array(mut reasons) = cancelled["CancellationReasons"].take() else {
        return None;
    };
    reasons.pop();
    if reasons.iter().all(|reason| reason["Code"] == "None") {
        return None;
    }
    if call.name.operation.starts_with("Transact") {
        return Some(answer::cancelled(call, &reasons));
    }
    let item = reasons.first().and_then(|reason| reason.get("Item"));
    Some(answer::condition_failed(call, item))
}

/// A single write as an item of a transaction.
fn single(request: &Value) -> Option<Value> {
    const KNOWN: [&str; 8] = [
        "TableName",
        "Item",
        "Key",
        "UpdateExpression",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValuesOnConditionCheckFailure",
    ];
    let known = KNOWN.iter().filter_map(|name| Some(((*name).to_owned(), request.get(name)?.clone())));
    Some(Value::Object(known.collect::<Map<_, _>>())).filter(|item| item["TableName"].is_string())
}

fn table_of(item: &Value) -> Option<&str> {
    item.as_object()?.values().next()?["TableName"].as_str()
}

/// A check that always fails: it requires an item that does not exist. The table is asked for its key
/// schema.
async fn never(gate: &Inner, asked: &UpstreamRequest, table: &str) -> Option<Value> {
    let described = like(asked, "DescribeTable", &json!({ "TableName": table }));
    let described = gate.way.send(described).await?;
    let described: Value = serde_json::from_slice(described.body()).ok()?;
    let types = described["Table"]["AttributeDefinitions"].as_array()?;
    let mut key = Map::new();
    for part in described["Table"]["KeySchema"].as_array()? {
        let name = &part["AttributeName"];
        let kind = types.iter().find(|known| known["AttributeName"] == *name)?["AttributeType"].as_str()?;
        let value = if kind == "N" { "-987654321987654321" } else { "bm9ib2R5IHdyb3RlIHRoaXM=" };
        key.insert(name.as_str()?.to_owned(), json!({ kind: value }));
    }
    let name = key.keys().next()?.clone();
    Some(json!({ "ConditionCheck": {
        "TableName": table,
        "Key": key,
        "ConditionExpression": "attribute_exists(#key)",
        "ExpressionAttributeNames": { "#key": name },
    } }))
}

/// Another request to the table, by the caller of `asked`.
fn like(asked: &UpstreamRequest, operation: &str, body: &Value) -> UpstreamRequest {
    let mut other = asked.clone();
    other.body = Bytes::from(body.to_string());
    other.headers.remove(CONTENT_LENGTH);
    if let Ok(target) = HeaderValue::from_str(&format!("DynamoDB_20120810.{operation}")) {
        other.headers.insert("x-amz-target", target);
    }
    other
}
