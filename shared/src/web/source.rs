//! From where a request comes, as the audit of sign-ins and files has it.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;

use super::Site;

const FRONT: HeaderName = HeaderName::from_static("x-bursar-front");
/// For whom the front asks; it may be anybody's word in a request that does not come from there.
const SOURCE: HeaderName = HeaderName::from_static("x-bursar-source");

/// The network address of the browser; `None` where nobody says it.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub Option<IpAddr>);

impl Site {
    /// Whether a request brings the secret of what stands in front. Without a front none does.
    pub fn is_from_front(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(FRONT).map(HeaderValue::as_bytes);
        self.front
            .as_ref()
            .zip(given)
            .is_some_and(|(front, given)| front.is(given))
    }
}

impl FromRequestParts<Site> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Source, Infallible> {
        let named = parts
            .headers
            .get(SOURCE)
            .filter(|_| site.is_from_front(&parts.headers));
        let named = named.and_then(|named| named.to_str().ok()?.trim().parse().ok());
        let peer = match parts.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_ref(),
            _ => None,
        };
        let source: Option<IpAddr> = named.or_else(|| peer?.parse().ok());
        Ok(Source(source.map(|source| source.to_canonical())))
    }
}
