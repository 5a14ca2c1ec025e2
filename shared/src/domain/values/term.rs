//! The term of a programme in its own time zone, and the expiry of the keys made for it.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::values::window::{Reset, utc_date};

/// The bounds of every term. A time within them plus any length that the rules know is still a
/// valid time.
pub const FIRST_DAY: Date = date(2000, 1, 1);
pub const LAST_DAY: Date = date(2199, 12, 31);
/// The most years of a term; a longer one is taken for a mistake.
const MOST_YEARS: i64 = 10;

/// A term, from 00:00 of the first day to 24:00 of the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TermForm", into = "TermForm")]
pub struct Term {
    starts_on: Date,
    ends_on: Date,
    timezone: String,
    zone: TimeZone,
    starts_at: Moment,
    ends_at: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TermError {
    #[error("the last day must not be before the first")]
    Backwards,
    #[error("write a time zone such as Europe/Berlin")]
    TimeZone,
    #[error("a term lies between the years 2000 and 2199")]
    Range,
    #[error("a term has at most ten years")]
    TooLong,
}

#[derive(Serialize, Deserialize)]
struct TermForm {
    starts_on: Date,
    ends_on: Date,
    timezone: String,
}

impl Term {
    pub fn new(starts_on: Date, ends_on: Date, timezone: &str) -> Result<Term, TermError> {
        if ends_on < starts_on {
            return Err(TermError::Backwards);
        }
        if starts_on < FIRST_DAY || LAST_DAY < ends_on {
            return Err(TermError::Range);
        }
        if starts_on
            .checked_add(MOST_YEARS.years())
            .is_ok_and(|longest| longest <= ends_on)
        {
            return Err(TermError::TooLong);
        }
        let zone = TimeZone::get(timezone).map_err(|_| TermError::TimeZone)?;
        let starts_at = midnight(starts_on, &zone)?;
        let ends_at = midnight(ends_on.tomorrow().map_err(|_| TermError::Range)?, &zone)?;
        Ok(Term {
            starts_on,
            ends_on,
            timezone: timezone.to_owned(),
            zone,
            starts_at,
            ends_at,
        })
    }

    /// A term of the first possible day, in UTC: the placeholder before a person has set one.
    pub fn first_day() -> Term {
        let starts_at = Moment::constant(946_684_800);
        let ends_at = Moment::constant(946_771_200);
        Term {
            starts_on: FIRST_DAY,
            ends_on: FIRST_DAY,
            timezone: "UTC".to_owned(),
            zone: TimeZone::UTC,
            starts_at,
            ends_at,
        }
    }

    pub fn starts_on(&self) -> Date {
        self.starts_on
    }

    /// The last day, inclusive.
    pub fn ends_on(&self) -> Date {
        self.ends_on
    }

    /// The name of its time zone, as it was typed.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub fn starts_at(&self) -> Moment {
        self.starts_at
    }

    /// The instant after the last day.
    pub fn ends_at(&self) -> Moment {
        self.ends_at
    }

    /// The first UTC day that any of the term lies in: money is known by UTC days.
    pub fn first_utc_day(&self) -> Date {
        utc_date(self.starts_at)
    }

    pub fn last_utc_day(&self) -> Date {
        utc_date(self.ends_at - 1.nanosecond())
    }

    /// The time at which a key made now expires, which cannot be changed later. A cap for the whole
    /// term leaves two weeks in which the end may still be moved. With a reset those weeks would be
    /// windows beyond what was promised.
    pub fn keys_expire_at(&self, reset: Reset) -> Moment {
        match reset {
            Reset::None => self
                .ends_at
                .checked_add((14 * 24).hours())
                .unwrap_or(self.ends_at),
            Reset::Daily | Reset::Weekly | Reset::Monthly => self.ends_at,
        }
    }
}

fn midnight(day: Date, zone: &TimeZone) -> Result<Moment, TermError> {
    let begin = day.to_zoned(zone.clone()).map_err(|_| TermError::Range)?;
    Ok(begin.timestamp().into())
}

impl TryFrom<TermForm> for Term {
    type Error = TermError;
    fn try_from(written: TermForm) -> Result<Term, TermError> {
        Term::new(written.starts_on, written.ends_on, &written.timezone)
    }
}

impl From<Term> for TermForm {
    fn from(term: Term) -> TermForm {
        TermForm {
            starts_on: term.starts_on,
            ends_on: term.ends_on,
            timezone: term.timezone,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::values::at;

    fn term(from: &str, to: &str, zone: &str) -> Result<Term, TermError> {
        Term::new(from.parse().unwrap(), to.parse().unwrap(), zone)
    }

    /// A term runs from midnight to midnight in the university's time zone, or from the end of a
    /// gap in the clock.
    #[test]
    fn a_term_has_local_midnights() {
        for (from, to, zone, starts_at, ends_at) in [
            (
                "2026-10-12",
                "2027-02-06",
                "Europe/Berlin",
                "2026-10-11T22:00:00Z",
                "2027-02-06T23:00:00Z",
            ),
            (
                "2026-07-13",
                "2026-07-13",
                "Pacific/Auckland",
                "2026-07-12T12:00:00Z",
                "2026-07-13T12:00:00Z",
            ),
            // Lebanon's clocks go forward at midnight.
            (
                "2026-03-29",
                "2026-03-29",
                "Asia/Beirut",
                "2026-03-28T22:00:00Z",
                "2026-03-29T21:00:00Z",
            ),
        ] {
            let term = term(from, to, zone).unwrap();
            assert_eq!(
                (term.starts_at(), term.ends_at()),
                (at(starts_at), at(ends_at)),
                "{zone}"
            );
        }
    }

    #[test]
    fn what_is_no_term_is_refused_with_its_reason() {
        assert_eq!(
            term("2026-02-02", "2026-02-01", "UTC").unwrap_err(),
            TermError::Backwards
        );
        assert_eq!(
            term("2026-02-01", "2026-02-02", "Europe/Bonn").unwrap_err(),
            TermError::TimeZone
        );
        assert_eq!(
            term("9990-02-01", "9999-12-29", "UTC").unwrap_err(),
            TermError::Range
        );
        assert_eq!(
            term("1999-12-31", "2000-12-29", "UTC").unwrap_err(),
            TermError::Range
        );
        assert_eq!(
            term("2026-02-01", "2036-02-01", "UTC").unwrap_err(),
            TermError::TooLong
        );
        assert!(term("2026-02-01", "2036-01-31", "UTC").is_ok());
    }

    #[test]
    fn a_key_outlives_the_term_only_where_its_cap_never_resets() {
        let term = term("2026-10-12", "2027-02-06", "UTC").unwrap();
        assert_eq!(term.keys_expire_at(Reset::Monthly), term.ends_at());
        assert_eq!(term.keys_expire_at(Reset::None), at("2027-02-21T00:00:00Z"));
    }

    proptest! {
        /// A key sees no window that begins after the term, in any time zone.
        #[test]
        fn no_window_follows_a_term(
            zone in prop::sample::select(vec!["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "America/New_York"]),
            day in 0_i32..3000, length in 0_i32..200, hour in 0_i64..24,
        ) {
            let first = jiff::civil::date(2024, 1, 1).checked_add(day.days()).unwrap();
            let last = first.checked_add(length.days()).unwrap();
            let term = Term::new(first, last, zone).unwrap();
            prop_assert!(term.starts_at() < term.ends_at());
            let now = term.starts_at() + hour.hours();
            let expires = term.keys_expire_at(Reset::Daily);
            let later = Reset::Daily.windows_between(now, expires);
            // The windows fill the term: as many as its days, and one more where a UTC day is cut
            // by its ends.
            let days = u32::try_from(length).unwrap() + 1;
            prop_assert!(later <= days, "{later} windows later in {days} days");
        }
    }
}
