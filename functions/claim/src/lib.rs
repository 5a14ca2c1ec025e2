//! The students' pages: ask for a link, follow it, reveal a key, replace it, see what is left. Which routes there are stands
//! here; what each does, in the rooms beside this one. The six steps of a claim stand in `keys::reveal`.
//!
//! # Signing in
//!
//! 1. `POST /link` looks nothing up. It writes one item, the ask, and answers every address alike.
//! 2. The stream brings asks to `mail`. Only there it is decided whether the address is anybody's; for any other nothing more is
//!    written.
//! 3. Link and code are made when the mail is sent. The table sees their hashes, and the mail goes to the roster's spelling.
//! 4. All that is good for an address lies in one item: its links, how many were mailed, and how many codes were wrong. Wrong
//!    codes are counted for every address that is typed.
//! 5. The write that makes a session replaces that item on condition of its version. So of many who come with one link one signs
//!    in, and every other link and code ends with it.
//!
//! A link counts in the browser that asked, or with the address typed in. So a scanner that opens, runs and presses uses nothing
//! up.
//!
//! Three links come as soon as they are asked for. After three that nobody followed, the next comes when none is good any more.
//! So whoever asks and however often, one is good at any time; at most five are mailed an hour.
//!
//! Five wrong codes end the codes that were mailed so far, whoever typed them; links they do not end. How many links the mail
//! server's day allows stands in the function `mail`.
//!
//! A session ends with its term, after an hour of disuse where its person has a role, and at the button "Sign out everywhere".
//! That it is used is noted every ten minutes, the one thing that a GET writes. Each sign-in and each refusal leaves a line in
//! the log that names nobody.

mod keys;
mod my;
mod refusal;
mod sign_in;
#[cfg(test)]
mod testing;

use anyhow::Result;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::start::Function;
use bursar_core::web::{self, Pages, Site, Visitor};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

/// The function with its routes.
pub struct App {
    pages: Pages,
    site: Site,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let site = Site::new(&config, clock);
        let routes = Router::new()
            .route("/", get(sign_in::ask::start))
            .route("/link", post(sign_in::ask::ask))
            .route("/c/{*anything}", get(sign_in::link).post(sign_in::follow))
            .route("/code", post(sign_in::type_code))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/my", get(my::page))
            .route("/my/data", get(my::data::data))
            .route("/my/mails", post(my::mails::choose))
            .route("/my/{programme}/reveal", post(keys::reveal::reveal))
            .route("/my/{programme}/replace", post(keys::reveal::replace))
            .route("/my/{programme}/leaked", post(keys::presses::leaked))
            .route("/my/{programme}/refresh", post(keys::presses::refresh))
            .route("/my/{programme}/resume", post(keys::presses::resume))
            .route("/my/{programme}/return", post(keys::presses::hand_back))
            .route("/bursar.css", get(web::stylesheet))
            .route("/forms.js", get(web::forms_script))
            .route("/key.js", get(script))
            .fallback(nothing)
            .method_not_allowed_fallback(nothing)
            .with_state(site.clone());
        App { pages: Pages::of(routes, &config), site }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context);
        let answer = self.pages.answer(event).await;
        self.site.tell_of_a_refusal(deadline).await;
        answer
    }
}

/// The script of the page with a key: it copies the key on a press, and wipes it when the page is left.
async fn script() -> Response {
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))];
    (kind, include_str!("../templates/key.js")).into_response()
}

/// The answer to an unknown path. Below `/my`, somebody who is signed out is sent to sign in first.
async fn nothing(State(site): State<Site>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let is_behind_a_session = parts.uri.path() == "/my" || parts.uri.path().starts_with("/my/");
    match is_behind_a_session {
        true => match Visitor::from_request_parts(&mut parts, &site).await {
            Ok(_) => site.not_found(),
            Err(signed_out) => signed_out,
        },
        false => site.not_found(),
    }
}
