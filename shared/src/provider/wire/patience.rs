//! The wait that the provider asks for, in each of the forms it uses. `send` decides whether to wait.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

/// The longest wait that is accepted; a longer one is taken for a mistake.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that an answer's headers ask for: `retry-after-ms`, then `retry-after` as seconds or date. For a
/// 429 the instant at which the limit is reset comes last. Dates count from the answer's own `Date`, so that
/// no two clocks are compared.
pub fn wait_asked(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let now = header("date").and_then(http_date).unwrap_or(now);
    let from_milliseconds = || header("retry-after-ms").and_then(|text| seconds(text, 1_000.0));
    let from_seconds = || header("retry-after").and_then(|text| seconds(text, 1.0));
    let from_date = || header("retry-after").and_then(http_date).map(|at| until(at, now));
    let from_reset = || header("x-ratelimit-reset").filter(|_| status == 429).and_then(|text| reset(text, now));
    let asked = from_milliseconds().or_else(from_seconds).or_else(from_date).or_else(from_reset);
    asked.map(|asked| asked.min(LONGEST))
}

/// A duration from a count of units, of which `units` make a second.
fn seconds(text: &str, units: f64) -> Option<Duration> {
    let count: f64 = text.parse().ok()?;
    if count.is_nan() {
        return None;
    }
    let most = LONGEST.as_secs_f64();
    Some(Duration::from_secs_f64((count / units).clamp(0.0, most)))
}

/// The wait until a reset in milliseconds or seconds since 1970, or in seconds from now; its size shows
/// which.
fn reset(text: &str, now: Timestamp) -> Option<Duration> {
    let count: f64 = text.parse().ok()?;
    let at = if count >= 1e11 {
        Timestamp::from_millisecond(count as i64).ok()?
    } else if count >= 1e9 {
        Timestamp::from_second(count as i64).ok()?
    } else {
        return seconds(text, 1.0);
    };
    Some(until(at, now))
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// A date in one of the three spellings of HTTP.
fn http_date(text: &str) -> Option<Timestamp> {
    let obsolete = |format: &str| {
        let parsed = strtime::parse(format, text).ok()?;
        let utc: DateTime = parsed.to_datetime().ok()?;
        utc.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let current = rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    current.or_else(|| obsolete("%A, %d-%b-%y %H:%M:%S GMT")).or_else(|| obsolete("%a %b %e %H:%M:%S %Y"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn asked(status: u16, given: &[(&'static str, &str)]) -> Option<f64> {
        let headers: HeaderMap = given
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        wait_asked(status, &headers, NOW.parse().unwrap()).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn a_wait_is_read_from_seconds_milliseconds_and_all_spellings_of_a_date() {
        for (name, value, expected) in [
            ("retry-after", "7", 7.0),
            ("retry-after", " 7 ", 7.0),
            ("retry-after", "0", 0.0),
            ("retry-after", "-3", 0.0),
            ("retry-after", "1.5", 1.5),
            ("retry-after-ms", "1500", 1.5),
            ("retry-after", "Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
            ("retry-after", "Friday, 20-Nov-26 12:00:30 GMT", 30.0),
            ("retry-after", "Fri Nov 20 12:00:30 2026", 30.0),
            ("retry-after", "Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
            ("x-ratelimit-reset", "1795176030000", 30.0),
            ("x-ratelimit-reset", "1795176030", 30.0),
            ("x-ratelimit-reset", "30", 30.0),
        ] {
            assert_eq!(asked(429, &[(name, value)]), Some(expected), "{name}: {value}");
        }
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing_and_what_is_absurd_is_cut() {
        for value in ["", "soon", "NaN", "Fri, 99 Nov 2026 12:00:30 GMT"] {
            assert_eq!(asked(429, &[("retry-after", value)]), None, "{value}");
        }
        for value in ["1e300", "inf", "99999999999999999999"] {
            assert_eq!(asked(429, &[("retry-after", value)]), Some(86_400.0), "{value}");
        }
    }

    #[test]
    fn the_finer_header_wins_and_a_reset_counts_only_when_the_limit_was_hit() {
        let both = [("retry-after", "2"), ("retry-after-ms", "1500"), ("x-ratelimit-reset", "30")];
        assert_eq!(asked(429, &both), Some(1.5));
        assert_eq!(asked(503, &[("x-ratelimit-reset", "30")]), None);
    }

    #[test]
    fn a_date_counts_from_the_clock_of_the_server_that_wrote_it() {
        let given = [("date", "Fri, 20 Nov 2026 15:00:00 GMT"), ("retry-after", "Fri, 20 Nov 2026 15:00:05 GMT")];
        assert_eq!(asked(503, &given), Some(5.0));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic_or_wait_longer_than_a_day(text in "[ -~]{0,40}", number in any::<f64>()) {
            for value in [text, number.to_string()] {
                for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset", "date"] {
                    prop_assert!(asked(429, &[(name, &value)]).is_none_or(|wait| (0.0..=86_400.0).contains(&wait)));
                }
            }
        }
    }
}
