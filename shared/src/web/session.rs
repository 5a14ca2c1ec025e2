//! Who sends a request: the session behind its cookie, the form that a session sent, and the cookies themselves. How a session
//! comes to be is the sign-in's matter.

use std::time::Duration;

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use cookie::{Cookie, SameSite};

use super::fault::Fault;
use super::form::{Bounds, Fields};
use super::site::Site;
use crate::config::Origin;
use crate::deadline::Deadline;
use crate::domain::sign_in::Session;
use crate::domain::token::{AskToken, CsrfToken, SessionToken};

/// That a session is used is noted within this time.
const ENOUGH_TO_NOTE: Duration = Duration::from_secs(5);

/// Somebody who is signed in. As an extractor it sends everybody else to the start, or refuses what they post.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub session: Session,
    /// Goes into every form, and must come back with it.
    pub csrf: CsrfToken,
}

/// What somebody who is signed in posted from a form of ours.
#[derive(Debug, Clone)]
pub struct Posted {
    pub visitor: Visitor,
    pub fields: Fields,
}

/// The cookies of this deployment. On `https` no other site can plant them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    pub fn of(origin: &Origin) -> Cookies {
        Cookies { secure: origin.is_secure() }
    }

    pub fn session(self, headers: &HeaderMap) -> Option<SessionToken> {
        self.read(headers, self.session_name()).and_then(|value| SessionToken::parse(&value))
    }

    pub fn asking(self, headers: &HeaderMap) -> Option<AskToken> {
        self.read(headers, self.asking_name()).and_then(|value| AskToken::parse(&value))
    }

    pub fn set_session(self, token: &SessionToken) -> HeaderValue {
        self.set(self.session_name(), token.reveal(), SameSite::Lax, None)
    }

    pub fn end_session(self) -> HeaderValue {
        self.set(self.session_name(), "", SameSite::Lax, Some(cookie::time::Duration::ZERO))
    }

    pub fn set_asking(self, token: &AskToken) -> HeaderValue {
        self.set(self.asking_name(), token.reveal(), SameSite::Strict, None)
    }

    fn session_name(self) -> &'static str {
        if self.secure { "__Host-bursar" } else { "bursar" }
    }

    fn asking_name(self) -> &'static str {
        if self.secure { "__Host-bursar-ask" } else { "bursar-ask" }
    }

    /// Looks at the cookie of this name alone, as bytes: another site of the same domain may set any others, with any bytes in them.
    fn read(self, headers: &HeaderMap, name: &str) -> Option<String> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let value = |pair: &[u8]| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        pairs.into_iter().find_map(value)
    }

    fn set(self, name: &str, value: &str, same_site: SameSite, max_age: Option<cookie::time::Duration>) -> HeaderValue {
        let mut cookie =
            Cookie::build((name, value)).path("/").http_only(true).same_site(same_site).secure(self.secure);
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
        // Names and values are ours, and all of them are visible ASCII.
        HeaderValue::from_str(&cookie.build().to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl Visitor {
    /// Whoever this request's cookie belongs to.
    pub async fn of(site: &Site, headers: &HeaderMap) -> Result<Option<Visitor>, Fault> {
        let Some(token) = site.cookies.session(headers) else { return Ok(None) };
        let now = site.clock.now();
        let Some(session) = site.table.session(&token.hash(), now).await? else { return Ok(None) };
        if session.is_to_be_noted(now) {
            // The page needs it not: where nothing can be written, it is noted the next time.
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
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Visitor, Response> {
        let site = Site::from_ref(state);
        match Visitor::of(&site, &parts.headers).await {
            Ok(Some(visitor)) => Ok(visitor),
            Ok(None) if matches!(parts.method, Method::GET | Method::HEAD) => Err(Redirect::to("/").into_response()),
            Ok(None) => Err(site.refuse(
                StatusCode::UNAUTHORIZED,
                "You are signed out",
                "Nothing was done. Ask for a new link at the start, and try again.",
            )),
            Err(fault) => Err(fault.into_response()),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted
where
    Site: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Posted, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let fields = Fields::within(Bounds::SIGNED_IN, request).await?;
        if !fields.get("csrf").is_some_and(|given| visitor.csrf.is(given)) {
            return Err(Site::from_ref(state).foreign_form());
        }
        Ok(Posted { visitor, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(origin: &str) -> Cookies {
        Cookies::of(&Origin::parse(origin).unwrap())
    }

    fn sent_back(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())])
    }

    #[test]
    fn cookies_come_back_as_they_were_set_and_belong_to_the_host_alone() {
        let (session, asking) = (SessionToken::generate(), AskToken::generate());
        let tls = cookies("https://bursar.uni.edu");
        let set = tls.set_session(&session);
        assert_eq!(tls.session(&sent_back(&set)).unwrap().hash(), session.hash());
        let text = set.to_str().unwrap();
        for part in ["__Host-bursar=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(text.contains(part), "{text}");
        }
        let set = tls.set_asking(&asking);
        assert!(
            set.to_str().unwrap().starts_with("__Host-bursar-ask=")
                && set.to_str().unwrap().contains("SameSite=Strict")
        );
        assert_eq!(tls.asking(&sent_back(&set)).unwrap().hash(), asking.hash());
        assert!(!set.to_str().unwrap().contains("Max-Age"));
    }

    #[test]
    fn on_plain_http_they_have_no_prefix_and_are_not_secure() {
        let set = cookies("http://127.0.0.1:8080").set_session(&SessionToken::generate());
        assert!(set.to_str().unwrap().starts_with("bursar=") && !set.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn a_cookie_of_another_shape_is_none() {
        let tls = cookies("https://bursar.uni.edu");
        for value in ["__Host-bursar=abc", "bursar=abc", "__Host-bursar=", ";;;=", "__Host-bursar"] {
            let headers = HeaderMap::from_iter([(COOKIE, value.parse().unwrap())]);
            assert!(tls.session(&headers).is_none(), "{value}");
        }
    }

    #[test]
    fn cookies_of_others_hide_ours_from_nobody_whatever_is_in_them() {
        let (tls, session) = (cookies("https://bursar.uni.edu"), SessionToken::generate());
        let set = tls.set_session(&session);
        let ours = set.to_str().unwrap().split(';').next().unwrap();
        for other in ["name=José", "a=\u{1f393}", "=", "x=\"", "__Host-bursar2=x"] {
            for line in [format!("{other}; {ours}"), format!("{ours};{other}"), format!("{other};{ours} ; {other}")] {
                let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap())]);
                assert_eq!(tls.session(&headers).map(|known| known.hash()), Some(session.hash()), "{line}");
            }
        }
        let bytes = HeaderValue::from_bytes(&[b"n=\xff\xfe; ", ours.as_bytes()].concat()).unwrap();
        assert!(tls.session(&HeaderMap::from_iter([(COOKIE, bytes)])).is_some());
    }
}
