//! The parsers for the texts of a programme's form. Each refuses with one sentence for the person
//! who typed.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::role::{MOST_ROLE_WRITES, RoleChanges};
use bursar_core::domain::programme::rules::Region;
use bursar_core::domain::programme::{Settings, Weekday};
use bursar_core::domain::values::address::{EmailAddress, PersonName};
use bursar_core::domain::values::format::{column_time, end_time};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::{FIRST_DAY, LAST_DAY, Term, TermError};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::SettingsDraft;
use crate::kit::form::{FieldText, Form};
use crate::kit::show;

/// The most people of a list. One transaction of at most a hundred items holds all recipients and
/// thresholds of a crossing.
const MOST_PEOPLE: usize = 50;
const MOST_ALERT_ASSISTANTS: usize = 20;
const MOST_THRESHOLDS: usize = 20;
const MOST_PROVIDERS: usize = 100;

const TIMEZONE: &str = "timezone";

impl FieldText<'_, SettingsDraft> {
    pub(super) fn name(&self) -> Result<String, String> {
        self.line(200)?
            .ok_or_else(|| "Give the programme a name.".to_owned())
    }

    /// The term of three fields; `None` while another of them is refused.
    pub(super) fn term(&self) -> Result<Option<Term>, String> {
        let ends_on = date(self.text())?;
        let Ok(starts_on) = date(self.form.text("starts_on")) else {
            return Ok(None);
        };
        match Term::new(starts_on, ends_on, self.form.text(TIMEZONE)) {
            Err(TermError::TimeZone) => Ok(None),
            term => term.map(Some).map_err(|error| sentence(&error.to_string())),
        }
    }

    /// Whether the programme has a roster, which is fixed once it exists.
    pub(super) fn roster(&self) -> Result<bool, String> {
        let is_there = self.text().is_empty() || self.one_of("file", "none")?;
        Ok(self
            .before()
            .map_or(is_there, |before| before.settings.roster))
    }

    pub(super) fn digest(&self, default: Option<Weekday>) -> Result<Option<Weekday>, String> {
        if self.text() == "never" {
            Ok(None)
        } else {
            self.choice(default)
        }
    }

    /// A time in the programme's zone. When clocks are set back, one local minute means two
    /// instants. A field that the form does not carry therefore keeps the stored instant.
    pub(super) fn time(
        &self,
        stored: fn(&Settings) -> Option<Moment>,
    ) -> Result<Option<Moment>, String> {
        if let Some(before) = self.before()
            && !self.is_typed()
            && !self.form.is_typed(TIMEZONE)
        {
            return Ok(stored(&before.settings));
        }
        instant(self.text(), &self.zone())
    }

    /// The programme's zone. One that there is not is refused by itself.
    pub(super) fn zone(&self) -> TimeZone {
        zone(self.form.text(TIMEZONE)).unwrap_or(TimeZone::UTC)
    }

    /// Whether assistants get alerts too, which one transaction must hold with those to faculty.
    pub(super) fn alert_assistants(&self) -> Result<bool, String> {
        let is_on = self.one_of("on", "off")?;
        let assistants = people(self.form.text("assistants"))
            .unwrap_or_default()
            .len();
        if is_on && assistants > MOST_ALERT_ASSISTANTS {
            return Err(format!(
                "Alerts go to at most {MOST_ALERT_ASSISTANTS} assistants, and there are {assistants}."
            ));
        }
        Ok(is_on)
    }

    /// The thresholds, among which all of the budget always is; an empty list leaves the default.
    pub(super) fn thresholds(&self, default: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut thresholds = Vec::new();
        for word in words(self.text()) {
            let digits = word.strip_suffix('%').unwrap_or(word);
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            match digits.parse::<u8>() {
                Ok(threshold @ 1..=100) if is_plain => thresholds.push(threshold),
                _ => {
                    return Err(format!(
                        "{word}: write whole numbers from 1 to 100, such as 50,80,95,100."
                    ));
                }
            }
        }
        if thresholds.is_empty() {
            return Ok(default);
        }
        thresholds.push(100);
        thresholds.sort_unstable();
        thresholds.dedup();
        match thresholds.len() {
            ..=MOST_THRESHOLDS => Ok(thresholds),
            _ => Err(format!("At most {MOST_THRESHOLDS} thresholds.")),
        }
    }

    pub(super) fn providers(&self) -> Result<Vec<String>, String> {
        list_of(self.text(), MOST_PROVIDERS, "providers", |word| {
            if is_provider_slug(word) {
                return Ok(word.to_owned());
            }
            Err(format!(
                "{word} is not the name of a provider. Write each as OpenRouter spells it, such as openai."
            ))
        })
    }

    pub(super) fn regions(&self) -> Result<Vec<Region>, String> {
        list_of(self.text(), 2, "regions", |word| {
            serde_json::from_value(word.into())
                .map_err(|_| format!("{word} is not a region. Write europe or us."))
        })
    }
}

/// Refuses an edit of more roles than one transaction can hold, since each person's role is also
/// stored under their address.
pub(super) fn too_many_roles(
    form: &Form<SettingsDraft>,
    after: &Settings,
) -> Option<(&'static str, String)> {
    let id = ProgrammeId::from_name(&after.name);
    let before = form.before().map(|before| &before.settings.people);
    let changes = RoleChanges::between(&id, before, &after.people);
    if changes.writes() <= MOST_ROLE_WRITES {
        return None;
    }
    let changed = ["faculty", "assistants", "finance"]
        .into_iter()
        .find(|id| form.is_typed(id));
    let sentence =
        "This changes the roles of too many people at once. Leave some of them to a second edit.";
    Some((changed.unwrap_or("faculty"), sentence.to_owned()))
}

/// Refuses a claim window that closes, or is over with the term, before it opens.
pub(super) fn never_open(after: &Settings) -> Option<(&'static str, String)> {
    let opens = after.claim_opens_at();
    let closes = after.claim_closes_at().min(after.term.ends_at());
    if opens < closes {
        return None;
    }
    let zone = after.term.zone();
    let sentence = format!(
        "Nobody could claim a key: claiming would begin at {} and end at {}.",
        column_time(opens, zone),
        end_time(closes, zone)
    );
    let id = if after.claims.claim_closes_at.is_some() {
        "claim_closes_at"
    } else {
        "claim_opens_at"
    };
    Some((id, sentence))
}

/// The instant of a local time as a form spells it; `None` for an empty text.
fn instant(text: &str, zone: &TimeZone) -> Result<Option<Moment>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let time: Option<DateTime> = if text.len() == 16 {
        text.parse().ok()
    } else {
        None
    };
    let time = time.ok_or("Write a date and time like 2026-10-12T08:00.")?;
    match zone.to_timestamp(time) {
        Ok(timestamp) if (FIRST_DAY..=LAST_DAY).contains(&time.date()) => {
            Ok(Some(timestamp.into()))
        }
        _ => Err("This time is not between the years 2000 and 2199.".to_owned()),
    }
}

pub(super) fn date(text: &str) -> Result<Date, String> {
    let date = if text.len() == 10 {
        text.parse().ok()
    } else {
        None
    };
    date.ok_or_else(|| "Write a date like 2026-10-12.".to_owned())
}

pub(super) fn zone(text: &str) -> Result<TimeZone, String> {
    let zone = TimeZone::get(text).ok().filter(|_| !text.is_empty());
    zone.ok_or_else(|| sentence(&TermError::TimeZone.to_string()))
}

pub(super) fn money(text: &str) -> Result<Usd, String> {
    Usd::from_form(text).map_err(|error| sentence(&error.to_string()))
}

pub(crate) fn cap(text: &str) -> Result<Usd, String> {
    match money(text)? {
        cap if cap < Usd::CENT => Err("No key has a cap below one cent.".to_owned()),
        cap => Ok(cap),
    }
}

/// A cap of its own, or that there is none.
pub(crate) fn own_cap(text: &str) -> Result<Option<Usd>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        cap(text).map(Some)
    }
}

/// Addresses, each perhaps with a name before it; those without one may stand apart by spaces
/// alone.
pub(super) fn people(text: &str) -> Result<Vec<(Option<PersonName>, EmailAddress)>, String> {
    let entries = text.split([',', ';', '\n', '\r']);
    let entries = entries.flat_map(|part| {
        if part.contains('<') {
            vec![part.trim()]
        } else {
            words(part).collect()
        }
    });
    let mut people: Vec<(_, EmailAddress)> = Vec::new();
    for part in entries {
        let (name, address) =
            EmailAddress::parse_named(part).map_err(|error| format!("{part}: {error}."))?;
        if people.iter().all(|(_, earlier)| *earlier != address) {
            people.push((name, address));
        }
    }
    if people.len() > MOST_PEOPLE {
        Err(format!("At most {MOST_PEOPLE} people."))
    } else {
        Ok(people)
    }
}

fn is_provider_slug(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.len() <= 100
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-_.".contains(c))
}

/// The entries of a list, each once.
pub(super) fn list_of<T: PartialEq>(
    text: &str,
    most: usize,
    what: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut list = Vec::new();
    for word in words(text) {
        let value = read(word)?;
        if !list.contains(&value) {
            list.push(value);
        }
    }
    if list.len() > most {
        Err(format!("At most {most} {what}."))
    } else {
        Ok(list)
    }
}

/// The entries of a list, separated by commas, spaces or newlines.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\r', '\t'])
        .filter(|word| !word.is_empty())
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    format!("{}.", show::capital(text))
}
