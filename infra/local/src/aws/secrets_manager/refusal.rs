//! Refusals of the secret store in the shape that the SDK reads. They contain no value of a secret.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// The reason why a request was refused, as the service names it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn bad(kind: &'static str, message: &str) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, kind, message: message.to_owned() }
    }

    pub(super) fn not_found(message: &str) -> Refusal {
        Refusal::bad("ResourceNotFoundException", message)
    }

    pub(super) fn exists(message: &str) -> Refusal {
        Refusal::bad("ResourceExistsException", message)
    }

    pub(super) fn parameter(message: &str) -> Refusal {
        Refusal::bad("InvalidParameterException", message)
    }

    pub(super) fn failed(error: &anyhow::Error) -> Refusal {
        tracing::error!(error = format!("{error:#}"), "a secret could not be kept");
        let message = "An error occurred on the server side.".to_owned();
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "InternalServiceError", message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"__type": self.kind, "message": self.message}))).into_response()
    }
}
