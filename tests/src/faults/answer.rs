//! Errors in each service's format, which no service gave.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use super::Fault;
use super::call::{Call, Service};

const TABLE: &str = "com.amazonaws.dynamodb.v20120810#";
const REFUSED: &str = "refused by the fault layer";

/// The answer to a call that the fault keeps from its effect. A success is a page that no client
/// can read.
pub(super) fn refusal(call: &Call, fault: Fault) -> Response {
    match (fault, call.name.service) {
        (Fault::Status(200), _) => (
            StatusCode::OK,
            [(CONTENT_TYPE, "text/html")],
            "<html></html>",
        )
            .into_response(),
        (Fault::Status(code), _) => status(call, code),
        (Fault::RetryAfter(code, seconds), _) => {
            let mut response = status(call, code);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        (Fault::Throttle, Service::Ses) => error(call, 400, "Throttling"),
        (Fault::Throttle, Service::DynamoDb) => error(
            call,
            400,
            &format!("{TABLE}ProvisionedThroughputExceededException"),
        ),
        (Fault::Throttle, _) => error(call, 400, "ThrottlingException"),
        _ if call.name.operation.starts_with("Transact") => cancelled(call),
        _ => error(call, 400, &format!("{TABLE}TransactionConflictException")),
    }
}

/// The answer as if it were about a key of another name and hash.
pub(super) fn about_another_key(answer: &http::Response<Bytes>) -> Response {
    let mut body: Value = serde_json::from_slice(answer.body()).unwrap();
    for field in ["hash", "name"] {
        let other = body["data"][field]
            .as_str()
            .unwrap()
            .chars()
            .rev()
            .collect();
        body["data"][field] = Value::String(other);
    }
    made(
        answer.status().as_u16(),
        "application/json",
        body.to_string(),
    )
}

fn status(call: &Call, code: u16) -> Response {
    let kind = match (call.name.service, code) {
        (Service::DynamoDb, 500..) => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        (Service::DynamoDb, _) => "com.amazon.coral.validate#ValidationException",
        (Service::SecretsManager, 500..) => "InternalServiceError",
        (Service::SecretsManager, _) => "InvalidRequestException",
        (Service::Ses, 500..) => "ServiceUnavailable",
        (Service::Ses, _) => "InvalidParameterValue",
        (Service::Provider, 401) => "User not found.",
        (Service::Provider, 403) => "Only management keys can perform this operation",
        (Service::Provider, 429) => "Rate limit exceeded",
        (Service::Provider, _) => REFUSED,
    };
    error(call, code, kind)
}

/// A transaction cancelled because of its last item.
fn cancelled(call: &Call) -> Response {
    let mut reasons = vec![json!({ "Code": "None" }); call.parts.len()];
    if let Some(last) = reasons.last_mut() {
        *last = json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    }
    let codes: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| reason["Code"].as_str())
        .collect();
    let codes = codes.join(", ");
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    );
    let kind = format!("{TABLE}TransactionCanceledException");
    let body = json!({ "__type": kind, "Message": message, "CancellationReasons": reasons });
    made(400, "application/x-amz-json-1.0", body.to_string())
}

fn error(call: &Call, code: u16, kind: &str) -> Response {
    let of_aws = json!({ "__type": kind, "message": REFUSED }).to_string();
    match call.name.service {
        Service::DynamoDb => made(code, "application/x-amz-json-1.0", of_aws),
        Service::SecretsManager => made(code, "application/x-amz-json-1.1", of_aws),
        Service::Provider => {
            let body = json!({ "error": { "code": code, "message": kind }, "user_id": null });
            made(code, "application/json", body.to_string())
        }
        Service::Ses => {
            let fault = if code < 500 { "Sender" } else { "Receiver" };
            let body = format!(
                "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><Error><Type>{fault}</Type>\
                 <Code>{kind}</Code><Message>{REFUSED}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                call.number
            );
            made(code, "text/xml", body)
        }
    }
}

fn made(code: u16, content_type: &'static str, body: String) -> Response {
    (
        StatusCode::from_u16(code).unwrap(),
        [(CONTENT_TYPE, content_type)],
        body,
    )
        .into_response()
}
