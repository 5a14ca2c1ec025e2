//! Answers of SES as XML: results and refusals, in the shapes that the SDK reads.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use uuid::Uuid;

/// The reason why a request was refused, as SES names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Throttled(String),
    Rejected(String),
    Paused,
    UnknownSet(String),
    Invalid(String),
    UnknownAction(String),
    Malformed(String),
    Failed,
}

/// A result that is a list of elements, as all of ours are.
pub(super) fn result(action: &str, elements: &[(&str, String)]) -> Response {
    let elements: String = elements.iter().map(|(name, value)| element(name, value)).collect();
    let request = Uuid::new_v4();
    let body = format!(
        "<{action}Response xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><{action}Result>{elements}</{action}Result>\
         <ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{action}Response>"
    );
    xml(StatusCode::OK, &request, body)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let request = Uuid::new_v4();
        let (status, side, code, message) = match self {
            Refusal::Throttled(message) => (StatusCode::BAD_REQUEST, "Sender", "Throttling", message),
            Refusal::Rejected(message) => (StatusCode::BAD_REQUEST, "Sender", "MessageRejected", message),
            Refusal::Paused => {
                let message = "Email sending is disabled for this account.".to_owned();
                (StatusCode::BAD_REQUEST, "Sender", "AccountSendingPausedException", message)
            }
            Refusal::UnknownSet(set) => {
                let message = format!("Configuration set <{set}> does not exist.");
                (StatusCode::BAD_REQUEST, "Sender", "ConfigurationSetDoesNotExist", message)
            }
            Refusal::Invalid(message) => (StatusCode::BAD_REQUEST, "Sender", "InvalidParameterValue", message),
            Refusal::Malformed(message) => (StatusCode::BAD_REQUEST, "Sender", "MalformedQueryString", message),
            Refusal::UnknownAction(action) => {
                let message = format!("Could not find operation {action} for version 2010-12-01");
                (StatusCode::BAD_REQUEST, "Sender", "InvalidAction", message)
            }
            Refusal::Failed => {
                let message = "An internal failure occurred.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "Receiver", "InternalFailure", message)
            }
        };
        let body = format!(
            "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><Error><Type>{side}</Type><Code>{code}</Code>{}</Error>\
             <RequestId>{request}</RequestId></ErrorResponse>",
            element("Message", &message)
        );
        xml(status, &request, body)
    }
}

fn xml(status: StatusCode, request: &Uuid, body: String) -> Response {
    let headers = [(CONTENT_TYPE.as_str(), "text/xml".to_owned()), ("x-amzn-requestid", request.to_string())];
    (status, headers, body).into_response()
}

fn element(name: &str, value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // XML 1.0 cannot represent the other control characters.
            control if control.is_control() && !matches!(control, '\t' | '\n') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    format!("<{name}>{escaped}</{name}>")
}
