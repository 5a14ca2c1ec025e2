//! Times as people read them. Amounts are `Usd`'s own matter; files and hooks carry both in full instead.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time in a programme's own time zone: `20 November 2026, 14:05 (Europe/Berlin)`.
pub fn time_in(at: Timestamp, timezone: &str) -> String {
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    let zoned = at.to_zoned(zone);
    let name = zoned.time_zone().iana_name().unwrap_or("UTC").to_owned();
    format!("{} ({name})", zoned.strftime("%-d %B %Y, %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_programmes_own_zone() {
        let at: Timestamp = "2026-11-20T13:05:00Z".parse().unwrap();
        assert_eq!(time_in(at, "Europe/Berlin"), "20 November 2026, 14:05 (Europe/Berlin)");
        assert_eq!(time_in(at, "nowhere"), "20 November 2026, 13:05 (UTC)");
    }
}
