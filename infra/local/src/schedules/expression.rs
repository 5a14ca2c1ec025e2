//! Schedule expressions as EventBridge writes them: `rate(15 minutes)` and `cron(20 0 * * ? *)`, in UTC. What nothing in the
//! template uses (`L`, `W`, `#`) is refused, not guessed. When schedules run, and what, is the parent's business.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// How far ahead a next instant is looked for: past the longest gap between two leap days.
const HORIZON_DAYS: i32 = 366 * 9;

/// When something is due, counted from when it was due last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Rate(SignedDuration),
    Cron(Cron),
}

/// The six fields of a cron expression, spelled out as the values each allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: Vec<i16>,
    hours: Vec<i16>,
    /// None: any day of the month, since the other day field decides.
    days: Option<Vec<i16>>,
    months: Vec<i16>,
    /// Sunday is 1.
    weekdays: Option<Vec<i16>>,
    years: Vec<i16>,
}

/// What is wrong with an expression.
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
            Some(("cron", inside)) => cron(inside).map(Expression::Cron),
            _ => Err("it is neither rate(…) nor cron(…)".to_owned()),
        };
        understood.map_err(|why| NotUnderstood { expression: expression.to_owned(), why })
    }

    /// The first instant after `last` at which it is due.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Expression::Rate(period) => last.checked_add(*period).ok(),
            Expression::Cron(cron) => cron.next_after(last),
        }
    }

    /// The last instant after `last`, and not after `until`, at which it is due.
    pub fn last_within(&self, last: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self {
            Expression::Rate(period) => {
                let passed = until.duration_since(last);
                let times = i32::try_from(passed.as_nanos().checked_div(period.as_nanos())?).ok()?;
                (times > 0).then(|| last.checked_add(period.checked_mul(times)?).ok())?
            }
            Expression::Cron(cron) => cron.last_within(last, until),
        }
    }
}

impl Cron {
    fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        let first_day = TimeZone::UTC.to_datetime(last).date();
        (0..HORIZON_DAYS)
            .map_while(|ahead| first_day.checked_add(ahead.days()).ok())
            .filter(|day| self.allows(*day))
            .flat_map(|day| self.instants_of(day))
            .find(|instant| *instant > last)
    }

    fn last_within(&self, last: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let first_day = TimeZone::UTC.to_datetime(last).date();
        let last_day = TimeZone::UTC.to_datetime(until).date();
        (0..)
            .map_while(|back: i32| last_day.checked_sub(back.days()).ok())
            .take_while(|day| *day >= first_day)
            .filter(|day| self.allows(*day))
            .flat_map(|day| self.instants_of(day).collect::<Vec<_>>().into_iter().rev())
            .find(|instant| *instant <= until)
            .filter(|instant| *instant > last)
    }

    fn allows(&self, day: Date) -> bool {
        let weekday = i16::from(day.weekday().to_sunday_one_offset());
        let among = |days: &Option<Vec<i16>>, day| days.as_ref().is_none_or(|days| days.contains(&day));
        self.years.contains(&day.year())
            && self.months.contains(&i16::from(day.month()))
            && among(&self.days, i16::from(day.day()))
            && among(&self.weekdays, weekday)
    }

    fn instants_of(&self, day: Date) -> impl Iterator<Item = Timestamp> {
        let times = self.hours.iter().flat_map(|hour| {
            let minutes = self.minutes.iter();
            minutes.filter_map(|minute| Time::new(i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?, 0, 0).ok())
        });
        times.filter_map(move |time| TimeZone::UTC.to_timestamp(day.to_datetime(time)).ok())
    }
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

fn cron(inside: &str) -> Result<Cron, String> {
    let fields: Vec<&str> = inside.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays, years] = fields[..] else {
        return Err("a cron expression has six fields".to_owned());
    };
    if (days == "?") == (weekdays == "?") {
        return Err("exactly one of the two day fields is `?`".to_owned());
    }
    let unless_open = |field, values: &Values| Some(field).filter(|f| *f != "?").map(|f| values.of(f)).transpose();
    Ok(Cron {
        minutes: Values(0, 59, &[]).of(minutes)?,
        hours: Values(0, 23, &[]).of(hours)?,
        days: unless_open(days, &Values(1, 31, &[]))?,
        months: Values(1, 12, &MONTHS).of(months)?,
        weekdays: unless_open(weekdays, &Values(1, 7, &WEEKDAYS))?,
        years: Values(1970, 2199, &[]).of(years)?,
    })
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The values a field may have: from, to, and the names of the first ones.
struct Values(i16, i16, &'static [&'static str]);

impl Values {
    /// Reads `*`, `7`, `1-5`, `0/15`, `*/2` and lists of them.
    fn of(&self, field: &str) -> Result<Vec<i16>, String> {
        let mut values = Vec::new();
        for part in field.split(',') {
            let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let step = match step {
                None => 1,
                Some(step) => step.parse().ok().filter(|s| *s > 0).ok_or(format!("{step:?} is no step"))?,
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.0, self.1),
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                None if part.contains('/') => (self.value(range)?, self.1),
                None => (self.value(range)?, self.value(range)?),
            };
            if from > to {
                return Err(format!("{range:?} ends before it begins"));
            }
            values.extend((from..=to).step_by(step));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn value(&self, text: &str) -> Result<i16, String> {
        let named = self.2.iter().zip(self.0..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = named.map(|(_, value)| value).or_else(|| text.parse().ok());
        let allowed = value.filter(|value| (self.0..=self.1).contains(value));
        allowed.ok_or_else(|| format!("{text:?} is not between {} and {}", self.0, self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(expression: &str, last: &str) -> Timestamp {
        Expression::parse(expression).unwrap().next_after(at(last)).unwrap()
    }

    #[test]
    fn a_rate_counts_from_the_last_time() {
        assert_eq!(next("rate(1 minute)", "2026-11-20T10:00:30Z"), at("2026-11-20T10:01:30Z"));
        assert_eq!(next("rate(15 minutes)", "2026-11-20T10:00:30Z"), at("2026-11-20T10:15:30Z"));
        assert_eq!(next("rate(1 day)", "2026-11-20T10:00:30Z"), at("2026-11-21T10:00:30Z"));
        let rate = Expression::parse("rate(1 hour)").unwrap();
        let last = at("2026-11-20T10:00:00Z");
        assert_eq!(rate.last_within(last, at("2026-11-22T00:59:00Z")), Some(at("2026-11-22T00:00:00Z")));
        assert_eq!(rate.last_within(last, at("2026-11-20T11:00:00Z")), Some(at("2026-11-20T11:00:00Z")));
        assert_eq!(rate.last_within(last, at("2026-11-20T10:59:59Z")), None);
    }

    #[test]
    fn a_nightly_cron_is_due_once_a_day_in_utc() {
        assert_eq!(next("cron(20 0 * * ? *)", "2026-11-20T00:19:59Z"), at("2026-11-20T00:20:00Z"));
        assert_eq!(next("cron(20 0 * * ? *)", "2026-11-20T00:20:00Z"), at("2026-11-21T00:20:00Z"));
        let nightly = Expression::parse("cron(20 0 * * ? *)").unwrap();
        let last = at("2026-11-20T00:20:00Z");
        assert_eq!(nightly.last_within(last, at("2026-12-24T00:10:00Z")), Some(at("2026-12-23T00:20:00Z")));
        assert_eq!(nightly.last_within(last, at("2026-11-21T00:19:59Z")), None);
        assert_eq!(nightly.last_within(last, last), None);
    }

    #[test]
    fn fields_know_ranges_steps_lists_and_names() {
        assert_eq!(next("cron(0/15 9-17 ? * MON-FRI *)", "2026-11-20T17:45:00Z"), at("2026-11-23T09:00:00Z"));
        assert_eq!(next("cron(0 6 1,15 * ? *)", "2026-11-20T00:00:00Z"), at("2026-12-01T06:00:00Z"));
        assert_eq!(next("cron(0 0 29 2 ? *)", "2026-11-20T00:00:00Z"), at("2028-02-29T00:00:00Z"));
        assert_eq!(next("cron(0 8 ? * 2 2027)", "2026-11-20T00:00:00Z"), at("2027-01-04T08:00:00Z"));
        let never = Expression::parse("cron(0 0 30 2 ? *)").unwrap();
        assert_eq!(never.next_after(at("2026-11-20T00:00:00Z")), None);
    }

    #[test]
    fn what_aws_refuses_or_we_do_not_know_is_an_error_that_says_why() {
        for (expression, why) in [
            ("rate(1 minutes)", "singular"),
            ("rate(5 minute)", "plural"),
            ("rate(0 minutes)", "positive"),
            ("rate(5 weeks)", "unit"),
            ("every minute", "neither"),
            ("cron(20 0 * * *)", "six fields"),
            ("cron(20 0 * * * *)", "exactly one"),
            ("cron(20 0 ? * ? *)", "exactly one"),
            ("cron(60 0 * * ? *)", "not between 0 and 59"),
            ("cron(0 0 L * ? *)", "not between 1 and 31"),
            ("cron(0 0 ? * 2#1 *)", "not between 1 and 7"),
            ("cron(0 9-5 * * ? *)", "ends before it begins"),
            ("cron(0/0 5 * * ? *)", "no step"),
        ] {
            let message = Expression::parse(expression).unwrap_err().to_string();
            assert!(message.contains(why) && message.contains(expression), "{message}");
        }
    }
}
