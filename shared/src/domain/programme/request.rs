//! Requests: what faculty ask of the admins, other values of settings that only an admin may change.
//!
//! What faculty change on the form that only an admin may change is not changed but asked for. What is their own is saved first.
//! A request is on record for a month, with a mail to each admin, one a day for the same wishes.
//!
//! Asking leaves an entry in the audit although nothing has changed, since the request itself is cleaned away.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::programme::Settings;
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::domain::values::window::utc_date;

/// The id of the pot's setting, whose value a mail's subject names.
pub const POT: &str = "pot_usd";
/// The id of the wish that the programme is closed, which is no setting.
pub const CLOSE: &str = "close";
/// The id of the wish that the programme is copied, which is no setting. Its value is that of [`Wish::of_copy`].
pub const COPY: &str = "copy";

/// A request of faculty. It may name people, so it is kept for some weeks only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub programme: ProgrammeId,
    /// The UTC day on which it was asked.
    pub day: Date,
    /// The id of the request on its day.
    pub request: String,
    pub by: PersonId,
    #[serde(with = "millisecond::required")]
    pub asked_at: Timestamp,
    pub wishes: Vec<Wish>,
}

/// The wanted value of one setting.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The id of the setting.
    pub setting: String,
    /// The name of the setting in its form.
    pub label: String,
    /// The wanted value, as the form spells it.
    pub to: String,
    /// The values before and after, as a person reads them.
    pub words: String,
}

impl Wish {
    /// The value of a wish for a copy, by which the copy is known once it is there.
    pub fn of_copy(settings: &Settings) -> String {
        format!("{} {}", settings.term.starts_on(), settings.name)
    }
}

/// A `Debug` form with the setting's id alone, since its values may name people.
impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("setting", &self.setting).finish_non_exhaustive()
    }
}

impl Request {
    /// A request, whose id is derived from its person and wishes. So equal wishes of one person are one
    /// request, however often they are sent on a day.
    pub fn of(programme: ProgrammeId, by: PersonId, wishes: Vec<Wish>, now: Timestamp) -> Request {
        let mut hash = Sha256::new();
        let texts = wishes.iter().flat_map(|wish| [&wish.setting, &wish.words, &wish.to]);
        for text in std::iter::once(by.as_str()).chain(texts.map(String::as_str)) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        let request = HEXLOWER.encode(hash.finalize().get(..8).unwrap_or_default());
        Request { programme, day: utc_date(now), request, by, asked_at: now, wishes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(from: &str, to: &str) -> Wish {
        let words = format!("{to} instead of {from}");
        Wish { setting: POT.to_owned(), label: "Budget".to_owned(), to: to.to_owned(), words }
    }

    #[test]
    fn the_same_wishes_of_the_same_person_have_one_name_and_any_other_has_another() {
        let person = |digits: &str| digits.repeat(16).parse::<PersonId>().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (morning, evening) = (at("2026-11-20T08:00:00Z"), at("2026-11-20T20:00:00Z"));
        let of = |by, from, to, now| Request::of("cs".parse().unwrap(), person(by), vec![wish(from, to)], now);
        let first = of("a", "100", "200", morning);
        assert_eq!((&first.request, first.day), (&of("a", "100", "200", evening).request, first.day));
        for other in [of("b", "100", "200", morning), of("a", "150", "200", morning), of("a", "1002", "00", morning)] {
            assert_ne!(first.request, other.request);
        }
    }
}
