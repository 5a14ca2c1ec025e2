//! Parsing of requests: fields of a JSON body, where absent, null and set differ, and query parameters.
//! Their meaning is left to the handlers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::money::Nano;
use super::refusal::Refusal;
use super::windows::Interval;

/// A field as sent: `None` if it was absent, `Some(None)` if it was null.
pub(crate) type Sent<T> = Option<Option<T>>;

/// A JSON object whose unknown fields are ignored.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Fields, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            _ => Err(Refusal::bad_request("Invalid request parameters: the body is not a JSON object")),
        }
    }

    /// The fields as JSON, in the order of their names.
    pub(crate) fn printed(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains_key(*name))
    }

    pub(crate) fn read<T>(
        &self,
        name: &str,
        must: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Sent<T>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(Some(value))),
                None => Err(invalid(name, must)),
            },
        }
    }

    pub(crate) fn text(&self, name: &str, length: RangeInclusive<usize>) -> Result<Sent<String>, Refusal> {
        let must = match *length.end() {
            usize::MAX => format!("must be a string of at least {} characters", length.start()),
            end => format!("must be a string of {} to {end} characters", length.start()),
        };
        self.read(name, &must, |value| {
            value.as_str().filter(|text| length.contains(&text.chars().count())).map(str::to_owned)
        })
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Sent<bool>, Refusal> {
        self.read(name, "must be true or false", Value::as_bool)
    }

    pub(crate) fn money(&self, name: &str) -> Result<Sent<Nano>, Refusal> {
        self.read(name, "must be a number, not negative", |value| match value {
            Value::Number(number) => Nano::parse(&number.to_string()).filter(|amount| *amount >= Nano::ZERO),
            _ => None,
        })
    }

    pub(crate) fn interval(&self, name: &str) -> Result<Sent<Interval>, Refusal> {
        self.read(name, "must be daily, weekly or monthly", |value| Interval::parse(value.as_str()?))
    }

    /// A list of strings that is not empty.
    pub(crate) fn texts(&self, name: &str) -> Result<Sent<Vec<String>>, Refusal> {
        self.read(name, "must be a list of at least one string", |value| {
            let texts = value.as_array()?.iter().map(|text| text.as_str().filter(|text| !text.is_empty()));
            texts.map(|text| text.map(str::to_owned)).collect::<Option<Vec<String>>>().filter(|texts| !texts.is_empty())
        })
    }

    /// An instant in UTC with seconds, and nothing but `Z` after them.
    pub(crate) fn instant(&self, name: &str) -> Result<Sent<Timestamp>, Refusal> {
        self.read(name, "must be a UTC timestamp with seconds: YYYY-MM-DDTHH:MM:SSZ", |value| {
            let text = value.as_str()?;
            let with_seconds = text.ends_with('Z') && text.get(16..17) == Some(":") && text.get(10..11) == Some("T");
            text.parse().ok().filter(|_| with_seconds)
        })
    }
}

/// The fields of an object within the body, or in a list there.
pub(crate) fn nested(value: &Value) -> Option<Fields> {
    value.as_object().cloned().map(Fields)
}

/// The value of a field that may be absent but not null.
pub(crate) fn not_null<T>(name: &str, sent: Sent<T>) -> Result<Option<T>, Refusal> {
    match sent {
        Some(None) => Err(invalid(name, "must not be null")),
        Some(value) => Ok(value),
        None => Ok(None),
    }
}

/// The value of a field that must be present.
pub(crate) fn required<T>(name: &str, sent: Sent<T>) -> Result<T, Refusal> {
    not_null(name, sent)?.ok_or_else(|| invalid(name, "is required"))
}

pub(crate) fn invalid(name: &str, must: &str) -> Refusal {
    Refusal::bad_request(format!("Invalid request parameters: {name} {must}"))
}

/// The query string.
pub(crate) struct Parameters(HashMap<String, String>);

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(crate) fn offset(&self) -> Result<usize, Refusal> {
        self.number("offset", 0, 0..=usize::MAX)
    }

    /// The page size of every list but that of the keys.
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        self.number("limit", 50, 1..=100)
    }

    fn number(&self, name: &str, otherwise: usize, range: RangeInclusive<usize>) -> Result<usize, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(otherwise);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| invalid(name, "is not a number in its range"))
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Parameters, Infallible> {
        Ok(Parameters(Query::try_from_uri(&parts.uri).map_or_else(|_| HashMap::new(), |Query(map)| map)))
    }
}
