//! Errors in each service's format, which no service gave.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::Fault;
use super::call::{Call, Service};

const TABLE: &str = "com.amazonaws.dynamodb.v20120810#";
const REFUSED: &str = "refused by the fault layer";

/// The answer to a call that the fault keeps from its effect.
pub(super) fn refusal(call: &Call, fault: Fault) -> Response {
    match fault {
        Fault::Status(code) => status(call, code),
        Fault::RetryAfter(code, seconds) => {
            let mut response = status(call, code);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        Fault::Throttle if call.name.service == Service::Ses => error(call, 400, "Throttling"),
        Fault::Throttle if call.name.service == Service::DynamoDb => {
            error(call, 400, &format!("{TABLE}ProvisionedThroughputExceededException"))
        }
        Fault::Throttle => error(call, 400, "ThrottlingException"),
        Fault::Conflict if call.name.operation.starts_with("Transact") => cancelled(call),
        _ => error(call, 400, &format!("{TABLE}TransactionConflictException")),
    }
}

/// A success is a page that no client can read.
fn status(call: &Call, code: u16) -> Response {
    if code == 200 {
        return (StatusCode::OK, [(CONTENT_TYPE, "text/html")], "<html></html>").into_response();
    }
    let kind = match (call.name.service, code) {
        (Service::DynamoDb, 401 | 403) => "com.amazon.coral.service#AccessDeniedException",
        (Service::DynamoDb, 404) => "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        (Service::DynamoDb, 429) => "com.amazon.coral.availability#ThrottlingException",
        (Service::DynamoDb, 500..) => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        (Service::DynamoDb, _) => "com.amazon.coral.validate#ValidationException",
        (Service::SecretsManager, 401 | 403) => "AccessDeniedException",
        (Service::SecretsManager, 404) => "ResourceNotFoundException",
        (Service::SecretsManager, 429) => "ThrottlingException",
        (Service::SecretsManager, 500..) => "InternalServiceError",
        (Service::SecretsManager, _) => "InvalidRequestException",
        (Service::Ses, 401 | 403) => "AccessDenied",
        (Service::Ses, 429) => "Throttling",
        (Service::Ses, 503) => "ServiceUnavailable",
        (Service::Ses, 500..) => "InternalFailure",
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
    let mut reasons = vec![json!({ "Code": "None" }); call.shape.parts.len()];
    if let Some(last) = reasons.last_mut() {
        *last = json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    }
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let codes = codes.join(", ");
    let body = json!({
        "__type": format!("{TABLE}TransactionCanceledException"),
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"),
        "CancellationReasons": reasons,
    });
    made(call, 400, &body)
}

fn error(call: &Call, code: u16, kind: &str) -> Response {
    match call.name.service {
        Service::Ses => {
            let fault = if code < 500 { "Sender" } else { "Receiver" };
            let body = format!(
                "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><Error><Type>{fault}</Type>\
                 <Code>{kind}</Code><Message>{REFUSED}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                call.number
            );
            (status_of(code), [(CONTENT_TYPE, "text/xml")], body).into_response()
        }
        Service::Provider => made(call, code, &json!({ "error": { "code": code, "message": kind }, "user_id": null })),
        _ => made(call, code, &json!({ "__type": kind, "message": REFUSED })),
    }
}

fn made(call: &Call, code: u16, body: &Value) -> Response {
    let (id, content_type) = match call.name.service {
        Service::DynamoDb => ("x-amzn-requestid", "application/x-amz-json-1.0"),
        Service::Provider => ("x-request-id", "application/json"),
        _ => ("x-amzn-requestid", "application/x-amz-json-1.1"),
    };
    let headers =
        [(HeaderName::from_static(id), format!("GATE{:0>48}", call.number)), (CONTENT_TYPE, content_type.to_owned())];
    (status_of(code), headers, body.to_string()).into_response()
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}
