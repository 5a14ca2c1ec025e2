//! A request as the event that API Gateway makes of it: payload format 2.0. The way back is left to
//! `answer`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use data_encoding::BASE64;
use http::header::{CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Gateway;
use super::routes::Found;

/// The path as API Gateway passes it on: decoded, and cut at an encoded question mark. `None` for a request
/// without a path.
pub(super) fn path(uri: &Uri) -> Option<String> {
    let encoded = uri.path();
    if !encoded.starts_with('/') {
        return None;
    }
    let decoded = percent_decode_str(encoded).decode_utf8_lossy();
    Some(decoded.split('?').next().unwrap_or_default().to_owned())
}

/// The event for a request with its route.
pub(super) fn from(gateway: &Gateway, parts: &Parts, path: &str, body: &[u8], route: &Found<'_>) -> Value {
    let source = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(peer)| peer.ip());
    let now = gateway.clock.now();
    let query = parts.uri.query().unwrap_or_default();
    let host = gateway.authority.host();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(gateway, &parts.headers, source),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split('.').next().unwrap_or_default(),
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": source.to_string(),
                "userAgent": parts.headers.get(USER_AGENT).map_or("", |agent| agent.to_str().unwrap_or_default()),
            },
            "requestId": Uuid::new_v4().to_string(),
            "routeKey": route.key,
            "stage": "$default",
            "time": now.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    if !route.parameters.is_empty() {
        event["pathParameters"] = json!(route.parameters);
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = text.map_or_else(|| BASE64.encode(body), str::to_owned).into();
    }
    event
}

/// Whether API Gateway passes the body on as text. Forms are not among the types for which it does.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(kind.as_str(), "application/json" | "application/xml" | "application/javascript")
}

/// The headers: names in lower case, values of a repeated name joined, cookies left out. What a proxy says
/// about the client is replaced.
fn headers(gateway: &Gateway, headers: &HeaderMap, source: IpAddr) -> Map<String, Value> {
    let mut joined = BTreeMap::<&str, String>::new();
    for (name, value) in headers.iter().filter(|(name, _)| **name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let text = joined.entry(name.as_str()).or_default();
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&value);
    }
    let secure = gateway.origin.is_secure();
    let port = gateway.authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let client = source.to_string();
    let forwarded_for = match joined.get("x-forwarded-for") {
        Some(before) => format!("{before}, {client}"),
        None => client,
    };
    joined.insert("x-forwarded-for", forwarded_for);
    joined.insert("x-forwarded-port", port.to_string());
    joined.insert("x-forwarded-proto", (if secure { "https" } else { "http" }).to_owned());
    joined.entry(HOST.as_str()).or_insert_with(|| gateway.authority.to_string());
    joined.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            value.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// The query parameters: decoded, values of a repeated name joined by commas.
fn query_parameters(query: &str) -> Value {
    let mut parameters = BTreeMap::<String, String>::new();
    let url = reqwest::Url::parse(&format!("http://local/?{query}"));
    for (name, value) in url.iter().flat_map(|url| url.query_pairs()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    json!(parameters)
}
