//! The pages that any function may show, and what every page loads: the stylesheet and the script
//! of its forms.

use std::panic::AssertUnwindSafe;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::FutureExt;
use lambda_http::RequestExt;

use super::Site;
use super::error::ErrorFacts;
use crate::config::Config;
use crate::deadline::Deadline;

const STYLESHEET: &str = include_str!("../../templates/bursar.css");
const FORMS: &str = include_str!("../../templates/forms.js");

/// The frame of every page: the institution, its contact and its privacy page; and which version
/// this is, on pages for people with a role.
#[derive(Debug, Clone)]
pub struct Frame {
    pub institution: String,
    pub support: Option<String>,
    pub privacy_url: String,
    /// The SMTP server that takes all mail, where there is no SES.
    pub smtp_server: Option<String>,
    pub version: Option<String>,
}

/// A page with one sentence about a problem, and a link onwards.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    frame: &'a Frame,
    heading: &'a str,
    sentence: &'a str,
    /// The page to which its link leads, and the text of the link.
    onward: (&'a str, &'a str),
    ways_back: &'a [(&'a str, &'a str)],
}

impl Frame {
    pub fn from_config(config: &Config) -> Frame {
        Frame {
            institution: config.institution.clone(),
            support: config.support.clone(),
            privacy_url: config.privacy_page(),
            smtp_server: config.smtp_server.clone(),
            version: None,
        }
    }

    pub fn page(page: &impl Template) -> Response {
        match page.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Adds a page to refusals that came without one, or one sentence in JSON where a program put
/// something, and tells the admins what they are to know of one. A handler that panics ends its own
/// request only.
pub(super) async fn with_page(site: Site, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(deadline) = Deadline::from_request_parts(&mut parts, &site).await;
    let path = parts.uri.path().to_owned();
    let is_program = parts.method == Method::PUT;
    let reference = parts
        .lambda_context_ref()
        .map(|context| context.request_id.clone());
    let answered = AssertUnwindSafe(next.run(Request::from_parts(parts, body)))
        .catch_unwind()
        .await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!("a request ended in a panic");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    });
    let told = response
        .extensions_mut()
        .get_or_insert_default::<ErrorFacts>()
        .clone();
    if let Some(cause) = told.alarm {
        site.raise_in_time(cause, deadline).await;
    }
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let status = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => StatusCode::NOT_FOUND,
        status => status,
    };
    if !(status.is_client_error() || status.is_server_error()) || is_page {
        return response;
    }
    let (heading, usual) = to_words(status);
    let sentence = told.sentence.as_deref().unwrap_or(usual);
    // Strangers come here too.
    let frame = Frame {
        version: None,
        ..Frame::clone(&site.frame)
    };
    let message = MessagePage {
        frame: &frame,
        heading,
        sentence,
        ways_back: if path.starts_with("/console") {
            &[
                ("/console", "Programmes"),
                ("/console/report", "Report"),
                ("/my", "Your own credit"),
            ]
        } else {
            &[]
        },
        onward: match path.as_str() {
            _ if matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) => {
                ("/", "To the start")
            }
            path if path.starts_with("/my") => ("/my", "To your credit"),
            path if path.starts_with("/console") => ("/console", "To the console"),
            _ => ("/", "To the start"),
        },
    };
    let mut page = if is_program {
        let json = [(CONTENT_TYPE, "application/json")];
        let mut body = serde_json::json!({ "error": sentence });
        // Whoever has no good token is told the same.
        if status != StatusCode::UNAUTHORIZED {
            body["reference"] = reference.into();
        }
        (json, body.to_string()).into_response()
    } else {
        Frame::page(&message)
    };
    if is_program && status == StatusCode::UNAUTHORIZED {
        page.headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *page.status_mut() = status;
    page.extensions_mut()
        .extend(std::mem::take(response.extensions_mut()));
    for name in [RETRY_AFTER, SET_COOKIE] {
        page.headers_mut().extend(
            response
                .headers_mut()
                .remove(&name)
                .map(|value| (name, value)),
        );
    }
    page
}

/// The heading of a refusal by its status, and the sentence of one that says no more.
fn to_words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => (
            "You are signed out",
            "Nothing was done, and what was typed is lost. Sign in at the start, in this browser: it leads back to the page of the form.",
        ),
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "The address may be mistyped, or the page may be gone.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "Too large",
            "Nothing was done: more was sent than fits here. Open the page again and send less.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "Nothing was done",
            "What was sent is not a form of this site. Open the page again and use its form.",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => (
            "Nothing was done",
            "A field is missing. Open the page again and fill in the form.",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("Please wait a little", "Try again in a few minutes."),
        StatusCode::BAD_GATEWAY => ("OpenRouter did not do it", "Try again in a few minutes."),
        status if status.is_server_error() => (
            "Please try again",
            "Something did not work on our side. Nothing is lost; try again in a few seconds.",
        ),
        _ => (
            "Nothing was done",
            "What was sent could not be read as a form. Open the page again and fill in the form again.",
        ),
    }
}

pub async fn stylesheet() -> Response {
    cache_for_minutes("text/css; charset=utf-8", STYLESHEET)
}

/// The route of the script that sends a form once.
pub async fn forms_script() -> Response {
    cache_for_minutes("text/javascript; charset=utf-8", FORMS)
}

/// An asset without personal data, which a browser may cache for some minutes; no other answer may
/// be cached.
fn cache_for_minutes(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        ),
    ];
    (headers, text).into_response()
}
