//! What every route of ours has around it: the headers, with no third party, no frame, no cache and
//! no referrer to other sites; a page for every refusal; and the guard against other sites' forms,
//! since a request that changes something must come from our own pages, as far as the browser says.

use std::time::Instant;

use askama::Template;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use lambda_http::RequestExt;
use tracing::Span;

use super::error::ErrorFacts;
use super::session::Cookies;
use super::{AppError, Result, Site, page};
use crate::config::Origin;

/// Adds to these routes what every page of ours has.
pub(super) fn dress(routes: Router, site: &Site) -> Router {
    routes
        .layer(from_fn_with_state(site.clone(), guard))
        .layer(from_fn_with_state(site.clone(), page::with_page))
        .layer(from_fn_with_state(site.cookies, with_notice))
        .layer(from_fn_with_state(site.origin.is_secure(), with_headers))
        .layer(from_fn(with_line))
}

/// Leaves a line of each answer in the log. The template counts the refusals among them, and what
/// is only to be asked later: what the API counts beyond these never came here, or failed. It
/// counts claims too that came to nothing by a fault or by the provider.
async fn with_line(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str);
    Span::current().record("route", format!("{} {route}", request.method()));
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let told = response
        .extensions()
        .get::<ErrorFacts>()
        .cloned()
        .unwrap_or_default();
    let cause = told.is_providers.then_some("provider");
    let ms = begun.elapsed().as_millis() as u64;
    tracing::info!(status, ms, fault = told.is_fault, cause, "answered");
    response
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

/// Every feature that browsers know by name, denied to everybody.
const NO_PERMISSIONS: &str = "accelerometer=(), ambient-light-sensor=(), autoplay=(), battery=(), bluetooth=(), \
    browsing-topics=(), camera=(), clipboard-read=(), clipboard-write=(), display-capture=(), encrypted-media=(), \
    fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), \
    publickey-credentials-get=(), screen-wake-lock=(), serial=(), speaker-selection=(), storage-access=(), usb=(), \
    web-share=(), window-management=(), xr-spatial-tracking=()";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("permissions-policy"),
        NO_PERMISSIONS,
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// A header that a route sets itself stays.
async fn with_headers(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if secure {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=63072000"),
        );
    }
    response
}

#[derive(Template)]
#[template(
    source = r#"<p class="notice good" role="status" data-testid="notice">{{ sentence }}</p>"#,
    ext = "html"
)]
struct NoticeLine {
    sentence: String,
}

/// Where the frame of every page begins what is its own, before anything that a person wrote.
const CONTENT: &str = "<main id=\"main\">\n";

/// Where it ends.
const END_OF_CONTENT: &str = "</main>";

#[derive(Template)]
#[template(
    source = r#"<p class="small">If you ask for help, give this reference: <code data-testid="reference">{{ reference }}</code></p>"#,
    ext = "html"
)]
struct ReferenceLine {
    reference: String,
}

/// Puts the sentence that a form left behind above the next page, once. A page that says that
/// something was not done says so in its title, and how the log calls this request; a link or code
/// that is not good has one page for everybody, without that.
async fn with_notice(State(cookies): State<Cookies>, request: Request, next: Next) -> Response {
    let notice = if request.method() == Method::GET {
        cookies.notice(request.headers())
    } else {
        None
    };
    let is_link = request.uri().path() == "/code" || request.uri().path().starts_with("/c/");
    let reference = request
        .lambda_context_ref()
        .map(|context| context.request_id.clone());
    let response = next.run(request).await;
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let is_refused = matches!(
        response.status(),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT
    );
    let notice = notice.filter(|_| response.status().is_success());
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_alike = is_link && response.status() == StatusCode::FORBIDDEN;
    // What a form refuses is said beside its fields, and nobody has to look for it.
    let is_mistyped = response.status() == StatusCode::UNPROCESSABLE_ENTITY;
    let reference = reference.filter(|_| is_error && !is_alike && !is_mistyped);
    if !is_page || (notice.is_none() && !is_refused && reference.is_none()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(page) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(notice) = notice {
        let line = NoticeLine {
            sentence: notice.to_words(),
        }
        .render()
        .unwrap_or_default();
        page = page.replacen(CONTENT, &format!("{CONTENT}{line}\n"), 1);
        parts.headers.append(SET_COOKIE, cookies.end_notice());
    } else if is_refused {
        page = page.replacen("<title>", "<title>Error: ", 1);
    }
    if let Some(reference) = reference {
        let line = ReferenceLine { reference }.render().unwrap_or_default();
        page = page.replacen(END_OF_CONTENT, &format!("{line}\n{END_OF_CONTENT}"), 1);
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, page.into())
}

/// Refuses requests that went past what is in front of the pages, and forms from other sites,
/// before a route sees them.
async fn guard(site: Site, request: Request, next: Next) -> Result<Response> {
    if site.front.is_some() && !site.is_from_front(request.headers()) {
        let sentence = format!(
            "Pages are not shown at this address. Open {}.",
            site.origin.as_str()
        );
        return Err(AppError::refused(StatusCode::FORBIDDEN, sentence).because("front"));
    }
    // What is put has a token of its own, which no page of another site knows.
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT
    );
    if is_safe || is_ours(request.headers(), &site.origin) {
        return Ok(next.run(request).await);
    }
    let sentence = "This form was sent from another site. Open the page here and try again.";
    Err(AppError::refused(StatusCode::FORBIDDEN, sentence).because("origin"))
}

/// Whether a request is from our own pages. A missing header is no objection, since old browsers
/// send neither.
fn is_ours(headers: &HeaderMap, origin: &Origin) -> bool {
    let same = headers
        .get_all(ORIGIN)
        .iter()
        .all(|given| given.as_bytes() == origin.as_str().as_bytes());
    let site = headers
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    same && site
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A form is accepted from our own origin and from browsers that name none.
    #[test]
    fn foreign_forms_are_refused() {
        let origin = Origin::parse("https://bursar.uni.edu").unwrap();
        let judged = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_ours(&headers.collect(), &origin)
        };
        assert!(judged(&[]));
        assert!(judged(&[
            ("origin", "https://bursar.uni.edu"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(judged(&[("sec-fetch-site", "none")]));
        for foreign in [
            "null",
            "https://bursar.uni.edu.evil.org",
            "http://bursar.uni.edu",
            "https://bursar.uni.edu:8443",
            "",
        ] {
            assert!(!judged(&[("origin", foreign)]), "{foreign}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(
                !judged(&[
                    ("origin", "https://bursar.uni.edu"),
                    ("sec-fetch-site", site)
                ]),
                "{site}"
            );
        }
        assert!(!judged(&[
            ("origin", "https://bursar.uni.edu"),
            ("origin", "null")
        ]));
    }
}
