//! The way from the gate to the services: passes requests and answers on as a whole. It knows no faults.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use crate::base::forward::Forward;
use crate::gate::call::Service;

/// The services' origins, with a path if they have one.
#[derive(Debug, Clone)]
pub struct Upstreams {
    pub dynamodb: String,
    pub ses: String,
    pub secretsmanager: String,
    /// The base URL, as in `OPENROUTER_BASE_URL`.
    pub provider: String,
}

/// A function's request to a service, as it came.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamRequest {
    pub(crate) service: Service,
    pub(crate) method: Method,
    /// Path and query relative to the service's base URL.
    pub(crate) rest: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct UpstreamClient {
    to: Upstreams,
    forward: Forward,
}

impl UpstreamClient {
    pub(crate) fn new(to: Upstreams) -> Result<UpstreamClient> {
        let forward = Forward::to(&[&to.dynamodb, &to.ses, &to.secretsmanager, &to.provider])?;
        Ok(UpstreamClient { to, forward })
    }

    /// Passes the request on. `None` if the service gave no answer, or an incomplete one.
    pub(crate) async fn send(&self, asked: UpstreamRequest) -> Option<Response<Bytes>> {
        let service = asked.service;
        let base = match service {
            Service::DynamoDb => &self.to.dynamodb,
            Service::Ses => &self.to.ses,
            Service::SecretsManager => &self.to.secretsmanager,
            Service::Provider => &self.to.provider,
        };
        let url = format!("{}{}", base.trim_end_matches('/'), asked.rest);
        match self.forward.send(url, asked.method, asked.headers, asked.body).await {
            Ok(response) => Some(response),
            Err(error) => {
                // The URL is left out, since it may contain a key's hash.
                tracing::debug!(%service, error = %error.without_url(), "no answer");
                None
            }
        }
    }
}
