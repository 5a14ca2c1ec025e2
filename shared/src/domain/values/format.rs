//! Dates and times as people read them, on pages and in mails. [`Usd`] writes amounts itself; files and hooks
//! carry both in full instead.

use std::borrow::Borrow;

use crate::domain::values::money::grouped;
use crate::prelude::*;

/// `20 November 2026`; templates pass a reference.
pub fn long_date(date: impl Borrow<Date>) -> String {
    date.borrow().strftime("%-d %B %Y").to_string()
}

/// `20 Nov 2026`
pub fn medium_date(date: Date) -> String {
    date.strftime("%-d %b %Y").to_string()
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
        (false, _) => format!("{} – ", medium_date(first)),
    };
    format!("{from}{}", medium_date(last))
}

/// `November`
pub fn month(date: Date) -> String {
    date.strftime("%B").to_string()
}

/// `November 2026`
pub fn named_month(date: Date) -> String {
    date.strftime("%B %Y").to_string()
}

/// A number with what it counts: `1 student`, `1,200 students`.
pub fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { several })
}

/// A text that somebody chose, as a cell of a CSV file that spreadsheets open: in quotes, and with an apostrophe before what they would
/// run. One whose separator is the semicolon or the tab takes quotes in the middle of its own cell for text, and begins another cell
/// behind each separator in ours. So there is an apostrophe there too, whatever quotes and spaces come first.
pub fn sheet_text(text: &str) -> String {
    let mut cell = String::new();
    for part in text.split_inclusive([';', '\t', '\r', '\n']) {
        if part.trim_start_matches([' ', '"']).starts_with(['=', '+', '-', '@', '\t', '\r']) {
            cell.push('\'');
        }
        cell += &part.replace('"', "\"\"");
    }
    if cell.is_empty() { cell } else { format!("\"{cell}\"") }
}

/// A time in a sentence: `20 November 2026, 14:05 (Europe/Berlin)`.
pub fn time_in(at: Moment, zone: &TimeZone) -> String {
    let there = at.to_zoned(zone.clone());
    format!("{} ({})", there.strftime("%-d %B %Y, %H:%M"), zone.iana_name().unwrap_or("UTC"))
}

/// An instant in UTC, where it is of no programme's time zone.
pub fn utc(at: impl Borrow<Moment>) -> String {
    format!("{} UTC", column_time(*at.borrow(), &TimeZone::UTC))
}

/// A time in a table column whose heading names the time zone: `2026-11-20 14:05`.
pub fn column_time(at: Moment, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A time in a form's field: `2026-11-20T14:05`.
pub fn field_time(at: Moment, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_range_of_days_names_what_its_ends_have_in_common_once() {
        let range = |first, last| date_range((first, last));
        assert_eq!(range(date(2026, 11, 9), date(2026, 11, 15)), "9–15 Nov 2026");
        assert_eq!(range(date(2026, 10, 26), date(2026, 11, 1)), "26 Oct – 1 Nov 2026");
        assert_eq!(range(date(2026, 12, 28), date(2027, 1, 3)), "28 Dec 2026 – 3 Jan 2027");
        assert_eq!(range(date(2026, 11, 9), date(2026, 11, 9)), "9 Nov 2026");
    }
}
