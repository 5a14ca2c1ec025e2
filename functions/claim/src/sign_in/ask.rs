//! Asking for a link. No look-up happens here, so every address gets an identical answer; the mailer
//! decides whether a link is due.

use askama::Template;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::token::AskToken;
use bursar_core::web::{Answer, AppError, Fields, Frame, RequestDeadline, Site};

/// The form that asks for a link.
#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    frame: &'a Frame,
}

/// The page that says that a mail is on its way if the address is known.
#[derive(Template)]
#[template(path = "asked.html")]
struct LinkSentPage<'a> {
    frame: &'a Frame,
}

pub(crate) async fn start(State(site): State<Site>) -> Response {
    site.page(&StartPage { frame: &site.frame })
}

/// Writes an ask for any valid address. Every answer sets a cookie, since a link only signs in the browser
/// that asked for it.
pub(crate) async fn ask(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let missing = "Nothing was sent: the field for the address is missing. Open the start page and fill it in.";
    let text = fields.get("address").ok_or_else(|| AppError::unprocessable(missing))?;
    let browser = site.cookies.asking(&headers).unwrap_or_else(AskToken::generate);
    if let Ok(address) = EmailAddress::parse(text) {
        site.table.ask(address.matched(), &browser.hash(), site.clock.now(), deadline).await?;
    }
    let cookie = [(SET_COOKIE, site.cookies.set_asking(&browser))];
    Ok((StatusCode::ACCEPTED, cookie, site.page(&LinkSentPage { frame: &site.frame })).into_response())
}
