//! An error of the AWS SDK, reduced to what may reach a log: no request, no response body, no credentials.

use std::fmt;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;

/// What failed, as far as the service or the SDK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkFailure {
    pub operation: &'static str,
    /// The service's code, or what kind of failure kept it from answering.
    pub code: String,
    pub status: Option<u16>,
    pub request_id: Option<String>,
    /// Whether the service may have done it all the same.
    pub maybe_done: bool,
}

impl SdkFailure {
    pub fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> SdkFailure
    where
        E: ProvideErrorMetadata,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let without_answer = match error {
            SdkError::ConstructionFailure(_) => "could not be asked",
            SdkError::TimeoutError(_) => "did not answer in time",
            SdkError::DispatchFailure(_) => "could not be reached",
            SdkError::ResponseError(_) => "answered unreadably",
            _ => "failed",
        };
        let code = error.as_service_error().and_then(|error| error.code()).unwrap_or(without_answer).to_owned();
        let maybe_done = match error {
            SdkError::ConstructionFailure(_) => false,
            SdkError::ServiceError(_) => status.is_none_or(|status| status >= 500),
            _ => true,
        };
        SdkFailure { operation, code, status, request_id: error.request_id().map(str::to_owned), maybe_done }
    }
}

impl fmt::Display for SdkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.code)?;
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, ", request {request_id}")?;
        }
        Ok(())
    }
}
