//! The way from the gate to the services: passes requests and answers on as a whole. It knows no faults.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use tower::ServiceExt;

use crate::base::serve::NoAnswer;
use crate::gate::call::Service;

/// The services, in this process.
#[derive(Clone)]
pub struct Upstreams {
    pub dynamodb: Router,
    pub ses: Router,
    pub secretsmanager: Router,
    /// Its paths begin with `/api/v1`. None where the functions use a real one.
    pub provider: Option<Router>,
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

impl Upstreams {
    /// Passes the request on. `None` if the service gave no answer.
    pub(crate) async fn send(&self, asked: UpstreamRequest) -> Option<Response<Bytes>> {
        let (router, under) = match asked.service {
            Service::DynamoDb => (&self.dynamodb, "/"),
            Service::Ses => (&self.ses, "/"),
            Service::SecretsManager => (&self.secretsmanager, "/"),
            Service::Provider => (self.provider.as_ref()?, "/api/v1/"),
        };
        let path = format!("{under}{}", asked.rest.trim_start_matches('/'));
        let mut request = Request::builder().method(asked.method).uri(path).body(Body::from(asked.body)).ok()?;
        *request.headers_mut() = asked.headers;
        let response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if response.extensions().get::<NoAnswer>().is_some() {
            return None;
        }
        let (parts, body) = response.into_parts();
        Some(Response::from_parts(parts, axum::body::to_bytes(body, usize::MAX).await.ok()?))
    }
}
