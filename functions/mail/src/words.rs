//! What students are told by mail. A mail but the link's only says where to look, and whoever opens that signs in first.

use bursar_core::config::Config;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::grant::{Attempt, Grant, View};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::term::Term;
use bursar_core::domain::token::{Code, LinkToken};
use bursar_core::domain::window::Reset;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::letter::{Letter, Part};

/// Writes to one person, for one deployment.
pub(crate) struct Words<'a> {
    pub(crate) to: &'a EmailAddress,
    pub(crate) config: &'a Config,
}

impl Words<'_> {
    pub(crate) fn link(self, token: &LinkToken, code: &Code) -> Letter {
        let origin = self.config.origin.as_str();
        Letter {
            subject: "Your link to sign in to Bursar".to_owned(),
            heading: "Sign in to Bursar".to_owned(),
            parts: vec![
                said(
                    "This link signs you in. It works once, within 30 minutes. In another browser than the one where you asked for it, you \
                     type your university address as well.",
                ),
                Part::Link { label: "Sign in", url: format!("{origin}/c/{}", token.reveal()) },
                said("Or type this code on the page where you asked for the link:"),
                Part::Code(code.reveal()),
                said(
                    "Whoever has the link or the code can sign in as you. Give them to nobody. If you did not ask, do nothing.",
                ),
            ],
            why: format!("You get this mail because this address was entered at {origin}."),
            to: self.to.clone(),
        }
    }

    /// Who has a key by now, or comes too late for one, is not asked to get one.
    pub(crate) fn roster(self, programme: &Programme, grant: &Grant, now: Timestamp) -> Letter {
        let (settings, institution) = (&programme.settings, &self.config.institution);
        let (name, term) = (&settings.name, &settings.term);
        let (opens, closes) = (settings.claim_opens_at(), settings.claim_closes_at());
        let mut facts = vec![
            ("Programme", name.clone()),
            ("Credit", format!("{} {}", grant.cap(settings).to_dollars_down(), per_window(settings))),
            ("Term", format!("{} to {}", day(term.starts_on()), day(term.ends_on()))),
        ];
        let may_get_one = !grant.ever_shown && now < closes;
        if may_get_one && now < opens {
            facts.push(("Keys from", moment(opens, term)));
        }
        if may_get_one && closes < term.ends_at() {
            facts.push(("Keys until", moment(closes, term)));
        }
        facts.extend(faculty(settings).map(|faculty| ("Run by", faculty)));
        facts.extend(settings.contact.clone().map(|contact| ("Questions", contact)));
        let what_to_do = if grant.ever_shown {
            "You have had a key already. Your page says what is left of your credit.".to_owned()
        } else if now >= closes {
            format!("Keys could be had until {}. If you need one, ask {}.", moment(closes, term), people(settings))
        } else {
            "To get your key, open this page, enter your university address, and follow the link that comes by mail. It takes less \
             than a minute. This mail has no password and asks for none."
                .to_owned()
        };
        Letter {
            subject: format!("{name}: your LLM credit"),
            heading: "You have LLM credit".to_owned(),
            parts: vec![
                Part::Sentences(format!(
                    "You are on the roster of {name} at {institution}, which has a key for you. With it, your programs and your editor \
                     can use large language models (LLMs), such as those behind ChatGPT, Claude and Gemini. What that costs is paid \
                     from your credit, and not by you."
                )),
                Part::Facts(facts),
                Part::Sentences(what_to_do),
                match may_get_one {
                    true => Part::Link { label: "Get my key", url: format!("{}/", self.config.origin.as_str()) },
                    false => self.own_page(),
                },
            ],
            why: format!("You get this mail because {institution} put you on the roster of {name}."),
            to: self.to.clone(),
        }
    }

    pub(crate) fn key_shown(self, programme: &Programme, at: Timestamp) -> Letter {
        let (name, at) = (&programme.settings.name, moment(at, &programme.settings.term));
        Letter {
            subject: format!("{name}: you took a new key"),
            heading: "You took a new key".to_owned(),
            parts: vec![
                Part::Sentences(format!("You (or somebody signed in as you) took a new key for {name} on {at}.")),
                said(
                    "If it was you, there is nothing to do. If it was not, report the key as leaked on your page: it is switched off, \
                     usually within a minute, and you can get another.",
                ),
                self.own_page(),
            ],
            why: "You get this mail each time a key of yours is shown.".to_owned(),
            to: self.to.clone(),
        }
    }

    pub(crate) fn key_leaked(self, view: &View, reported_at: Timestamp) -> Letter {
        let settings = &view.programme.settings;
        let (name, at) = (&settings.name, moment(reported_at, &settings.term));
        let used = used_by_reading(view, reported_at).map_or_else(String::new, |(as_of, used)| {
            format!(" By the last reading, of {}, it had used {}.", moment(as_of, &settings.term), used.to_dollars_up())
        });
        Letter {
            subject: format!("{name}: your key was reported leaked"),
            heading: "Your key was reported leaked".to_owned(),
            parts: vec![
                Part::Sentences(format!(
                    "You (or somebody signed in as you) reported your key for {name} as leaked on {at}. It is switched off at once. \
                     Until the provider has done that, usually within a minute, it can still be spent on.{used}"
                )),
                said(
                    "Your page says whether it is off, and what was spent by then. The rest of your credit is yours: get a new key there.",
                ),
                self.own_page(),
            ],
            why: "You get this mail because a key of yours was reported leaked.".to_owned(),
            to: self.to.clone(),
        }
    }

    pub(crate) fn own_page(&self) -> Part {
        Part::Link { label: "Look at my keys", url: format!("{}/my", self.config.origin.as_str()) }
    }
}

/// What the key that was in use then had used, and when that was read.
fn used_by_reading(view: &View, then: Timestamp) -> Option<(Timestamp, Usd)> {
    let was_shown = |attempt: &&Attempt| attempt.shown_at.is_some_and(|shown| shown <= then);
    let epoch = view.grant.attempts.iter().filter(was_shown).map(|attempt| attempt.epoch).max()?;
    let reading = view.readings.iter().find(|reading| reading.epoch == epoch)?;
    Some((reading.as_of, reading.used.counted(view.programme.settings.byok)))
}

pub(crate) fn said(sentences: &str) -> Part {
    Part::Sentences(sentences.to_owned())
}

/// The people who run a programme, in a sentence or fact: the first three of them.
pub(crate) fn faculty(settings: &Settings) -> Option<String> {
    const NAMED: usize = 3;
    let named: Vec<&str> = settings.faculty.iter().take(NAMED).map(EmailAddress::as_written).collect();
    match settings.faculty.len().saturating_sub(NAMED) {
        _ if named.is_empty() => None,
        0 => Some(named.join(", ")),
        more => Some(format!("{}, and {more} more", named.join(", "))),
    }
}

/// Whom a student asks.
pub(crate) fn people(settings: &Settings) -> String {
    let known = settings.contact.clone().or_else(|| faculty(settings));
    known.unwrap_or_else(|| "the people who run the programme".to_owned())
}

pub(crate) fn per_window(settings: &Settings) -> &'static str {
    match settings.reset {
        Reset::None => "for the whole term",
        Reset::Daily => "a day",
        Reset::Weekly => "a week",
        Reset::Monthly => "a month",
    }
}

pub(crate) fn day(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

/// An instant where the university is.
pub(crate) fn moment(at: Timestamp, term: &Term) -> String {
    format!("{} ({})", there(at, term).strftime("%-d %B %Y, %H:%M"), term.timezone())
}

/// The day on which an instant is there.
pub(crate) fn date_there(at: Timestamp, term: &Term) -> Date {
    there(at, term).date()
}

fn there(at: Timestamp, term: &Term) -> Zoned {
    at.to_zoned(TimeZone::get(term.timezone()).unwrap_or(TimeZone::UTC))
}

#[cfg(test)]
mod tests;
