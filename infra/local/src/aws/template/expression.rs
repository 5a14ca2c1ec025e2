//! Schedule expressions of EventBridge, in UTC: `rate(15 minutes)`, and of cron only a daily time, `cron(20
//! 0 * * ? *)`. Any other is refused. Running schedules is left to `schedules`.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// The times at which something is due, counted from the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Rate(SignedDuration),
    Daily(Time),
}

/// The reason why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule expression {expression:?} is not understood: {why}")]
pub struct NotUnderstood {
    expression: String,
    why: String,
}

impl Expression {
    pub fn parse(expression: &str) -> Result<Expression, NotUnderstood> {
        let understood = match expression.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some(("rate", inside)) => rate(inside).map(Expression::Rate),
            Some(("cron", inside)) => cron(inside).map(Expression::Daily),
            _ => Err("it is neither rate(…) nor cron(…)".to_owned()),
        };
        understood.map_err(|why| NotUnderstood { expression: expression.to_owned(), why })
    }

    /// The first due instant after `last`.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Expression::Rate(period) => last.checked_add(*period).ok(),
            Expression::Daily(time) => {
                let today = on_the_day_of(last, *time)?;
                if today > last { Some(today) } else { today.checked_add(SignedDuration::from_hours(24)).ok() }
            }
        }
    }

    /// The last due instant after `last`, and not after `until`.
    pub fn last_within(&self, last: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self {
            Expression::Rate(period) => {
                let passed = until.duration_since(last);
                let times = i32::try_from(passed.as_nanos().checked_div(period.as_nanos())?).ok()?;
                (times > 0).then(|| last.checked_add(period.checked_mul(times)?).ok())?
            }
            Expression::Daily(time) => {
                let today = on_the_day_of(until, *time)?;
                let due = if today <= until { today } else { today - 24.hours() };
                Some(due).filter(|due| *due > last)
            }
        }
    }
}

fn on_the_day_of(instant: Timestamp, time: Time) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(TimeZone::UTC.to_datetime(instant).date().to_datetime(time)).ok()
}

fn rate(inside: &str) -> Result<SignedDuration, String> {
    let (number, unit) = inside.split_once(' ').ok_or("a rate is a number and a unit")?;
    let number: i64 = number.parse().ok().filter(|n| *n > 0).ok_or("its number is not a positive one")?;
    let minutes = match unit.strip_suffix('s').unwrap_or(unit) {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return Err("its unit is not minutes, hours or days".to_owned()),
    };
    if unit.ends_with('s') != (number > 1) {
        return Err("AWS wants the singular for 1 and the plural otherwise".to_owned());
    }
    let seconds = number.checked_mul(minutes * 60).ok_or("its number is too large")?;
    Ok(SignedDuration::from_secs(seconds))
}

fn cron(inside: &str) -> Result<Time, String> {
    let fields: Vec<&str> = inside.split_whitespace().collect();
    let [minute, hour, "*", "*", "?", "*"] = fields[..] else {
        return Err("it has other fields than a minute and an hour of every day".to_owned());
    };
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_from_the_last_time_and_a_cron_is_due_once_a_day_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (expression, last, next, until, last_until) in [
            (
                "rate(1 hour)",
                "2026-11-20T10:00:30Z",
                "2026-11-20T11:00:30Z",
                "2026-11-22T00:59:00Z",
                "2026-11-22T00:00:30Z",
            ),
            (
                "rate(1 day)",
                "2026-11-20T10:00:30Z",
                "2026-11-21T10:00:30Z",
                "2026-11-21T10:00:30Z",
                "2026-11-21T10:00:30Z",
            ),
            (
                "cron(20 0 * * ? *)",
                "2026-11-20T00:19:59Z",
                "2026-11-20T00:20:00Z",
                "2026-12-24T00:10:00Z",
                "2026-12-23T00:20:00Z",
            ),
            (
                "cron(20 0 * * ? *)",
                "2026-11-20T00:20:00Z",
                "2026-11-21T00:20:00Z",
                "2026-11-21T00:20:00Z",
                "2026-11-21T00:20:00Z",
            ),
        ] {
            let (expression, last, next) = (Expression::parse(expression).unwrap(), at(last), at(next));
            assert_eq!(expression.next_after(last), Some(next));
            assert_eq!(expression.last_within(last, at(until)), Some(at(last_until)));
            assert_eq!(expression.last_within(last, next - SignedDuration::from_secs(1)), None);
        }
    }
}
