//! Dates and times as people read them, on pages and in mails: `20 Nov 2026`, and `20 Nov 2026,
//! 14:05` with the time zone once on a page. [`Usd`](super::money::Usd) writes amounts itself;
//! files, hooks and forms' fields carry both in full instead.

use std::borrow::Borrow;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::clock::Moment;
use crate::domain::values::money::group_digits;

/// `20 Nov 2026`; templates pass a reference.
pub fn long_date(date: impl Borrow<Date>) -> String {
    date.borrow().strftime("%-d %b %Y").to_string()
}

/// `20 Nov`, where the year is plain.
pub fn short_date(date: Date) -> String {
    date.strftime("%-d %b").to_string()
}

/// `9–15 Nov 2026`, with the month or year of the first day where it differs from the last day's.
pub fn date_range((first, last): (Date, Date)) -> String {
    let from = match (first.year() == last.year(), first.month() == last.month()) {
        _ if first == last => String::new(),
        (true, true) => first.strftime("%-d–").to_string(),
        (true, false) => format!("{} – ", short_date(first)),
        (false, _) => format!("{} – ", long_date(first)),
    };
    format!("{from}{}", long_date(last))
}

/// `November`
pub fn month(date: Date) -> String {
    date.strftime("%B").to_string()
}

/// `November 2026`
pub fn month_name(date: Date) -> String {
    date.strftime("%B %Y").to_string()
}

/// A number with what it counts: `1 student`, `1,200 students`.
pub fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!(
        "{} {}",
        group_digits(number),
        if number == 1 { singular } else { plural }
    )
}

pub trait Joined: Iterator<Item: Borrow<str>> + Sized {
    /// The texts, one behind the other, with this between them.
    fn joined(self, between: &str) -> String {
        self.collect::<Vec<_>>().join(between)
    }
}

impl<I: Iterator<Item: Borrow<str>>> Joined for I {}

/// A text that somebody chose, as a cell of a CSV file that spreadsheets open: in quotes, and with
/// an apostrophe before what they would run. One whose separator is the semicolon or the tab takes
/// quotes in the middle of its own cell for text, and begins another cell behind each separator in
/// ours. So there is an apostrophe there too, whatever quotes and spaces come first.
pub fn sheet_text(text: &str) -> String {
    let mut cell = String::new();
    for part in text.split_inclusive([';', '\t', '\r', '\n']) {
        if part
            .trim_start_matches([' ', '"'])
            .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r'])
        {
            cell.push('\'');
        }
        cell += &part.replace('"', "\"\"");
    }
    if cell.is_empty() {
        cell
    } else {
        format!("\"{cell}\"")
    }
}

/// A time with its zone: `20 Nov 2026, 14:05 (Europe/Berlin)`.
pub fn time_in(moment: Moment, zone: &TimeZone) -> String {
    add_zone(&column_time(moment, zone), zone)
}

/// A time that ends something with its zone: `the end of 20 Nov 2026 (Europe/Berlin)`.
pub fn end_time_in(moment: Moment, zone: &TimeZone) -> String {
    add_zone(&end_time(moment, zone), zone)
}

fn add_zone(time: &str, zone: &TimeZone) -> String {
    format!("{time} ({})", zone.iana_name().unwrap_or("UTC"))
}

/// An instant in UTC, where it is of no programme's time zone.
pub fn utc(moment: impl Borrow<Moment>) -> String {
    format!("{} UTC", column_time(*moment.borrow(), &TimeZone::UTC))
}

/// A time where the page or the heading names the zone: `20 Nov 2026, 14:05`.
pub fn column_time(moment: Moment, zone: &TimeZone) -> String {
    long_time(moment.to_zoned(zone.clone()).datetime())
}

pub fn long_time(time: DateTime) -> String {
    time.strftime("%-d %b %Y, %H:%M").to_string()
}

/// A time that ends something, as [`column_time`]; midnight is `the end of 20 Nov 2026`.
pub fn end_time(moment: Moment, zone: &TimeZone) -> String {
    let there = moment.to_zoned(zone.clone()).datetime();
    match there.date().yesterday() {
        Ok(last) if there.time() == Time::midnight() => format!("the end of {}", long_date(last)),
        _ => column_time(moment, zone),
    }
}

/// A time in a form's field: `2026-11-20T14:05`.
pub fn field_time(moment: Moment, zone: &TimeZone) -> String {
    moment
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%dT%H:%M")
        .to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_range_of_days_names_what_its_ends_have_in_common_once() {
        let range = |first, last| date_range((first, last));
        assert_eq!(
            range(date(2026, 11, 9), date(2026, 11, 15)),
            "9–15 Nov 2026"
        );
        assert_eq!(
            range(date(2026, 10, 26), date(2026, 11, 1)),
            "26 Oct – 1 Nov 2026"
        );
        assert_eq!(
            range(date(2026, 12, 28), date(2027, 1, 3)),
            "28 Dec 2026 – 3 Jan 2027"
        );
        assert_eq!(range(date(2026, 11, 9), date(2026, 11, 9)), "9 Nov 2026");
    }

    #[test]
    fn what_ends_at_midnight_ends_with_the_day_before() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let end = |at: &str| end_time(at.parse().unwrap(), &berlin);
        assert_eq!(end("2027-03-02T23:00:00Z"), "the end of 2 Mar 2027");
        assert_eq!(end("2027-03-02T17:00:00Z"), "2 Mar 2027, 18:00");
    }
}
