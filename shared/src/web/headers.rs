//! The headers of every answer: no third party, no frame, no cache, no referrer to other sites.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::Site;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

/// Every feature that browsers know by name, denied to everybody.
const NO_PERMISSIONS: &str = "accelerometer=(), ambient-light-sensor=(), autoplay=(), battery=(), bluetooth=(), \
    browsing-topics=(), camera=(), clipboard-read=(), clipboard-write=(), display-capture=(), encrypted-media=(), \
    fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), \
    publickey-credentials-get=(), screen-wake-lock=(), serial=(), speaker-selection=(), storage-access=(), usb=(), \
    web-share=(), window-management=(), xr-spatial-tracking=()";

/// Adds the headers to every answer of these routes. A header that a route sets itself stays.
pub(super) fn with_headers(router: Router, site: &Site) -> Router {
    router.layer(from_fn_with_state(site.origin.is_secure(), add))
}

async fn add(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, CACHE_CONTROL, "no-store");
    set(headers, REFERRER_POLICY, "same-origin");
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, HeaderName::from_static("permissions-policy"), NO_PERMISSIONS);
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if secure {
        set(headers, STRICT_TRANSPORT_SECURITY, "max-age=63072000");
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
