//! What a student is told of a rule of the programme: that the key will be held or ended, or was; and that the term ends. What has lost
//! its reason since is told to nobody.

use bursar_core::domain::grant::{Announcement, Notice, State, Stopped, View};
use bursar_core::domain::id::Epoch;
use bursar_core::domain::programme::Programme;
use jiff::Timestamp;

use crate::letter::{Letter, Part};
use crate::words::{Words, day, moment, said};

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
    TermEnds,
}

impl ByRule {
    /// None when it is not so any more.
    pub(crate) fn of(view: &View, epoch: Epoch, notice: Notice) -> Option<ByRule> {
        // The term ends for whatever key there is.
        if view.grant.last_shown() != epoch && notice != Notice::TermEndSoon {
            return None;
        }
        let until = |what| view.announced_as(what).map(|said| said.until);
        match notice {
            Notice::UnusedSoon => until(Announcement::Unused).map(ByRule::UnusedSoon),
            Notice::TooOldLater => until(Announcement::TooOldLater).map(ByRule::TooOldLater),
            Notice::TooOldSoon => until(Announcement::TooOldSoon).map(ByRule::TooOldSoon),
            Notice::Unused => (view.grant.holds.unused && view.grant.live().is_some()).then_some(ByRule::Unused),
            Notice::TooOld => (view.grant.state == State::Stopped { why: Stopped::TooOld }).then_some(ByRule::TooOld),
            Notice::TermEndSoon => until(Announcement::TermEnd).map(|_| ByRule::TermEnds),
            Notice::KeyShown | Notice::KeyLeaked => None,
        }
    }
}

impl Words<'_> {
    pub(crate) fn by_rule(self, programme: &Programme, rule: ByRule) -> Letter {
        let settings = &programme.settings;
        let name = &settings.name;
        let on = |at: Timestamp| moment(at, &settings.term);
        let (subject, heading, told) = match rule {
            ByRule::UnusedSoon(until) => (
                format!("{name}: your key stops in a week unless you use it"),
                "Your key is not being used",
                format!(
                    "Your key for {name} has not been used for some time. It stops on {}, unless you use it before. Any request counts.",
                    on(until)
                ),
            ),
            ByRule::Unused => (
                format!("{name}: your key was set aside"),
                "Your key was set aside",
                format!(
                    "Your key for {name} was not used for some time, so it has been disabled, and what is left of your credit goes back to the programme. \
                     To use the key again, press Resume on your page: the same key works at once, as long as the programme has money."
                ),
            ),
            ByRule::TooOldLater(until) | ByRule::TooOldSoon(until) => (
                match rule {
                    ByRule::TooOldSoon(_) => format!("{name}: replace your key now, it is about to end"),
                    _ => format!("{name}: replace your key, it is getting old"),
                },
                "Your key is getting old",
                format!(
                    "Keys for {name} are replaced from time to time. Yours ends on {}. Replace it before then: you keep what is left of \
                     your credit, and it does not count as a replacement.",
                    on(until)
                ),
            ),
            ByRule::TooOld => (
                format!("{name}: your key has ended"),
                "Your key has ended",
                format!(
                    "Your key for {name} had become too old and has been disabled. Nothing of your credit is lost: make another key with what is left \
                     on your page. It does not count as a replacement."
                ),
            ),
            ByRule::TermEnds => {
                let last = day(settings.term.ends_on());
                (
                    format!("{name}: your key stops on {last}"),
                    "Your key stops soon",
                    format!(
                        "The last day of {name} is {last}, and at its end ({}) your key stops. What is left of your credit cannot be used \
                         afterwards.",
                        settings.term.timezone()
                    ),
                )
            }
        };
        let mut parts = vec![Part::Sentences(told)];
        if let Some(contact) = &settings.contact {
            parts.push(Part::Facts(vec![("Questions", contact.clone())]));
        }
        parts.extend([said("This mail carries no authority: sign in as you always do."), self.own_page()]);
        Letter {
            subject,
            heading: heading.to_owned(),
            parts,
            why: match rule {
                ByRule::TermEnds => format!("You get this mail because you have a key for {name}."),
                _ => format!("You get this mail because you have a key for {name}, and its people set such a rule."),
            },
            to: self.to.clone(),
        }
    }
}
