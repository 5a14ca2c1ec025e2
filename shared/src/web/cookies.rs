//! The cookies of a deployment: the session and the asking browser, read as bytes and set with all their
//! attributes.

use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite};

use crate::config::Origin;
use crate::domain::values::token::{BrowserToken, SessionToken};

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

    pub fn asking(self, headers: &HeaderMap) -> Option<BrowserToken> {
        self.read(headers, self.asking_name()).and_then(|value| BrowserToken::parse(&value))
    }

    pub fn set_session(self, token: &SessionToken) -> HeaderValue {
        self.set(self.session_name(), token.reveal(), SameSite::Lax, None)
    }

    pub fn end_session(self) -> HeaderValue {
        self.set(self.session_name(), "", SameSite::Lax, Some(cookie::time::Duration::ZERO))
    }

    pub fn set_asking(self, token: &BrowserToken) -> HeaderValue {
        self.set(self.asking_name(), token.reveal(), SameSite::Strict, None)
    }

    fn session_name(self) -> &'static str {
        if self.secure { "__Host-bursar" } else { "bursar" }
    }

    fn asking_name(self) -> &'static str {
        if self.secure { "__Host-bursar-ask" } else { "bursar-ask" }
    }

    /// Reads the cookie of this name alone, as bytes: another site of the domain may set any others, with any
    /// bytes in them.
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
        let (session, asking) = (SessionToken::generate(), BrowserToken::generate());
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
    fn a_cookie_of_another_shape_is_none_and_hides_ours_from_nobody() {
        let (tls, session) = (cookies("https://bursar.uni.edu"), SessionToken::generate());
        let of = |line: &[u8]| tls.session(&HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(line).unwrap())]));
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
                assert_eq!(of(&line).map(|known| known.hash()), Some(session.hash()), "{line:?}");
            }
        }
        assert!(of(b"__Host-bursar=abc").is_none());
    }
}
