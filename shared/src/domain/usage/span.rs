//! The spans of time over which spending is shown, by one function for pages and files. Rolling
//! spans are UTC days, the last of which is that of the newest reading. The provider's windows
//! begin with the calendar and are never shown as rolling.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::clock::Moment;
use crate::domain::usage::days::{Accuracy, Days, Sum};
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;
use crate::domain::values::window::{Reset, utc_date};

crate::named! {
    /// A span of time, as `?window=` asks for it.
    #[derive(Default)]
    pub enum Span: as_str, name {
        /// The UTC day of the newest reading; of a week and a month the last.
        Day = "1d", "today";
        Week = "7d", "7 days";
        Month = "30d", "30 days";
        /// The window of the cap up to today.
        Window = "window", "this window";
        /// The term up to today.
        Term = "term", "the term";
        #[default]
        All = "all", "in all";
    }
}

impl Span {
    pub fn from_form(text: &str) -> Option<Span> {
        Span::ALL.into_iter().find(|span| span.as_str() == text)
    }

    /// The first and the last UTC day of this span. Rolling spans end with the day of the newest
    /// reading, the others today. If the first day is after the last, the span has not begun.
    pub fn range(
        self,
        reset: Reset,
        term: Option<&Term>,
        read_at: Option<Moment>,
        now: Moment,
    ) -> (Date, Date) {
        let today = utc_date(now);
        let read = utc_date(read_at.unwrap_or(now));
        match self {
            Span::Day => (read, read),
            Span::Week => (back(read, 6), read),
            Span::Month => (back(read, 29), read),
            Span::Window => (reset.window_at(now).begins().unwrap_or(Date::MIN), today),
            Span::Term => term.map_or((Date::MIN, today), |term| {
                (term.first_utc_day(), term.last_utc_day().min(today))
            }),
            Span::All => (Date::MIN, today),
        }
    }

    /// The use in this span. `read_at` is when the newest reading was asked for: it covered all of
    /// the days before its own, and its own up to then.
    pub fn sum(
        self,
        days: &Days,
        reset: Reset,
        term: Option<&Term>,
        read_at: Option<Moment>,
        now: Moment,
    ) -> Sum {
        if self.is_endless(reset, term) {
            let accuracy = if read_at.is_some() {
                Accuracy::Exactly
            } else {
                Accuracy::Partly
            };
            return Sum {
                spent: days.total(),
                accuracy,
            };
        }
        let (first, last) = self.range(reset, term, read_at, now);
        if last < first {
            // The span has not begun.
            return Sum {
                spent: Usd::ZERO,
                accuracy: Accuracy::Exactly,
            };
        }
        // A span goes on, so it holds what the newest reading knew, however old that is, if it was
        // within it.
        let is_read = read_at.is_some_and(|read| first <= utc_date(read));
        days.between(first, last, is_read.then_some(last))
    }

    /// Whether the span has no end: a window that is the whole term, or a term where there is none.
    fn is_endless(self, reset: Reset, term: Option<&Term>) -> bool {
        match self {
            Span::Day | Span::Week | Span::Month => false,
            Span::Window => reset == Reset::None,
            Span::Term => term.is_none(),
            Span::All => true,
        }
    }
}

/// The last seven completed UTC days, and the seven before them.
pub fn weeks_before(now: Moment) -> [(Date, Date); 2] {
    let today = utc_date(now);
    [
        (back(today, 7), back(today, 1)),
        (back(today, 14), back(today, 8)),
    ]
}

/// The ranges of consecutive days for which something holds.
pub fn stretches(
    (first_day, last_day): (Date, Date),
    is_so: impl Fn(Date) -> bool,
) -> Vec<(Date, Date)> {
    let mut stretches: Vec<(Date, Date)> = Vec::new();
    for day in first_day
        .series(1.day())
        .take_while(|day| *day <= last_day)
        .filter(|day| is_so(*day))
    {
        match stretches.last_mut() {
            Some((_, last)) if last.tomorrow().ok() == Some(day) => *last = day,
            _ => stretches.push((day, day)),
        }
    }
    stretches
}

fn back(day: Date, count: i64) -> Date {
    day.checked_sub(count.days()).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::days::KeyCounters;
    use crate::tests::values::{at, micros as usd};

    #[test]
    fn a_rolling_span_ends_with_the_day_of_the_newest_reading() {
        let mut days = Days::default();
        for (day, spent) in [
            ("2026-10-20", 90),
            ("2026-10-21", 40),
            ("2026-11-12", 80),
            ("2026-11-13", 7),
            ("2026-11-19", 3),
            ("2026-11-20", 1),
        ] {
            days.add(&Days::on_one(day.parse().unwrap(), usd(spent)));
        }
        let now = at("2026-11-20T12:00:00Z");
        let of =
            |span: Span, looked: &str| span.sum(&days, Reset::Weekly, None, Some(at(looked)), now);
        let exactly = |spent| Sum {
            spent: usd(spent),
            accuracy: Accuracy::Exactly,
        };
        assert_eq!(of(Span::Day, "2026-11-20T00:20:00Z"), exactly(1));
        assert_eq!(of(Span::Week, "2026-11-20T00:20:00Z"), exactly(4));
        assert_eq!(of(Span::Month, "2026-11-20T00:20:00Z"), exactly(91));
        assert_eq!(of(Span::Day, "2026-11-19T00:20:00Z"), exactly(3));
        assert_eq!(of(Span::Week, "2026-11-19T00:20:00Z"), exactly(10));
        assert_eq!(of(Span::Window, "2026-11-20T00:20:00Z"), exactly(4));
        assert_eq!(of(Span::All, "2026-11-19T00:20:00Z"), exactly(221));
        assert_eq!(
            Span::All.sum(&days, Reset::None, None, None, now).accuracy,
            Accuracy::Partly
        );
    }

    /// A window that no sync has read is not known, and a term that has not begun has no spending.
    #[test]
    fn an_unread_window_is_unknown() {
        let days = Days::on_one("2026-11-19".parse().unwrap(), usd(3));
        let now = at("2026-11-20T00:10:00Z");
        let of =
            |span: Span, reset, looked: &str| span.sum(&days, reset, None, Some(at(looked)), now);
        let yesterday = "2026-11-19T00:20:00Z";
        assert_eq!(
            of(Span::Window, Reset::Daily, yesterday),
            Sum {
                spent: Usd::ZERO,
                accuracy: Accuracy::Partly
            }
        );
        assert_eq!(
            of(Span::Window, Reset::Weekly, yesterday),
            Sum {
                spent: usd(3),
                accuracy: Accuracy::Exactly
            }
        );
        let later = Term::new(
            "2027-01-01".parse().unwrap(),
            "2027-02-01".parse().unwrap(),
            "UTC",
        )
        .unwrap();
        let term = Span::Term.sum(&days, Reset::Daily, Some(&later), Some(at(yesterday)), now);
        assert_eq!(
            term,
            Sum {
                spent: Usd::ZERO,
                accuracy: Accuracy::Exactly
            }
        );
    }

    /// A window without a reset and a span without a term cover all there is.
    #[test]
    fn endless_spans_cover_everything() {
        let on = "2026-11-19".parse().unwrap();
        let days = Days::default().with(
            KeyCounters {
                lifetime: usd(7),
                today: Some(usd(2)),
                day: on,
                window: None,
            },
            None,
        );
        assert_eq!(days.opening(), usd(5));
        let now = at("2026-11-20T12:00:00Z");
        for span in [Span::Window, Span::Term, Span::All] {
            let sum = span.sum(&days, Reset::None, None, Some(now), now);
            assert_eq!(
                sum,
                Sum {
                    spent: usd(7),
                    accuracy: Accuracy::Exactly
                },
                "{span:?}"
            );
        }
    }
}
