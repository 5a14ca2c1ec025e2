//! The simulator's money: exact nano-dollars inside, JSON numbers on the wire. Micro-dollars are too
//! coarse, since a token of a cheap model costs less. Rounding for programmes is left to the product.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};
use serde_json::Value;

const PER_USD: i64 = 1_000_000_000;

/// An exact amount in billionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nano(i64);

impl Nano {
    pub const ZERO: Nano = Nano(0);
    pub const CENT: Nano = Nano(PER_USD / 100);

    pub const fn nanos(nanos: i64) -> Nano {
        Nano(nanos)
    }

    pub const fn micros(micros: i64) -> Nano {
        Nano(micros * 1_000)
    }

    pub const fn usd(dollars: i64) -> Nano {
        Nano(dollars * PER_USD)
    }

    /// Parses decimal text, with an exponent too; digits after the ninth place are rounded half away from
    /// zero. `None` for text that is no number, or more than nine thousand million dollars.
    pub fn parse(text: &str) -> Option<Nano> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut value: i128 = digits.parse().ok()?;
        let places = 9 + exponent - i32::try_from(fraction.len()).ok()?;
        let scale = 10_i128.checked_pow(places.unsigned_abs());
        value = match (scale, places < 0) {
            (Some(scale), false) => value.checked_mul(scale)?,
            (Some(scale), true) => (value + scale / 2) / scale,
            (None, true) => 0,
            (None, false) => (value == 0).then_some(0)?,
        };
        let value = i64::try_from(value).ok()?;
        Some(Nano(if negative { -value } else { value }))
    }

    /// The amount as the API prints it. The number is a double, as at the provider; below eight million
    /// dollars it loses no nano-dollar.
    pub(crate) fn json(self) -> Value {
        match self.0 % PER_USD {
            0 => (self.0 / PER_USD).into(),
            _ => self.double().into(),
        }
    }

    /// The amount off by the last bit, as sums of doubles are: `0.30000000000000004`.
    pub(crate) fn json_with_tail(self) -> Value {
        match self {
            Nano::ZERO => 0.into(),
            _ => self.double().next_up().into(),
        }
    }

    /// The nearest double, by way of decimal text: division would round twice, and `serde_json` parses long
    /// decimals inexactly.
    fn double(self) -> f64 {
        self.to_string().parse().unwrap_or_default()
    }

    pub fn times(self, count: u64) -> Nano {
        Nano(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// The number of times that `price` fits into the amount; zero when it is spent.
    pub(crate) fn affords(self, price: Nano) -> u64 {
        u64::try_from(self.0.checked_div(price.0).unwrap_or(i64::MAX)).unwrap_or(0)
    }

    /// The amount rounded down to whole cents.
    pub(crate) fn whole_cents(self) -> Nano {
        Nano(self.0 - self.0 % Nano::CENT.0)
    }

    /// The amount with two places, as in error messages.
    pub(crate) fn cents(self) -> String {
        let cents = (i128::from(self.0) + 5_000_000).div_euclid(10_000_000);
        let sign = if cents < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
    }
}

impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.unsigned_abs() / PER_USD as u64, self.0.unsigned_abs() % PER_USD as u64);
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{whole}.{rest:09}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Add for Nano {
    type Output = Nano;
    fn add(self, other: Nano) -> Nano {
        Nano(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nano {
    fn add_assign(&mut self, other: Nano) {
        *self = *self + other;
    }
}

impl Sub for Nano {
    type Output = Nano;
    fn sub(self, other: Nano) -> Nano {
        Nano(self.0.saturating_sub(other.0))
    }
}

impl Sum for Nano {
    fn sum<I: Iterator<Item = Nano>>(amounts: I) -> Nano {
        amounts.fold(Nano::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_is_read_exactly_and_printed_back() {
        for text in ["0", "20", "0.1", "29.9999982", "-0.05", "0.000000001", "7999999.999999999"] {
            let amount = Nano::parse(text).unwrap();
            assert_eq!(amount.to_string(), text);
            let printed = amount.json().to_string();
            assert_eq!(Nano::parse(&printed), Some(amount), "{printed}");
        }
        assert_eq!(Nano::parse("1e-7"), Some(Nano(100)));
        assert_eq!(Nano::parse("2.5E1"), Some(Nano::usd(25)));
        assert_eq!(Nano::parse("0.0000000005"), Some(Nano(1)));
        assert_eq!(Nano::parse("0e999"), Some(Nano::ZERO));
    }
}
