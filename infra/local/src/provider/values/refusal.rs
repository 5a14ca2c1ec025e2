//! The one format of all refusals: `{"error":{"code","message","metadata"?}}` with the status in `code`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::USER_ID;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
    metadata: Option<Value>,
    names_user: bool,
    retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), metadata: None, names_user: false, retry_after_s: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn payment_required(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYMENT_REQUIRED, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "Resource not found")
    }

    pub(crate) fn too_many(retry_after_s: Option<u64>) -> Refusal {
        Refusal { retry_after_s, ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded") }
    }

    pub(crate) fn method_not_allowed() -> Refusal {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
    }

    /// A failure of the provider that a test requested.
    pub(crate) fn failed(status: StatusCode) -> Refusal {
        Refusal::new(status, status.canonical_reason().unwrap_or("Unknown Error"))
    }

    pub(crate) fn with(mut self, metadata: Value) -> Refusal {
        self.metadata = Some(metadata);
        self
    }

    /// The refusal with the account's user beside the error, as inference has it.
    pub(crate) fn naming_user(mut self) -> Refusal {
        self.names_user = true;
        self
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        tracing::error!("the simulated provider failed: {error:#}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": { "code": self.status.as_u16(), "message": self.message } });
        if let Some(metadata) = self.metadata {
            body["error"]["metadata"] = metadata;
        }
        if self.names_user {
            body["user_id"] = USER_ID.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
