//! The difference that an edit makes: for the audit entry, and for the request to an admin.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::request::{POT, Wish};

use super::setting::{Draft, Setting, SettingOwner};
use super::table::SETTINGS;
use super::{Refusals, SettingTexts};

/// The settings in which two drafts differ.
pub(crate) struct Difference(Vec<SettingChange>);

#[derive(Clone)]
struct SettingChange {
    setting: &'static Setting,
    from: String,
    to: String,
}

impl Difference {
    pub(crate) fn between(before: &Draft, after: &Draft) -> Difference {
        let (before, after) = (SettingTexts::of(before), SettingTexts::of(after));
        let change = |setting: &'static Setting| {
            let (from, to) = (before.text(setting.id).to_owned(), after.text(setting.id).to_owned());
            (from != to).then_some(SettingChange { setting, from, to })
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
        self.0.retain(|change| change.setting.owner == SettingOwner::Admins);
        self
    }

    /// The difference without the pot, whose change has an audit entry of its own.
    pub(crate) fn without_pot(&self) -> Difference {
        Difference(self.0.iter().filter(|change| change.setting.id != POT).cloned().collect())
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|change| change.setting.id == id)
    }

    /// One sentence beside each of these settings that is changed, or beside the first change.
    pub(crate) fn refused(&self, ids: &[&str], why: &str) -> Refusals {
        let changed = self.0.iter().map(|change| change.setting.id);
        let mut refused: Refusals =
            changed.clone().filter(|id| ids.contains(id)).map(|id| (id, why.to_owned())).collect();
        if refused.is_empty() {
            refused.extend(changed.take(1).map(|id| (id, why.to_owned())));
        }
        refused
    }

    pub(crate) fn wishes(&self) -> Vec<Wish> {
        self.0.iter().map(SettingChange::wish).collect()
    }

    /// The content of the audit entry. Settings that may name people are listed without values.
    pub(crate) fn entry(&self, act: Act) -> AuditDetail {
        let (private, open): (Vec<_>, Vec<_>) = self.0.iter().partition(|change| change.setting.is_private);
        let pairs = |value: fn(&SettingChange) -> &str| {
            let pairs: Vec<_> = open.iter().map(|change| format!("{}={}", change.setting.id, value(change))).collect();
            pairs.join("; ")
        };
        let what = AuditDetail::new(act).changing(pairs(|change| &change.from), pairs(|change| &change.to));
        let private: Vec<&str> = private.iter().map(|change| change.setting.id).collect();
        if private.is_empty() { what } else { what.noting(private.join(", ")) }
    }
}

impl SettingChange {
    fn wish(&self) -> Wish {
        let SettingChange { setting, from, to } = self;
        Wish {
            setting: setting.id.to_owned(),
            label: setting.label.to_owned(),
            words: format!("{} instead of {}", setting.in_words(to), setting.in_words(from)),
        }
    }
}
