//! The web origin on one machine, in the place of API Gateway's HTTP API. A request becomes an event of
//! payload format 2.0, and the function's answer the response. The caller says which function has which
//! route.

mod answer;
mod event;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bursar_core::clock::Clock;
use bursar_core::config::Origin;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, HOST, LOCATION};
use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use serde_json::json;

use self::routes::Routes;
use crate::aws::invoke::{Invoke, InvokeError, fits};
use crate::base::function::FunctionName;

/// The time that API Gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(29);
/// The largest body that API Gateway reads at all.
const MOST_BYTES: usize = 10 << 20;

struct Gateway {
    origin: Origin,
    authority: Authority,
    routes: Routes,
    invoke: Arc<dyn Invoke>,
    clock: Clock,
}

/// The router that answers for `origin` with these functions. Routes are spelled as in a template:
/// `/console`, `/console/{proxy+}`, `GET /x`, `$default`.
pub fn router(
    origin: &Origin,
    routes: &[(&str, FunctionName)],
    invoke: Arc<dyn Invoke>,
    clock: Clock,
) -> Result<Router> {
    let uri: Uri = origin.as_str().parse().context("the origin is no address")?;
    let gateway = Gateway {
        origin: origin.clone(),
        authority: uri.authority().context("the origin names no host")?.clone(),
        routes: Routes::read(routes)?,
        invoke,
        clock,
    };
    Ok(Router::new().fallback(handle).with_state(Arc::new(gateway)))
}

async fn handle(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(body) = whole(body).await else {
        return own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let host = parts.headers.get(HOST).map(|host| host.to_str().unwrap_or("?"));
    if let Some(host) = host {
        if parts.method == Method::GET && gateway.is_other_spelling(host) {
            return gateway.redirect(&parts.uri);
        }
        // API Gateway passes on no invalid host.
        if reqwest::Url::parse(&format!("http://{host}/")).is_err() {
            return own(StatusCode::BAD_REQUEST, "Bad Request");
        }
        if gateway.is_foreign(host) {
            return own(StatusCode::FORBIDDEN, "Forbidden");
        }
    }
    let Some(path) = event::path(&parts.uri) else {
        return own(StatusCode::BAD_REQUEST, "Bad Request");
    };
    let Some(route) = gateway.routes.find(&parts.method, &path) else {
        return own(StatusCode::NOT_FOUND, "Not Found");
    };
    let function = route.function;
    let event = event::from(&gateway, &parts, &path, &body, &route);
    if fits(&event).is_err() {
        return own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    }
    let answer = tokio::time::timeout(PATIENCE, gateway.invoke.invoke(function, event)).await;
    match answer {
        Ok(Ok(answer)) => answer::to_response(answer).unwrap_or_else(|error| {
            tracing::warn!(%function, error = format!("{error:#}"), "an answer that API Gateway would not take");
            own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }),
        Err(_) | Ok(Err(InvokeError::TimedOut)) => own(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Ok(Err(error)) => {
            tracing::warn!(%function, %error, "no answer");
            own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

impl Gateway {
    /// Whether the host is neither the origin's nor another name of this machine, so that a foreign name
    /// was made to resolve to it.
    fn is_foreign(&self, host: &str) -> bool {
        let named = host.to_ascii_lowercase().parse::<Authority>();
        named.map_or(true, |named| named != self.authority && !is_loopback(named.host()))
    }

    /// Whether the host is another of this machine's names, with the origin's port.
    fn is_other_spelling(&self, host: &str) -> bool {
        let Ok(host) = host.to_ascii_lowercase().parse::<Authority>() else {
            return false;
        };
        host != self.authority
            && host.port_u16() == self.authority.port_u16()
            && is_loopback(host.host())
            && is_loopback(self.authority.host())
    }

    /// A temporary redirect, not to be cached: the next server on this port may be another one.
    fn redirect(&self, uri: &Uri) -> Response {
        let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
        let location = format!("{}{rest}", self.origin.as_str());
        let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
        (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0") || host.ends_with(".localhost")
}

/// The body, unless it is too large. The rest is read even then, so that the client gets to the answer.
async fn whole(body: Body) -> Option<Bytes> {
    let mut stream = body.into_data_stream();
    let mut read = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.ok()?;
        length += chunk.len();
        if length <= MOST_BYTES {
            read.extend_from_slice(&chunk);
        } else if length > 8 * MOST_BYTES {
            return None;
        }
    }
    (length <= MOST_BYTES).then(|| read.freeze())
}

/// An answer of API Gateway's own.
fn own(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}
