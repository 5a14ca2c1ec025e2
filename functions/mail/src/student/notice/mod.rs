//! The notices to a student about a key: it was shown or reported leaked, its cap was changed, a
//! rule holds or ends it, or the term ends. A notice whose reason has gone is dropped.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, Actor, AuditEntry};
use bursar_core::domain::grant::{GrantState, MORE_REQUEST_LASTS, Stopped, StudentNotice, View};
use bursar_core::domain::programme::{Basis, Settings};
use bursar_core::domain::usage::reading::is_used;
use bursar_core::domain::values::format::{counted, end_time_in, long_date, time_in};
use bursar_core::domain::values::id::{Epoch, GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use jiff::tz::TimeZone;

use super::cap_used::{describe_window, stopped};
use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, plain};

impl App {
    /// The notice of a key, if its reason still holds. It is sent even if the programme mails its
    /// students nothing else: no rule switches a key off without notice.
    pub(crate) async fn notice(
        &self,
        (programme, grant, epoch): (&ProgrammeId, &GrantId, Epoch),
        notice: StudentNotice,
        written_at: Moment,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let view = self.table.view(programme, grant).await?.ok_or(GONE)?;
        let words = Words {
            recipient: &view.grant.person.address,
            config: &self.config,
        };
        let letter = match notice {
            StudentNotice::KeyShown => Some(words.key_shown(&view, written_at)),
            StudentNotice::KeyLeaked => {
                let entries = self
                    .table
                    .list_known(AuditEntry::of_grant(programme, grant))
                    .await?;
                let mut ends = entries
                    .iter()
                    .filter(|audit_entry| audit_entry.what.act == Act::Stopped);
                let end = ends.rfind(|end| end.recorded_at <= written_at);
                let is_by_student = end.is_none_or(|end| end.actor == Actor::Student);
                Some(words.key_leaked(&view, is_by_student, written_at))
            }
            StudentNotice::MoreDeclined => words.tell_declined(&view),
            StudentNotice::CapChanged => {
                let entries = self
                    .table
                    .list_known(AuditEntry::of_grant(programme, grant))
                    .await?;
                let mut changes = entries
                    .iter()
                    .filter(|audit_entry| audit_entry.what.act == Act::CapChanged);
                let is_outdated =
                    view.grant.is_over() || changes.any(|change| change.recorded_at > written_at);
                (!is_outdated).then(|| words.cap_changed(&view, now))
            }
            StudentNotice::TermEndSoon if !view.programme.settings.mails.student_mails => {
                return Err(NoMail::NotDue(
                    "the programme mails no reminders to its students",
                ));
            }
            // The end of the term concerns every key.
            _ if view.grant.last_shown() != epoch && notice != StudentNotice::TermEndSoon => None,
            StudentNotice::NeverUsed
            | StudentNotice::Unused
            | StudentNotice::KeyEnded
            | StudentNotice::UnusedSoon
            | StudentNotice::TooOldSoon
            | StudentNotice::Removed
            | StudentNotice::TermEndSoon => words.tell_rule(&view, notice, now),
        };
        letter.ok_or(NoMail::NotDue(
            "the key has been used, replaced or ended since, or its end was told again",
        ))
    }
}

impl Words<'_> {
    fn tell_declined(self, view: &View) -> Option<Letter> {
        let declined = view.grant.more_request.as_ref()?.declined.as_ref()?;
        let name = &view.programme.settings.name;
        Some(Letter {
            subject: format!("{name}: your request for a larger cap was declined"),
            heading: "Your cap stays as it is".to_owned(),
            parts: vec![
                say(format!(
                    "The people who run {name} declined your request for a larger cap. Your key and your cap stay as they are."
                )),
                LetterPart::Notes(vec![("Why", plain(declined))]),
                self.own_page(),
            ],
            why: "You get this mail because you asked for a larger cap.".to_owned(),
            ..self.letter()
        })
    }

    fn key_shown(self, view: &View, written_at: Moment) -> Letter {
        // A recovered key was shown before its record was written again.
        let shown_at = view
            .grant
            .live()
            .and_then(|live| live.shown_at)
            .filter(|shown| *shown < written_at);
        let settings = &view.programme.settings;
        let name = &settings.name;
        let time = time_in(shown_at.unwrap_or(written_at), settings.term.zone());
        Letter {
            subject: format!("{name}: you got a new key"),
            heading: "You got a new key".to_owned(),
            parts: vec![
                say(format!(
                    "You, or someone signed in as you, got a new key for {name} on {time}."
                )),
                say(
                    "If it was you, there is nothing to do. If it was not, report the key as leaked on your page: it is switched off, \
                     usually within a minute, and you can get another.",
                ),
                self.own_page(),
            ],
            why: "You get this mail each time a key of yours is shown.".to_owned(),
            ..self.letter()
        }
    }

    /// The mail that somebody gave the student another cap. It says what is left, so that none need
    /// say it again.
    fn cap_changed(self, view: &View, now: Moment) -> Letter {
        let settings = &view.programme.settings;
        let name = &settings.name;
        let rest = CapLeft::new(view, now);
        let cap = rest.cap.to_dollars();
        let window = describe_window(settings.basis.reset);
        let mut facts = vec![
            ("Cap", format!("{cap} {window}")),
            ("Used", view.spending(now).in_window.to_dollars()),
            ("Left", rest.amount.to_dollars()),
        ];
        facts.extend(
            rest.resets_at
                .map(|resets_at| ("Resets", time_in(resets_at, settings.term.zone()))),
        );
        facts.extend(
            rest.as_of
                .map(|as_of| ("As of", time_in(as_of, settings.term.zone()))),
        );
        let what_next = match (
            stopped(view.grant.holds.first(), &view.grant.state),
            rest.resets_at,
        ) {
            (stopped, _) if rest.amount >= Usd::CENT => stopped.unwrap_or("Your key works."),
            (_, Some(_)) => {
                "You have already used more than that, so requests with your key are refused until the cap resets."
            }
            (_, None) => {
                "You have already used more than that, so requests with your key are refused."
            }
        };
        let is_answer = view.grant.more_request.as_ref().is_some_and(|request| {
            request.declined.is_none()
                && request.cap < rest.cap
                && now < request.asked_at + MORE_REQUEST_LASTS
        });
        let changed = if is_answer {
            "raised your cap, as you asked"
        } else {
            "changed your cap"
        };
        Letter {
            subject: format!("{name}: your cap is now {cap}"),
            heading: format!("Your cap is now {cap}"),
            parts: vec![
                say(format!("The people who run {name} {changed}. {what_next}")),
                LetterPart::facts(
                    facts
                        .into_iter()
                        .chain([("Questions", settings.people_to_ask())]),
                ),
                self.own_page(),
            ],
            why: format!("You get this mail because you have a key for {name}."),
            ..self.letter()
        }
    }

    /// The mail of a leak that the student reported, or somebody with a role.
    fn key_leaked(self, view: &View, is_by_student: bool, reported_at: Moment) -> Letter {
        let settings = &view.programme.settings;
        let name = &settings.name;
        let time = time_in(reported_at, settings.term.zone());
        let used = read_use_at(view, reported_at).map_or_else(String::new, |(as_of, amount)| {
            format!(
                " When it was last checked at OpenRouter, on {}, that key had used {}.",
                time_in(as_of, settings.term.zone()),
                amount.to_dollars()
            )
        });
        let what = if is_by_student {
            format!(
                "You, or someone signed in as you, reported your key for {name} as leaked on {time}."
            )
        } else {
            format!(
                "The people who run {name} ended your key on {time}, because others may have it."
            )
        };
        let what_next = if is_by_student {
            ""
        } else {
            " Look where others can have seen it, such as a public repository, and take it out there."
        };
        Letter {
            subject: format!("{name}: your key was reported leaked"),
            heading: "Your key was reported leaked".to_owned(),
            parts: vec![
                say(format!(
                    "{what} It is being switched off at OpenRouter, usually within a minute; until then it can still spend.{used}"
                )),
                say(format!(
                    "Your page says whether the key is off, what it had spent by then, and how to go on. What is left of your credit is still yours.{what_next}"
                )),
                self.own_page(),
            ],
            why: "You get this mail because a key of yours was reported leaked.".to_owned(),
            ..self.letter()
        }
    }

    /// The notice of a rule's effect on a key, of a removal, or of the term's end; `None` if that
    /// no longer holds. Ends count as announced if the mail leaves now.
    fn tell_rule(self, view: &View, notice: StudentNotice, now: Moment) -> Option<Letter> {
        let settings = &view.programme.settings;
        let name = &settings.name;
        let until = view
            .end_announced_by(notice)
            .map(|end| notice.ends_at(end, now));
        let zone = settings.term.zone();
        let rest = CapLeft::new(view, now);
        let unused = format!(
            "{name} switches off keys that are not used for {}",
            days(settings.claims.unused_after_days)
        );
        let old = format!(
            "{name} wants keys replaced after {}",
            days(settings.claims.rotate_after_days)
        );
        let extended = format!("{name} was extended");
        let words = match notice {
            StudentNotice::UnusedSoon => RuleWords {
                subject: format!(
                    "{name}: your key stops on {} unless you use it",
                    date_in(until?, zone)
                ),
                heading: "Your key is not being used",
                body: format!(
                    "Your key for {name} has not been used for some time. It stops on {} unless you use it before then: one \
                     request is enough. A key that has stopped can be switched on again on your page, as long as the budget has \
                     room.",
                    time_in(until?, zone)
                ),
                why: unused,
            },
            StudentNotice::NeverUsed
                if view.grant.usable().is_some() && !is_used(&view.readings) =>
            {
                RuleWords {
                    subject: format!("{name}: your key has not been used yet"),
                    heading: "Your key has not been used yet",
                    body: format!(
                        "You got a key for {name}, and as far as Bursar knows nothing has been done with it. {} Your page has examples to \
                     copy for curl, Python, JavaScript and editors. If you do not have the key any more, press “Replace my key” there: \
                     you get another one with all of your credit.",
                        rest.to_words(settings)
                    ),
                    why: format!(
                        "the people who run {name} remind those who have not used their key"
                    ),
                }
            }
            StudentNotice::Unused if view.grant.holds.unused && view.grant.live().is_some() => {
                RuleWords {
                    subject: format!("{name}: your key was switched off because it was not used"),
                    heading: "Your key was switched off",
                    body: format!(
                        "Your key for {name} was switched off because it was not used for {}. To use it again, press “Resume my key” \
                     on your page: the same key works again, usually within a minute. What is left of your credit went back to the \
                     programme's budget; you get it back as long as the budget has room.",
                        days(settings.claims.unused_after_days)
                    ),
                    why: unused,
                }
            }
            StudentNotice::TooOldSoon => RuleWords {
                subject: format!("{name}: replace your key before {}", date_in(until?, zone)),
                heading: "Your key is getting old",
                body: format!(
                    "Your key for {name} stops on {}. Press “Replace my key” on your page before then: you keep what is left of your \
                     credit, and it does not count as a replacement.",
                    time_in(until?, zone)
                ),
                why: old,
            },
            StudentNotice::KeyEnded
                if view.grant.state
                    == (GrantState::Stopped {
                        why: Stopped::TermEnded,
                    }) =>
            {
                RuleWords {
                    subject: format!("{name}: your key has stopped, get a new one"),
                    heading: "Your key has stopped",
                    body: format!(
                        "The term of {name} was extended, and your key ended on the earlier date. None of your credit is lost: press \
                     “Get a new key” on your page. The new key has what is left, and does not count as a replacement."
                    ),
                    why: extended,
                }
            }
            StudentNotice::KeyEnded
                if view.grant.state
                    == (GrantState::Stopped {
                        why: Stopped::TooOld,
                    }) =>
            {
                RuleWords {
                    subject: format!("{name}: your key has stopped, get a new one"),
                    heading: "Your key has stopped",
                    body: format!(
                        "Your key for {name} was switched off because it had become too old. None of your credit is lost: press “Get a \
                     new key” on your page. The new key has what is left, and does not count as a replacement."
                    ),
                    why: old,
                }
            }
            StudentNotice::Removed => RuleWords {
                subject: format!("{name}: your key was switched off"),
                heading: "Your key was switched off",
                body: format!(
                    "The people who run {name} removed you from it. Your key stops working, usually within a minute, and you cannot \
                     get another one there. If you think that this is a mistake, ask them."
                ),
                why: format!("you had a key for {name}"),
            },
            StudentNotice::TermEndSoon if until.is_some() => RuleWords {
                subject: format!(
                    "{name}: your key stops on {}",
                    long_date(settings.term.ends_on())
                ),
                heading: "Your key stops soon",
                body: rest.to_words(settings),
                why: format!("you have a key for {name}"),
            },
            StudentNotice::Unused
            | StudentNotice::NeverUsed
            | StudentNotice::KeyEnded
            | StudentNotice::TermEndSoon
            | StudentNotice::KeyShown
            | StudentNotice::KeyLeaked
            | StudentNotice::CapChanged
            | StudentNotice::MoreDeclined => return None,
        };
        let mut parts = vec![say(words.body)];
        let as_of = rest.as_of.filter(|_| notice == StudentNotice::TermEndSoon);
        let facts = as_of
            .map(|as_of| ("As of", time_in(as_of, zone)))
            .into_iter()
            .chain([("Questions", settings.people_to_ask())]);
        parts.push(LetterPart::facts(facts));
        parts.extend([self.own_page()]);
        let why = format!("You get this mail because {}.", words.why);
        Some(Letter {
            subject: words.subject,
            heading: words.heading.to_owned(),
            parts,
            why,
            ..self.letter()
        })
    }
}

/// What differs between the notices of rules.
struct RuleWords {
    subject: String,
    heading: &'static str,
    body: String,
    why: String,
}

/// The rest of a cap in this window, and whether another window begins before the term ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CapLeft {
    amount: Usd,
    cap: Usd,
    as_of: Option<Moment>,
    resets_at: Option<Moment>,
    /// The number of windows that still begin.
    times: u32,
}

impl CapLeft {
    /// The rest by the newest reading. If none is of this window, `as_of` is the beginning of the
    /// window.
    fn new(view: &View, now: Moment) -> CapLeft {
        let settings = &view.programme.settings;
        let reset = settings.basis.reset;
        let ends_at = settings.term.ends_at();
        let cap = view.grant.cap(settings);
        let resets_at = reset
            .resets_at(now)
            .filter(|resets_at| *resets_at < ends_at);
        let as_of = view.readings.iter().map(|reading| reading.as_of).max();
        CapLeft {
            amount: cap.subtract_spent(view.spending(now).in_window),
            cap,
            as_of: as_of.max(as_of.and(reset.window_at(now).begins_at())),
            resets_at,
            times: reset.windows_between(now, ends_at),
        }
    }

    fn to_words(self, settings: &Settings) -> String {
        let Settings {
            name,
            term,
            basis: Basis { reset, .. },
            ..
        } = settings;
        let until = end_time_in(term.ends_at(), term.zone());
        let amount = self.amount.to_dollars();
        let cap = self.cap.to_dollars();
        let clause = format!(
            "You have {amount} left of your {cap} {}",
            describe_window(*reset)
        );
        let Some(resets_at) = self.resets_at else {
            let never = if *reset == Reset::None {
                ""
            } else {
                " It does not reset before then."
            };
            return format!(
                "{clause}, until {until}.{never} Then your key for {name} stops, and what is left cannot be used any more."
            );
        };
        let recurrence = match reset {
            _ if self.times < 2 => "",
            Reset::None => "",
            Reset::Daily => ", and so each day after that",
            Reset::Weekly => ", and so each week after that",
            Reset::Monthly => ", and so each month after that",
        };
        format!(
            "{clause}. On {} it resets: you have {cap} again{recurrence}. At {until} your key for {name} stops, and what is left then \
             cannot be used any more.",
            time_in(resets_at, term.zone())
        )
    }
}

fn date_in(moment: Moment, zone: &TimeZone) -> String {
    long_date(moment.to_zoned(zone.clone()).date())
}

/// The days that a rule allows; the rule may have been removed since.
fn days(rule: Option<u16>) -> String {
    rule.map_or("some time".to_owned(), |days| {
        counted(days.into(), "day", "days")
    })
}

/// The usage of the key that was live at `moment`, and when it was read.
fn read_use_at(view: &View, moment: Moment) -> Option<(Moment, Usd)> {
    let shown = view
        .grant
        .keys
        .iter()
        .filter(|key| key.shown_at.is_some_and(|shown_at| shown_at <= moment));
    let epoch = shown.map(|key| key.epoch).max()?;
    let reading = view
        .readings
        .iter()
        .find(|reading| reading.epoch == epoch)?;
    Some((
        reading.as_of,
        reading.used.counted(view.programme.settings.basis.byok),
    ))
}

#[cfg(test)]
mod tests;
