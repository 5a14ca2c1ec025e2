//! A fault of ours or of a service while a page was made: logged once, and the person is asked to try again.

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

/// An internal error. A person's mistake is a page, not a fault.
#[derive(Debug)]
pub struct Fault(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault(error.into())
    }
}

impl IntoResponse for Fault {
    /// A bare status, to which `site` adds the page as to every answer without one.
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "a page could not be made");
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")]).into_response()
    }
}
