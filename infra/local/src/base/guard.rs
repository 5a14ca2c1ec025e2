//! Keeps pages of other sites out of the servers of this machine, since a page can send requests to
//! any local port. The product's own pages check that themselves. It also sets the security headers
//! of every answer.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; frame-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// These routes, answered only at `origin` (`http://127.0.0.1:8081`).
pub(crate) fn guarded(routes: Router, origin: &str) -> Router {
    routes.layer(from_fn_with_state(origin.to_owned(), guard))
}

async fn guard(State(origin): State<String>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&origin, &request) {
        Some(sentence) => (StatusCode::FORBIDDEN, sentence).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        // A page may have set a stricter one of its own.
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The reason to refuse a request: another host name that resolves to this machine (DNS rebinding),
/// or a request of another site's page. Preflights are refused too.
fn refusal(origin: &str, request: &Request) -> Option<String> {
    let own_host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = hosts
        .next()
        .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(own_host.as_bytes()));
    let is_other_host = request
        .uri()
        .authority()
        .is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(own_host));
    if !named || is_other_host || hosts.next().is_some() {
        return Some(format!("This answers at {origin} only.\n"));
    }
    let foreign = |given: &HeaderValue| given.as_bytes() != origin.as_bytes();
    if request
        .headers()
        .get_all(header::ORIGIN)
        .iter()
        .any(foreign)
    {
        return Some(format!(
            "This came from a page of another origin than {origin}, and nothing was done.\n"
        ));
    }
    None
}
