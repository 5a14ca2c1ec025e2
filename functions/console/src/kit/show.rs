//! The format of counts, instants of the account, URLs and people on the console's pages.

use std::borrow::Borrow;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Holds, ShownState};
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::{Usd, group_digits};
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{StaffPerson, Table};
use bursar_core::web::Result;

pub(crate) use bursar_core::domain::values::format::{long_date, utc};

/// A number in groups of three digits, for templates.
pub(crate) fn count(number: impl Borrow<u64>) -> String {
    group_digits(*number.borrow())
}

/// A number that may not be known, for templates.
pub(crate) fn show_count(number: impl Borrow<Option<u64>>) -> String {
    number
        .borrow()
        .map_or_else(|| "not known".to_owned(), group_digits)
}

/// The UTC day of an instant, for templates.
pub(crate) fn day(moment: impl Borrow<Moment>) -> String {
    long_date(utc_date(*moment.borrow()))
}

/// A URL with these parameters; empty ones are left out.
pub(crate) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// The badge of a state: its class, and its words.
pub(crate) struct Badge {
    pub(crate) class: &'static str,
    pub(crate) words: &'static str,
}

impl Badge {
    /// With what is left of the cap.
    pub(crate) fn new(state: ShownState, amount_left: Usd, holds: &Holds) -> Badge {
        let words = state.to_words(Some(amount_left), holds);
        Badge {
            class: if words == ShownState::USED_UP {
                "warning"
            } else {
                state.as_str()
            },
            words,
        }
    }
}

/// A person who was erased.
pub(crate) const REMOVED: &str = "a removed person";

/// A text that begins a sentence; an address stays as it is.
pub(crate) fn capital(text: &str) -> String {
    if text
        .split(' ')
        .next()
        .is_some_and(|word| word.contains('@'))
    {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

pub(crate) async fn person(table: &Table, person: &PersonId) -> Result<String> {
    let stored = table.get(StaffPerson::key_of(person)).await?;
    Ok(stored.map_or(REMOVED.to_owned(), |stored| {
        stored.address.as_written().to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_works_until_its_cap_is_used_up() {
        let shown = |state, amount_left| {
            let badge = Badge::new(state, amount_left, &Holds::default());
            (badge.class, badge.words)
        };
        assert_eq!(shown(ShownState::Live, Usd::CENT), ("live", "working"));
        assert_eq!(
            shown(ShownState::Live, Usd::CENT - Usd::from_micros(1)),
            ("warning", "used up")
        );
        assert_eq!(shown(ShownState::Paused, Usd::ZERO), ("paused", "paused"));
    }
}
