//! The web origin on one machine, in the place of API Gateway's HTTP API: a request becomes an event of payload format
//! 2.0, and the function's answer the response.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, on};
use axum::{Json, Router};
use bursar_core::config::Origin;
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CACHE_CONTROL, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::aws::invoke::{Invoke, InvokeError, fits};
use crate::aws::wiring::ROUTES;
use crate::base::function::FunctionName;

/// The largest body that API Gateway reads.
const MOST_BYTES: usize = 10 << 20;

struct Gateway {
    origin: Origin,
    authority: Authority,
    invoke: Arc<dyn Invoke>,
}

/// The router that answers for `origin`.
pub fn router(origin: &Origin, invoke: Arc<dyn Invoke>) -> Result<Router> {
    let uri: Uri = origin.as_str().parse().context("the origin is no address")?;
    let authority = uri.authority().context("the origin names no host")?.clone();
    let gateway = Arc::new(Gateway { origin: origin.clone(), authority, invoke });
    let mut router = Router::new();
    for (key, function) in ROUTES {
        let gateway = gateway.clone();
        let answer = async move |parts: Parts, body: Bytes| gateway.answer(key, function, &parts, &body).await;
        router = match key.split_once(' ') {
            Some((method, path)) => {
                let path = path.replace("{proxy+}", "{*proxy}");
                let methods = match method {
                    "ANY" => any(answer),
                    method => on(Method::try_from(method)?.try_into()?, answer),
                };
                router.route(&path, methods)
            }
            None => router.fallback(answer.clone()).method_not_allowed_fallback(answer),
        };
    }
    Ok(router.layer(DefaultBodyLimit::max(MOST_BYTES)))
}

impl Gateway {
    async fn answer(&self, key: &str, function: FunctionName, parts: &Parts, body: &[u8]) -> Response {
        if let Some(answer) = self.answer_for_another_host(parts) {
            return answer;
        }
        let event = event(key, parts, body);
        if fits(&event).is_err() {
            return own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        let answer = match self.invoke.invoke(function, event).await {
            Ok(answer) => response(answer),
            Err(InvokeError::TimedOut) => return own(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Err(error) => Err(error.into()),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(%function, error = format!("{error:#}"), "no answer that API Gateway would take");
            own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        })
    }

    /// A GET for another of this machine's names is redirected to the origin. A foreign name was made to resolve to
    /// this machine, and is refused.
    fn answer_for_another_host(&self, parts: &Parts) -> Option<Response> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let named = host.to_ascii_lowercase().parse::<Authority>().ok();
        let Some(named) = named.filter(|named| *named == self.authority || is_loopback(named.host())) else {
            return Some(own(StatusCode::FORBIDDEN, "Forbidden"));
        };
        let same_port = named.port_u16() == self.authority.port_u16();
        if named == self.authority || parts.method != Method::GET || !same_port || !is_loopback(self.authority.host()) {
            return None;
        }
        let rest = parts.uri.path_and_query().map_or("/", |rest| rest.as_str());
        let location = format!("{}{rest}", self.origin.as_str());
        // The next server on this port may be another one.
        let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
        Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0") || host.ends_with(".localhost")
}

/// The event: of what API Gateway tells, what a request is made of. A body is in Base64, as that of a form.
fn event(key: &str, parts: &Parts, body: &[u8]) -> Value {
    // The path is passed on decoded, and cut at an encoded question mark.
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let path = path.split('?').next().unwrap_or_default();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let values = |name: &HeaderName| parts.headers.get_all(name).iter().map(text).collect::<Vec<_>>();
    let names = parts.headers.keys().filter(|name| **name != COOKIE);
    let headers: BTreeMap<&str, String> = names.map(|name| (name.as_str(), values(name).join(","))).collect();
    let cookies = values(&COOKIE).join(";");
    let cookies: Vec<&str> = cookies.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()).collect();
    json!({
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "cookies": cookies,
        "requestContext": {
            "requestId": Uuid::new_v4().to_string(),
            "routeKey": key,
            "stage": "$default",
            "http": {"method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        },
        "body": BASE64.encode(body),
        "isBase64Encoded": true,
    })
}

fn response(answer: Value) -> Result<Response> {
    let answer: ApiGatewayV2httpResponse = serde_json::from_value(answer)?;
    let body = answer.body.as_deref().unwrap_or_default();
    let body = if answer.is_base64_encoded { BASE64.decode(body)? } else { body.to_vec() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status_code.try_into()?)?;
    let headers = response.headers_mut();
    *headers = answer.headers;
    headers.extend(answer.multi_value_headers);
    for cookie in answer.cookies {
        headers.append(SET_COOKIE, cookie.parse()?);
    }
    Ok(response)
}

/// An answer of API Gateway's own.
fn own(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
