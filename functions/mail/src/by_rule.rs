//! What a student is told of a rule of the programme: that the key will be held or ended, or was; and that the term ends. What has lost
//! its reason since is told to nobody.

use bursar_core::domain::grant::{Announcement, Notice, State, Stopped, View};
use bursar_core::domain::id::Epoch;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::window::Reset;
use jiff::Timestamp;

use crate::cap_used::of_this_window;
use crate::letter::{Letter, Part};
use crate::words::{Words, date_there, day, moment, people, said};

/// What is to be told of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ByRule {
    /// Held then, unless it is used.
    UnusedSoon(Timestamp),
    Unused,
    /// Ends then, unless it is replaced; said for the first time, and again.
    TooOldLater(Timestamp),
    TooOldSoon(Timestamp),
    TooOld,
    /// The term ends within a week.
    TermEnds(Left),
}

/// What of a cap is left in this window, and whether it starts anew before the term ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    amount: Usd,
    cap: Usd,
    as_of: Option<Timestamp>,
    starts_anew: Option<Timestamp>,
    /// How often it does.
    times: u32,
}

impl ByRule {
    /// None when it is not so any more. Each end is told as it comes if the mail leaves now.
    pub(crate) fn of(view: &View, epoch: Epoch, notice: Notice, now: Timestamp) -> Option<ByRule> {
        // The term ends for whatever key there is.
        if view.grant.last_shown() != epoch && notice != Notice::TermEndSoon {
            return None;
        }
        let until = |what: Announcement| view.announced_as(what).map(|said| what.ends_at(said, now));
        match notice {
            Notice::UnusedSoon => until(Announcement::Unused).map(ByRule::UnusedSoon),
            Notice::TooOldLater if view.announced_as(Announcement::TooOldSoon).is_some() => None,
            Notice::TooOldLater => until(Announcement::TooOldLater).map(ByRule::TooOldLater),
            Notice::TooOldSoon => until(Announcement::TooOldSoon).map(ByRule::TooOldSoon),
            Notice::Unused => (view.grant.holds.unused && view.grant.live().is_some()).then_some(ByRule::Unused),
            Notice::TooOld => (view.grant.state == State::Stopped { why: Stopped::TooOld }).then_some(ByRule::TooOld),
            Notice::TermEndSoon => {
                view.announced_as(Announcement::TermEnd).map(|_| ByRule::TermEnds(Left::of(view, now)))
            }
            Notice::KeyShown | Notice::KeyLeaked => None,
        }
    }
}

impl Words<'_> {
    pub(crate) fn by_rule(self, programme: &Programme, rule: ByRule) -> Letter {
        let settings = &programme.settings;
        let name = &settings.name;
        let on = |at: Timestamp| moment(at, &settings.term);
        let day_of = |at: Timestamp| day(date_there(at, &settings.term));
        let unused = format!("{name} switches off keys that are not used for {}", days(settings.unused_after_days));
        let old = format!("{name} wants keys replaced after {}", days(settings.rotate_after_days));
        let (subject, heading, told, why) = match rule {
            ByRule::UnusedSoon(until) => (
                format!("{name}: your key stops on {} unless you use it", day_of(until)),
                "Your key is not being used",
                format!(
                    "Your key for {name} has not been used for some time. It stops on {}, unless you use it before: one request is \
                     enough. A key that has stopped can be switched on again on your page, while the programme has money.",
                    on(until)
                ),
                unused,
            ),
            ByRule::Unused => (
                format!("{name}: your key was switched off because it was not used"),
                "Your key was switched off",
                format!(
                    "Your key for {name} was switched off because it was not used for {}. To use it again, press “Resume my key” on \
                     your page: the same key works again, usually within a minute. What is left of your credit went back to the \
                     programme's budget. You keep your claim to it while the programme has money.",
                    days(settings.unused_after_days)
                ),
                unused,
            ),
            ByRule::TooOldLater(until) | ByRule::TooOldSoon(until) => (
                match rule {
                    ByRule::TooOldSoon(_) => format!("{name}: replace your key now, it stops on {}", day_of(until)),
                    _ => format!("{name}: replace your key before {}", day_of(until)),
                },
                "Your key is getting old",
                format!(
                    "Your key for {name} stops on {}. Press “Replace my key” on your page before then: you keep what is left of your \
                     credit, and it does not count as a replacement.",
                    on(until)
                ),
                old,
            ),
            ByRule::TooOld => (
                format!("{name}: your key has stopped, get a new one"),
                "Your key has stopped",
                format!(
                    "Your key for {name} was switched off because it had become too old. Nothing of your credit is lost: press “Get a \
                     new key” on your page. The new one has what is left, and it does not count as a replacement."
                ),
                old,
            ),
            ByRule::TermEnds(left) => (
                format!("{name}: your key stops on {}", day(settings.term.ends_on())),
                "Your key stops soon",
                left.in_words(settings),
                format!("you have a key for {name}"),
            ),
        };
        let mut parts = vec![Part::Sentences(told)];
        let as_of = match rule {
            ByRule::TermEnds(left) => left.as_of,
            _ => None,
        };
        let facts = as_of.map(|at| ("As of", on(at))).into_iter().chain([("Questions", people(settings))]);
        parts.push(Part::Facts(facts.collect()));
        parts.extend([said("The link leads to the usual sign-in."), self.own_page()]);
        let why = format!("You get this mail because {why}.");
        Letter { subject, heading: heading.to_owned(), parts, why, to: self.to.clone() }
    }
}

impl Left {
    /// By the last reading, or, where none is of this window, as the window began.
    fn of(view: &View, now: Timestamp) -> Left {
        let settings = &view.programme.settings;
        let (reset, ends_at) = (settings.reset, settings.term.ends_at());
        let cap = view.grant.cap(settings);
        let as_of = view.readings.iter().map(|reading| reading.as_of).max();
        Left {
            amount: (cap - view.spending(now).in_window).or_zero(),
            cap,
            as_of: as_of.max(as_of.and(reset.window_at(now).begins_at())),
            starts_anew: reset.resets_at(now).filter(|at| *at < ends_at),
            times: reset.windows_between(now, ends_at),
        }
    }

    fn in_words(self, settings: &Settings) -> String {
        let Settings { name, term, reset, .. } = settings;
        let until = format!("{}, 24:00 ({})", day(term.ends_on()), term.timezone());
        let (amount, cap) = (self.amount.to_dollars_down(), self.cap.to_dollars_down());
        let left = format!("You have {amount} left of your {cap} {}", of_this_window(*reset));
        let Some(starts_anew) = self.starts_anew else {
            let never = if *reset == Reset::None { "" } else { " It does not start anew before then." };
            return format!(
                "{left}, until {until}.{never} Then your key for {name} stops, and what is left cannot be used any more."
            );
        };
        let again = match reset {
            _ if self.times < 2 => "",
            Reset::None => "",
            Reset::Daily => ", and so each day after that",
            Reset::Weekly => ", and so each week after that",
            Reset::Monthly => ", and so each month after that",
        };
        format!(
            "{left}. On {} it starts anew: you have {cap} again{again}. On {until} your key for {name} stops, and what is left then \
             cannot be used any more.",
            moment(starts_anew, term)
        )
    }
}

/// How many days a rule allows; it may have been taken back since.
fn days(rule: Option<u16>) -> String {
    match rule {
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => "some time".to_owned(),
    }
}
