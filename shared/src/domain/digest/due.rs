//! When a digest is due. It is looked for each day at six in the morning UTC, when the night's sync is over, and it is whichever
//! day it then is where the programme is. A look that was missed is made up for within two days; after that the next digest tells it.

use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::programme::{Programme, Weekday};
use crate::domain::window::{monday_of, utc_date};

/// The hour of the schedule in the template.
const HOUR: i8 = 6;
/// So long after a programme's end there is still a week of it to tell of.
const TOLD_AFTER_THE_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The last moments at which digests were to be looked for, the newest first.
pub fn moments(now: Timestamp) -> Vec<Timestamp> {
    let today = utc_date(now);
    let at = |ago: i64| {
        let day = today.checked_sub(ago.days()).ok()?;
        Some(day.to_datetime(time(HOUR, 0, 0, 0)).to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let is_told = |moment: &Timestamp| *moment <= now && now < *moment + SignedDuration::from_hours(48);
    (0..=2).filter_map(at).filter(is_told).collect()
}

/// The calendar week, by its Monday, whose digest is due at a moment. `made_at` is when the programme was made.
pub fn week_of(programme: &Programme, made_at: Timestamp, moment: Timestamp) -> Option<Date> {
    let settings = &programme.settings;
    let begins = settings.term.starts_at().min(settings.claim_opens_at()).max(made_at);
    let ends = programme.over_since() + TOLD_AFTER_THE_END;
    let there = TimeZone::get(settings.term.timezone()).unwrap_or(TimeZone::UTC);
    let day = moment.to_zoned(there).date();
    let is_day = settings.roster && settings.digest == Some(Weekday::of(day));
    (is_day && begins <= moment && moment < ends).then(|| monday_of(day))
}

/// The same of the account, whose admins hear on Mondays. It is in no programme's time zone.
pub fn account_week(born: Timestamp, moment: Timestamp) -> Option<Date> {
    let day = utc_date(moment);
    (Weekday::of(day) == Weekday::Monday && born <= moment).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::testing::a_programme;
    use crate::domain::term::Term;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn digest(weekday: Weekday, zone: &str) -> Programme {
        let mut programme = a_programme();
        programme.settings.term =
            Term::new("2026-11-01".parse().unwrap(), "2026-12-13".parse().unwrap(), zone).unwrap();
        programme.settings.digest = Some(weekday);
        programme
    }

    fn due(programme: &Programme, moment: &str) -> Option<String> {
        week_of(programme, Timestamp::UNIX_EPOCH, at(moment)).map(|week| week.to_string())
    }

    #[test]
    fn a_look_is_made_up_for_within_two_days() {
        let all = |now: &str| moments(at(now)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all("2026-11-16T06:00:00Z"), ["2026-11-16T06:00:00Z", "2026-11-15T06:00:00Z"]);
        assert_eq!(all("2026-11-16T05:59:59Z"), ["2026-11-15T06:00:00Z", "2026-11-14T06:00:00Z"]);
        assert_eq!(all("2026-11-16T23:00:00Z"), ["2026-11-16T06:00:00Z", "2026-11-15T06:00:00Z"]);
    }

    #[test]
    fn the_day_is_the_programmes_own_across_the_date_line() {
        // Six in the morning UTC on a Monday: still Sunday in Honolulu, and already evening in Kiritimati, fourteen hours ahead.
        let monday = "2026-11-16T06:00:00Z";
        assert_eq!(due(&digest(Weekday::Monday, "UTC"), monday).as_deref(), Some("2026-11-16"));
        assert_eq!(due(&digest(Weekday::Monday, "Pacific/Kiritimati"), monday).as_deref(), Some("2026-11-16"));
        assert_eq!(due(&digest(Weekday::Monday, "Pacific/Honolulu"), monday), None);
        assert_eq!(due(&digest(Weekday::Sunday, "Pacific/Honolulu"), monday).as_deref(), Some("2026-11-09"));
        let later = "2026-11-17T06:00:00Z";
        assert_eq!(due(&digest(Weekday::Monday, "Pacific/Honolulu"), later).as_deref(), Some("2026-11-16"));
        let evening = "2026-11-16T18:00:00Z";
        assert_eq!(due(&digest(Weekday::Tuesday, "Pacific/Kiritimati"), evening).as_deref(), Some("2026-11-16"));
    }

    #[test]
    fn a_programme_that_has_not_begun_or_was_over_long_ago_or_has_no_day_or_no_roster_has_no_digest() {
        let mut programme = digest(Weekday::Monday, "UTC");
        assert_eq!(due(&programme, "2026-10-26T06:00:00Z"), None, "not begun");
        assert!(due(&programme, "2026-11-02T06:00:00Z").is_some());
        assert!(due(&programme, "2026-12-14T06:00:00Z").is_some(), "the last week is told");
        assert_eq!(due(&programme, "2026-12-21T06:00:00Z"), None);
        programme.closed_at = Some(at("2026-11-10T12:00:00Z"));
        assert!(due(&programme, "2026-11-16T06:00:00Z").is_some() && due(&programme, "2026-11-23T06:00:00Z").is_none());
        programme.closed_at = None;
        let made_at = at("2026-11-16T06:00:01Z");
        assert_eq!(week_of(&programme, made_at, at("2026-11-16T06:00:00Z")), None, "it was made since");
        programme.settings.claim_opens_at = Some(at("2026-10-20T00:00:00Z"));
        assert!(due(&programme, "2026-10-26T06:00:00Z").is_some(), "keys are claimed before the term");
        programme.settings.roster = false;
        assert_eq!(due(&programme, "2026-11-16T06:00:00Z"), None);
        programme.settings.roster = true;
        programme.settings.digest = None;
        assert_eq!(due(&programme, "2026-11-16T06:00:00Z"), None);
    }

    #[test]
    fn admins_hear_on_mondays_from_the_first_on() {
        let born = at("2026-11-16T05:00:00Z");
        let week = |moment| account_week(born, at(moment)).map(|week| week.to_string());
        assert_eq!(week("2026-11-16T06:00:00Z").as_deref(), Some("2026-11-16"));
        assert_eq!([week("2026-11-09T06:00:00Z"), week("2026-11-17T06:00:00Z")], [None, None]);
    }
}
