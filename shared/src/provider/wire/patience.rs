//! The wait that an answer asks for by `Retry-After`, as seconds or as a date.

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::prelude::*;

/// The longest wait that is accepted; a longer one is taken for a mistake.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A date counts from the answer's own `Date`, so that no two clocks are compared.
pub(in crate::provider) fn wait_asked(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let header = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let asked = header(RETRY_AFTER)?;
    let wait = match asked.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = header(DATE).and_then(date).unwrap_or(*now);
            Duration::try_from(date(asked)?.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_date_of_the_servers_own_clock() {
        for (asked, expected) in [
            (" 7 ", Some(7)),
            ("Fri, 20 Nov 2026 15:00:30 GMT", Some(30)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            ("99999999999", Some(86_400)),
            ("-3", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([
                (DATE, HeaderValue::from_static("Fri, 20 Nov 2026 15:00:00 GMT")),
                (RETRY_AFTER, HeaderValue::from_static(asked)),
            ]);
            let wait = wait_asked(&headers, Moment::UNIX_EPOCH);
            assert_eq!(wait, expected.map(Duration::from_secs), "{asked}");
        }
    }
}
