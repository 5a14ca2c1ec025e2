//! Values as tests write them.

use crate::clock::Moment;
use jiff::civil::Date;

use super::values::money::Usd;

pub(crate) fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn dollars(dollars: i32) -> Usd {
    Usd::from_dollars(dollars)
}

pub(crate) fn micros(micros: i64) -> Usd {
    Usd::from_micros(micros)
}
