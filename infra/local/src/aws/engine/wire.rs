//! The table's wire: a call's JSON to the engine, and its answer back.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use dynoxide::{Database, DynoxideError};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::Engine;

/// DynamoDB's largest request.
const MOST_BYTES: usize = 16 << 20;

/// The calls of this engine, which tells of each that may have written.
pub(super) fn router(engine: Engine) -> Router {
    Router::new().fallback(call).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(engine)
}

async fn call(State(engine): State<Engine>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
    let reads = ["Get", "Query", "Scan", "Describe", "List"].iter().any(|read| operation.starts_with(read));
    // It goes on, and is told of, where the caller is gone.
    let answered = tokio::task::spawn_blocking(move || {
        let open = engine.open().map_err(|stopped| DynoxideError::InternalServerError(stopped.to_string()))?;
        let answer = answer(&open.database, &operation, &body);
        if !reads {
            engine.0.changes.send_replace(());
        }
        answer
    });
    let (status, body) = match answered.await {
        Ok(Ok(body)) => (StatusCode::OK, body),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, error.to_json())
        }
        Err(panicked) => {
            tracing::error!(%panicked, "the engine");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}

fn answer(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    macro_rules! calls {
        ($($name:literal => $call:ident),* $(,)?) => {
            match operation {
                $($name => said(&database.$call(asked(body)?)?),)*
                _ => Err(DynoxideError::ValidationException(format!("the engine is not asked for {operation} here"))),
            }
        };
    }
    calls! {
        "GetItem" => get_item,
        "BatchGetItem" => batch_get_item,
        "TransactGetItems" => transact_get_items,
        "Query" => query,
        "Scan" => scan,
        "PutItem" => put_item,
        "UpdateItem" => update_item,
        "DeleteItem" => delete_item,
        "BatchWriteItem" => batch_write_item,
        "TransactWriteItems" => transact_write_items,
        "CreateTable" => create_table,
        "DeleteTable" => delete_table,
        "DescribeTable" => describe_table,
        "ListTables" => list_tables,
        "UpdateTimeToLive" => update_time_to_live,
        "DescribeTimeToLive" => describe_time_to_live,
        "DescribeStream" => describe_stream,
        "GetShardIterator" => get_shard_iterator,
        "GetRecords" => get_records,
    }
}

fn asked<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn said<T: serde::Serialize>(answer: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
