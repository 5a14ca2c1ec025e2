//! The sender of a request: the session behind its cookie, and the form that a session sent.
//! Sign-in makes the sessions.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{COOKIE, HeaderMap, HeaderValue, REFERER};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect};
use cookie::{Cookie, SameSite};
use data_encoding::BASE64URL_NOPAD;

use super::form::{Fields, FormBounds};
use super::{AppError, Flash, Result, Site};
use crate::config::Origin;
use crate::deadline::Deadline;
use crate::domain::programme::role::is_among;
use crate::domain::sign_in::Session;
use crate::domain::values::id::PersonId;
use crate::domain::values::token::{BrowserToken, CsrfToken, SessionToken};

/// The time within which a session's use is noted.
const ENOUGH_TO_NOTE: Duration = Duration::from_secs(5);

/// A person who is signed in. As an extractor it redirects everybody else to the start, or refuses
/// what they post.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub session: Session,
    /// The token that goes into every form, and must come back with it.
    pub csrf: CsrfToken,
    pub is_admin: bool,
}

#[derive(Debug)]
pub struct Posted {
    pub visitor: Visitor,
    pub fields: Fields,
}

impl Visitor {
    pub async fn read(site: &Site, headers: &HeaderMap) -> Result<Option<Visitor>> {
        let Some(token) = site.cookies.session(headers) else {
            return Ok(None);
        };
        let now = site.clock.now();
        let hash = token.hash();
        let (session, admins) =
            tokio::try_join!(site.table.session(&hash, now), site.table.admins())?;
        let Some(session) = session else {
            return Ok(None);
        };
        if session.is_to_be_noted(now) {
            // The page does not depend on it: if nothing can be written now, the next request notes
            // the use.
            if let Err(error) = site
                .table
                .note_use(&session, now, Deadline::after(ENOUGH_TO_NOTE))
                .await
            {
                tracing::warn!(%error, "that a session is used was not noted");
            }
        }
        let is_admin = is_among(&session.address, &admins);
        Ok(Some(Visitor {
            session,
            csrf: token.csrf(),
            is_admin,
        }))
    }

    /// The visitor with a role, as an audit entry names them.
    pub fn person(&self) -> Result<PersonId> {
        self.session.person.clone().ok_or_else(AppError::no_right)
    }
}

impl FromRequestParts<Site> for Visitor {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Visitor> {
        let Some(visitor) = Visitor::read(site, &parts.headers).await? else {
            return Err(refuse_signed_out(parts, site));
        };
        if is_for_staff(parts.uri.path()) && visitor.session.person.is_none() {
            // Whoever was given a role since signs in once more, in the way that a role asks for.
            let known_person = site.table.known(&visitor.session.address).await?;
            let has_role = known_person.is_some_and(|known_person| known_person.has_role);
            return Err(if has_role {
                refuse_signed_out(parts, site)
            } else {
                AppError::no_right()
            });
        }
        Ok(visitor)
    }
}

fn is_for_staff(path: &str) -> bool {
    path.starts_with("/console")
}

/// The start for whoever opens a page, and a refusal of what is posted. This browser keeps where it
/// was, and comes back after signing in.
fn refuse_signed_out(parts: &Parts, site: &Site) -> AppError {
    let is_page = matches!(parts.method, Method::GET | Method::HEAD);
    let form = parts
        .headers
        .get(REFERER)
        .and_then(|form| form.to_str().ok()?.strip_prefix(site.origin.as_str()));
    let path = if is_page {
        parts.uri.path_and_query().map(PathAndQuery::as_str)
    } else {
        form
    };
    let mut refusal = if is_page {
        AppError::answer(Redirect::to("/").into_response())
    } else {
        AppError::status(StatusCode::UNAUTHORIZED)
    };
    if let Some(path) = path.and_then(Destination::parse) {
        refusal = refusal.setting(site.cookies.set_destination(&path));
    }
    refusal
}

/// The answer to a method that a path has not. The address of a form leads to its programme, or to
/// the first page: a browser has it where a page answered the form, and comes back to it where that
/// page's own form came too late.
pub async fn redirect_other_method(method: Method, uri: Uri) -> Result<Redirect> {
    if method != Method::GET {
        return Err(AppError::not_found());
    }
    let path = uri.path();
    let depth = if path.starts_with("/console/programmes/") {
        3
    } else {
        1
    };
    let end = path.match_indices('/').nth(depth).map_or(1, |(end, _)| end);
    Ok(Redirect::to(&path[..end]))
}

/// A page of ours for somebody who is signed in, to which this browser goes after signing in.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination(String);

impl Destination {
    /// As many as fit into a cookie. Only a link to a form that is filled with long lists has more.
    const MOST_BYTES: usize = 2_500;

    /// Reads a path with its query. It is never another site's, nor anything else of ours.
    pub fn parse(text: &str) -> Option<Destination> {
        let path = text.split('?').next().unwrap_or_default();
        let is_ours = ["/my", "/console"].iter().any(|room| {
            let below = path.strip_prefix(room);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        let is_plain = !path.contains("//") && !path.contains("/.") && !text.contains(['\\', '#']);
        let is_address = text.len() <= Destination::MOST_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_ours && is_plain && is_address).then(|| Destination(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_for_staff(&self) -> bool {
        is_for_staff(&self.0)
    }
}

impl Posted {
    pub fn verify(visitor: Visitor, fields: Fields) -> Result<Posted> {
        if fields
            .get("csrf")
            .is_some_and(|given| visitor.csrf.is(given))
        {
            return Ok(Posted { visitor, fields });
        }
        let sentence =
            "This form is not from this session. Open the page again and press once more.";
        Err(AppError::refused(StatusCode::FORBIDDEN, sentence).because("form"))
    }
}

impl FromRequest<Site> for Posted {
    type Rejection = AppError;

    async fn from_request(request: Request, site: &Site) -> Result<Posted> {
        let (mut parts, body) = request.into_parts();
        // The session is looked at when the whole body is here, however long that takes.
        let fields = Fields::within(
            FormBounds::SIGNED_IN,
            Request::from_parts(parts.clone(), body),
        )
        .await;
        let visitor = Visitor::from_request_parts(&mut parts, site).await?;
        Posted::verify(visitor, fields?)
    }
}

const SESSION: &str = "bursar";
const ASKING: &str = "bursar-ask";
const NOTICE: &str = "bursar-notice";
const SIGN_ON: &str = "bursar-sign-on";
const DESTINATION: &str = "bursar-to";

/// The cookies of this deployment. On `https` no other site can plant them.
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    pub fn new(origin: &Origin) -> Cookies {
        Cookies {
            secure: origin.is_secure(),
        }
    }

    pub fn session(self, headers: &HeaderMap) -> Option<SessionToken> {
        self.read(headers, SESSION)
            .and_then(|value| SessionToken::parse(&value))
    }

    pub fn asker_cookie(self, headers: &HeaderMap) -> Option<BrowserToken> {
        self.read(headers, ASKING)
            .and_then(|value| BrowserToken::parse(&value))
    }

    pub fn set_session(self, token: &SessionToken) -> HeaderValue {
        self.set(SESSION, token.reveal(), SameSite::Lax, None)
    }

    pub fn end_session(self) -> HeaderValue {
        self.end(SESSION)
    }

    pub fn set_asking(self, token: &BrowserToken) -> HeaderValue {
        self.set(ASKING, token.reveal(), SameSite::Lax, None)
    }

    pub fn sign_on(self, headers: &HeaderMap) -> Option<BrowserToken> {
        self.read(headers, SIGN_ON)
            .and_then(|value| BrowserToken::parse(&value))
    }

    pub fn set_sign_on(self, token: &BrowserToken) -> HeaderValue {
        self.set(
            SIGN_ON,
            token.reveal(),
            SameSite::Lax,
            Some(cookie::time::Duration::minutes(10)),
        )
    }

    pub fn end_sign_on(self) -> HeaderValue {
        self.end(SIGN_ON)
    }

    pub(super) fn notice(self, headers: &HeaderMap) -> Option<Flash> {
        self.read(headers, NOTICE)
            .and_then(|value| Flash::from_cookie(&value))
    }

    pub(super) fn set_notice(self, notice: &Flash) -> HeaderValue {
        self.set(
            NOTICE,
            &notice.to_cookie(),
            SameSite::Lax,
            Some(cookie::time::Duration::minutes(2)),
        )
    }

    pub(super) fn end_notice(self) -> HeaderValue {
        self.end(NOTICE)
    }

    pub fn destination(self, headers: &HeaderMap) -> Option<Destination> {
        let value = BASE64URL_NOPAD
            .decode(self.read(headers, DESTINATION)?.as_bytes())
            .ok()?;
        Destination::parse(std::str::from_utf8(&value).ok()?)
    }

    pub(super) fn set_destination(self, path: &Destination) -> HeaderValue {
        let value = BASE64URL_NOPAD.encode(path.as_str().as_bytes());
        self.set(
            DESTINATION,
            &value,
            SameSite::Lax,
            Some(cookie::time::Duration::minutes(30)),
        )
    }

    pub fn end_destination(self) -> HeaderValue {
        self.end(DESTINATION)
    }

    /// The name under which a cookie travels.
    fn name(self, bare_name: &str) -> String {
        if self.secure {
            format!("__Host-{bare_name}")
        } else {
            bare_name.to_owned()
        }
    }

    /// Reads the cookie of this name alone, as bytes: another site of the domain may set any
    /// others, with any bytes in them.
    fn read(self, headers: &HeaderMap, bare_name: &str) -> Option<String> {
        let name = self.name(bare_name);
        let mut pairs = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let value = pairs.find_map(|pair| {
            pair.trim_ascii()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")
        })?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn end(self, bare_name: &str) -> HeaderValue {
        self.set(
            bare_name,
            "",
            SameSite::Lax,
            Some(cookie::time::Duration::ZERO),
        )
    }

    fn set(
        self,
        bare_name: &str,
        value: &str,
        same_site: SameSite,
        max_age: Option<cookie::time::Duration>,
    ) -> HeaderValue {
        let mut cookie = Cookie::build((self.name(bare_name), value))
            .path("/")
            .http_only(true)
            .same_site(same_site)
            .secure(self.secure);
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
        // Names and values are ours, and all of them are visible ASCII.
        HeaderValue::from_str(&cookie.build().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(origin: &str) -> Cookies {
        Cookies::new(&Origin::parse(origin).unwrap())
    }

    fn sent_back(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())])
    }

    /// Cookies come back as they were set and belong to this host alone.
    #[test]
    fn cookies_come_back_as_set() {
        let session = SessionToken::generate();
        let asking = BrowserToken::generate();
        let tls = cookies("https://bursar.uni.edu");
        let set = tls.set_session(&session);
        assert_eq!(
            tls.session(&sent_back(&set)).unwrap().hash(),
            session.hash()
        );
        let text = set.to_str().unwrap();
        for part in [
            "__Host-bursar=",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let set = tls.set_asking(&asking);
        assert!(
            set.to_str().unwrap().starts_with("__Host-bursar-ask=")
                && set.to_str().unwrap().contains("SameSite=Lax")
        );
        assert_eq!(
            tls.asker_cookie(&sent_back(&set)).unwrap().hash(),
            asking.hash()
        );
        assert!(!set.to_str().unwrap().contains("Max-Age"));
    }

    /// Only a page of ours for people who are signed in is gone to, whatever the cookie holds.
    #[test]
    fn a_destination_is_a_page_of_ours() {
        let tls = cookies("https://bursar.uni.edu");
        let read = |path: &str| {
            let value = BASE64URL_NOPAD.encode(path.as_bytes());
            let line = format!("__Host-bursar-to={value}");
            tls.destination(&HeaderMap::from_iter([(
                COOKIE,
                HeaderValue::from_str(&line).unwrap(),
            )]))
        };
        for ours in [
            "/my",
            "/my/help",
            "/console",
            "/console/programmes/cs/alerts?kind=all&to=//x",
            "/console?q=a",
        ] {
            let path = read(ours).unwrap();
            assert_eq!(path.as_str(), ours);
            let set = tls.set_destination(&path);
            assert_eq!(tls.destination(&sent_back(&set)), Some(path));
            for part in [
                "__Host-bursar-to=",
                "HttpOnly",
                "SameSite=Lax",
                "Secure",
                "Path=/",
                "Max-Age=1800",
            ] {
                assert!(set.to_str().unwrap().contains(part), "{set:?}");
            }
        }
        let long = format!("/my?{}", "x".repeat(2_500));
        for other in [
            "",
            "/",
            "/c/x",
            "/myself",
            "/consoles",
            "//evil.org",
            "/\\evil.org",
            "https://evil.org",
            "/console//evil.org",
            "/console/../c/x",
            "/console\\..",
            "/my\r\nx: y",
            "/my zoë",
            "my",
            "/my#x",
            "javascript:alert(1)",
            &long,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn on_plain_http_they_have_no_prefix_and_are_not_secure() {
        let set = cookies("http://127.0.0.1:8080").set_session(&SessionToken::generate());
        assert!(
            set.to_str().unwrap().starts_with("bursar=")
                && !set.to_str().unwrap().contains("Secure")
        );
    }

    #[test]
    fn a_cookie_of_another_shape_is_none_and_hides_ours_from_nobody() {
        let tls = cookies("https://bursar.uni.edu");
        let session = SessionToken::generate();
        let of = |line: &[u8]| {
            tls.session(&HeaderMap::from_iter([(
                COOKIE,
                HeaderValue::from_bytes(line).unwrap(),
            )]))
        };
        let set = tls.set_session(&session);
        let ours = set.to_str().unwrap().split(';').next().unwrap().as_bytes();
        let others: [&[u8]; 7] = [
            b"bursar=abc",
            ";;;=\u{1f393}".as_bytes(),
            b"__Host-bursar",
            b"=",
            b"x=\"",
            b"__Host-bursar2=x",
            b"n=\xff\xfe",
        ];
        for other in others {
            assert!(of(other).is_none(), "{other:?}");
            for line in [
                [other, b"; ", ours].concat(),
                [ours, b";", other].concat(),
                [other, b";", ours, b" ; ", other].concat(),
            ] {
                assert_eq!(
                    of(&line).map(|known| known.hash()),
                    Some(session.hash()),
                    "{line:?}"
                );
            }
        }
        assert!(of(b"__Host-bursar=abc").is_none());
    }
}
