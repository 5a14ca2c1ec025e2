//! What an edit changes: as an audit entry says it, and as faculty ask an admin for it.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::request::{POT, Wish};

use super::SettingTexts;
use super::table::{Draft, Owner, SETTINGS, Setting};

/// The settings in which two drafts differ.
pub(crate) struct Difference(Vec<Change>);

#[derive(Clone)]
struct Change {
    setting: &'static Setting,
    from: String,
    to: String,
}

impl Difference {
    pub(crate) fn between(before: &Draft, after: &Draft) -> Difference {
        let (before, after) = (SettingTexts::of(before), SettingTexts::of(after));
        let change = |setting: &'static Setting| {
            let (from, to) = (before.text(setting.id).to_owned(), after.text(setting.id).to_owned());
            (from != to).then_some(Change { setting, from, to })
        };
        Difference(SETTINGS.iter().filter_map(change).collect())
    }

    pub(crate) fn none() -> Difference {
        Difference(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part that only an admin may change.
    pub(crate) fn of_admins(mut self) -> Difference {
        self.0.retain(|change| change.setting.owner == Owner::Admins);
        self
    }

    /// All but the pot, whose change has an audit entry of its own.
    pub(crate) fn without_pot(&self) -> Difference {
        Difference(self.0.iter().filter(|change| change.setting.id != POT).cloned().collect())
    }

    pub(crate) fn wishes(&self) -> Vec<Wish> {
        self.0.iter().map(Change::wish).collect()
    }

    /// The audit entry. Settings that may name people are named without their values.
    pub(crate) fn entry(&self, act: Act) -> AuditDetail {
        let (private, open): (Vec<_>, Vec<_>) = self.0.iter().partition(|change| change.setting.is_private);
        let pairs = |value: fn(&Change) -> &str| {
            let pairs: Vec<_> = open.iter().map(|change| format!("{}={}", change.setting.id, value(change))).collect();
            pairs.join("; ")
        };
        let what = AuditDetail::new(act).changing(pairs(|change| &change.from), pairs(|change| &change.to));
        let private: Vec<&str> = private.iter().map(|change| change.setting.id).collect();
        if private.is_empty() { what } else { what.noting(private.join(", ")) }
    }
}

impl Change {
    fn wish(&self) -> Wish {
        let Change { setting, from, to } = self;
        Wish {
            setting: setting.id.to_owned(),
            label: setting.label.to_owned(),
            to: to.clone(),
            words: format!("{} instead of {}", setting.in_words(to), setting.in_words(from)),
        }
    }
}
