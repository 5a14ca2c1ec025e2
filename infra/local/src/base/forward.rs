//! The proxy step of the stand-ins: passes a request on as a whole, and its answer back as a whole.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Response};

/// A time-out longer than any of our clients', so that a call takes effect after its client disconnects, as
/// at a real service.
const PATIENCE: Duration = Duration::from_secs(60);

/// An HTTP client that adds no headers and follows no redirects.
#[derive(Clone)]
pub(crate) struct Forward(reqwest::Client);

impl Forward {
    /// The client for these services.
    pub(crate) fn to(bases: &[&str]) -> Result<Forward> {
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .timeout(PATIENCE);
        if bases.iter().all(|base| base.starts_with("http://")) {
            // Loading the machine's certificates takes many times longer than all the rest, and each test
            // opens a gate.
            client = client.tls_certs_only([]);
        }
        Ok(Forward(client.build().context("cannot make a client")?))
    }

    pub(crate) async fn send(
        &self,
        url: String,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, reqwest::Error> {
        let has_body = !body.is_empty() || headers.contains_key(CONTENT_LENGTH);
        let mut request = self.0.request(method, url).headers(end_to_end(headers));
        if has_body {
            request = request.body(body);
        }
        let mut answer = request.send().await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut response = Response::new(answer.bytes().await?);
        *response.status_mut() = status;
        *response.headers_mut() = end_to_end(headers);
        Ok(response)
    }
}

/// The headers without those of a single connection, and without the length, which is computed again.
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
