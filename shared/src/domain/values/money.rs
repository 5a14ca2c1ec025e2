//! Money: exact micro-dollars, read from decimal text, and no binary float is involved.
//!
//! For people a sum is rounded once, to the nearest cent, wherever it is told: `$20` or `$3.27` in
//! a sentence, `$20.00` in a column, and less than a cent is called so. A column that stands beside
//! its sum is rounded by [`round_to_cents`]. What has to be typed or bought is rounded up before,
//! and what is free or left is rounded down. Whatever is compared is compared exactly.

use std::cmp::Reverse;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An amount in millionths of a US dollar. It may be negative: an account's balance can be.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use]
pub struct Usd(i64);

/// The reason that a text is not an amount.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum MoneyError {
    #[error("write an amount in figures, like 20 or 20.50")]
    NotAnAmount,
    #[error("use a point, not a comma: {0}")]
    DecimalComma(String),
    #[error("write thousands without a comma: {0}")]
    ThousandsComma(String),
    #[error("an amount cannot be below zero")]
    BelowZero,
    #[error("an amount has at most six decimals")]
    TooPrecise,
    #[error("this amount is too large")]
    TooLarge,
}

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    Up,
    Down,
    Refuse,
}

impl Usd {
    pub const ZERO: Usd = Usd(0);
    pub const CENT: Usd = Usd(10_000);
    pub const DOLLAR: Usd = Usd(1_000_000);
    /// One trillion dollars: far above any budget, and low enough that sums of a whole university
    /// cannot overflow.
    pub const MAX: Usd = Usd(1_000_000_000_000_000_000);

    pub const fn from_micros(micros: i64) -> Usd {
        Usd(micros)
    }

    pub const fn from_dollars(dollars: i32) -> Usd {
        Usd(dollars as i64 * 1_000_000)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whether a limit counts as equal to another: a provider may keep fewer digits.
    pub fn is_about(self, amount: Usd) -> bool {
        self - amount < Usd::CENT && amount - self < Usd::CENT
    }

    /// Parses an amount that a person typed: `20`, `20.00` or `$20`, at most six decimals, no sign
    /// and no exponent.
    pub fn from_form(text: &str) -> Result<Usd, MoneyError> {
        let text = text.trim();
        let digits = text.strip_prefix('$').unwrap_or(text);
        if let Some((_, behind)) = digits.rsplit_once(',') {
            let pointed = digits.replacen(',', ".", 1);
            let joined = digits.replace(',', "");
            let is_thousands = behind
                .split('.')
                .next()
                .is_some_and(|group| group.len() == 3);
            return Err(
                match (
                    read(&pointed, Rounding::Refuse),
                    read(&joined, Rounding::Refuse),
                ) {
                    (_, Ok(_)) if is_thousands => MoneyError::ThousandsComma(joined),
                    (Ok(_), _) => MoneyError::DecimalComma(pointed),
                    _ => MoneyError::NotAnAmount,
                },
            );
        }
        if digits
            .strip_prefix('-')
            .is_some_and(|amount| read(amount, Rounding::Refuse).is_ok())
        {
            return Err(MoneyError::BelowZero);
        }
        if digits.starts_with(['-', '+']) || digits.contains(['e', 'E']) {
            return Err(MoneyError::NotAnAmount);
        }
        read(digits, Rounding::Refuse)
    }

    /// Parses an amount that the provider reports as spent: rounded up to the micro-dollar.
    pub fn parse_ceil(text: &str) -> Result<Usd, MoneyError> {
        read(text, Rounding::Up)
    }

    /// Parses an amount that the provider reports as left or allowed: rounded down to the
    /// micro-dollar.
    pub fn parse_floor(text: &str) -> Result<Usd, MoneyError> {
        read(text, Rounding::Down)
    }

    pub fn is_zero(&self) -> bool {
        *self == Usd::ZERO
    }

    pub fn or_zero(self) -> Usd {
        self.max(Usd::ZERO)
    }

    pub fn abs(self) -> Usd {
        Usd(self.0.saturating_abs())
    }

    /// `count` times this amount, at most [`Usd::MAX`].
    pub fn times(self, count: u32) -> Usd {
        Usd(self.0.saturating_mul(i64::from(count))).min(Usd::MAX)
    }

    /// The mean of so many that come to this, rounded up.
    pub fn over(self, count: u64) -> Option<Usd> {
        let micros = u64::try_from(self.0).ok().filter(|_| count > 0)?;
        Some(Usd(micros.div_ceil(count) as i64))
    }

    /// Rounded down to the cent: what is free or left.
    pub fn whole_cents(self) -> Usd {
        Usd(self.0 - self.0.rem_euclid(Usd::CENT.0))
    }

    /// Rounded up to the cent: what has to be typed or bought.
    pub fn up_to_the_cent(self) -> Usd {
        self.up_to_the(Usd::CENT)
    }

    /// The same to another unit.
    pub fn up_to_the(self, Usd(unit): Usd) -> Usd {
        Usd(self.0 + (-self.0).rem_euclid(unit))
    }

    /// What is left of this limit beside what was spent of it: both are rounded once, so that they
    /// add up. Less than a cent is nothing.
    pub fn subtract_spent(self, spent: Usd) -> Usd {
        if self - spent < Usd::CENT {
            Usd::ZERO
        } else {
            self - spent.to_the(Usd::CENT)
        }
    }

    /// The nearest of these: a cent, or a dollar for estimates whose cents say nothing.
    pub fn to_the(self, Usd(unit): Usd) -> Usd {
        Usd((self.0 + unit / 2).div_euclid(unit) * unit)
    }

    /// How long this amount is in a drawing in which `whole` has this length.
    pub fn scale(self, whole: Usd, length: i64) -> i64 {
        let scaled = i128::from(self.0.max(0)) * i128::from(length) / i128::from(whole.0.max(1));
        i64::try_from(scaled).unwrap_or(length).min(length)
    }

    /// An amount in a sentence: `$4,000`, `$3.27` or `less than 1 cent`.
    pub fn to_dollars(self) -> String {
        let text = self.to_cents();
        text.strip_suffix(".00").unwrap_or(&text).to_owned()
    }

    /// An amount in a column of amounts: `$4,000.00`, `$3.27` or `less than 1 cent`.
    pub fn to_cents(self) -> String {
        if self > Usd::ZERO && self < Usd::CENT {
            return "less than 1 cent".to_owned();
        }
        let cents = self.to_the(Usd::CENT).0 / Usd::CENT.0;
        let sign = if cents < 0 { "-" } else { "" };
        let dollars = cents.unsigned_abs() / 100;
        let cents = cents.unsigned_abs() % 100;
        format!("{sign}${}.{cents:02}", group_digits(dollars))
    }

    /// The JSON number for the provider: a plain decimal without an exponent.
    pub fn to_json(self) -> Box<RawValue> {
        let text = self.to_string();
        let plain = text.trim_end_matches('0').trim_end_matches('.');
        // A decimal printed above is a JSON number, so the fallback is never taken.
        RawValue::from_string(plain.to_owned()).unwrap_or_default()
    }
}

/// For `#[serde(deserialize_with)]`: a spent amount out of the provider's JSON.
pub fn spent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usd>, D::Error> {
    amount(from, Usd::parse_ceil)
}

/// For `#[serde(deserialize_with)]`: a promised amount out of the provider's JSON.
pub fn promised<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usd>, D::Error> {
    amount(from, Usd::parse_floor)
}

fn amount<'de, D: Deserializer<'de>>(
    from: D,
    read: fn(&str) -> Result<Usd, MoneyError>,
) -> Result<Option<Usd>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    match raw.get() {
        "null" => Ok(None),
        text => read(text)
            .map(Some)
            .map_err(|error| D::Error::custom(format!("{text}: {error}"))),
    }
}

/// A number in groups of three digits.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Parses decimal text, with a sign and an exponent where JSON allows them.
fn read(text: &str, rounding: Rounding) -> Result<Usd, MoneyError> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent
                .parse::<i32>()
                .map_err(|_| MoneyError::NotAnAmount)?,
        ),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if whole.is_empty()
        || mantissa.ends_with('.')
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(MoneyError::NotAnAmount);
    }

    // The digits are a whole number times ten to the power of `shift`, counted in micro-dollars.
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Usd::ZERO);
    }
    let shift = i64::from(exponent) - fraction.len() as i64 + 6;
    let kept = (digits.len() as i64 + shift.min(0)).max(0) as usize;
    let (kept, beyond) = digits.split_at(kept.min(digits.len()));
    let lost = beyond.bytes().any(|byte| byte != b'0');
    if lost && rounding == Rounding::Refuse {
        return Err(MoneyError::TooPrecise);
    }
    if kept.len() as i64 + shift.max(0) > 18 {
        return Err(MoneyError::TooLarge);
    }
    let kept = if kept.is_empty() {
        0
    } else {
        i64::from_str(kept).map_err(|_| MoneyError::TooLarge)?
    };
    let magnitude = kept * 10_i64.pow(shift.max(0) as u32);
    let away_from_zero = lost && (rounding == Rounding::Up) != negative;
    let magnitude = magnitude + i64::from(away_from_zero);
    Ok(Usd(if negative { -magnitude } else { magnitude }))
}

/// Six decimals, as in files and hooks.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

impl Add for Usd {
    type Output = Usd;
    fn add(self, rhs: Usd) -> Usd {
        Usd(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, rhs: Usd) {
        *self = *self + rhs;
    }
}

impl Sub for Usd {
    type Output = Usd;
    fn sub(self, rhs: Usd) -> Usd {
        Usd(self.0.saturating_sub(rhs.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Usd {
        amounts.fold(Usd::ZERO, Add::add)
    }
}

/// These amounts in whole cents, in their order, for a column that adds up: their sum is the exact
/// sum to the nearest cent, and each is less than a cent from its exact amount.
pub fn round_to_cents(amounts: impl IntoIterator<Item = Usd>) -> Vec<Usd> {
    let amounts: Vec<Usd> = amounts.into_iter().collect();
    let mut cents: Vec<Usd> = amounts.iter().map(|amount| amount.whole_cents()).collect();
    let exact: Usd = amounts.iter().copied().sum();
    let mut missing = (exact.to_the(Usd::CENT) - cents.iter().copied().sum()).micros();
    let mut largest: Vec<usize> = (0..amounts.len()).collect();
    // The sort is stable, so of equal rests the first gets its cent first.
    largest.sort_by_key(|place| Reverse(amounts[*place] - cents[*place]));
    for place in largest {
        if missing <= 0 {
            break;
        }
        cents[place] += Usd::CENT;
        missing -= Usd::CENT.micros();
    }
    cents
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A typed amount is a plain decimal, with no sign, exponent, word, inner blank or non-zero
    /// seventh decimal.
    #[test]
    fn a_typed_amount_is_plain() {
        for (text, micros) in [
            ("20", 20_000_000),
            ("$20", 20_000_000),
            (" 20.00 ", 20_000_000),
            ("1.0000000", 1_000_000),
        ] {
            assert_eq!(Usd::from_form(text), Ok(Usd(micros)), "{text}");
        }
        for text in [
            "", "$", "+1", "1e3", "NaN", "inf", ",", "1.", ".5", "1 2", "0x10", "١",
        ] {
            assert_eq!(Usd::from_form(text), Err(MoneyError::NotAnAmount), "{text}");
        }
        for (text, sentence) in [
            ("20,50", "use a point, not a comma: 20.50"),
            ("$0,5", "use a point, not a comma: 0.5"),
            ("1,000", "write thousands without a comma: 1000"),
            (
                "1,000,000.50",
                "write thousands without a comma: 1000000.50",
            ),
            ("$-3", "an amount cannot be below zero"),
            ("abc", "write an amount in figures, like 20 or 20.50"),
        ] {
            assert_eq!(
                Usd::from_form(text).unwrap_err().to_string(),
                sentence,
                "{text}"
            );
        }
        assert_eq!(Usd::from_form("1.0000001"), Err(MoneyError::TooPrecise));
        assert_eq!(
            Usd::from_form("99999999999999999999"),
            Err(MoneyError::TooLarge)
        );
    }

    #[test]
    fn what_was_spent_rounds_up_and_what_is_promised_rounds_down() {
        for (text, spent, promised) in [
            ("29.9999982", 29_999_999, 29_999_998),
            ("0.30000000000000004", 300_001, 300_000),
            ("1e-7", 1, 0),
            ("1.5E+3", 1_500_000_000, 1_500_000_000),
            ("0", 0, 0),
            ("-0.0000015", -1, -2),
            ("123456.7890125", 123_456_789_013, 123_456_789_012),
        ] {
            assert_eq!(Usd::parse_ceil(text), Ok(Usd(spent)), "{text}");
            assert_eq!(Usd::parse_floor(text), Ok(Usd(promised)), "{text}");
        }
        assert_eq!(Usd::parse_ceil("1e999999999"), Err(MoneyError::TooLarge));
        assert_eq!(Usd::parse_ceil("1e-999999999"), Ok(Usd(1)));
    }

    #[test]
    fn the_provider_is_sent_a_plain_json_number() {
        for (micros, json) in [
            (20_000_000, "20"),
            (19_999_999, "19.999999"),
            (10_000, "0.01"),
            (0, "0"),
            (100_000_000, "100"),
        ] {
            assert_eq!(Usd(micros).to_json().get(), json);
        }
    }

    #[test]
    fn a_sum_is_rounded_once() {
        for (micros, column, sentence) in [
            (0, "$0.00", "$0"),
            (1, "less than 1 cent", "less than 1 cent"),
            (9_999, "less than 1 cent", "less than 1 cent"),
            (10_000, "$0.01", "$0.01"),
            (104_601_900, "$104.60", "$104.60"),
            (3_264_999, "$3.26", "$3.26"),
            (3_265_000, "$3.27", "$3.27"),
            (999_999_999, "$1,000.00", "$1,000"),
            (1_234_567_000_001, "$1,234,567.00", "$1,234,567"),
            (-3_271_000, "-$3.27", "-$3.27"),
            (-1, "$0.00", "$0"),
        ] {
            assert_eq!(
                (&*Usd(micros).to_cents(), &*Usd(micros).to_dollars()),
                (column, sentence)
            );
        }
        for (micros, down, up) in [
            (3_261_000, 3_260_000, 3_270_000),
            (10_000, 10_000, 10_000),
            (-1, -10_000, 0),
        ] {
            assert_eq!(
                (Usd(micros).whole_cents(), Usd(micros).up_to_the_cent()),
                (Usd(down), Usd(up))
            );
        }
        assert_eq!(Usd(2_500_000).to_the(Usd::DOLLAR), Usd(3_000_000));
        for (spent, left) in [
            (3_989_000, 10_000),
            (3_994_000, 0),
            (3_996_000, 0),
            (4_100_000, 0),
            (1_234_000, 2_770_000),
            (1_236_000, 2_760_000),
        ] {
            assert_eq!(
                Usd(4_000_000).subtract_spent(Usd(spent)),
                Usd(left),
                "{spent}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_from_what_it_is_written_as(micros in -1_000_000_000_000_000_000_i64..1_000_000_000_000_000_000) {
            let amount = Usd(micros);
            prop_assert_eq!(Usd::parse_ceil(&amount.to_string()), Ok(amount));
            prop_assert_eq!(Usd::parse_floor(&amount.to_string()), Ok(amount));
            prop_assert_eq!(Usd::parse_ceil(amount.to_json().get()), Ok(amount));
        }

        /// Rounding loses less than a micro-dollar, and never in the wrong direction.
        #[test]
        fn rounding_loses_very_little(
            whole in 0_i64..1_000_000, fraction in "[0-9]{0,17}", exponent in -12_i32..6,
        ) {
            let text = format!("{whole}.{fraction}0e{exponent}");
            let spent = Usd::parse_ceil(&text).unwrap();
            let promised = Usd::parse_floor(&text).unwrap();
            prop_assert!(promised <= spent);
            prop_assert!((spent - promised).micros() <= 1);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            let _ = (Usd::from_form(&text), Usd::parse_ceil(&text), Usd::parse_floor(&text));
        }
    }

    proptest! {
        /// Rounded amounts add up to the rounded sum, and each is within a cent of its amount.
        #[test]
        fn rounded_amounts_add_up(
            micros in prop::collection::vec(-20_000_i64..50_000, 0..40),
        ) {
            let amounts: Vec<Usd> = micros.into_iter().map(Usd::from_micros).collect();
            let cents = round_to_cents(amounts.iter().copied());
            let (exact, rounded): (Usd, Usd) = (amounts.iter().copied().sum(), cents.iter().copied().sum());
            prop_assert_eq!(rounded, exact.to_the(Usd::CENT));
            for (amount, cents) in amounts.iter().zip(&cents) {
                prop_assert_eq!(*cents, cents.whole_cents());
                prop_assert!((*amount - *cents).abs() < Usd::CENT, "{amount:?} is {cents:?}");
            }
        }
    }

    #[test]
    fn the_largest_rests_get_the_cents_that_are_missing() {
        let usd = |micros: &[i64]| {
            micros
                .iter()
                .copied()
                .map(Usd::from_micros)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            round_to_cents(usd(&[14_000, 17_000, 0, 13_000])),
            usd(&[10_000, 20_000, 0, 10_000])
        );
        assert_eq!(
            round_to_cents(usd(&[4_000, 4_000, 2_000])),
            usd(&[10_000, 0, 0])
        );
        assert_eq!(round_to_cents([]), []);
    }
}
