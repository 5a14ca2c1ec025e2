//! How the texts of a programme's form are read. Every field that cannot be read gets its own sentence.

use std::collections::BTreeMap;

use bursar_core::domain::address::{EmailAddress, is_invisible};
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::role::{MOST_CHANGED_ROLES, RoleChanges};
use bursar_core::domain::term::{FIRST_DAY, LAST_DAY, Term, TermError};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::{Asked, Refused};

/// All who hear of a crossing, and all thresholds that are crossed at once, are written in one transaction of a hundred parts.
const MOST_PEOPLE: usize = 50;
const MOST_ALERT_ASSISTANTS: usize = 20;
const MOST_THRESHOLDS: usize = 20;
const MOST_MODELS: usize = 200;

/// Reads one form, noting what is refused.
struct Reader<'a> {
    asked: &'a Asked,
    refused: Refused,
}

pub(super) fn settings(asked: &Asked, before: Option<&Settings>) -> Result<(Settings, Usd), Refused> {
    let mut form = Reader { asked, refused: BTreeMap::new() };
    let name = form.line("name", 200);
    if name.is_none() && !form.refused.contains_key("name") {
        form.refuse("name", "Give the programme a name.");
    }
    let term = form.term();
    let cap = form.money("cap_usd").filter(|cap| form.at_least("cap_usd", *cap, Usd::CENT));
    let pot = form.money("pot_usd");
    let reset = form.choice("reset");
    let (opens, closes) = (form.time("claim_opens_at", term.as_ref()), form.time("claim_closes_at", term.as_ref()));
    if let (Some(opens), Some(closes)) = (opens, closes)
        && closes <= opens
    {
        form.refuse("claim_closes_at", "This is not after the claim window opens.");
    }
    let people = [form.people("faculty"), form.people("assistants"), form.people("finance")];
    let alert_assistants = form.alert_assistants(&people[1]);
    let thresholds = form.thresholds();
    let models = form.models();
    let cost_code = form.line("cost_code", 100);
    let replacements = form.number("replacements", 0, 1_000);
    let (byok, data_policy) = (form.choice("byok"), form.choice("data_policy"));
    let student_mails = form.one_of("student_mails", &["on", "off"]);
    let digest = if asked.text("digest") == "never" { Some(None) } else { form.choice("digest").map(Some) };
    let unused_after_days = form.number("unused_after_days", 1, 3_650);
    let rotate_after_days = form.number("rotate_after_days", 1, 3_650);
    let (terms, contact) = (form.text("terms", 20_000), form.line("contact", 500));
    let roster = form.one_of("roster", &["", "none"]);

    let (Some(name), Some(term), Some(cap), Some(pot)) = (name, term, cap, pot) else { return Err(form.refused) };
    let (Some(reset), Some(byok), Some(data_policy), Some(digest)) = (reset, byok, data_policy, digest) else {
        return Err(form.refused);
    };
    if !form.refused.is_empty() {
        return Err(form.refused);
    }
    let [faculty, assistants, finance] = people;
    let settings = Settings::new(&name, term, cap);
    // A minute as it is read may be another than was set, where a clock goes back.
    let kept = |name: &str, read, kept: fn(&Settings) -> Option<Timestamp>| match before {
        Some(before) if !asked.carries(name) && !asked.carries("timezone") => kept(before),
        _ => read,
    };
    let settings = Settings {
        roster: before.map_or(roster == Some(""), |before| before.roster),
        reset,
        claim_opens_at: kept("claim_opens_at", opens, |before| before.claim_opens_at),
        claim_closes_at: kept("claim_closes_at", closes, |before| before.claim_closes_at),
        faculty,
        assistants,
        alert_assistants,
        finance,
        thresholds: if thresholds.is_empty() { settings.thresholds.clone() } else { thresholds },
        models,
        cost_code,
        replacements: replacements.map_or(settings.replacements, u32::from),
        byok,
        data_policy,
        student_mails: student_mails == Some("on"),
        digest,
        unused_after_days,
        rotate_after_days,
        terms,
        contact,
        groups: before.map(|before| before.groups.clone()).unwrap_or_default(),
        ..settings
    };
    form.not_too_many_roles(before, &settings);
    if form.refused.is_empty() { Ok((settings, pot)) } else { Err(form.refused) }
}

impl Reader<'_> {
    fn refuse(&mut self, name: &'static str, why: impl Into<String>) {
        self.refused.entry(name).or_insert_with(|| why.into());
    }

    fn read<T, E: std::fmt::Display>(&mut self, name: &'static str, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.refuse(name, sentence(&error.to_string()))).ok()
    }

    /// Whoever is no assistant any more does not hear either; somebody who is none and is named here is refused.
    fn alert_assistants(&mut self, assistants: &[EmailAddress]) -> Vec<EmailAddress> {
        let mut named = self.people("alert_assistants");
        let is_one = |named: &EmailAddress| assistants.iter().any(|one| one.matched() == named.matched());
        let stranger = named.iter().find(|named| !is_one(named)).map(|named| named.as_written().to_owned());
        if let Some(stranger) = stranger.filter(|_| self.asked.carries("alert_assistants")) {
            self.refuse("alert_assistants", format!("{stranger} is no assistant of this programme."));
        }
        if named.len() > MOST_ALERT_ASSISTANTS {
            self.refuse("alert_assistants", format!("At most {MOST_ALERT_ASSISTANTS} people."));
        }
        named.retain(is_one);
        named
    }

    /// A text of one line; none when it is empty.
    fn line(&mut self, name: &'static str, most: usize) -> Option<String> {
        if self.asked.text(name).chars().any(is_invisible) {
            self.refuse(name, "This contains invisible or control characters.");
            return None;
        }
        self.text(name, most)
    }

    fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        let text = self.asked.text(name);
        if text.chars().count() > most {
            self.refuse(name, format!("This is longer than {most} characters."));
            return None;
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn money(&mut self, name: &'static str) -> Option<Usd> {
        self.read(name, Usd::from_form(self.asked.text(name)))
    }

    fn at_least(&mut self, name: &'static str, amount: Usd, least: Usd) -> bool {
        if amount < least {
            self.refuse(name, "No key has a cap below one cent.");
        }
        amount >= least
    }

    fn term(&mut self) -> Option<Term> {
        let (starts_on, ends_on) = (self.date("starts_on"), self.date("ends_on"));
        let zone = self.asked.text("timezone");
        if TimeZone::get(zone).is_err() || zone.is_empty() {
            self.refuse("timezone", sentence(&TermError::TimeZone.to_string()));
        }
        let term = Term::new(starts_on?, ends_on?, zone);
        let at = if term == Err(TermError::TimeZone) { "timezone" } else { "ends_on" };
        self.read(at, term)
    }

    fn date(&mut self, name: &'static str) -> Option<Date> {
        let text = self.asked.text(name);
        let date = if text.len() == 10 { text.parse().ok() } else { None };
        if date.is_none() {
            self.refuse(name, "Write a date like 2026-10-12.");
        }
        date
    }

    fn time(&mut self, name: &'static str, term: Option<&Term>) -> Option<Timestamp> {
        let text = self.asked.text(name);
        if text.is_empty() {
            return None;
        }
        let time: Option<DateTime> = if text.len() == 16 { text.parse().ok() } else { None };
        let Some(time) = time else {
            self.refuse(name, "Write a date and time like 2026-10-12T08:00.");
            return None;
        };
        // Without a time zone there is nothing to say of the time.
        let zone = TimeZone::get(term?.timezone()).ok()?;
        let is_in_range = (FIRST_DAY..=LAST_DAY).contains(&time.date());
        match zone.to_timestamp(time) {
            Ok(at) if is_in_range => Some(at),
            _ => {
                self.refuse(name, "This time is not between the years 2000 and 2199.");
                None
            }
        }
    }

    fn number(&mut self, name: &'static str, least: u16, most: u16) -> Option<u16> {
        let text = self.asked.text(name);
        if text.is_empty() {
            return None;
        }
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.refuse(name, format!("Write a whole number from {least} to {most}."));
        }
        number
    }

    fn choice<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let text = match self.asked.text(name) {
            "" => super::fields::default_of(name),
            text => text,
        };
        let choice = serde_json::from_value(text.into()).ok();
        if choice.is_none() {
            self.refuse(name, "Choose one of the list.");
        }
        choice
    }

    fn one_of(&mut self, name: &'static str, choices: &[&'static str]) -> Option<&'static str> {
        let text = self.asked.text(name);
        let choice = choices.iter().copied().find(|choice| *choice == text);
        if choice.is_none() {
            self.refuse(name, "Choose one of the list.");
        }
        choice
    }

    fn people(&mut self, name: &'static str) -> Vec<EmailAddress> {
        let mut people: Vec<EmailAddress> = Vec::new();
        for word in words(self.asked.text(name)) {
            match EmailAddress::parse(word) {
                Ok(address) if people.contains(&address) => {}
                Ok(address) => people.push(address),
                Err(error) => self.refuse(name, format!("{word}: {error}.")),
            }
        }
        if people.len() > MOST_PEOPLE {
            self.refuse(name, format!("At most {MOST_PEOPLE} people."));
        }
        people
    }

    /// Everybody's role is kept under their address besides, in the transaction that saves the settings.
    fn not_too_many_roles(&mut self, before: Option<&Settings>, after: &Settings) {
        let people = RoleChanges::between(&ProgrammeId::of_name(&after.name), before, after).people();
        if people > MOST_CHANGED_ROLES {
            let changed = ["faculty", "assistants", "finance"].into_iter().find(|name| self.asked.carries(name));
            let sentence = format!(
                "This changes the roles of {people} people, and at most {MOST_CHANGED_ROLES} can be saved at once. Leave some of \
                 them to a second edit."
            );
            self.refuse(changed.unwrap_or("faculty"), sentence);
        }
    }

    fn thresholds(&mut self) -> Vec<u8> {
        let mut thresholds = Vec::new();
        for word in words(self.asked.text("thresholds")) {
            let digits = word.strip_suffix('%').unwrap_or(word);
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            match digits.parse::<u8>().ok().filter(|threshold| plain && (1..=100).contains(threshold)) {
                Some(threshold) => thresholds.push(threshold),
                None => self
                    .refuse("thresholds", format!("{word}: write whole numbers from 1 to 100, such as 50,80,95,100.")),
            }
        }
        thresholds.sort_unstable();
        thresholds.dedup();
        if thresholds.len() > MOST_THRESHOLDS {
            self.refuse("thresholds", format!("At most {MOST_THRESHOLDS} thresholds."));
        }
        thresholds
    }

    fn models(&mut self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for word in words(self.asked.text("models")) {
            let is_slug = |c: char| c.is_ascii_alphanumeric() || "/-_.:~@".contains(c);
            if !word.chars().all(is_slug) || word.len() > 200 {
                self.refuse("models", format!("{word} is no model's slug."));
            } else if !word.contains('/') {
                self.refuse(
                    "models",
                    format!("{word} names no provider. Write each model as the provider's list does, such as openai/gpt-4o-mini."),
                );
            } else if !models.iter().any(|known| known == word) {
                models.push(word.to_owned());
            }
        }
        if models.len() > MOST_MODELS {
            self.refuse("models", format!("At most {MOST_MODELS} models."));
        }
        models
    }
}

/// The entries of a list: separated by comma, space or newline.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\r', '\t']).filter(|word| !word.is_empty())
}

/// An error's words as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
