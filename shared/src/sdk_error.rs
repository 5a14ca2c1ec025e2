//! The reduction of errors of the AWS SDK for logs: enough to look the error up, nothing of what was sent or
//! answered. Every caller of a service reduces its errors here, and decides itself what they mean.

use std::any::type_name;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;

use crate::prelude::*;

/// An error of the SDK without its message, its input and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkFailure {
    /// The operation: `GetSecretValue`.
    pub operation: &'static str,
    /// The service's own code, or the reason that the call was not answered.
    pub code: String,
    pub request_id: Option<String>,
    pub status: Option<u16>,
    /// Whether an equal call may succeed later. This does not say whether this one took effect.
    pub retryable: bool,
}

/// The codes by which a service asks for a retry later, besides 429 and 5xx.
const PATIENCE: [&str; 7] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Reduces an error of any operation of any service.
pub fn reduce<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> SdkFailure {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = match error {
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("UnnamedError"),
        SdkError::ConstructionFailure(_) => "NotSent",
        SdkError::TimeoutError(_) => "TimedOut",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "TimedOut",
        SdkError::DispatchFailure(failure) if failure.is_user() => "NotSent",
        SdkError::DispatchFailure(_) => "NoAnswer",
        SdkError::ResponseError(_) => "UnreadableAnswer",
        _ => "UnknownFailure",
    };
    let unanswered = matches!(code, "TimedOut" | "NoAnswer" | "UnreadableAnswer");
    let busy = status.is_some_and(|status| status == 429 || status >= 500);
    SdkFailure {
        operation: operation_of::<E>(),
        code: code.to_owned(),
        request_id: error.request_id().map(str::to_owned),
        status,
        retryable: unanswered || busy || code.contains("Throttl") || PATIENCE.contains(&code),
    }
}

/// The operation's name, taken from its error type: `…::GetSecretValueError`.
fn operation_of<E>() -> &'static str {
    let name = type_name::<E>();
    let last = name.rsplit("::").next().unwrap_or(name);
    last.strip_suffix("Error").unwrap_or(last)
}

impl fmt::Display for SdkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.operation, self.code)?;
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SdkFailure {}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

    use super::*;

    fn answered<E>(error: E, status: u16) -> SdkError<E, HttpResponse> {
        let mut response = HttpResponse::new(status.try_into().unwrap(), "the grant of ada@uni.edu".into());
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        SdkError::service_error(error, response)
    }

    fn metadata(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).message("no grant of ada@uni.edu").build()
    }

    #[test]
    fn a_service_error_keeps_its_code_and_loses_its_words_and_a_busy_service_is_worth_another_try() {
        let failure = reduce(&answered(PutItemError::generic(metadata("ValidationException")), 400));
        assert_eq!(failure.to_string(), "PutItem failed: ValidationException, status 400, request r-1");
        assert!(!failure.retryable && !format!("{failure:?}").contains("ada"));
        for (code, status, retryable) in [
            ("ProvisionedThroughputExceededException", 400, true),
            ("InternalServerError", 500, true),
            ("SlowDown", 429, true),
            ("AccessDeniedException", 400, false),
        ] {
            let failure = reduce(&answered(GetSecretValueError::generic(metadata(code)), status));
            assert_eq!((failure.operation, failure.retryable), ("GetSecretValue", retryable), "{code}");
        }
    }

    #[test]
    fn no_answer_has_neither_status_nor_request_but_is_worth_another_try() {
        let failure = reduce(&SdkError::<PutItemError, HttpResponse>::timeout_error("ada@uni.edu"));
        assert_eq!(failure.to_string(), "PutItem failed: TimedOut");
        assert!(failure.retryable);
        let failure = reduce(&SdkError::<PutItemError, HttpResponse>::construction_failure("ada@uni.edu"));
        assert_eq!((failure.code.as_str(), failure.retryable), ("NotSent", false));
    }
}
