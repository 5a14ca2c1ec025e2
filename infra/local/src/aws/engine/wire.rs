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
    Router::new()
        .fallback(call)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(engine)
}

async fn call(State(engine): State<Engine>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let operation = target
        .and_then(|target| target.rsplit('.').next())
        .unwrap_or_default()
        .to_owned();
    let reads = ["Get", "Query", "Scan", "Describe", "List"]
        .iter()
        .any(|read| operation.starts_with(read));
    // It goes on, and is told of, where the caller is gone.
    let answered = engine.run(move |engine, open| {
        let answer = answer(&open.database, &operation, &body);
        if !reads {
            engine.changes.send_replace(());
        }
        Ok(answer)
    });
    let stopped = |error: anyhow::Error| Err(DynoxideError::InternalServerError(error.to_string()));
    let (status, body) = match answered.await.unwrap_or_else(stopped) {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (
            StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST),
            error.to_json(),
        ),
    };
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}

fn answer(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    macro_rules! calls {
        ($($name:literal => $call:ident),* $(,)?) => {
            match operation {
                $($name => said(&database.$call(decode(body)?)?),)*
                _ => Err(DynoxideError::ValidationException(format!("the engine is not asked for {operation} here"))),
            }
        };
    }
    calls! {
        "GetItem" => get_item,
        "BatchGetItem" => batch_get_item,
        "Query" => query,
        "Scan" => scan,
        "PutItem" => put_item,
        "UpdateItem" => update_item,
        "DeleteItem" => delete_item,
        "TransactWriteItems" => transact_write_items,
        "CreateTable" => create_table,
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn said<T: serde::Serialize>(answer: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(answer)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
