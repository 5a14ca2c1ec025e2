//! The pages that any function may show, and what every page loads: the stylesheet and the script of its
//! forms.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get};

use crate::config::Config;

const STYLESHEET: &str = include_str!("../../templates/bursar.css");
const FORMS: &str = include_str!("../../templates/forms.js");
const TRY_AGAIN_AFTER_SECONDS: &str = "30";

/// The frame of every page: the institution, its contact and its privacy page.
#[derive(Debug, Clone)]
pub struct Frame {
    pub institution: String,
    pub support: Option<String>,
    pub privacy_url: Option<String>,
}

/// A page with one sentence about a problem, and a link onwards.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    pub frame: &'a Frame,
    pub heading: &'a str,
    pub sentence: &'a str,
}

impl Frame {
    pub fn of(config: &Config) -> Frame {
        Frame {
            institution: config.institution.clone(),
            support: config.support.clone(),
            privacy_url: config.privacy_url.clone(),
        }
    }

    /// A page of ours; one that cannot be rendered is a plain 500. A page with 503 says when to try again.
    pub fn page(status: StatusCode, page: &impl Template) -> Response {
        match page.render() {
            Ok(html) if status == StatusCode::SERVICE_UNAVAILABLE => {
                (status, [(RETRY_AFTER, TRY_AGAIN_AFTER_SECONDS)], Html(html)).into_response()
            }
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// The page for what does not exist, or is not this person's.
    pub fn not_found(&self) -> Response {
        let message = Message {
            frame: self,
            heading: "There is nothing here",
            sentence: "The address may be mistyped, or the page may be gone.",
        };
        Frame::page(StatusCode::NOT_FOUND, &message)
    }
}

/// A route behind a session, for a person without one: a page redirects to the start, anything else is
/// refused.
pub fn signed_out<S: Clone + Send + Sync + 'static>(frame: &Frame) -> MethodRouter<S> {
    let frame = frame.clone();
    let refused = move || {
        let message = Message {
            frame: &frame,
            heading: "You are signed out",
            sentence: "Nothing was done. Ask for a new link at the start, and try again.",
        };
        std::future::ready(Frame::page(StatusCode::UNAUTHORIZED, &message))
    };
    get(|| async { Redirect::to("/") }).fallback(refused)
}

/// The stylesheet's route.
pub async fn stylesheet() -> Response {
    kept_for_minutes("text/css; charset=utf-8", STYLESHEET)
}

/// The route of the script that sends a form once.
pub async fn forms_script() -> Response {
    kept_for_minutes("text/javascript; charset=utf-8", FORMS)
}

/// An asset without personal data, which a browser may cache for some minutes; no other answer may be cached.
fn kept_for_minutes(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, text).into_response()
}
