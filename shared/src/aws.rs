//! The process's access to AWS: credentials, region and HTTP client, an endpoint for each service,
//! and the time-outs and retries of each client. The requests belong to [`store`](crate::store),
//! `mail` and [`secrets`](crate::secrets). They reduce the SDK's errors here to what a log may
//! hold, nothing of what was sent or answered, and decide themselves what they mean.

use std::any::type_name;
use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::tls::roots;

#[derive(Clone, Debug)]
pub struct AwsAccess {
    shared: SdkConfig,
    /// The base of the services, `{base}/dynamodb`, `{base}/ses` and so on; `None` follows the
    /// SDK's own variables.
    base: Option<String>,
    /// The partition whose retry budget is shared. In AWS a process is one function and shares it
    /// all. Built by hand, each access has its own, so that faults of one do not use up the retries
    /// of another.
    retries: Option<RetryPartition>,
}

impl AwsAccess {
    /// The access that the SDK reads from the environment, its standard endpoint variables
    /// included.
    pub async fn from_environment() -> AwsAccess {
        let roots = TrustStore::empty().with_pem_certificate(roots());
        // It fails for no list of roots, and a process without a client of AWS does nothing.
        let context = TlsContext::builder()
            .with_trust_store(roots)
            .build()
            .unwrap_or_default();
        // It connects when it is first used.
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https();
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .load()
            .await;
        AwsAccess {
            shared,
            base: None,
            retries: None,
        }
    }

    /// An access built by hand, with every service under one base. It reads neither environment,
    /// profile nor metadata.
    pub fn under(base: &str, region: &str, http: SharedHttpClient) -> AwsAccess {
        let credentials = Credentials::new("local", "local", None, None, "by hand");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http)
            .build();
        let retries = RetryPartition::custom(base.to_owned())
            .token_bucket(TokenBucket::default())
            .build();
        AwsAccess {
            shared,
            base: Some(base.to_owned()),
            retries: Some(retries),
        }
    }

    pub fn new_for_service(origin: &str, region: &str, http: SharedHttpClient) -> AwsAccess {
        let AwsAccess {
            shared, retries, ..
        } = AwsAccess::under(origin, region, http);
        AwsAccess {
            shared: shared.into_builder().endpoint_url(origin).build(),
            base: None,
            retries,
        }
    }

    /// The table's client. Its first retry comes soon, since a throttled partition recovers in
    /// milliseconds.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let retries = RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(1));
        let config = self.configure("dynamodb", Duration::from_secs(3));
        let mut config = aws_sdk_dynamodb::config::Builder::from(&config).retry_config(retries);
        config.set_retry_partition(self.retries.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    pub fn secretsmanager(&self) -> aws_sdk_secretsmanager::Client {
        let config = self.configure("secretsmanager", Duration::from_secs(3));
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&config);
        config.set_retry_partition(self.retries.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// The mail client. It does not retry: a mail may have been accepted although its answer was
    /// lost, and the outbox decides about the next try.
    pub fn ses(&self) -> aws_sdk_ses::Client {
        let config = self.configure("ses", Duration::from_secs(10));
        let config =
            aws_sdk_ses::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        aws_sdk_ses::Client::from_conf(config.build())
    }

    /// What the client of a service begins with: where it is, and how long a try takes. On loopback
    /// an answer comes at once, or what keeps it is a test that holds it.
    fn configure(&self, service: &str, attempt: Duration) -> SdkConfig {
        let attempt = if self.base.is_some() {
            Duration::from_secs(60)
        } else {
            attempt
        };
        let waits = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(attempt);
        let config = self
            .shared
            .clone()
            .into_builder()
            .timeout_config(waits.build());
        match &self.base {
            Some(base) => config.endpoint_url(format!("{base}/{service}")),
            None => config,
        }
        .build()
    }
}

/// An error of the SDK without its message, its input and its body.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct SdkFailure {
    pub operation: &'static str,
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

pub fn reduce<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> SdkFailure {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

    use super::*;

    fn answered<E>(error: E, status: u16) -> SdkError<E, HttpResponse> {
        let mut response = HttpResponse::new(
            status.try_into().unwrap(),
            "the grant of ada@uni.edu".into(),
        );
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        SdkError::service_error(error, response)
    }

    fn metadata(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder()
            .code(code)
            .message("no grant of ada@uni.edu")
            .build()
    }

    /// A service error keeps its code and drops its message, and a busy service can be tried again.
    #[test]
    fn an_error_keeps_its_code() {
        let failure = reduce(&answered(
            PutItemError::generic(metadata("ValidationException")),
            400,
        ));
        assert_eq!(
            failure.to_string(),
            "PutItem failed: ValidationException, status 400, request r-1"
        );
        assert!(!failure.retryable && !format!("{failure:?}").contains("ada"));
        for (code, status, retryable) in [
            ("ProvisionedThroughputExceededException", 400, true),
            ("InternalServerError", 500, true),
            ("SlowDown", 429, true),
            ("AccessDeniedException", 400, false),
        ] {
            let failure = reduce(&answered(
                GetSecretValueError::generic(metadata(code)),
                status,
            ));
            assert_eq!(
                (failure.operation, failure.retryable),
                ("GetSecretValue", retryable),
                "{code}"
            );
        }
    }

    /// A call without an answer has neither status nor request id but can be tried again.
    #[test]
    fn no_answer_is_retryable() {
        let failure = reduce(&SdkError::<PutItemError, HttpResponse>::timeout_error(
            "ada@uni.edu",
        ));
        assert_eq!(failure.to_string(), "PutItem failed: TimedOut");
        assert!(failure.retryable);
        let failure =
            reduce(&SdkError::<PutItemError, HttpResponse>::construction_failure("ada@uni.edu"));
        assert_eq!(
            (failure.code.as_str(), failure.retryable),
            ("NotSent", false)
        );
    }
}
