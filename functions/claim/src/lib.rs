//! The students' pages: ask for a link, follow it, reveal a key, replace it, see what is left. This
//! file lists the routes; the rooms beside it hold the handlers. The six steps of a claim are in
//! [`keys::reveal`].
//!
//! # Signing in
//!
//! 1. `POST /link` looks nothing up. It writes one item, the login request, and gives every address
//!    the same answer.
//! 2. The stream delivers login requests to `mail`, which alone decides whether the address belongs
//!    to a person. For any other address
//!    it writes nothing more.
//! 3. `mail` makes link and code at the moment of sending. The table holds only their hashes, and
//!    the mail goes to the roster's
//!    spelling of the address.
//! 4. One item holds all that is valid for an address: its links, the count of mails, and the count
//!    of wrong codes. Wrong codes
//!    are counted for every address that is typed, known or not.
//! 5. The write that creates a session replaces that item on condition of its version. So a link
//!    signs in one browser, and all
//!    other links and codes of the address end with it.
//!
//! A link is valid in the browser that asked for it, or together with the address typed in. A
//! scanner that opens the page, runs its script and presses its button therefore does not use a
//! link up.
//!
//! The first three links are sent at once, no two within a minute. After three that were not
//! followed, the next is sent when none is valid any more. So at any time some link is valid, and
//! at most five are sent an hour. The share of the mail server's quota that links get is described
//! in the function `mail`.
//!
//! Five wrong codes end the codes sent so far, whoever typed them, but no link.
//!
//! A session ends at its term, after an hour without use for people with a role, and by the button
//! "Sign out everywhere". Its use is recorded every ten minutes; that is the only write of a GET
//! here, but for the way back from a sign-on. Each sign-in and each refusal is logged without a
//! name. Those of people with a role have an audit of their own, with the source address, for 90
//! days; students' are counted.
//!
//! Whoever opens a page of ours without a session is sent to the start, and this browser keeps the
//! page in a cookie. Signing in leads there.

#![warn(clippy::wildcard_enum_match_arm)]

mod keys;
mod my;
mod refusal;
mod sign_in;
mod sign_on;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Result, bail};
use askama::Template;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bursar_core::clock::Clock;
use bursar_core::config::{Config, SignOn};
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::BACKUP_DAYS;
use bursar_core::web::{self, Answer, AppError, FileNames, Frame, Pages, Reply, Site, Visitor};
use jiff::SignedDuration;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::sign_on::OpenId;

pub struct App {
    pages: Pages,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let site = Site::new(&config, clock);
        let provider = match &config.sign_on {
            Some(SignOn::Provider(provider)) => {
                Some(OpenId::new(provider, &config.origin, &config.aws))
            }
            Some(SignOn::Front) | None => None,
        };
        let provider = provider.map(Arc::new);
        let routes = Router::new()
            .route("/", get(sign_in::start))
            .route("/link", post(sign_in::request_link))
            .route("/c/{*anything}", get(sign_in::link).post(sign_in::follow))
            .route("/code", post(sign_in::type_code))
            .route("/sign-on", post(sign_on::begin))
            .route("/sign-on/callback", get(sign_on::callback))
            .route("/privacy", get(privacy))
            .route("/accessibility", get(accessibility))
            .route("/.well-known/security.txt", get(security_contact))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/my", get(my::page))
            .route("/my/data", get(my::data))
            .route("/my/help", get(my::help))
            .route("/my/mails", post(my::choose_mails))
            .route("/my/{programme}/reveal", post(keys::reveal::reveal))
            .route("/my/{programme}/replace", post(keys::reveal::replace))
            .route("/my/{programme}/leaked", post(keys::requests::leaked))
            .route("/my/{programme}/refresh", post(keys::requests::refresh))
            .route("/my/{programme}/resume", post(keys::requests::resume))
            .route("/my/{programme}/return", post(keys::requests::hand_back))
            .route("/my/{programme}/more", post(keys::requests::ask_for_more))
            .route("/bursar.css", get(web::stylesheet))
            .route("/forms.js", get(web::forms_script))
            .route("/key.js", get(script))
            .fallback(nothing)
            .method_not_allowed_fallback(web::redirect_other_method)
            .layer(Extension(provider))
            .with_state(site.clone());
        App {
            pages: Pages::new(routes, &site),
        }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        match Event::parse(event.payload)? {
            Event::Http(payload) => {
                self.pages
                    .answer(LambdaEvent::new(payload, event.context))
                    .await
            }
            Event::Task(_)
            | Event::Scheduled
            | Event::Empty
            | Event::Stream(_)
            | Event::Notifications(_) => {
                bail!("this is no event for the function claim")
            }
        }
    }
}

/// What is kept of whom, in the words of a student.
#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage<'a> {
    frame: &'a Frame,
    retention_days: u16,
    backup_days: u16,
}

async fn privacy(site: Site) -> Reply {
    let retention_days = site.retention_days;
    site.page(&PrivacyPage {
        frame: &site.frame,
        retention_days,
        backup_days: BACKUP_DAYS,
    })
}

/// How accessible the pages are, and whom to write.
#[derive(Template)]
#[template(path = "accessibility.html")]
struct AccessibilityPage<'a> {
    frame: &'a Frame,
}

async fn accessibility(site: Site) -> Reply {
    site.page(&AccessibilityPage { frame: &site.frame })
}

/// How long a `security.txt` may be believed; it is made anew for each request.
const CONTACT_LASTS: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Whom somebody writes who found a hole, in the form of RFC 9116.
async fn security_contact(site: Site) -> Answer {
    let contact = site
        .security_contact
        .as_deref()
        .ok_or_else(AppError::not_found)?;
    let expires = (site.clock.now() + CONTACT_LASTS).strftime("%Y-%m-%dT%H:%M:%SZ");
    let text = format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\n");
    Ok(Reply::file(
        FileNames::Nobody,
        [(CONTENT_TYPE, "text/plain; charset=utf-8")],
        text,
    ))
}

/// The script of the page with a key: it copies the key at a click, and wipes it when the page is
/// left.
async fn script() -> Response {
    let kind = [(
        CONTENT_TYPE,
        HeaderValue::from_static("text/javascript; charset=utf-8"),
    )];
    (kind, include_str!("../templates/key.js")).into_response()
}

/// The answer to an unknown path. Below `/my`, somebody who is signed out is sent to sign in first.
async fn nothing(uri: Uri, visitor: web::Result<Visitor>) -> AppError {
    visitor
        .err()
        .filter(|_| uri.path().starts_with("/my/"))
        .unwrap_or_else(AppError::not_found)
}
