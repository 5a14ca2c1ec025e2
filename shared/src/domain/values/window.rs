//! The windows in which a cap counts. They are the provider's: UTC days, UTC weeks from Monday, UTC
//! calendar months, or the whole term. The dates of a term belong to [`term`](super::term).

use std::fmt;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;

crate::named! {
    /// The reset of a cap: how often it starts again. In words its window after a cap's amount, and
    /// the window of now.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Reset: per_window, this_window {
        #[default]
        None = "for the whole term", "by now";
        Daily = "a day", "today";
        Weekly = "a week", "this week";
        Monthly = "a month", "this month";
    }
}

/// The window that begins on this UTC date, or the whole term without a date. Windows are ordered
/// by time.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window(Option<Date>);

impl Window {
    /// The whole term as one window, which is what a budget counts in.
    pub const WHOLE_TERM: Window = Window(None);

    pub fn begins(self) -> Option<Date> {
        self.0
    }

    pub fn begins_at(self) -> Option<Moment> {
        self.0.map(utc_midnight)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(begins) => begins.fmt(f),
            None => f.write_str("term"),
        }
    }
}

impl Reset {
    pub fn window_at(self, now: Moment) -> Window {
        Window(self.begins(utc_date(now)))
    }

    /// The first and the last UTC day of the window that a day lies in; `None` for the whole term.
    pub fn days_around(self, day: Date) -> Option<(Date, Date)> {
        let begins = self.begins(day)?;
        Some((begins, self.next(begins)?.yesterday().ok()?))
    }

    /// The time at which the window of `now` ends and the cap starts again; `None` without a reset.
    pub fn resets_at(self, now: Moment) -> Option<Moment> {
        let Window(begins) = self.window_at(now);
        self.next(begins?).map(utc_midnight)
    }

    /// The number of windows that begin after `now` and before `end`.
    pub fn windows_between(self, now: Moment, end: Moment) -> u32 {
        let Some(first) = self.resets_at(now).filter(|first| *first < end) else {
            return 0;
        };
        let first = utc_date(first);
        let last = utc_date(end - 1.nanosecond());
        let later = match self {
            Reset::None => return 0,
            Reset::Daily => days_between(first, last),
            Reset::Weekly => days_between(first, last) / 7,
            Reset::Monthly => {
                let [first, last] =
                    [first, last].map(|day| i32::from(day.year()) * 12 + i32::from(day.month()));
                last - first
            }
        };
        1 + later.unsigned_abs()
    }

    fn begins(self, day: Date) -> Option<Date> {
        match self {
            Reset::None => None,
            Reset::Daily => Some(day),
            Reset::Weekly => Some(monday_of(day)),
            Reset::Monthly => Some(day.first_of_month()),
        }
    }

    fn next(self, begins: Date) -> Option<Date> {
        match self {
            Reset::None => None,
            Reset::Daily => begins.checked_add(1.day()).ok(),
            Reset::Weekly => begins.checked_add(7.days()).ok(),
            Reset::Monthly => begins.checked_add(1.month()).ok(),
        }
    }
}

pub fn utc_date(moment: Moment) -> Date {
    Zoned::new(*moment, TimeZone::UTC).date()
}

/// The instant at which a UTC day is over.
pub fn end_of_utc_day(date: Date) -> Moment {
    date.tomorrow().map_or(Moment::MAX, utc_midnight)
}

pub(crate) fn utc_midnight(date: Date) -> Moment {
    // UTC has no gaps, and a date next to one that was an instant's is itself in range.
    TimeZone::UTC
        .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
        .map_or(Moment::MAX, Moment::from)
}

pub(crate) fn monday_of(date: Date) -> Date {
    date.tomorrow()
        .and_then(|tomorrow| tomorrow.nth_weekday(-1, Weekday::Monday))
        .unwrap_or(date)
}

pub fn days_between(start: Date, end: Date) -> i32 {
    start.until(end).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::values::at;

    const RESETS: [Reset; 3] = [Reset::Daily, Reset::Weekly, Reset::Monthly];

    #[test]
    fn windows_turn_at_midnight_utc_on_mondays_and_on_the_first() {
        let sunday_night = at("2026-11-29T23:59:59.999Z");
        for (reset, turns) in [
            (Reset::Daily, "2026-11-30T00:00:00Z"),
            (Reset::Weekly, "2026-11-30T00:00:00Z"),
            (Reset::Monthly, "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(reset.resets_at(sunday_night), Some(at(turns)), "{reset:?}");
        }
        assert_eq!(Reset::None.resets_at(sunday_night), None);
        let monday = at("2026-11-30T00:00:00Z");
        assert_eq!(
            Reset::Weekly.window_at(monday),
            Window(Some("2026-11-30".parse().unwrap()))
        );
        assert_eq!(
            Reset::Weekly.resets_at(monday),
            Some(at("2026-12-07T00:00:00Z"))
        );
    }

    #[test]
    fn the_days_of_a_window_are_known_from_any_day_in_it() {
        let around = |reset: Reset, day: &str| {
            reset
                .days_around(day.parse().unwrap())
                .map(|(first, last)| [first, last].map(|day| day.to_string()))
        };
        let days = |first: &str, last: &str| Some([first.to_owned(), last.to_owned()]);
        assert_eq!(
            around(Reset::Weekly, "2026-11-29"),
            days("2026-11-23", "2026-11-29")
        );
        assert_eq!(
            around(Reset::Monthly, "2028-02-05"),
            days("2028-02-01", "2028-02-29")
        );
        assert_eq!(
            around(Reset::Daily, "2026-11-29"),
            days("2026-11-29", "2026-11-29")
        );
        assert_eq!(around(Reset::None, "2026-11-29"), None);
    }

    proptest! {
        /// The windows between two times are those found by walking from one to the next.
        #[test]
        fn windows_match_a_walk(
            second in 0_i64..2_000_000_000, length in 0_i64..40_000_000,
        ) {
            let now = Moment::from_second(second).unwrap();
            let end = Moment::from_second(second + length).unwrap();
            for reset in RESETS {
                let mut walked = 0;
                let mut turn = reset.resets_at(now).unwrap();
                while turn < end {
                    walked += 1;
                    turn = reset.resets_at(turn).unwrap();
                }
                prop_assert_eq!(reset.windows_between(now, end), walked);
            }
            prop_assert_eq!(Reset::None.windows_between(now, end), 0);
        }
    }
}
