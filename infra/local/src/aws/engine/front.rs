//! The proxy through which clients reach the engine. The engine itself would answer the pages of every site
//! in the browser. So only this proxy knows its loopback address.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::Engine;
use crate::base::forward::Forward;

/// DynamoDB's largest request.
const MOST_BYTES: usize = 16 << 20;

#[derive(Clone)]
struct Front {
    engine: String,
    forward: Forward,
}

impl Engine {
    /// The router to serve behind a guard.
    pub fn router(&self) -> Result<Router> {
        let front = Front { engine: self.origin().to_owned(), forward: Forward::to(&[self.origin()])? };
        Ok(Router::new().fallback(pass_on).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(front))
    }
}

async fn pass_on(State(front): State<Front>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let url = format!("{}{}", front.engine, uri.path_and_query().map_or("/", |path| path.as_str()));
    match front.forward.send(url, method, headers, body).await {
        Ok(answer) => answer.map(Body::from),
        Err(error) => {
            tracing::debug!(error = %error.without_url(), "the engine gave no answer");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}
