//! The process's access to AWS: credentials, region and HTTP client, an endpoint for each service, and the
//! time-outs and retries of each client. The requests belong to `store`, `mail` and `secrets`.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};

use crate::prelude::*;

/// Everything that is needed to make a client of an AWS service.
#[derive(Clone, Debug)]
pub struct AwsAccess {
    shared: SdkConfig,
    /// The base of the services, `{base}/dynamodb`, `{base}/ses` and so on; `None` follows the SDK's own
    /// variables.
    base: Option<String>,
    /// The partition whose retry budget is shared. In AWS a process is one function and shares it all. Built
    /// by hand, each access has its own, so that faults of one do not use up the retries of another.
    retries: Option<RetryPartition>,
}

impl AwsAccess {
    /// The access that the SDK reads from the environment, its standard endpoint variables included.
    pub async fn from_environment() -> AwsAccess {
        AwsAccess { shared: aws_config::load_defaults(BehaviorVersion::latest()).await, base: None, retries: None }
    }

    /// An access built by hand, with every service under one base. It reads neither environment, profile nor
    /// metadata.
    pub fn under(base: &str, region: &str, http: SharedHttpClient) -> AwsAccess {
        let credentials = Credentials::new("local", "local", None, None, "by hand");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http)
            .build();
        let retries = RetryPartition::custom(base.to_owned()).token_bucket(TokenBucket::default()).build();
        AwsAccess { shared, base: Some(base.to_owned()), retries: Some(retries) }
    }

    /// An access built by hand to the one service at this origin.
    pub fn of_service(origin: &str, region: &str, http: SharedHttpClient) -> AwsAccess {
        let AwsAccess { shared, retries, .. } = AwsAccess::under(origin, region, http);
        AwsAccess { shared: shared.into_builder().endpoint_url(origin).build(), base: None, retries }
    }

    /// The table's client. Its first retry comes soon, since a throttled partition recovers in milliseconds.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let retries = RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(1));
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.shared)
            .retry_config(retries)
            .timeout_config(attempts_of(Duration::from_secs(3)));
        config.set_retry_partition(self.retries.clone());
        let config = self.at("dynamodb", config, aws_sdk_dynamodb::config::Builder::endpoint_url);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// The client of the secret that holds the management key.
    pub fn secretsmanager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.shared)
            .timeout_config(attempts_of(Duration::from_secs(3)));
        config.set_retry_partition(self.retries.clone());
        let config = self.at("secretsmanager", config, aws_sdk_secretsmanager::config::Builder::endpoint_url);
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// The mail client. It does not retry: a mail may have been accepted although its answer was lost, and
    /// the outbox decides about the next try.
    pub fn ses(&self) -> aws_sdk_ses::Client {
        let config = aws_sdk_ses::config::Builder::from(&self.shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(attempts_of(Duration::from_secs(10)));
        let config = self.at("ses", config, aws_sdk_ses::config::Builder::endpoint_url);
        aws_sdk_ses::Client::from_conf(config.build())
    }

    fn at<B>(&self, service: &str, config: B, endpoint: impl FnOnce(B, String) -> B) -> B {
        match &self.base {
            Some(base) => endpoint(config, format!("{base}/{service}")),
            None => config,
        }
    }
}

fn attempts_of(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).operation_attempt_timeout(attempt).build()
}
