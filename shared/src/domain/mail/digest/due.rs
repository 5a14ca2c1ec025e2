//! The time at which a digest is due: from seven in the morning of its day, in the programme's time zone. A
//! missed one is made up for within two days and covers the same days. After that only the next one comes.

use std::cmp::Reverse;

use jiff::civil::time;

use crate::domain::programme::Weekday;
use crate::domain::usage::span::last_weeks;
use crate::domain::values::window::monday_of;
use crate::prelude::*;

/// The hour of the morning.
const HOUR: i8 = 7;
const MADE_UP_FOR: SignedDuration = SignedDuration::from_hours(48);
/// The time after midnight UTC by which the nightly sync has read the day that is over.
const LOOKED_BACK_AFTER: SignedDuration = SignedDuration::from_hours(2);
/// The time after a programme's end within which a digest still has a week of it to report.
const TOLD_AFTER_THE_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The trigger of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestTrigger {
    /// The hourly check, for which no digest is due before its morning.
    Hourly,
    /// A person, who gets today's digest whatever the hour.
    ByHand,
}

/// A digest that is due, with the days that it covers whenever it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The Monday of the digest's calendar week.
    pub week: Date,
    /// The completed UTC days of its week and of the week before.
    pub weeks: [(Date, Date); 2],
    /// The mornings of the digest before and of this one, which reports what turned up between them.
    pub mornings: (Moment, Moment),
}

/// The programme's digest that is due now. `made_at` is when the programme was made.
pub fn of_programme(programme: &Programme, made_at: Moment, asked: DigestTrigger, now: Moment) -> Option<Due> {
    let settings = &programme.settings;
    let begins = settings.term.starts_at().min(settings.claim_opens_at()).max(made_at);
    let ends = programme.over_since() + TOLD_AFTER_THE_END;
    let day = settings.mails.digest.filter(|_| settings.roster)?;
    on_its_day(day, settings.term.zone(), asked, now, |moment| begins <= moment && moment < ends)
}

/// The account's digest that is due now. It comes on Mondays, in the morning of most programmes, since an
/// account has no time zone.
pub fn of_account(programmes: &[Programme], born: Moment, asked: DigestTrigger, now: Moment) -> Option<Due> {
    let mut zones: BTreeMap<&str, (usize, &TimeZone)> = BTreeMap::new();
    for term in programmes.iter().map(|programme| &programme.settings.term) {
        zones.entry(term.timezone()).or_insert((0, term.zone())).0 += 1;
    }
    let (_, zone) = zones.into_values().min_by_key(|(programmes, _)| Reverse(*programmes))?;
    on_its_day(Weekday::Monday, zone, asked, now, |moment| born <= moment)
}

/// The digest that is due by its weekday, searched from today back to the last day on which it may be made up
/// for.
fn on_its_day(
    weekday: Weekday,
    zone: &TimeZone,
    asked: DigestTrigger,
    now: Moment,
    has_something: impl Fn(Moment) -> bool,
) -> Option<Due> {
    let today = now.to_zoned(zone.clone()).date();
    let morning =
        |day: Date| Some(Moment::from(day.to_datetime(time(HOUR, 0, 0, 0)).to_zoned(zone.clone()).ok()?.timestamp()));
    (0_i64..=2).find_map(|ago| {
        let day = today.checked_sub(ago.days()).ok().filter(|day| Weekday::of(*day) == weekday)?;
        let (before, at) = (morning(day.checked_sub(7.days()).ok()?)?, morning(day)?);
        let has_come = at <= now && now < at + MADE_UP_FOR && has_something(at);
        let is_asked_for = asked == DigestTrigger::ByHand && day == today && has_something(now);
        let weeks = last_weeks(at - LOOKED_BACK_AFTER);
        (has_come || is_asked_for).then(|| Due { week: monday_of(day), weeks, mornings: (before, at) })
    })
}

#[cfg(test)]
mod tests;
