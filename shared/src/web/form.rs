//! The fields of a posted form, as they came. What they mean is read by whoever offered the form.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Names and values, in the order in which they were sent. As an extractor it refuses what no form of ours sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// A body that no browser would send for one of our forms: an escape that is none, text that is not UTF-8, a field twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Fields {
    /// Reads an urlencoded body to the letter. Where two readings are possible there is none, so that no field is mistaken.
    pub fn read(body: &[u8]) -> Result<Fields, Malformed> {
        let mut fields = Fields::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((pair, &pair[pair.len()..]), |at| (&pair[..at], &pair[at + 1..]));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if fields.get(&name).is_some() {
                return Err(Malformed);
            }
            fields.0.push((name, value));
        }
        Ok(fields)
    }

    /// The value of this name, empty or not.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of this name, without the space around it; none when nothing else is in it.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Fields {
        Fields(fields.into_iter().collect())
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    /// A bare status; the page is put in by `site`, as for every answer without one.
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Fields, Response> {
        let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
        if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
        }
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Fields::read(&body).map_err(|Malformed| StatusCode::BAD_REQUEST.into_response())
    }
}

fn decoded(text: &[u8]) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next())? << 4 | hex_digit(rest.next())?,
            byte => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

fn hex_digit(byte: Option<&u8>) -> Result<u8, Malformed> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(letter @ (b'a'..=b'f' | b'A'..=b'F')) => Ok((letter | 0x20) - b'a' + 10),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_is_read_to_the_letter() {
        let fields = Fields::read("a=1&b=&c&&d=x+y%2Bz%3D=%c3%BC%F0%9F%8E%93".as_bytes()).unwrap();
        let read: Vec<_> = fields.iter().collect();
        assert_eq!(read, [("a", "1"), ("b", ""), ("c", ""), ("d", "x y+z==ü🎓")]);
        assert_eq!(Fields::read(b""), Ok(Fields::default()));
        assert_eq!((fields.filled("b"), fields.get("b"), fields.get("e")), (None, Some(""), None));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        let bodies: [&[u8]; 9] =
            [b"a=%", b"a=%4", b"a=%zz", b"a=%+1", b"%=a", b"a=%ff", b"a=\xff", b"a=1&a=1", b"a=1&%61=2"];
        for body in bodies {
            assert_eq!(Fields::read(body), Err(Malformed), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_is_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Fields::read(&body);
        }
    }
}
