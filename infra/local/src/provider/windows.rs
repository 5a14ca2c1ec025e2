//! Amounts, the provider's calendar, and what a key used on each day, from which every counter is
//! summed.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize, Serializer};

const PER_USD: i64 = 1_000_000_000;

/// An exact amount in billionths of a dollar, since a token of a cheap model costs less than a
/// millionth. As JSON it is a number of dollars; below nine million dollars a double tells each
/// amount apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "f64")]
pub struct Nano(i64);

impl Nano {
    pub const ZERO: Nano = Nano(0);
    pub const CENT: Nano = Nano(PER_USD / 100);

    pub const fn micros(micros: i64) -> Nano {
        Nano(micros * 1_000)
    }

    pub const fn usd(dollars: i64) -> Nano {
        Nano(dollars * PER_USD)
    }

    /// Reads a decimal number of dollars.
    pub fn parse(text: &str) -> Option<Nano> {
        text.parse::<f64>().ok().map(Nano::from)
    }

    pub(super) fn times(self, count: u64) -> Nano {
        Nano(
            self.0
                .saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)),
        )
    }

    /// How many times `price` fits into the amount.
    pub(super) fn affords(self, price: Nano) -> u64 {
        u64::try_from(self.0.checked_div(price.0).unwrap_or(i64::MAX)).unwrap_or(0)
    }

    pub(super) fn tenth(self) -> Nano {
        Nano(self.0 / 10)
    }

    pub(super) fn to_the_cent(self) -> Nano {
        Nano((self.0 + Nano::CENT.0 / 2).div_euclid(Nano::CENT.0) * Nano::CENT.0)
    }

    pub(super) fn dollars(self) -> f64 {
        self.0 as f64 / PER_USD as f64
    }
}

impl From<f64> for Nano {
    fn from(dollars: f64) -> Nano {
        Nano((dollars * PER_USD as f64).round() as i64)
    }
}

impl Serialize for Nano {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % PER_USD == 0 {
            serializer.serialize_i64(self.0 / PER_USD)
        } else {
            serializer.serialize_f64(self.dollars())
        }
    }
}

impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dollars().fmt(f)
    }
}

impl Add for Nano {
    type Output = Nano;
    fn add(self, rhs: Nano) -> Nano {
        Nano(self.0 + rhs.0)
    }
}

impl AddAssign for Nano {
    fn add_assign(&mut self, rhs: Nano) {
        *self = *self + rhs;
    }
}

impl Sub for Nano {
    type Output = Nano;
    fn sub(self, rhs: Nano) -> Nano {
        Nano(self.0 - rhs.0)
    }
}

impl Sum for Nano {
    fn sum<I: Iterator<Item = Nano>>(amounts: I) -> Nano {
        amounts.fold(Nano::ZERO, Add::add)
    }
}

/// The interval at which a limit resets: UTC days, weeks from Monday, calendar months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    Daily,
    Weekly,
    Monthly,
}

impl Interval {
    fn start(self, timestamp: Timestamp) -> Date {
        let day = utc_day(timestamp);
        match self {
            Interval::Daily => day,
            Interval::Weekly => {
                day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
            }
            Interval::Monthly => day.first_of_month(),
        }
    }

    /// The end of the window that contains `timestamp`.
    pub fn end(self, timestamp: Timestamp) -> Timestamp {
        let length = match self {
            Interval::Daily => 1.day(),
            Interval::Weekly => 1.week(),
            Interval::Monthly => 1.month(),
        };
        let end = self.start(timestamp).saturating_add(length);
        end.to_zoned(TimeZone::UTC)
            .map_or(Timestamp::MAX, |end| end.timestamp())
    }
}

pub(super) fn utc_day(timestamp: Timestamp) -> Date {
    timestamp.to_zoned(TimeZone::UTC).date()
}

/// What requests cost: credits of the account, or BYOK, which a model's maker is paid.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Use {
    pub(super) credit: Nano,
    pub(super) byok: Nano,
    pub(super) requests: u64,
}

impl Use {
    pub(super) fn request(credit: Nano, byok: Nano) -> Use {
        Use {
            credit,
            byok,
            requests: 1,
        }
    }

    pub(super) fn total(self) -> Nano {
        self.credit + self.byok
    }

    /// What a limit counts.
    pub(super) fn counted(self, with_byok: bool) -> Nano {
        if with_byok { self.total() } else { self.credit }
    }
}

impl AddAssign for Use {
    fn add_assign(&mut self, rhs: Use) {
        self.credit += rhs.credit;
        self.byok += rhs.byok;
        self.requests += rhs.requests;
    }
}

/// The use of one key by UTC day and model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Days(BTreeMap<Date, BTreeMap<String, Use>>);

impl Days {
    pub(super) fn add(&mut self, used_at: Timestamp, model: &str, used: Use) {
        *self
            .0
            .entry(utc_day(used_at))
            .or_default()
            .entry(model.to_owned())
            .or_default() += used;
    }

    /// The use from one day on, and before another.
    pub(super) fn between(
        &self,
        from: Date,
        until: Date,
    ) -> impl Iterator<Item = (Date, &String, Use)> {
        let days = self
            .0
            .range(from..)
            .take_while(move |(day, _)| **day < until);
        days.flat_map(|(day, models)| models.iter().map(|(model, used)| (*day, model, *used)))
    }

    /// The use in the window that contains `now`; without an interval, ever.
    pub(super) fn within(&self, interval: Option<Interval>, now: Timestamp) -> Use {
        let from = interval.map_or(Date::MIN, |interval| interval.start(now));
        let mut sum = Use::default();
        self.0
            .range(from..)
            .flat_map(|(_, models)| models.values())
            .for_each(|used| sum += *used);
        sum
    }
}
