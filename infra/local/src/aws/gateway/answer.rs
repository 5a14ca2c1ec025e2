//! A function's answer as an HTTP response: payload format 2.0, with API Gateway's leniency and no more.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    headers: Option<BTreeMap<String, Value>>,
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// The response, or the reason for which API Gateway would answer an error.
pub(super) fn to_response(answer: Value) -> Result<Response> {
    if answer.get("statusCode").is_none() {
        return inferred(answer);
    }
    let answer: Answer = serde_json::from_value(answer).context("its form is not that of payload 2.0")?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded.unwrap_or_default() {
        BASE64.decode(body.as_bytes()).context("its body is no base64")?
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status_code).context("its status is none")?;
    let headers = response.headers_mut();
    for (name, value) in answer.headers.into_iter().flatten() {
        let (name, value) = header(&name, &value)?;
        if let Some(name) = name {
            headers.insert(name, value);
        }
    }
    for (name, values) in answer.multi_value_headers.into_iter().flatten() {
        for value in values {
            match header(&name, &value)? {
                (Some(name), value) if !headers.get_all(&name).iter().any(|known| known == value) => {
                    headers.append(name, value);
                }
                _ => {}
            }
        }
    }
    for cookie in answer.cookies.into_iter().flatten() {
        headers.append(SET_COOKIE, cookie.parse().context("a cookie is no header")?);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
    Ok(response)
}

/// The response for an answer without a status, which is itself the body.
fn inferred(answer: Value) -> Result<Response> {
    let body = match answer {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    Ok(response.body(Body::from(body))?)
}

/// A header of the function's answer; its name is `None` if API Gateway sets it itself.
fn header(name: &str, value: &Value) -> Result<(Option<HeaderName>, HeaderValue)> {
    const NOT_ITS: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let name: HeaderName = name.parse().with_context(|| format!("`{name}` is no header"))?;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value = HeaderValue::from_bytes(text.as_bytes()).with_context(|| format!("the value of {name} is none"))?;
    Ok((Some(name).filter(|name| !NOT_ITS.contains(name)), value))
}
