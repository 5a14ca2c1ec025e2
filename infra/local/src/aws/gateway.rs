//! The web origin on one machine, in the place of API Gateway's HTTP API: a request becomes an
//! event of payload format 2.0, and the function's answer the response.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, on};
use axum::{Json, Router};
use bursar_core::config::{Config, Origin};
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

/// The header with the secret of what stands in front of the pages.
pub const FRONT: &str = "x-bursar-front";

/// Under which names the pages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Any name of this machine, for a person who types one.
    OfThisMachine,
    /// The origin's alone.
    Origins,
}

struct Gateway {
    origin: Origin,
    authority: Authority,
    hosts: Hosts,
    invoke: Arc<dyn Invoke>,
}

/// The router that answers for the deployment's origin.
pub fn router(config: &Config, hosts: Hosts, invoke: Arc<dyn Invoke>) -> Result<Router> {
    let origin = &config.origin;
    let uri: Uri = origin
        .as_str()
        .parse()
        .context("the origin is no address")?;
    let authority = uri.authority().context("the origin names no host")?.clone();
    let gateway = Arc::new(Gateway {
        origin: origin.clone(),
        authority,
        hosts,
        invoke,
    });
    let mut router = Router::new();
    for (key, function) in ROUTES {
        let gateway = gateway.clone();
        let answer = async move |parts: Parts, body: Bytes| {
            gateway.answer(key, function, &parts, &body).await
        };
        router = match key.split_once(' ') {
            Some((method, path)) => {
                let path = path.replace("{proxy+}", "{*proxy}");
                let methods = match method {
                    "ANY" => any(answer),
                    method => on(Method::try_from(method)?.try_into()?, answer),
                };
                router.route(&path, methods)
            }
            None => router
                .fallback(answer.clone())
                .method_not_allowed_fallback(answer),
        };
    }
    Ok(router.layer(DefaultBodyLimit::max(MOST_BYTES)))
}

impl Gateway {
    async fn answer(
        &self,
        key: &str,
        function: FunctionName,
        parts: &Parts,
        body: &[u8],
    ) -> Response {
        if let Some(answer) = self.answer_for_another_host(parts) {
            return answer;
        }
        let event = event(key, peer(parts), parts, body);
        if fits(&event).is_err() {
            return own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        let answer = match self.invoke.invoke(function, event).await {
            Ok(answer) => response(answer),
            Err(InvokeError::TimedOut) => {
                return own(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
            }
            Err(error) => Err(error.into()),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(%function, error = format!("{error:#}"), "no answer that API Gateway would take");
            own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        })
    }

    /// A GET for another of this machine's names is redirected to the origin. A foreign name was
    /// made to resolve to this machine, and is refused.
    fn answer_for_another_host(&self, parts: &Parts) -> Option<Response> {
        let mut hosts = parts.headers.get_all(HOST).iter();
        let host = hosts
            .next()
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let named = host
            .to_ascii_lowercase()
            .parse::<Authority>()
            .ok()
            .filter(|_| hosts.next().is_none());
        let may_be_another = self.hosts == Hosts::OfThisMachine;
        let is_ours = |named: &Authority| {
            *named == self.authority || may_be_another && is_loopback(named.host())
        };
        let Some(named) = named.filter(is_ours) else {
            return Some(own(StatusCode::FORBIDDEN, "Forbidden"));
        };
        let same_port = named.port_u16() == self.authority.port_u16();
        if named == self.authority
            || parts.method != Method::GET
            || !same_port
            || !is_loopback(self.authority.host())
        {
            return None;
        }
        let rest = parts.uri.path_and_query().map_or("/", |rest| rest.as_str());
        let location = format!("{}{rest}", self.origin.as_str());
        // The next server on this port may be another one.
        let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
        Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
    }
}

/// The other end of the connection. Whom a front names there is read by the pages.
fn peer(parts: &Parts) -> IpAddr {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| peer.ip());
    peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.to_canonical())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0") || host.ends_with(".localhost")
}

/// The event: of what API Gateway tells, what a request is made of. A body is in Base64, as that of
/// a form.
fn event(key: &str, source: IpAddr, parts: &Parts, body: &[u8]) -> Value {
    // The path is passed on decoded, and cut at an encoded question mark.
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let path = path.split('?').next().unwrap_or_default();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let values = |name: &HeaderName| {
        parts
            .headers
            .get_all(name)
            .iter()
            .map(text)
            .collect::<Vec<_>>()
    };
    let names = parts.headers.keys().filter(|name| **name != COOKIE);
    let headers: BTreeMap<&str, String> = names
        .map(|name| (name.as_str(), values(name).join(",")))
        .collect();
    let cookies = values(&COOKIE).join(";");
    let cookies: Vec<&str> = cookies
        .split(';')
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty())
        .collect();
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
            "http": {"method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1", "sourceIp": source},
        },
        "body": BASE64.encode(body),
        "isBase64Encoded": true,
    })
}

fn response(answer: Value) -> Result<Response> {
    let answer: ApiGatewayV2httpResponse = serde_json::from_value(answer)?;
    let body = answer.body.as_deref().unwrap_or_default();
    let body = if answer.is_base64_encoded {
        BASE64.decode(body)?
    } else {
        body.to_vec()
    };
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::extract::Request;
    use bursar_core::aws::AwsAccess;
    use futures_util::future::BoxFuture;
    use tower::ServiceExt;

    use super::*;
    use crate::aws::here;
    use crate::base::lock;

    /// Functions that note from where they were asked.
    struct Noted(Mutex<Vec<String>>);

    impl Invoke for Noted {
        fn invoke(
            &self,
            _: FunctionName,
            input: Value,
        ) -> BoxFuture<'_, Result<Value, InvokeError>> {
            lock(&self.0).push(
                input["requestContext"]["http"]["sourceIp"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
            Box::pin(std::future::ready(Ok(
                json!({"statusCode": 204, "headers": {}, "multiValueHeaders": {}, "cookies": []}),
            )))
        }
    }

    /// A request by another name than the origin's reaches no function, and who asks is the other
    /// end of the connection.
    #[tokio::test]
    async fn who_asks_is_known() {
        let variable = |name: &str| {
            let value = match name {
                "BURSAR_ORIGIN" => "https://credit.example.edu",
                "BURSAR_MAIL_FROM" | "BURSAR_ADMINS" => "ada@example.edu",
                "BURSAR_TABLE" | "BURSAR_MANAGEMENT_KEY_SECRET" | "BURSAR_INSTITUTION" => "bursar",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let aws = AwsAccess::under(here::BASE, "eu-central-1", here::client(Router::new()));
        let config = Config::read(variable, aws).unwrap();
        let noted = Arc::new(Noted(Mutex::default()));
        let router = router(&config, Hosts::Origins, noted.clone()).unwrap();
        let origins = ("host", "credit.example.edu");
        for (headers, is_ours) in [
            (&[origins][..], true),
            (
                &[
                    ("host", "CREDIT.example.edu"),
                    ("x-bursar-source", "198.51.100.1"),
                ],
                true,
            ),
            (&[], false),
            (&[("host", "127.0.0.1:8080")], false),
            (&[("host", "credit.example.edu:8443")], false),
            (&[origins, ("host", "evil.example")], false),
        ] {
            let mut request = Request::get("/my");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let peer: SocketAddr = "192.0.2.7:5000".parse().unwrap();
            let request = request
                .extension(ConnectInfo(peer))
                .body(Body::empty())
                .unwrap();
            let status = router.clone().oneshot(request).await.unwrap().status();
            assert_eq!(
                status.as_u16(),
                if is_ours { 204 } else { 403 },
                "{headers:?}"
            );
            assert_eq!(
                lock(&noted.0).pop().as_deref(),
                is_ours.then_some("192.0.2.7"),
                "{headers:?}"
            );
        }
    }
}
