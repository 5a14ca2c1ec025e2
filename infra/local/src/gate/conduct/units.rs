//! What the table bills a call with: it says so in its answer to a request that asks for it.

use bytes::Bytes;
use serde_json::Value;

use super::UpstreamRequest;

/// The request with the question. Functions overlook what the answer has more.
pub(super) fn asked_for(mut asked: UpstreamRequest) -> UpstreamRequest {
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(&asked.body) {
        body.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
        asked.body = Value::Object(body).to_string().into();
    }
    asked
}

/// The request units of an answer, those of indexes among them. A transaction has them for each table.
pub(super) fn billed(answer: &Bytes) -> Option<f64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let of_one = |capacity: &Value| capacity["CapacityUnits"].as_f64();
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(of_one).sum(),
        one => of_one(one),
    }
}
