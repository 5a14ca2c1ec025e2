//! The time at which a digest is due: from seven in the morning of its day, in the programme's time
//! zone. A missed one is made up for within two days and covers the same days. After that only the
//! next one comes.

use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::clock::Moment;
use crate::domain::programme::{Programme, Weekday};
use crate::domain::usage::span::weeks_before;
use crate::domain::values::window::{monday_of, utc_date};

const HOUR: i8 = 7;
const MADE_UP_FOR: SignedDuration = SignedDuration::from_hours(48);
/// The time after midnight UTC by which the nightly sync has read the day that is over.
const LOOKED_BACK_AFTER: SignedDuration = SignedDuration::from_hours(2);

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DigestTrigger {
    /// The hourly check, for which no digest is due before its morning.
    Hourly,
    /// A person, who gets today's digest whatever the hour.
    ByHand,
}

/// A digest that is due, with the days that it covers whenever it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Due {
    pub week: Date,
    /// The completed UTC days of its week and of the week before.
    pub weeks: [(Date, Date); 2],
}

/// The programme's digest that is due now, if it has days to tell of after the last one. `made_at`
/// is when the programme was made.
pub fn of_programme(
    programme: &Programme,
    made_at: Moment,
    trigger: DigestTrigger,
    now: Moment,
) -> Option<Due> {
    let settings = &programme.settings;
    let begins = settings
        .term
        .starts_at()
        .min(settings.claim_opens_at())
        .max(made_at);
    let day = settings.mails.digest.filter(|_| settings.roster)?;
    let due = find_due_day(day, settings.term.zone(), trigger, now, |moment| {
        begins <= moment
    })?;
    Some(due).filter(|due| due.weeks[1].0 <= last_day(programme))
}

/// The UTC day in which a programme's last moment lies.
fn last_day(programme: &Programme) -> Date {
    utc_date(programme.over_since() - 1.nanosecond())
}

impl Due {
    /// The digest that begins where the one before ended, if its day was moved so that days between
    /// them would be in none. `None` if the programme was over before its days.
    pub fn after(self, told_until: Option<Date>, programme: &Programme) -> Option<Due> {
        let [(first, last), before] = self.weeks;
        let next = told_until.and_then(|last| last.tomorrow().ok());
        let weeks = match next.filter(|next| before.0 <= *next && *next < first) {
            Some(next) => [
                (next, last),
                (next.checked_sub(7.days()).ok()?, next.yesterday().ok()?),
            ],
            None => self.weeks,
        };
        (weeks[0].0 <= last_day(programme)).then_some(Due { weeks, ..self })
    }
}

/// The digest that is due by its weekday, searched from today back to the last day on which it may
/// be made up for.
fn find_due_day(
    weekday: Weekday,
    zone: &TimeZone,
    trigger: DigestTrigger,
    now: Moment,
    has_something: impl Fn(Moment) -> bool,
) -> Option<Due> {
    let today = now.to_zoned(zone.clone()).date();
    (0_i64..=2).find_map(|ago| {
        let day = today
            .checked_sub(ago.days())
            .ok()
            .filter(|day| Weekday::from_date(*day) == weekday)?;
        let morning = day
            .to_datetime(time(HOUR, 0, 0, 0))
            .to_zoned(zone.clone())
            .ok()?;
        let due_at = Moment::from(morning.timestamp());
        let has_come = due_at <= now && now < due_at + MADE_UP_FOR && has_something(due_at);
        let is_asked_for = trigger == DigestTrigger::ByHand && day == today && has_something(now);
        let weeks = weeks_before(due_at - LOOKED_BACK_AFTER);
        (has_come || is_asked_for).then(|| Due {
            week: monday_of(day),
            weeks,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::values::term::Term;
    use crate::tests::values::{a_programme, at, date};

    fn digest(weekday: Weekday, zone: &str) -> Programme {
        let mut programme = a_programme();
        programme.settings.term = Term::new(date("2026-11-01"), date("2026-12-13"), zone).unwrap();
        programme.settings.mails.digest = Some(weekday);
        programme
    }

    fn hourly(programme: &Programme, now: &str) -> Option<Due> {
        of_programme(
            programme,
            Moment::UNIX_EPOCH,
            DigestTrigger::Hourly,
            at(now),
        )?
        .after(None, programme)
    }

    fn week(due: Option<Due>) -> Option<String> {
        due.map(|due| due.week.to_string())
    }

    /// Time zones whose mornings are far from those of UTC, across the date line, or not at a full
    /// hour.
    const ZONES: [&str; 6] = [
        "America/St_Johns",
        "Pacific/Kiritimati",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "UTC",
    ];

    /// A digest that was missed is made up for within two days and covers the same days.
    #[test]
    fn a_missed_digest_is_made_up() {
        let programme = digest(Weekday::Monday, "UTC");
        let in_time = hourly(&programme, "2026-11-16T07:00:00Z").unwrap();
        assert_eq!(in_time.weeks[0], (date("2026-11-09"), date("2026-11-15")));
        assert_eq!(in_time.weeks[1], (date("2026-11-02"), date("2026-11-08")));
        for late in [
            "2026-11-16T23:00:00Z",
            "2026-11-17T12:00:00Z",
            "2026-11-18T06:59:59Z",
        ] {
            assert_eq!(hourly(&programme, late), Some(in_time), "{late}");
        }
        assert_eq!(hourly(&programme, "2026-11-18T07:00:00Z"), None);
    }

    /// A digest requested by hand is made before its usual hour on its day, but not on the day
    /// before.
    #[test]
    fn a_digest_by_hand_is_todays() {
        let programme = digest(Weekday::Monday, "America/Los_Angeles");
        let by_hand = |now: &str| {
            of_programme(
                &programme,
                Moment::UNIX_EPOCH,
                DigestTrigger::ByHand,
                at(now),
            )
        };
        assert_eq!(
            by_hand("2026-11-16T07:59:59Z"),
            None,
            "it is still Sunday there"
        );
        let early = by_hand("2026-11-16T08:00:00Z");
        assert!(early.is_some() && early == hourly(&programme, "2026-11-16T15:00:00Z"));
        assert_eq!(
            by_hand("2026-11-18T02:00:00Z"),
            early,
            "what was missed as well"
        );
    }

    /// The days of a digest are those that the night's sync has already read.
    #[test]
    fn digest_days_are_read_days() {
        let last = |zone: &str| {
            let programme = digest(Weekday::Monday, zone);
            let due = of_programme(
                &programme,
                Moment::UNIX_EPOCH,
                DigestTrigger::ByHand,
                at("2026-11-16T09:00:00Z"),
            );
            due.map(|due| due.weeks[0].1.to_string())
        };
        assert_eq!(last("Europe/Berlin").as_deref(), Some("2026-11-15"));
        assert_eq!(last("Asia/Dubai").as_deref(), Some("2026-11-15"));
        // There the day is over by UTC at seven, and no sync has read it yet.
        assert_eq!(last("Asia/Bangkok").as_deref(), Some("2026-11-14"));
        assert_eq!(last("Pacific/Kiritimati").as_deref(), Some("2026-11-14"));
    }

    /// A programme that has not begun, is long over, or has no digest day or no roster has no
    /// digest.
    #[test]
    fn a_digest_needs_a_programme() {
        let mut programme = digest(Weekday::Monday, "UTC");
        let due = |programme: &Programme, now: &str| week(hourly(programme, now));
        assert_eq!(due(&programme, "2026-10-26T07:00:00Z"), None, "not begun");
        assert!(due(&programme, "2026-11-02T07:00:00Z").is_some());
        assert!(
            due(&programme, "2026-12-14T07:00:00Z").is_some(),
            "the last week is told"
        );
        assert_eq!(due(&programme, "2026-12-21T07:00:00Z"), None);
        programme.closed_at = Some(at("2026-11-10T12:00:00Z"));
        assert!(
            due(&programme, "2026-11-16T07:00:00Z").is_some()
                && due(&programme, "2026-11-23T07:00:00Z").is_none()
        );
        programme.closed_at = None;
        let made_at = at("2026-11-16T07:00:01Z");
        let now = at("2026-11-16T08:00:00Z");
        assert_eq!(
            of_programme(&programme, made_at, DigestTrigger::Hourly, now),
            None,
            "it was made since"
        );
        assert!(of_programme(&programme, made_at, DigestTrigger::ByHand, now).is_some());
        programme.settings.claims.claim_opens_at = Some(at("2026-10-20T00:00:00Z"));
        assert!(
            due(&programme, "2026-10-26T07:00:00Z").is_some(),
            "keys are claimed before the term"
        );
        programme.settings.roster = false;
        assert_eq!(due(&programme, "2026-11-16T07:00:00Z"), None);
        programme.settings.roster = true;
        programme.settings.mails.digest = None;
        assert_eq!(due(&programme, "2026-11-16T07:00:00Z"), None);
    }

    #[test]
    fn no_days_are_in_no_digest() {
        // Sunday, the last day of the term, is told by a second digest where its last hours are
        // after the first one's days.
        for (zone, first, second) in [
            (
                "Pacific/Auckland",
                "2026-12-13T18:00:00Z",
                Some("2026-12-20T18:00:00Z"),
            ),
            (
                "Pacific/Honolulu",
                "2026-12-14T17:00:00Z",
                Some("2026-12-21T17:00:00Z"),
            ),
            ("Europe/Berlin", "2026-12-14T06:00:00Z", None),
        ] {
            let programme = digest(Weekday::Monday, zone);
            let told: Vec<Due> = [Some(first), second]
                .into_iter()
                .flatten()
                .filter_map(|now| hourly(&programme, now))
                .collect();
            assert_eq!(told.len(), 1 + usize::from(second.is_some()), "{zone}");
            let until = told.last().unwrap().weeks[0].1;
            assert!(last_day(&programme) <= until, "{zone}");
            let next = at("2026-12-28T20:00:00Z");
            let next = of_programme(&programme, Moment::UNIX_EPOCH, DigestTrigger::Hourly, next);
            assert_eq!(
                next.and_then(|due| due.after(Some(until), &programme)),
                None,
                "{zone}"
            );
        }
        // The day was Monday when the last digest was made, and is Wednesday.
        let programme = digest(Weekday::Wednesday, "UTC");
        let due = hourly(&programme, "2026-11-25T07:00:00Z").unwrap();
        let days = |until: Option<&str>| {
            due.after(until.map(date), &programme)
                .unwrap()
                .weeks
                .map(|week| week.0.to_string())
        };
        assert_eq!(days(Some("2026-11-15")), ["2026-11-16", "2026-11-09"]);
        for until in [
            None,
            Some("2026-11-17"),
            Some("2026-11-22"),
            Some("2026-10-01"),
        ] {
            assert_eq!(days(until), ["2026-11-18", "2026-11-11"], "{until:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// An hourly check finds each week once and covers each day once, through every change of
        /// the clocks.
        #[test]
        fn each_week_is_found_once(
            zone in 0..ZONES.len(), minute in 0_i64..60, year in 2026_i16..2036, day in 0_usize..7,
        ) {
            let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday,
                Weekday::Saturday, Weekday::Sunday];
            let mut programme = digest(days[day], ZONES[zone]);
            let from = Date::new(year, 1, 1).unwrap();
            let to = Date::new(year, 12, 31).unwrap();
            programme.settings.term = Term::new(from, to, ZONES[zone]).unwrap();
            let mut found: Vec<Due> = Vec::new();
            let mut now = programme.settings.term.starts_at() + minute.minutes();
            while now < programme.settings.term.ends_at() {
                if let Some(due) = of_programme(&programme, Moment::MIN, DigestTrigger::Hourly, now)
                    && found.last().is_none_or(|last| last.week != due.week)
                {
                    let hour = now.to_zoned(programme.settings.term.zone().clone()).hour();
                    prop_assert_eq!(hour, 7, "{} {}", ZONES[zone], now);
                    found.push(due);
                }
                now += 1.hour();
            }
            prop_assert!((52..=53).contains(&found.len()), "{}", found.len());
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].week.checked_add(7.days()).unwrap(), pair[1].week);
                prop_assert_eq!(pair[0].weeks[0], pair[1].weeks[1]);
            }
        }
    }
}
