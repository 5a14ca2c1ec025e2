//! Answers that no service gave: errors in each service's format, and an intermediary's page. When they are
//! given is left to `conduct`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::gate::call::{Call, Service};
use crate::gate::verdict::Throttle;

const TABLE: &str = "com.amazonaws.dynamodb.v20120810#";
const CONDITION_FAILED: &str = "The conditional request failed";

/// An error with this status, in the service's format.
pub(super) fn status(call: &Call, code: u16, retry_after_s: Option<u32>) -> Response<Bytes> {
    let mut response = match call.name.service {
        Service::DynamoDb => table_error(call, code, table_code(code), "refused by the fault layer"),
        Service::SecretsManager => {
            let kind = match code {
                401 | 403 => "AccessDeniedException",
                404 => "ResourceNotFoundException",
                429 => "ThrottlingException",
                500.. => "InternalServiceError",
                _ => "InvalidRequestException",
            };
            let body = json!({ "__type": kind, "Message": "refused by the fault layer" });
            aws_json(call, code, &body)
        }
        Service::Ses => {
            let kind = match code {
                401 | 403 => "AccessDenied",
                429 => "Throttling",
                503 => "ServiceUnavailable",
                500.. => "InternalFailure",
                _ => "InvalidParameterValue",
            };
            query_error(call, code, kind, "refused by the fault layer")
        }
        Service::Provider => {
            let message = match code {
                401 => "User not found.",
                403 => "Only management keys can perform this operation",
                429 => "Rate limit exceeded",
                500 => "Internal Server Error",
                503 => "Service Unavailable",
                _ => "refused by the fault layer",
            };
            let body = json!({ "error": { "code": code, "message": message }, "user_id": null });
            with_id(made(code, "application/json", body.to_string()), "x-request-id", call)
        }
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A page that a CDN or a captive proxy sends in place of the answer.
pub(super) fn html(call: &Call, code: u16) -> Response<Bytes> {
    let body =
        format!("<!DOCTYPE html>\n<html><head><title>{code}</title></head><body><h1>{code}</h1></body></html>\n");
    with_id(made(code, "text/html; charset=UTF-8", body), "cf-ray", call)
}

/// A refusal because of the rate.
pub(super) fn throttle(call: &Call, how: Throttle) -> Response<Bytes> {
    let rate = "Rate of requests exceeds the allowed throughput.";
    let throughput = "The level of configured provisioned throughput for the table was exceeded. \
                      Consider increasing your provisioning level with the UpdateTable API.";
    match (how, call.name.service) {
        (Throttle::Throughput, _) => {
            let kind = format!("{TABLE}ProvisionedThroughputExceededException");
            table_error(call, 400, &kind, throughput)
        }
        (Throttle::Item, _) => cancelled(call, &last(call, "ThrottlingError", throughput)),
        (Throttle::Rate, Service::Ses) => query_error(call, 400, "Throttling", "Maximum sending rate exceeded."),
        (Throttle::Rate, Service::SecretsManager) => {
            aws_json(call, 400, &json!({ "__type": "ThrottlingException", "Message": rate }))
        }
        (Throttle::Rate, _) => table_error(call, 400, "com.amazon.coral.availability#ThrottlingException", rate),
    }
}

/// A conflict with another transaction, on the last item of the call.
pub(super) fn conflict(call: &Call) -> Response<Bytes> {
    let message = "Transaction is ongoing for the item";
    if call.name.operation.starts_with("Transact") {
        cancelled(call, &last(call, "TransactionConflict", message))
    } else {
        table_error(call, 400, &format!("{TABLE}TransactionConflictException"), message)
    }
}

/// The failed condition of a single write; `item` is the item found, if the request asked for it.
pub(super) fn condition_failed(call: &Call, item: Option<&Value>) -> Response<Bytes> {
    let mut body = json!({ "__type": format!("{TABLE}ConditionalCheckFailedException"), "message": CONDITION_FAILED });
    if let Some(item) = item {
        body["Item"] = item.clone();
    }
    aws_json(call, 400, &body)
}

/// A transaction cancelled for these reasons, one for each of its items.
pub(super) fn cancelled(call: &Call, reasons: &[Value]) -> Response<Bytes> {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason["Code"].as_str().unwrap_or("None")).collect();
    let codes = codes.join(", ");
    let body = json!({
        "__type": format!("{TABLE}TransactionCanceledException"),
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"),
        "CancellationReasons": reasons,
    });
    aws_json(call, 400, &body)
}

/// A reason for the last item, and none for the others.
fn last(call: &Call, code: &str, message: &str) -> Vec<Value> {
    let mut reasons = vec![json!({ "Code": "None" }); call.shape.parts.len()];
    if let Some(last) = reasons.last_mut() {
        *last = json!({ "Code": code, "Message": message });
    }
    reasons
}

fn table_code(code: u16) -> &'static str {
    match code {
        401 | 403 => "com.amazon.coral.service#AccessDeniedException",
        404 => "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        429 => "com.amazon.coral.availability#ThrottlingException",
        503 => "com.amazon.coral.availability#ServiceUnavailableException",
        500.. => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        _ => "com.amazon.coral.validate#ValidationException",
    }
}

fn table_error(call: &Call, code: u16, kind: &str, message: &str) -> Response<Bytes> {
    aws_json(call, code, &json!({ "__type": kind, "message": message }))
}

fn aws_json(call: &Call, code: u16, body: &Value) -> Response<Bytes> {
    let version = match call.name.service {
        Service::DynamoDb => "application/x-amz-json-1.0",
        _ => "application/x-amz-json-1.1",
    };
    with_id(made(code, version, body.to_string()), "x-amzn-requestid", call)
}

fn query_error(call: &Call, code: u16, kind: &str, message: &str) -> Response<Bytes> {
    let fault = if code < 500 { "Sender" } else { "Receiver" };
    let body = format!(
        "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\">\n  <Error>\n    <Type>{fault}</Type>\n    \
         <Code>{kind}</Code>\n    <Message>{message}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
        request_id(call)
    );
    made(code, "text/xml", body)
}

/// A request id in AWS's format that contains the call's number.
fn request_id(call: &Call) -> String {
    format!("GATE{:0>48}", call.number)
}

fn with_id(mut response: Response<Bytes>, header: &'static str, call: &Call) -> Response<Bytes> {
    if let Ok(id) = HeaderValue::from_str(&request_id(call)) {
        response.headers_mut().insert(header, id);
    }
    response
}

fn made(code: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
