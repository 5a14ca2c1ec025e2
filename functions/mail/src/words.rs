//! What each mail says. A mail but the link's carries no authority: it says where to look, and whoever opens that signs in first.

use bursar_core::config::Config;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::term::Term;
use bursar_core::domain::token::{Code, LinkToken};
use bursar_core::domain::window::Reset;
use jiff::Timestamp;
use jiff::tz::TimeZone;

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
                said("This link signs you in. It works once, within 30 minutes."),
                Part::Link { label: "Sign in", url: format!("{origin}/c/{}", token.reveal()) },
                said("Or type this code on the page where you asked for the link:"),
                Part::Code(code.reveal()),
                said("If you did not ask for a link, do nothing. Never pass link or code on: they are your signature."),
            ],
            why: format!("You get this mail because this address was entered at {origin}."),
            to: self.to.clone(),
        }
    }

    pub(crate) fn roster(self, programme: &Programme, grant: &Grant, now: Timestamp) -> Letter {
        let (settings, institution) = (&programme.settings, &self.config.institution);
        let (name, term) = (&settings.name, &settings.term);
        let mut facts = vec![
            ("Programme", name.clone()),
            ("Credit", format!("{} {}", grant.cap(settings).to_dollars_down(), per_window(settings))),
            ("Term", format!("{} to {}", day(term.starts_on()), day(term.ends_on()))),
        ];
        if now < settings.claim_opens_at() {
            facts.push(("Keys from", moment(settings.claim_opens_at(), term)));
        }
        if settings.claim_closes_at() < term.ends_at() {
            facts.push(("Keys until", moment(settings.claim_closes_at(), term)));
        }
        if let Some(contact) = &settings.contact {
            facts.push(("Questions", contact.clone()));
        }
        Letter {
            subject: format!("{name}: your LLM credit"),
            heading: "You have LLM credit".to_owned(),
            parts: vec![
                Part::Sentences(format!(
                    "You are on the roster of {name}. There is a key for large language models for you, with credit of its own."
                )),
                Part::Facts(facts),
                said(
                    "To see your key, enter your university address on this page and follow the link that comes by mail:",
                ),
                Part::Link { label: "Get my key", url: format!("{}/", self.config.origin.as_str()) },
            ],
            why: format!("You get this mail because {institution} put you on the roster of {name}."),
            to: self.to.clone(),
        }
    }

    pub(crate) fn key_shown(self, programme: &Programme, at: Timestamp) -> Letter {
        let (name, at) = (&programme.settings.name, moment(at, &programme.settings.term));
        Letter {
            subject: format!("{name}: a key of yours was shown"),
            heading: "A key of yours was shown".to_owned(),
            parts: vec![
                Part::Sentences(format!("Your key for {name} was shown on {at}.")),
                said(
                    "If that was you, there is nothing to do. If it was not, report the key as leaked on your page: it is disabled at once, and you can make another.",
                ),
                self.own_page(),
            ],
            why: "You get this mail each time a key of yours is shown.".to_owned(),
            to: self.to.clone(),
        }
    }

    pub(crate) fn key_leaked(self, programme: &Programme, at: Timestamp) -> Letter {
        let (name, at) = (&programme.settings.name, moment(at, &programme.settings.term));
        Letter {
            subject: format!("{name}: your key was reported leaked"),
            heading: "Your key was reported leaked".to_owned(),
            parts: vec![
                Part::Sentences(format!("Your key for {name} was reported leaked on {at}, and is being disabled.")),
                said(
                    "Nothing of your credit is lost but what was spent. You can make another key with what is left on your page.",
                ),
                self.own_page(),
            ],
            why: "You get this mail because you have a key here, and somebody who was signed in as you reported it."
                .to_owned(),
            to: self.to.clone(),
        }
    }

    pub(crate) fn own_page(&self) -> Part {
        Part::Link { label: "Look at my keys", url: format!("{}/my", self.config.origin.as_str()) }
    }
}

pub(crate) fn said(sentences: &str) -> Part {
    Part::Sentences(sentences.to_owned())
}

fn per_window(settings: &Settings) -> &'static str {
    match settings.reset {
        Reset::None => "for the whole term",
        Reset::Daily => "a day",
        Reset::Weekly => "a week",
        Reset::Monthly => "a month",
    }
}

pub(crate) fn day(date: jiff::civil::Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

/// An instant where the university is.
pub(crate) fn moment(at: Timestamp, term: &Term) -> String {
    let zone = TimeZone::get(term.timezone()).unwrap_or(TimeZone::UTC);
    let there = at.to_zoned(zone);
    format!("{} ({})", there.strftime("%-d %B %Y, %H:%M"), term.timezone())
}
