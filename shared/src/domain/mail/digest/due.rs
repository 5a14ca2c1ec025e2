//! When a digest is due: on its day from seven in the morning on, where its programme is. One that was not made then is made up for
//! within two days, and tells of the same days; after that the next one comes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::programme::{Programme, Weekday};
use crate::domain::usage::span::last_weeks;
use crate::domain::values::window::monday_of;

/// The hour of the morning.
const HOUR: i8 = 7;
const MADE_UP_FOR: SignedDuration = SignedDuration::from_hours(48);
/// So long after midnight UTC the night's sync has looked back on the day that is over.
const LOOKED_BACK_AFTER: SignedDuration = SignedDuration::from_hours(2);
/// So long after a programme's end there is still a week of it to tell of.
const TOLD_AFTER_THE_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who looks for digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestTrigger {
    /// The watch: a digest is not due before its morning.
    Hourly,
    /// Somebody by hand, who gets today's whatever the hour.
    ByHand,
}

/// A digest that is due, and what it tells of: the same whenever it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which calendar week it is the digest of, by its Monday.
    pub week: Date,
    /// The completed UTC days of its week and of the week before.
    pub weeks: [(Date, Date); 2],
    /// The mornings of the digest before and of this one: what turned up between them is told in this one.
    pub mornings: (Timestamp, Timestamp),
}

/// The digest of a programme that is due now. `made_at` is when the programme was made.
pub fn of_programme(programme: &Programme, made_at: Timestamp, asked: DigestTrigger, now: Timestamp) -> Option<Due> {
    let settings = &programme.settings;
    let begins = settings.term.starts_at().min(settings.claim_opens_at()).max(made_at);
    let ends = programme.over_since() + TOLD_AFTER_THE_END;
    let day = settings.digest.filter(|_| settings.roster)?;
    on_its_day(day, settings.term.zone(), asked, now, |moment| begins <= moment && moment < ends)
}

/// The digest of the account that is due now. Its admins hear on Mondays, in the morning of most programmes: an account is nowhere.
pub fn of_account(programmes: &[Programme], born: Timestamp, asked: DigestTrigger, now: Timestamp) -> Option<Due> {
    let mut zones: BTreeMap<&str, (usize, &TimeZone)> = BTreeMap::new();
    for term in programmes.iter().map(|programme| &programme.settings.term) {
        zones.entry(term.timezone()).or_insert((0, term.zone())).0 += 1;
    }
    let (_, zone) = zones.into_values().min_by_key(|(programmes, _)| Reverse(*programmes))?;
    on_its_day(Weekday::Monday, zone, asked, now, |moment| born <= moment)
}

/// Looks back as far as a digest is made up for, the last day first.
fn on_its_day(
    weekday: Weekday,
    zone: &TimeZone,
    asked: DigestTrigger,
    now: Timestamp,
    has_something: impl Fn(Timestamp) -> bool,
) -> Option<Due> {
    let today = now.to_zoned(zone.clone()).date();
    let morning = |day: Date| Some(day.to_datetime(time(HOUR, 0, 0, 0)).to_zoned(zone.clone()).ok()?.timestamp());
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
