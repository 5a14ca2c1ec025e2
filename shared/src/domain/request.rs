//! What faculty ask of the admins: other values of settings that only an admin may change. Asking changes nothing; the admins hear of it
//! by mail, once a day for the same request.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{PersonId, ProgrammeId};
use super::money::Usd;
use super::window::utc_date;

/// The settings that only an admin may change, by the names of their fields, and what they are called.
pub const OF_ADMINS: [(&str, &str); 9] = [
    ("pot_usd", "Budget"),
    ("reset", "The cap starts anew"),
    ("timezone", "Time zone"),
    ("faculty", "Faculty"),
    ("assistants", "Assistants"),
    ("finance", "Finance"),
    ("cost_code", "Cost code"),
    ("byok", "Spending with own provider keys"),
    ("data_policy", "What providers may do with prompts"),
];

/// What the choices of these settings say on the form.
const CHOICES: [(&str, &str, &str); 9] = [
    ("reset", "none", "never"),
    ("reset", "daily", "each day"),
    ("reset", "weekly", "each week"),
    ("reset", "monthly", "each month"),
    ("byok", "inside", "counts against the cap"),
    ("byok", "outside", "does not count"),
    ("data_policy", "account", "as the account allows"),
    ("data_policy", "no-training", "no training on them"),
    ("data_policy", "zero-retention", "not keep them"),
];

/// One request. It may name people, so it is kept for some weeks only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub programme: ProgrammeId,
    /// The UTC day on which it was asked.
    pub day: Date,
    /// Which one of its day it is.
    pub request: String,
    pub by: PersonId,
    #[serde(with = "millisecond::required")]
    pub asked_at: Timestamp,
    pub wishes: Vec<Wish>,
}

/// Another value of one setting, both as the form spells them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub setting: String,
    pub from: String,
    pub to: String,
}

/// The setting alone: its values may name people.
impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("setting", &self.setting).finish_non_exhaustive()
    }
}

impl Request {
    /// The same wishes of the same person are one request, however often they are sent on a day.
    pub fn of(programme: ProgrammeId, by: PersonId, wishes: Vec<Wish>, now: Timestamp) -> Request {
        let mut hash = Sha256::new();
        let texts = wishes.iter().flat_map(|wish| [&wish.setting, &wish.from, &wish.to]);
        for text in std::iter::once(by.as_str()).chain(texts.map(String::as_str)) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        let request = HEXLOWER.encode(hash.finalize().get(..8).unwrap_or_default());
        Request { programme, day: utc_date(now), request, by, asked_at: now, wishes }
    }
}

impl Wish {
    /// What the setting is called.
    pub fn label(&self) -> &'static str {
        OF_ADMINS.iter().find(|(name, _)| *name == self.setting).map_or("Another setting", |(_, label)| label)
    }

    /// From what to what, as a person reads it.
    pub fn in_words(&self) -> String {
        format!("{} instead of {}", self.value(&self.to), self.value(&self.from))
    }

    fn value(&self, text: &str) -> String {
        match Usd::from_form(text) {
            _ if text.is_empty() => "nothing".to_owned(),
            _ if let Some((.., words)) =
                CHOICES.iter().find(|(name, one, _)| *name == self.setting && *one == text) =>
            {
                format!("\"{words}\"")
            }
            Ok(amount) if self.setting == "pot_usd" => amount.to_dollars_down(),
            _ => text.split_whitespace().collect::<Vec<_>>().join(if self.is_of_people() { ", " } else { " " }),
        }
    }

    fn is_of_people(&self) -> bool {
        ["faculty", "assistants", "finance"].contains(&self.setting.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(setting: &str, from: &str, to: &str) -> Wish {
        Wish { setting: setting.to_owned(), from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn the_same_wishes_of_the_same_person_have_one_name_and_any_other_has_another() {
        let person = |digits: &str| digits.repeat(16).parse::<PersonId>().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (morning, evening) = (at("2026-11-20T08:00:00Z"), at("2026-11-20T20:00:00Z"));
        let of =
            |by, from, to, now| Request::of("cs".parse().unwrap(), person(by), vec![wish("pot_usd", from, to)], now);
        let first = of("a", "100", "200", morning);
        assert_eq!((&first.request, first.day), (&of("a", "100", "200", evening).request, first.day));
        for other in [of("b", "100", "200", morning), of("a", "150", "200", morning), of("a", "1002", "00", morning)] {
            assert_ne!(first.request, other.request);
        }
    }

    #[test]
    fn a_wish_reads_as_a_person_says_it() {
        assert_eq!(wish("pot_usd", "4000", "4500.50").in_words(), "$4,500.50 instead of $4,000");
        let people = wish("faculty", "ann@x.edu", "ann@x.edu\r\nben@x.edu");
        assert_eq!(people.in_words(), "ann@x.edu, ben@x.edu instead of ann@x.edu");
        assert_eq!(wish("reset", "none", "weekly").in_words(), "\"each week\" instead of \"never\"");
        let code = wish("cost_code", "", "4711 B");
        assert_eq!((code.label(), code.in_words().as_str()), ("Cost code", "4711 B instead of nothing"));
    }
}
