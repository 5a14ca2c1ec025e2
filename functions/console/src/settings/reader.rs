//! The parser for the texts of a programme's form. Every field that is refused gets its own sentence.

use bursar_core::domain::people::role::{MOST_CHANGED_ROLES, RoleChanges};
use bursar_core::domain::programme::rules::Region;
use bursar_core::domain::programme::{Settings, Weekday};
use bursar_core::domain::values::address::{EmailAddress, is_invisible};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::{FIRST_DAY, LAST_DAY, Term, TermError};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::models::models_of;
use super::{Refusals, SettingTexts};

/// The most people of a list. One transaction of at most a hundred items holds all recipients and
/// thresholds of a crossing.
const MOST_PEOPLE: usize = 50;
const MOST_ALERT_ASSISTANTS: usize = 20;
const MOST_THRESHOLDS: usize = 20;
const MOST_PROVIDERS: usize = 100;

/// A reader of one form, setting by setting, which collects the refusals.
pub(super) struct SettingReader<'a> {
    texts: &'a SettingTexts,
    before: Option<&'a Settings>,
    refusals: Refusals,
    /// The setting that is being read.
    id: &'static str,
}

impl<'a> SettingReader<'a> {
    pub(super) fn of(texts: &'a SettingTexts, before: Option<&'a Settings>) -> SettingReader<'a> {
        SettingReader { texts, before, refusals: Refusals::new(), id: "" }
    }

    /// Moves on to another setting.
    pub(super) fn turn_to(&mut self, id: &'static str) {
        self.id = id;
    }

    /// The refusals, if there are any.
    pub(super) fn end(mut self, settings: &Settings) -> Result<(), Refusals> {
        if self.refusals.is_empty() {
            self.not_too_many_roles(settings);
        }
        if self.refusals.is_empty() { Ok(()) } else { Err(self.refusals) }
    }

    pub(super) fn name(&mut self) -> String {
        let name = self.line(200);
        if name.is_none() {
            self.refuse("Give the programme a name.");
        }
        name.unwrap_or_default()
    }

    /// Reads the three fields of a term, each with its own error.
    pub(super) fn term(&mut self, to: &mut Term) {
        if let Some(term) = self.read_term() {
            *to = term;
        }
    }

    pub(super) fn cap(&mut self, to: &mut Usd) {
        self.money(to);
        if *to < Usd::CENT {
            self.refuse("No key has a cap below one cent.");
        }
    }

    pub(super) fn money(&mut self, to: &mut Usd) {
        match Usd::from_form(self.text_here()) {
            Ok(amount) => *to = amount,
            Err(error) => self.refuse(sentence(&error.to_string())),
        }
    }

    /// Reads whether the programme has a roster, which is fixed once it exists.
    pub(super) fn roster(&mut self, to: &mut bool) {
        let is_there = self.one_of(&["", "none"]) == Some("");
        *to = self.before.map_or(is_there, |before| before.roster);
    }

    /// Reads one value of a list; an empty text leaves the default.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, to: &mut T) {
        match serde_json::from_value(self.text_here().into()) {
            Ok(choice) => *to = choice,
            Err(_) if self.text_here().is_empty() => {}
            Err(_) => self.refuse(NOT_LISTED),
        }
    }

    pub(super) fn digest(&mut self, to: &mut Option<Weekday>) {
        if self.text_here() == "never" {
            *to = None;
        } else if let Some(day) = to {
            self.choice(day);
        }
    }

    pub(super) fn one_of(&mut self, choices: &[&'static str]) -> Option<&'static str> {
        let choice = choices.iter().copied().find(|choice| *choice == self.text_here());
        if choice.is_none() {
            self.refuse(NOT_LISTED);
        }
        choice
    }

    /// A text of one line; `None` when empty.
    pub(super) fn line(&mut self, most: usize) -> Option<String> {
        if self.text_here().chars().any(is_invisible) {
            self.refuse("This contains invisible or control characters.");
            return None;
        }
        self.text(most)
    }

    pub(super) fn text(&mut self, most: usize) -> Option<String> {
        let text = self.text_here();
        if text.chars().count() > most {
            self.refuse(format!("This is longer than {most} characters."));
            return None;
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn number(&mut self, least: u16, most: u16) -> Option<u16> {
        let text = self.text_here();
        if text.is_empty() {
            return None;
        }
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.refuse(format!("Write a whole number from {least} to {most}."));
        }
        number
    }

    /// A time in the programme's zone. When clocks are set back, one local minute means two instants. A
    /// field that the form does not carry therefore keeps the stored instant.
    pub(super) fn time(&mut self, set: fn(&Settings) -> Option<Timestamp>) -> Option<Timestamp> {
        if let Some(before) = self.before
            && !self.texts.carries(self.id)
            && !self.texts.carries(TIMEZONE)
        {
            return set(before);
        }
        let text = self.text_here();
        if text.is_empty() {
            return None;
        }
        let time: Option<DateTime> = if text.len() == 16 { text.parse().ok() } else { None };
        let Some(time) = time else {
            self.refuse("Write a date and time like 2026-10-12T08:00.");
            return None;
        };
        // Without a valid term there is no time zone to read the time in.
        let zone = self.read_term()?.zone().clone();
        let is_in_range = (FIRST_DAY..=LAST_DAY).contains(&time.date());
        match zone.to_timestamp(time) {
            Ok(at) if is_in_range => Some(at),
            _ => {
                self.refuse("This time is not between the years 2000 and 2199.");
                None
            }
        }
    }

    pub(super) fn closing_time(&mut self, opens: Option<Timestamp>) -> Option<Timestamp> {
        let closes = self.time(|settings| settings.claim_closes_at);
        if opens.is_some_and(|opens| closes.is_some_and(|closes| closes <= opens)) {
            self.refuse("This is not after the claim window opens.");
        }
        closes
    }

    pub(super) fn people(&mut self) -> Vec<EmailAddress> {
        let mut people: Vec<EmailAddress> = Vec::new();
        for word in words(self.text_here()) {
            match EmailAddress::parse(word) {
                Ok(address) if people.contains(&address) => {}
                Ok(address) => people.push(address),
                Err(error) => self.refuse(format!("{word}: {error}.")),
            }
        }
        if people.len() > MOST_PEOPLE {
            self.refuse(format!("At most {MOST_PEOPLE} people."));
        }
        people
    }

    /// The assistants who get alerts. People who are no assistants are removed, or refused if this form
    /// names them.
    pub(super) fn alert_assistants(&mut self, assistants: &[EmailAddress]) -> Vec<EmailAddress> {
        let mut named = self.people();
        let is_one = |named: &EmailAddress| assistants.iter().any(|one| one.matched() == named.matched());
        let stranger = named.iter().find(|named| !is_one(named)).map(|named| named.as_written().to_owned());
        if let Some(stranger) = stranger.filter(|_| self.texts.carries(self.id)) {
            self.refuse(format!("{stranger} is no assistant of this programme."));
        }
        if named.len() > MOST_ALERT_ASSISTANTS {
            self.refuse(format!("At most {MOST_ALERT_ASSISTANTS} people."));
        }
        named.retain(is_one);
        named
    }

    /// Reads the thresholds; an empty list leaves the default.
    pub(super) fn thresholds(&mut self, to: &mut Vec<u8>) {
        let mut thresholds = Vec::new();
        for word in words(self.text_here()) {
            let digits = word.strip_suffix('%').unwrap_or(word);
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            match digits.parse::<u8>().ok().filter(|threshold| plain && (1..=100).contains(threshold)) {
                Some(threshold) => thresholds.push(threshold),
                None => self.refuse(format!("{word}: write whole numbers from 1 to 100, such as 50,80,95,100.")),
            }
        }
        thresholds.sort_unstable();
        thresholds.dedup();
        if thresholds.len() > MOST_THRESHOLDS {
            self.refuse(format!("At most {MOST_THRESHOLDS} thresholds."));
        }
        if !thresholds.is_empty() {
            *to = thresholds;
        }
    }

    pub(super) fn models(&mut self) -> Vec<String> {
        models_of(self.text_here()).unwrap_or_else(|why| {
            self.refuse(why);
            Vec::new()
        })
    }

    pub(super) fn providers(&mut self) -> Vec<String> {
        let mut providers: Vec<String> = Vec::new();
        for word in words(self.text_here()) {
            let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-_.".contains(c);
            if !word.chars().all(is_slug) || !word.starts_with(|c: char| c.is_ascii_alphanumeric()) || word.len() > 100
            {
                self.refuse(format!(
                    "{word} is no provider's slug. Write each as OpenRouter spells it, such as openai."
                ));
            } else if !providers.iter().any(|known| known == word) {
                providers.push(word.to_owned());
            }
        }
        if providers.len() > MOST_PROVIDERS {
            self.refuse(format!("At most {MOST_PROVIDERS} providers."));
        }
        providers
    }

    pub(super) fn regions(&mut self) -> Vec<Region> {
        let mut regions: Vec<Region> = Vec::new();
        for word in words(self.text_here()) {
            match serde_json::from_value(word.into()) {
                Ok(region) if regions.contains(&region) => {}
                Ok(region) => regions.push(region),
                Err(_) => self.refuse(format!("{word} is no region. There are europe and us.")),
            }
        }
        regions
    }

    fn text_here(&self) -> &'a str {
        self.texts.text(self.id)
    }

    fn refuse(&mut self, why: impl Into<String>) {
        self.refuse_at(self.id, why);
    }

    /// Refuses a setting. Of several reasons the first is kept.
    fn refuse_at(&mut self, id: &'static str, why: impl Into<String>) {
        self.refusals.entry(id).or_insert_with(|| why.into());
    }

    fn read_term(&mut self) -> Option<Term> {
        let (starts_on, ends_on) = (self.date("starts_on"), self.date("ends_on"));
        let zone = self.texts.text(TIMEZONE);
        if TimeZone::get(zone).is_err() || zone.is_empty() {
            self.refuse_at(TIMEZONE, sentence(&TermError::TimeZone.to_string()));
        }
        let term = Term::new(starts_on?, ends_on?, zone);
        let id = if term == Err(TermError::TimeZone) { TIMEZONE } else { "ends_on" };
        term.map_err(|error| self.refuse_at(id, sentence(&error.to_string()))).ok()
    }

    fn date(&mut self, id: &'static str) -> Option<Date> {
        let text = self.texts.text(id);
        let date = if text.len() == 10 { text.parse().ok() } else { None };
        if date.is_none() {
            self.refuse_at(id, "Write a date like 2026-10-12.");
        }
        date
    }

    /// Refuses an edit of more roles than one transaction can hold, since each person's role is also stored
    /// under their address.
    fn not_too_many_roles(&mut self, after: &Settings) {
        let people = RoleChanges::between(&ProgrammeId::of_name(&after.name), self.before, after).people();
        if people > MOST_CHANGED_ROLES {
            let changed = ["faculty", "assistants", "finance"].into_iter().find(|id| self.texts.carries(id));
            let sentence = format!(
                "This changes the roles of {people} people, and at most {MOST_CHANGED_ROLES} can be saved at once. Leave some of \
                 them to a second edit."
            );
            self.refuse_at(changed.unwrap_or("faculty"), sentence);
        }
    }
}

const TIMEZONE: &str = "timezone";
const NOT_LISTED: &str = "Choose one of the list.";

/// The entries of a list, separated by commas, spaces or newlines.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\r', '\t']).filter(|word| !word.is_empty())
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
