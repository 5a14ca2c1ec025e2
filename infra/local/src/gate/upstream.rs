//! The way from the gate to the services: a request is passed on whole and its answer comes back whole. It knows no faults.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Response};

use super::call::Service;

/// Where the services are: origins, with a path if they have one.
#[derive(Debug, Clone)]
pub struct Upstreams {
    pub dynamodb: String,
    pub ses: String,
    pub secretsmanager: String,
    /// As `OPENROUTER_BASE_URL`.
    pub provider: String,
}

/// A request of a function to a service, as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) service: Service,
    pub(super) method: Method,
    /// Path and query under the service's own base.
    pub(super) rest: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Way {
    to: Upstreams,
    client: reqwest::Client,
}

/// Longer than any client of ours waits, so that its call takes effect as it would when it hung up on a real service.
const PATIENCE: Duration = Duration::from_secs(60);

impl Way {
    pub(super) fn new(to: Upstreams) -> Result<Way> {
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .timeout(PATIENCE);
        let bases = [&to.dynamodb, &to.ses, &to.secretsmanager, &to.provider];
        if bases.iter().all(|base| base.starts_with("http://")) {
            // Reading the machine's certificates takes many times longer than all the rest, and each test opens a gate.
            client = client.tls_certs_only([]);
        }
        let client = client.build().context("cannot make the client of the fault layer")?;
        Ok(Way { to, client })
    }

    /// Passes the request on. There is no answer if the service gave none or not a whole one.
    pub(super) async fn send(&self, asked: Asked) -> Option<Response<Bytes>> {
        let service = asked.service;
        match self.try_send(asked).await {
            Ok(response) => Some(response),
            Err(error) => {
                // The address is left out: it may name a key.
                tracing::debug!(%service, error = %error.without_url(), "no answer");
                None
            }
        }
    }

    async fn try_send(&self, asked: Asked) -> Result<Response<Bytes>, reqwest::Error> {
        let base = match asked.service {
            Service::DynamoDb => &self.to.dynamodb,
            Service::Ses => &self.to.ses,
            Service::SecretsManager => &self.to.secretsmanager,
            Service::Provider => &self.to.provider,
        };
        let url = format!("{}{}", base.trim_end_matches('/'), asked.rest);
        let has_body = !asked.body.is_empty() || asked.headers.contains_key(CONTENT_LENGTH);
        let mut request = self.client.request(asked.method, url).headers(end_to_end(asked.headers));
        if has_body {
            request = request.body(asked.body);
        }
        let mut answer = request.send().await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut response = Response::new(answer.bytes().await?);
        *response.status_mut() = status;
        *response.headers_mut() = end_to_end(headers);
        Ok(response)
    }
}

/// Without what concerns one connection only, and without the length, which is made anew.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let known = [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in known.iter().chain(&named) {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"] {
        headers.remove(name);
    }
    headers
}
