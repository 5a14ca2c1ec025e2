//! A counting proxy between a sync and the table: calls, write units as the engine reports them by kind of item,
//! and stored readings read. Runs whose time is measured go past it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) calls: BTreeMap<String, usize>,
    /// Base-table write units by the kind of item; those of a transaction count for its first item.
    pub(crate) write_units: BTreeMap<String, f64>,
    /// Writes whose condition failed, by the kind of item; a transaction counts for its first item.
    pub(crate) refused: BTreeMap<String, usize>,
    pub(crate) readings_read: usize,
    pub(crate) reading_queries: usize,
}

/// The proxy. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Counting {
    engine: String,
    client: reqwest::Client,
    counted: Arc<Mutex<Counted>>,
}

impl Counting {
    pub(crate) fn of(engine: &str) -> Result<Counting> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Counting { engine: engine.to_owned(), client, counted: Arc::default() })
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().route("/", routing::post(pass)).with_state(self.clone())
    }

    /// The counts since the last call.
    pub(crate) fn take(&self) -> Counted {
        std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn hand_on(&self, headers: &HeaderMap, body: &Bytes) -> Result<Response> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mut asked: Value = serde_json::from_slice(body)?;
        asked["ReturnConsumedCapacity"] = "TOTAL".into();
        let mut request = self.client.post(&self.engine).body(asked.to_string());
        for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await?;
        let (status, content) = (answer.status(), answer.headers().get("content-type").cloned());
        let bytes = answer.bytes().await?;
        self.count(&operation, &asked, status.is_success(), &serde_json::from_slice(&bytes).unwrap_or_default());
        let mut response = (StatusCode::from_u16(status.as_u16())?, bytes).into_response();
        if let Some(content) = content {
            response.headers_mut().insert("content-type", content);
        }
        Ok(response)
    }

    fn count(&self, operation: &str, asked: &Value, is_done: bool, answer: &Value) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.calls.entry(operation.to_owned()).or_default() += 1;
        if operation == "Query" {
            let is_reading = |item: &&Value| item["kind"]["S"] == "reading";
            let readings = answer["Items"].as_array().map_or(0, |items| items.iter().filter(is_reading).count());
            counted.readings_read += readings;
            counted.reading_queries += usize::from(readings > 0);
        }
        if !["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation) {
            return;
        }
        let key = &asked["Key"]["sk"]["S"];
        let kind = asked["Item"]["kind"]["S"].as_str().or(key.as_str()).unwrap_or("transaction").to_owned();
        if !is_done {
            *counted.refused.entry(kind).or_default() += 1;
            return;
        }
        let of_one = |capacity: &Value| capacity["CapacityUnits"].as_f64().unwrap_or_default();
        let units = match answer["ConsumedCapacity"].as_array() {
            Some(tables) => tables.iter().map(of_one).sum(),
            None => of_one(&answer["ConsumedCapacity"]),
        };
        *counted.write_units.entry(kind).or_default() += units;
    }
}

async fn pass(State(counting): State<Counting>, headers: HeaderMap, body: Bytes) -> Response {
    counting.hand_on(&headers, &body).await.unwrap_or_else(|error| {
        eprintln!("bench: the way to the engine: {error:#}");
        StatusCode::BAD_GATEWAY.into_response()
    })
}
