//! The provider's calendar: UTC days, weeks from Monday, months; and the usage of each, by the clock that
//! is passed in. Limits of a window are left to `limits.rs`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::money::Nano;

/// The interval at which a limit resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    Daily,
    Weekly,
    Monthly,
}

/// The day of an instant in the provider's calendar.
pub(crate) fn utc_day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// An instant as the API prints it.
pub(crate) fn printed(at: Timestamp) -> String {
    format!("{at:.0}")
}

impl Interval {
    pub(crate) fn parse(text: &str) -> Option<Interval> {
        [Interval::Daily, Interval::Weekly, Interval::Monthly].into_iter().find(|interval| interval.name() == text)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Interval::Daily => "daily",
            Interval::Weekly => "weekly",
            Interval::Monthly => "monthly",
        }
    }

    fn start(self, at: Timestamp) -> Date {
        let day = utc_day(at);
        match self {
            Interval::Daily => day,
            Interval::Weekly => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Interval::Monthly => day.first_of_month(),
        }
    }

    /// The end of the window that contains `at`.
    pub fn end(self, at: Timestamp) -> Timestamp {
        let length = match self {
            Interval::Daily => 1.day(),
            Interval::Weekly => 1.week(),
            Interval::Monthly => 1.month(),
        };
        let end = self.start(at).saturating_add(length);
        end.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |end| end.timestamp())
    }
}

/// The lifetime usage, with the newest used day, week and month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    total: Nano,
    day: Window,
    week: Window,
    month: Window,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    start: Option<Date>,
    spent: Nano,
}

impl Usage {
    pub(crate) fn add(&mut self, amount: Nano, at: Timestamp) {
        self.total += amount;
        self.day.add(amount, Interval::Daily.start(at));
        self.week.add(amount, Interval::Weekly.start(at));
        self.month.add(amount, Interval::Monthly.start(at));
    }

    /// Subtracts usage, as a correction does: from the lifetime counter, and from the windows that contain
    /// `now`.
    pub(crate) fn take_off(&mut self, amount: Nano, now: Timestamp) {
        self.total = (self.total - amount).max(Nano::ZERO);
        let windows = [(&mut self.day, Interval::Daily), (&mut self.week, Interval::Weekly)];
        for (window, interval) in windows.into_iter().chain([(&mut self.month, Interval::Monthly)]) {
            if window.start == Some(interval.start(now)) {
                window.spent = (window.spent - amount).max(Nano::ZERO);
            }
        }
    }

    /// The counters, each that is not zero changed by this amount.
    pub(crate) fn off_by(&self, amount: Nano) -> Usage {
        let mut off = self.clone();
        for counter in [&mut off.total, &mut off.day.spent, &mut off.week.spent, &mut off.month.spent] {
            if *counter > Nano::ZERO {
                *counter += amount;
            }
        }
        off
    }

    pub(crate) fn total(&self) -> Nano {
        self.total
    }

    /// The usage in the window that contains `now`; the lifetime usage without an interval.
    pub(crate) fn within(&self, interval: Option<Interval>, now: Timestamp) -> Nano {
        let Some(interval) = interval else { return self.total };
        let window = match interval {
            Interval::Daily => &self.day,
            Interval::Weekly => &self.week,
            Interval::Monthly => &self.month,
        };
        if window.start == Some(interval.start(now)) { window.spent } else { Nano::ZERO }
    }
}

impl Window {
    /// Adds usage to the newest window. Usage of an older one changes nothing, since only the newest is
    /// kept.
    fn add(&mut self, amount: Nano, start: Date) {
        if self.start < Some(start) {
            *self = Window { start: Some(start), spent: Nano::ZERO };
        }
        if self.start == Some(start) {
            self.spent += amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn windows_are_calendar_windows_in_utc_with_weeks_from_monday() {
        let sunday = at("2026-11-29T23:59:59Z");
        assert_eq!(Interval::Daily.end(sunday), at("2026-11-30T00:00:00Z"));
        assert_eq!(Interval::Weekly.end(sunday), at("2026-11-30T00:00:00Z"));
        assert_eq!(Interval::Monthly.end(sunday), at("2026-12-01T00:00:00Z"));
        let monday = at("2026-11-30T00:00:00Z");
        assert_eq!(Interval::Weekly.end(monday), at("2026-12-07T00:00:00Z"));
        assert_eq!(Interval::Monthly.end(at("2026-12-31T12:00:00Z")), at("2027-01-01T00:00:00Z"));
    }

    #[test]
    fn use_that_is_entered_late_counts_in_the_total_and_in_windows_that_still_run() {
        let mut usage = Usage::default();
        usage.add(Nano::usd(1), at("2026-11-20T10:00:00Z"));
        usage.add(Nano::usd(5), at("2026-11-19T10:00:00Z"));
        let now = at("2026-11-20T12:00:00Z");
        assert_eq!(usage.within(Some(Interval::Daily), now), Nano::usd(1));
        assert_eq!(usage.within(Some(Interval::Weekly), now), Nano::usd(6));
        assert_eq!(usage.total(), Nano::usd(6));
    }
}
