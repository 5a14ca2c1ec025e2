//! The fields of a posted form, as sent, and no more of them than our forms have. The handler of
//! the form interprets them.

use std::collections::HashSet;
use std::fmt;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;

use super::{AppError, Result, Site};
use crate::domain::values::address::{is_invisible, nfc};

/// The longest reason, in characters.
pub const LONGEST_REASON: usize = 500;

/// Names and values in the order in which they were sent. As an extractor it reads the form of
/// somebody who is not signed in, and refuses what none of our forms sends.
#[derive(Default, PartialEq)]
pub struct Fields(Vec<(String, String)>);

#[derive(Debug, Clone, Copy)]
pub struct FormBounds {
    pub fields: usize,
    pub bytes: usize,
}

impl FormBounds {
    /// The bounds for a person who is not signed in, with an address and a code to type.
    pub const ANYBODY: FormBounds = FormBounds {
        fields: 16,
        bytes: 8 << 10,
    };
    pub const SIGNED_IN: FormBounds = FormBounds {
        fields: 2_048,
        bytes: 512 << 10,
    };
}

impl Fields {
    /// Parses an urlencoded body strictly. A body that could be read in two ways is none, so that
    /// no field is mistaken.
    pub fn read(body: &[u8], bounds: FormBounds) -> Option<Fields> {
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        for pair in body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((pair, &pair[pair.len()..]), |index| {
                (&pair[..index], &pair[index + 1..])
            });
            let name = nfc(&decode(name)?).into_owned();
            let value = nfc(&decode(value)?).into_owned();
            if fields.len() == bounds.fields || !names.insert(name.clone()) {
                return None;
            }
            fields.push((name, value));
        }
        Some(Fields(fields))
    }

    pub(super) async fn within(bounds: FormBounds, request: Request) -> Result<Fields> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .map(|kind| kind.as_bytes().to_ascii_lowercase());
        if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
            return Err(AppError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = to_bytes(request.into_body(), bounds.bytes).await;
        let body = body.map_err(|_| AppError::status(StatusCode::PAYLOAD_TOO_LARGE))?;
        Fields::read(&body, bounds).ok_or_else(|| AppError::status(StatusCode::BAD_REQUEST))
    }

    /// The value of this name, empty or not.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// The value of this name, without the space around it; `None` if it is blank.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Fields {
        Fields(fields.into_iter().collect())
    }
}

impl FromRequest<Site> for Fields {
    type Rejection = AppError;

    async fn from_request(request: Request, _: &Site) -> Result<Fields> {
        Fields::within(FormBounds::ANYBODY, request).await
    }
}

/// A `Debug` form with the names alone, since the values are addresses, codes and session secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The text of a field of one line, or the sentence that refuses it. `None` if it is empty.
pub fn line(text: &str, most: usize) -> Result<Option<String>, String> {
    if text.chars().any(is_invisible) {
        return Err("This contains invisible or control characters.".to_owned());
    }
    lines(text, most)
}

/// The same of several lines.
pub fn lines(text: &str, most: usize) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        text if text.chars().count() > most => {
            Err(format!("This is longer than {most} characters."))
        }
        text => Ok(Some(text.to_owned())),
    }
}

fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next())? << 4 | hex_digit(rest.next())?,
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    Some(char::from(*byte?).to_digit(16)? as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Option<Fields> {
        Fields::read(body, FormBounds::ANYBODY)
    }

    #[test]
    fn a_body_is_read_to_the_letter() {
        let fields = read("a=1&b=&c&&d=x+y%2Bz%3D=%c3%BC%F0%9F%8E%93".as_bytes()).unwrap();
        let pairs: Vec<_> = fields.iter().collect();
        assert_eq!(
            pairs,
            [("a", "1"), ("b", ""), ("c", ""), ("d", "x y+z==ü🎓")]
        );
        assert_eq!(read(b""), Some(Fields::default()));
        assert_eq!(
            (fields.filled("b"), fields.get("b"), fields.get("e")),
            (None, Some(""), None)
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        let bodies: [&[u8]; 9] = [
            b"a=%",
            b"a=%4",
            b"a=%zz",
            b"a=%+1",
            b"%=a",
            b"a=%ff",
            b"a=\xff",
            b"a=1&a=1",
            b"a=1&%61=2",
        ];
        for body in bodies {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    /// More fields than any form has are refused before they are compared.
    #[test]
    fn excess_fields_are_refused() {
        let of = |count: usize| {
            (0..count)
                .map(|number| format!("{number}&"))
                .collect::<String>()
        };
        assert_eq!(read(of(16).as_bytes()).unwrap().iter().count(), 16);
        assert_eq!(read(of(17).as_bytes()), None);
        let signed_in = |count| Fields::read(of(count).as_bytes(), FormBounds::SIGNED_IN);
        assert_eq!(signed_in(2_048).unwrap().iter().count(), 2_048);
        assert_eq!(signed_in(100_000), None);
    }

    #[test]
    fn what_was_typed_is_in_no_debug_output() {
        let fields = read(b"address=ada%40uni.edu&code=ABCD-EFGH-JKMN").unwrap();
        assert_eq!(format!("{fields:?}"), r#"["address", "code"]"#);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_is_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&body);
        }
    }
}
