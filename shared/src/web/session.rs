//! The sender of a request: the session behind its cookie, and the form that a session sent. Sign-in makes
//! the sessions.

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::header::HeaderMap;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect};

use super::form::{Fields, FormBounds};
use super::{AppError, Site};
use crate::domain::sign_in::Session;
use crate::domain::values::token::CsrfToken;
use crate::prelude::*;

/// The time within which a session's use is noted.
const ENOUGH_TO_NOTE: Duration = Duration::from_secs(5);

/// A person who is signed in. As an extractor it redirects everybody else to the start, or refuses what they
/// post.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub session: Session,
    /// The token that goes into every form, and must come back with it.
    pub csrf: CsrfToken,
}

/// A form of ours, posted by a person who is signed in.
#[derive(Debug, Clone)]
pub struct Posted {
    pub visitor: Visitor,
    pub fields: Fields,
}

impl Visitor {
    /// The visitor to whom this request's cookie belongs.
    pub async fn of(site: &Site, headers: &HeaderMap) -> Result<Option<Visitor>, AppError> {
        let Some(token) = site.cookies.session(headers) else { return Ok(None) };
        let now = site.clock.now();
        let Some(session) = site.table.session(&token.hash(), now).await? else { return Ok(None) };
        if session.is_to_be_noted(now) {
            // The page does not depend on it: if nothing can be written now, the next request notes the use.
            if let Err(error) = site.table.note_use(&session, now, Deadline::after(ENOUGH_TO_NOTE)).await {
                tracing::warn!(%error, "that a session is used was not noted");
            }
        }
        Ok(Some(Visitor { session, csrf: token.csrf() }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor
where
    Site: FromRef<S>,
{
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Visitor, AppError> {
        match Visitor::of(&Site::from_ref(state), &parts.headers).await? {
            Some(visitor) => Ok(visitor),
            None if matches!(parts.method, Method::GET | Method::HEAD) => {
                Err(AppError::answer(Redirect::to("/").into_response()))
            }
            None => Err(AppError::status(StatusCode::UNAUTHORIZED)),
        }
    }
}

impl Posted {
    /// A form that carries the token of its sender's session.
    pub fn of(visitor: Visitor, fields: Fields) -> Result<Posted, AppError> {
        if fields.get("csrf").is_some_and(|given| visitor.csrf.is(given)) {
            return Ok(Posted { visitor, fields });
        }
        let sentence = "This form is not from this session. Open the page again and press once more.";
        Err(AppError::refused(StatusCode::FORBIDDEN, sentence).because("form"))
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted
where
    Site: FromRef<S>,
{
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Posted, AppError> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        Posted::of(visitor, Fields::within(FormBounds::SIGNED_IN, request).await?)
    }
}
