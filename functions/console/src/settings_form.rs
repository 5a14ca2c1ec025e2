//! A programme's settings as the fields of a form: what stands in them, how they are read, and what is said of one that cannot be
//! read. A form is always read whole: the fields it carries over what was set before.

mod fields;
mod read;

use std::collections::BTreeMap;

use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::request::{OF_ADMINS, Wish};
use bursar_core::web::Fields;

pub(crate) use fields::{Field, For, fields, plain};

/// Every field's text, and what is said of those that cannot be read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    texts: BTreeMap<&'static str, String>,
    carried: Vec<&'static str>,
}

/// The fields that were refused, each with a sentence.
pub(crate) type Refused = BTreeMap<&'static str, String>;

/// Settings that name people, or may: an audit entry says that they changed and not what they are.
const ABOUT_PEOPLE: [&str; 6] = ["faculty", "assistants", "alert_assistants", "finance", "contact", "terms"];

impl Asked {
    /// A programme that nobody said anything about yet.
    pub(crate) fn new_programme() -> Asked {
        let blank = fields::NAMES.iter().map(|name| (*name, fields::default_of(name).to_owned()));
        Asked { texts: blank.collect(), carried: Vec::new() }
    }

    /// A programme as it stands.
    pub(crate) fn of(settings: &Settings, pot: Usd) -> Asked {
        Asked { texts: fields::texts_of(settings, pot), carried: Vec::new() }
    }

    /// The same with what a form carries.
    pub(crate) fn with(mut self, form: &Fields) -> Asked {
        for name in fields::NAMES {
            if let Some(text) = form.get(name) {
                self.texts.insert(name, text.trim().to_owned());
                self.carried.push(name);
            }
        }
        self
    }

    /// The same without what only an admin may change: that stays as it is.
    pub(crate) fn without_what_is_admins(mut self, current: &Asked) -> Asked {
        for (name, _) in OF_ADMINS {
            self.texts.insert(name, current.text(name).to_owned());
        }
        self.carried.retain(|name| !is_admins(name));
        self
    }

    /// The settings and the pot that these texts mean. What no form tells, such as the groups, comes from `before`.
    pub(crate) fn read(&self, before: Option<&Settings>) -> Result<(Settings, Usd), Refused> {
        read::settings(self, before)
    }

    /// What a carried field is now, where that is something else.
    pub(crate) fn clash(&self, now: &Asked, name: &str) -> Option<String> {
        let clashes = self.carries(name) && self.text(name) != now.text(name);
        clashes.then(|| if now.text(name).is_empty() { "nothing".to_owned() } else { now.text(name).to_owned() })
    }

    /// Whether a setting is this.
    pub(crate) fn is(&self, name: &str, text: &str) -> bool {
        self.text(name) == text
    }

    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    fn carries(&self, name: &str) -> bool {
        self.carried.contains(&name)
    }

    /// The fields in which two programmes differ, once both were read.
    fn differing(&self, other: &Asked) -> Vec<&'static str> {
        fields::NAMES.iter().copied().filter(|name| self.text(name) != other.text(name)).collect()
    }
}

/// What an edit changes.
pub(crate) struct Difference(Vec<Change>);

/// A setting, what it was and what it becomes.
type Change = (&'static str, String, String);

impl Difference {
    pub(crate) fn between(before: (&Settings, Usd), after: (&Settings, Usd)) -> Difference {
        let (before, after) = (Asked::of(before.0, before.1), Asked::of(after.0, after.1));
        let told = |name| (name, before.text(name).to_owned(), after.text(name).to_owned());
        Difference(before.differing(&after).into_iter().map(told).collect())
    }

    /// Nothing differs.
    pub(crate) fn none() -> Difference {
        Difference(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of it only an admin may change.
    pub(crate) fn of_admins(self) -> Difference {
        Difference(self.0.into_iter().filter(|(name, ..)| is_admins(name)).collect())
    }

    /// As what somebody asks for who may not change it.
    pub(crate) fn wishes(&self) -> Vec<Wish> {
        let wish = |(name, from, to): &Change| {
            let (from, to) = (from.clone(), to.clone());
            Wish { setting: (*name).to_owned(), from, to }
        };
        self.0.iter().map(wish).collect()
    }

    /// The same without the pot, which has an audit entry of its own.
    pub(crate) fn without_the_pot(mut self) -> Difference {
        self.0.retain(|(name, ..)| *name != "pot_usd");
        self
    }

    /// What an audit entry says: from what, to what, and which of those it does not tell.
    pub(crate) fn told(&self) -> (String, String, String) {
        let (silent, told): (Vec<_>, Vec<_>) = self.0.iter().partition(|(name, ..)| ABOUT_PEOPLE.contains(name));
        let pairs = |value: for<'a> fn(&'a Change) -> &'a str| {
            let pairs: Vec<String> = told.iter().map(|change| format!("{}={}", change.0, value(change))).collect();
            pairs.join("; ")
        };
        let silent: Vec<&str> = silent.iter().map(|(name, ..)| *name).collect();
        (pairs(|change| &change.1), pairs(|change| &change.2), silent.join(", "))
    }
}

fn is_admins(setting: &str) -> bool {
    OF_ADMINS.iter().any(|(name, _)| *name == setting)
}
