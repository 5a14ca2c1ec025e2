//! Secrets that are handed out: links, codes, sessions, asking cookies. Each has a plain type that
//! is shown only on purpose, and a hashed type, which is all that the table sees. So storing a
//! secret does not compile.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::values::address::MatchedAddress;

/// Letters and digits that cannot be mistaken for one another (Crockford's base 32).
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LENGTH: usize = 12;

/// A code that can be typed: sixty random bits, `ABCD-EFGH-JKMN`.
pub struct Code(String);

/// The hash of a code together with the address it was mailed to.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHash(String);

impl Code {
    pub fn generate() -> Code {
        let bytes: [u8; CODE_LENGTH] = random();
        Code(
            bytes
                .iter()
                .map(|byte| char::from(CROCKFORD[usize::from(byte & 31)]))
                .collect(),
        )
    }

    /// Parses what a person typed: case, hyphens and spaces do not matter, and look-alikes count as
    /// the letter or digit they resemble.
    pub fn from_form(text: &str) -> Option<Code> {
        let typed = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' ' | '\t' | '\r' | '\n'));
        let code: String = typed
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            })
            .take(CODE_LENGTH + 1)
            .collect();
        let fits = code.len() == CODE_LENGTH && code.bytes().all(|byte| CROCKFORD.contains(&byte));
        fits.then_some(Code(code))
    }

    pub fn reveal(&self) -> String {
        [&self.0[..4], &self.0[4..8], &self.0[8..]].join("-")
    }

    pub fn hash(&self, address: &MatchedAddress) -> CodeHash {
        CodeHash(sha256_hex(["code", address.as_str(), &self.0]))
    }
}

masked!(Code, CodeHash, CsrfToken);
as_str!(CodeHash);

/// Defines a secret of 256 random bits and its hash.
macro_rules! secret_and_hash {
    ($plain:ident, $hash:ident, $purpose:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone)]
        pub struct $plain(String);

        #[doc = concat!("The hash of ", $doc, " That is what is stored.")]
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $hash(String);

        impl $plain {
            pub fn generate() -> $plain {
                $plain(BASE64URL_NOPAD.encode(&random::<32>()))
            }

            /// Parses a secret that came back; `None` for a text of another shape.
            pub fn parse(text: &str) -> Option<$plain> {
                let decoded = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
                (decoded.len() == 32).then(|| $plain(text.to_owned()))
            }

            pub fn reveal(&self) -> &str {
                &self.0
            }

            pub fn hash(&self) -> $hash {
                $hash(sha256_hex([$purpose, &self.0]))
            }
        }

        masked!($plain, $hash);
        as_str!($hash);
    };
}

secret_and_hash!(
    LinkToken,
    LinkTokenHash,
    "link",
    "The secret part of a link that signs in."
);
secret_and_hash!(
    SessionToken,
    SessionTokenHash,
    "session",
    "The value of a session cookie."
);
secret_and_hash!(
    BrowserToken,
    BrowserTokenHash,
    "ask",
    "The value of the cookie in the browser that asked for a link, or began a sign-on."
);

impl BrowserToken {
    /// What a sign-on provider gets: the state, the nonce, the verifier of the code. No one of them
    /// tells another, or the cookie.
    pub fn derive(&self, purpose: &str) -> String {
        sha256_hex(["sign-on", purpose, &self.0])
    }

    /// Whether what came back was derived from this. Hashes are compared, so the time it takes does
    /// not show where the two differ.
    pub fn has_derived(&self, purpose: &str, given: &str) -> bool {
        sha256_hex([given]) == sha256_hex([self.derive(purpose)])
    }
}

secret_and_hash!(
    RegistrarToken,
    RegistrarTokenHash,
    "registrar",
    "The secret part of the token with which the registrar's tools put a roster."
);

/// The token in a form behind a session, which shows that a page of that session offered the form.
#[derive(Clone)]
pub struct CsrfToken(String);

impl SessionToken {
    /// The session's form token. It is derived from the session, so it is not stored; and the
    /// session cannot be derived from it.
    pub fn csrf(&self) -> CsrfToken {
        CsrfToken(sha256_hex(["csrf", &self.0]))
    }
}

impl CsrfToken {
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this token came back. Hashes are compared, so the time it takes does not show where
    /// the two differ.
    pub fn is(&self, given: &str) -> bool {
        sha256_hex([given]) == sha256_hex([&self.0])
    }
}

pub(in crate::domain) fn random_hex<const N: usize>() -> String {
    HEXLOWER.encode(&random::<N>())
}

pub(crate) fn random_u128() -> u128 {
    u128::from_be_bytes(random())
}

#[expect(
    clippy::expect_used,
    reason = "without the system's random source no secret can be made, and going on would be worse"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source");
    bytes
}

/// The hash of several parts, each preceded by its length so that parts cannot be shifted into one
/// another.
pub fn sha256_hex(parts: impl IntoIterator<Item: AsRef<str>>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.as_ref().len() as u64).to_be_bytes());
        hash.update(part.as_ref());
    }
    HEXLOWER.encode(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use crate::domain::values::address::EmailAddress;

    use super::*;

    /// A code may be typed in any case, with or without hyphens, and is valid only with its
    /// address.
    #[test]
    fn a_code_needs_its_address() {
        let [address, other] = ["ada@uni.edu", "bob@uni.edu"]
            .map(|text| EmailAddress::parse(text).unwrap().matched().clone());
        let code = Code::generate();
        assert_ne!(code.hash(&address), code.hash(&other));
        let shown = code.reveal();
        assert_eq!(shown.len(), 14);
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " ")),
        ] {
            assert_eq!(
                Code::from_form(&typed).unwrap().hash(&address),
                code.hash(&address)
            );
        }
        for typed in [
            "",
            "ABCD-EFGH",
            "ABCD-EFGH-JKMN-P",
            "ABCD-EFGH-JKM!",
            "ABCD-EFGH-JKMÜ",
        ] {
            assert!(Code::from_form(typed).is_none(), "{typed}");
        }
    }

    #[test]
    fn the_hidden_field_of_a_form_belongs_to_one_session() {
        let session = SessionToken::generate();
        let other = SessionToken::generate();
        assert!(session.csrf().is(session.csrf().reveal()));
        assert!(!session.csrf().is(other.csrf().reveal()) && !session.csrf().is(session.reveal()));
        assert!(!format!("{:?}", session.csrf()).contains(session.csrf().reveal()));
    }

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let token = LinkToken::generate();
        assert_eq!(
            LinkToken::parse(token.reveal()).unwrap().hash(),
            token.hash()
        );
        assert_ne!(LinkToken::generate().hash(), token.hash());
        assert_ne!(
            SessionToken::parse(token.reveal()).unwrap().hash().as_str(),
            token.hash().as_str()
        );
        for text in [
            "",
            "abc",
            &token.reveal()[1..],
            &format!("{}A", token.reveal()),
            &format!("{} ", token.reveal()),
        ] {
            assert!(LinkToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn no_secret_and_no_hash_shows_in_debug_output() {
        let token = SessionToken::generate();
        let shown = format!("{token:?} {:?} {:?}", token.hash(), Code::generate());
        assert_eq!(shown, "SessionToken(…) SessionTokenHash(…) Code(…)");
    }
}
