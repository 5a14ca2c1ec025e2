//! Mail addresses: parsed once at the edge, compared in one form, mailed in the spelling of the
//! roster. Whether an address is known is for the table to say.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_security::mixed_script::MixedScript;

use crate::domain::values::id::GrantId;
use crate::domain::values::token::sha256_hex;

/// A mail address: its spelling, and the form in which two spellings of one mailbox are equal.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    written: String,
    matched: MatchedAddress,
}

/// The name of a person, as somebody wrote it before their address.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonName(String);

/// What is in the place of the address and the name of somebody who was erased, before the grant's
/// id.
const ERASED: &str = "erased-";
/// What is in the place of an address that is somebody else's now.
const NONE: &str = "no-address-";

/// The form in which addresses are compared and looked up: NFC, lower case, the domain in punycode.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MatchedAddress(String);

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum AddressError {
    #[error("an address looks like name@university.edu")]
    NotAnAddress,
    #[error("write one address only")]
    List,
    #[error("the address contains invisible or control characters")]
    Invisible,
    #[error("the part before the @ must be plain ASCII, since mail cannot be sent to any other")]
    LocalPart,
    #[error("the part after the @ is not a domain that mail can be sent to")]
    Domain,
    #[error("the part after the @ mixes alphabets")]
    MixedScripts,
    #[error("the address is too long")]
    TooLong,
    #[error("a name has at most 100 letters, and none of @ < > and quotes")]
    Name,
}

impl EmailAddress {
    /// Parses one address, ignoring space around it.
    pub fn parse(text: &str) -> Result<EmailAddress, AddressError> {
        let written = text.trim_matches([' ', '\t', '\r', '\n']);
        let written = nfc(written);
        if written.chars().any(is_invisible) {
            return Err(AddressError::Invisible);
        }
        if written.contains([',', ';']) {
            return Err(AddressError::List);
        }
        let (local, domain) = written.rsplit_once('@').ok_or(AddressError::NotAnAddress)?;
        check_local(local)?;
        let domain = domain_in_ascii(domain)?;
        if local.len() + 1 + domain.len() > 254 {
            return Err(AddressError::TooLong);
        }
        let matched = MatchedAddress(format!("{}@{domain}", local.to_lowercase()));
        Ok(EmailAddress {
            written: written.into_owned(),
            matched,
        })
    }

    /// Parses an address with the name before it, if there is one: `Grace Hopper <grace@uni.edu>`.
    pub fn parse_named(text: &str) -> Result<(Option<PersonName>, EmailAddress), AddressError> {
        let Some((name, address)) = text
            .trim()
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
        else {
            return Ok((None, EmailAddress::parse(text)?));
        };
        let name = nfc(name.trim().trim_matches('"'));
        if name.chars().count() > 100
            || name.contains(['@', '<', '>', '"'])
            || name.chars().any(is_invisible)
        {
            return Err(AddressError::Name);
        }
        let name = Some(name.into_owned())
            .filter(|name| !name.is_empty())
            .map(PersonName);
        Ok((name, EmailAddress::parse(address)?))
    }

    /// What is in the place of the address of whom the grant was for. It is no address, so nothing
    /// is mailed there, and nobody types it.
    pub fn erased(grant: &GrantId) -> EmailAddress {
        EmailAddress::in_place(ERASED, grant)
    }

    /// What is in the place of an address that the grant has lost to somebody else; of this grant
    /// everything else is still known.
    pub fn none_of(grant: &GrantId) -> EmailAddress {
        EmailAddress::in_place(NONE, grant)
    }

    fn in_place(of: &str, grant: &GrantId) -> EmailAddress {
        let written = format!("{of}{grant}");
        EmailAddress {
            matched: MatchedAddress(written.clone()),
            written,
        }
    }

    /// Whether there is no address, for either reason.
    pub fn is_none(&self) -> bool {
        !self.written.contains('@')
    }

    pub fn is_erased(&self) -> bool {
        self.is_none() && self.written.starts_with(ERASED)
    }

    /// The address in the roster's spelling.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The form that all spellings of the mailbox share.
    pub fn matched(&self) -> &MatchedAddress {
        &self.matched
    }

    /// The address for a mail server: the roster's local part, the domain in punycode.
    pub fn for_mail(&self) -> String {
        let local = self.written.rsplit_once('@').map_or("", |(local, _)| local);
        let domain = self
            .matched
            .0
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain);
        format!("{local}@{domain}")
    }
}

impl MatchedAddress {
    /// What is kept of an address where it must not be legible any more.
    pub fn digest(&self) -> String {
        sha256_hex([&self.0])
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if !local.is_ascii() {
        return Err(AddressError::LocalPart);
    }
    if local.len() > 64 {
        return Err(AddressError::TooLong);
    }
    if local.split('.').all(is_atom) {
        Ok(())
    } else {
        Err(AddressError::NotAnAddress)
    }
}

fn is_atom(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
}

fn domain_in_ascii(domain: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    if !ascii.contains('.') || ascii.ends_with('.') || ascii.len() > 253 {
        return Err(AddressError::Domain);
    }
    // The typed text may be in punycode already, so the scripts are checked in the readable form.
    let (readable, _) = idna::domain_to_unicode(&ascii);
    if readable.is_ascii() || readable.split('.').all(MixedScript::is_single_script) {
        Ok(ascii)
    } else {
        Err(AddressError::MixedScripts)
    }
}

/// The text in the one form of its letters in which texts are compared: some systems write an ü as
/// a u and two dots.
pub fn nfc(text: &str) -> Cow<'_, str> {
    // Every read of a grant parses its address again, so ASCII skips the normalisation.
    if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Whether this is a control, format or other character that a reader does not see.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<EmailAddress, AddressError> {
        let in_place = [ERASED, NONE].into_iter().find_map(|prefix| {
            Some(EmailAddress::in_place(
                prefix,
                &text.strip_prefix(prefix)?.parse().ok()?,
            ))
        });
        in_place.map_or_else(|| EmailAddress::parse(&text), Ok)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> String {
        address.written
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &EmailAddress) -> bool {
        self.matched == other.matched
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.matched.hash(state);
    }
}

masked!(EmailAddress, MatchedAddress, PersonName);
as_str!(MatchedAddress, PersonName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matched(text: &str) -> String {
        EmailAddress::parse(text)
            .unwrap()
            .matched()
            .as_str()
            .to_owned()
    }

    /// Spellings of one mailbox are equal, and the roster spelling is kept.
    #[test]
    fn mailbox_spellings_are_equal() {
        let roster = EmailAddress::parse(" Ada.Lovelace@Köln.DE ").unwrap();
        assert_eq!(roster.as_written(), "Ada.Lovelace@Köln.DE");
        assert_eq!(roster.for_mail(), "Ada.Lovelace@xn--kln-sna.de");
        for typed in [
            "ada.lovelace@köln.de",
            "ADA.LOVELACE@xn--kln-sna.de",
            "ada.lovelace@ko\u{308}ln.de\n",
        ] {
            assert_eq!(EmailAddress::parse(typed).unwrap(), roster, "{typed}");
        }
    }

    /// Text that cannot be one mailable address is refused with its reason.
    #[test]
    fn a_wrong_address_is_refused() {
        for (error, texts) in [
            (
                AddressError::NotAnAddress,
                &["", "ada", "@uni.edu", "a b@uni.edu", "ada..l@uni.edu"][..],
            ),
            (
                AddressError::NotAnAddress,
                &["Ada <ada@uni.edu>", "\"ada\"@uni.edu"],
            ),
            (
                AddressError::List,
                &["ada@uni.edu,bob@uni.edu", "ada@uni.edu; bob@uni.edu"],
            ),
            (
                AddressError::Invisible,
                &[
                    "ada\u{200B}@uni.edu",
                    "ada@u\u{AD}ni.edu",
                    "ada\r\nBcc: x@uni.edu",
                ],
            ),
            (AddressError::LocalPart, &["adä@uni.edu"]),
            (
                AddressError::Domain,
                &[
                    "ada@localhost",
                    "ada@uni..edu",
                    "ada@uni.edu.",
                    "ada@-uni.edu",
                ],
            ),
            (AddressError::Domain, &["ada@uni_x.edu", "ada@[127.0.0.1]"]),
            (AddressError::MixedScripts, &["ada@\u{0443}ni.edu"]),
        ] {
            for text in texts {
                assert_eq!(EmailAddress::parse(text).unwrap_err(), error, "{text:?}");
            }
        }
        let long = format!("{}@uni.edu", "a".repeat(65));
        assert_eq!(
            EmailAddress::parse(&long).unwrap_err(),
            AddressError::TooLong
        );
    }

    #[test]
    fn a_name_stands_before_its_address() {
        let named = |text| {
            EmailAddress::parse_named(text).map(|(name, of)| (name.map(|name| name.0), of.written))
        };
        let grace = |name: Option<&str>| Ok((name.map(str::to_owned), "grace@uni.edu".to_owned()));
        assert_eq!(
            named(" \"Grace Hopper\" <grace@uni.edu> "),
            grace(Some("Grace Hopper"))
        );
        assert_eq!(
            [named("grace@uni.edu"), named("<grace@uni.edu>")],
            [grace(None), grace(None)]
        );
        assert_eq!(
            named("grace@uni.edu <grace@uni.edu>"),
            Err(AddressError::Name)
        );
        assert_eq!(named("Grace Hopper"), Err(AddressError::NotAnAddress));
    }

    #[test]
    fn what_is_in_the_place_of_an_address_is_read_again_and_is_none() {
        let grant: GrantId = "0123456789abcdef".parse().unwrap();
        for (of, written, is_erased) in [
            (
                EmailAddress::erased(&grant),
                "erased-0123456789abcdef",
                true,
            ),
            (
                EmailAddress::none_of(&grant),
                "no-address-0123456789abcdef",
                false,
            ),
        ] {
            let again = EmailAddress::try_from(String::from(of)).unwrap();
            assert_eq!(
                (again.as_written(), again.is_none(), again.is_erased()),
                (written, true, is_erased)
            );
            assert!(EmailAddress::parse(written).is_err());
            assert!(
                !EmailAddress::parse(&format!("{written}@uni.edu"))
                    .unwrap()
                    .is_none()
            );
        }
    }

    #[test]
    fn an_address_never_shows_in_debug_output() {
        let address = EmailAddress::parse("ada@uni.edu").unwrap();
        assert!(!format!("{address:?} {:?}", address.matched()).contains("ada"));
    }

    proptest! {
        #[test]
        fn matching_is_stable_under_case_and_space(local in "[a-zA-Z0-9]{1,10}", domain in "[a-z0-9]{1,10}\\.edu") {
            let text = format!("{local}@{domain}");
            prop_assert_eq!(matched(&text), matched(&format!(" {} ", text.to_uppercase())));
            prop_assert_eq!(matched(&matched(&text)), matched(&text));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
            let _ = EmailAddress::parse(&text);
        }
    }
}
