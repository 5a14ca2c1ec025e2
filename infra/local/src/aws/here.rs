//! The SDK's HTTP client where AWS is this process: a request goes to a router, and neither side
//! has a port.

use std::fmt;

use anyhow::Result;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use axum::Router;
use axum::body::{Body, to_bytes};
use tower::ServiceExt;

/// The base under which an access names its services; it is looked up nowhere.
pub const BASE: &str = "http://here.invalid";

struct Here(Router);

/// A client of this router.
pub fn client(router: Router) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Here(router));
    http_client_fn(move |_, _| connector.clone())
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Here")
    }
}

impl HttpConnector for Here {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let router = self.0.clone();
        HttpConnectorFuture::new(async move {
            answer(router, request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))
        })
    }
}

async fn answer(router: Router, request: HttpRequest) -> Result<HttpResponse> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // The SDK takes a body that nobody reads to its end for a stalled connection.
    let answer = router
        .oneshot(http::Request::from_parts(parts, Body::new(body)))
        .await;
    let (parts, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
    let body = to_bytes(body, usize::MAX).await?;
    let mut response = HttpResponse::new(parts.status.as_u16().try_into()?, body.into());
    for (name, value) in &parts.headers {
        response
            .headers_mut()
            .append(name.to_string(), value.to_str()?.to_owned());
    }
    Ok(response)
}
