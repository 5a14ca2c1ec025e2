//! Lenient reading of the provider's JSON, where its documents leave room: absent and null alike,
//! several spellings of a time, enumerations that grow. Unknown fields are ignored, since new ones
//! keep being added.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

use crate::clock::Moment;
use crate::domain::values::money::{MoneyError, Usd};
use crate::domain::values::window::Reset;

/// The envelope `{"data": …}` of nearly every answer.
#[derive(Deserialize)]
pub(crate) struct Envelope<T> {
    pub data: T,
}

/// A reset as the provider lists it: one of ours, or a newer one of the provider's.
#[derive(Debug, Clone, PartialEq)]
pub enum ListedReset {
    Known(Reset),
    Other(String),
}

/// The reason that a 2xx answer could not be read. It is safe to log, since it quotes no text of
/// the answer.
#[derive(Debug)]
pub(crate) struct Unreadable(pub String);

/// Reads a whole answer. A JSON error may quote the answer, so only its position is kept.
pub(crate) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Unreadable> {
    serde_json::from_str(body).map_err(|error| unreadable(&error))
}

/// Reads what is in the envelope of an answer.
pub(crate) fn data<T: DeserializeOwned>(body: &str) -> Result<T, Unreadable> {
    Ok(read::<Envelope<T>>(body)?.data)
}

pub(crate) fn unreadable(error: &serde_json::Error) -> Unreadable {
    let what = match error.classify() {
        serde_json::error::Category::Data => "the answer has another shape than documented",
        _ => "the answer is no JSON, or broke off",
    };
    Unreadable(format!(
        "{what} (line {}, column {})",
        error.line(),
        error.column()
    ))
}

impl Default for ListedReset {
    fn default() -> ListedReset {
        ListedReset::Known(Reset::None)
    }
}

impl<'de> Deserialize<'de> for ListedReset {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ListedReset, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(match text.as_deref() {
            None | Some("") => ListedReset::default(),
            Some("daily") => ListedReset::Known(Reset::Daily),
            Some("weekly") => ListedReset::Known(Reset::Weekly),
            Some("monthly") => ListedReset::Known(Reset::Monthly),
            Some(reset) => ListedReset::Other(reset.to_owned()),
        })
    }
}

/// For `#[serde(deserialize_with)]`: null is the type's empty value.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// For `#[serde(deserialize_with)]`: a time in any spelling of RFC 3339. One without an offset is
/// UTC, and any other text counts as absent.
pub(crate) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Moment>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(value.as_str().and_then(|text| {
        if let Ok(moment) = text.parse() {
            return Some(moment);
        }
        let without_offset = text
            .parse::<DateTime>()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()?;
        Some(without_offset.timestamp().into())
    }))
}

/// For `#[serde(deserialize_with)]`: a limit, clamped to the largest amount. So a foreign key with
/// an absurd limit does not make the account unreadable.
pub(crate) fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usd>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    match Usd::parse_floor(raw.get()) {
        Err(MoneyError::TooLarge) if !raw.get().starts_with('-') => Ok(Some(Usd::MAX)),
        _ => {
            let mut deserializer = serde_json::Deserializer::from_str(raw.get());
            crate::domain::values::money::promised(&mut deserializer)
                .map_err(serde::de::Error::custom)
        }
    }
}

/// A count, written as a number, with a decimal point or as a text.
pub(crate) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(match &value {
        serde_json::Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().and_then(read_whole)),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

fn read_whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
}
