//! A programme's settings as form fields: their texts, how these are parsed, and the errors. A form is
//! always parsed as a whole: the fields that it carries over the stored settings.

mod create;
mod models;
mod reader;
mod table;

use bursar_core::domain::audit::AuditDetail;
use bursar_core::domain::programme::request::{BUDGET, Wish};
use bursar_core::domain::values::term::Term;
pub(crate) use create::{Audience, FormFields, create, new};
use data_encoding::HEXLOWER;
pub(crate) use models::{KnownModels, NotListed, models_of, new_models, not_listed};
pub(crate) use reader::cap;
use reader::{SettingText, too_many_roles};
use sha2::{Digest, Sha256};
pub(crate) use table::{Draft, plain};
use table::{SETTINGS, Setting, SettingOwner};

use crate::prelude::*;

/// The text of every setting, and which of them a form carries.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SettingTexts {
    texts: BTreeMap<&'static str, String>,
    carried: Vec<&'static str>,
}

/// The refused settings, each with a sentence.
pub(crate) type Refusals = BTreeMap<&'static str, String>;

impl SettingTexts {
    /// The texts of a new programme: the defaults, where there are any.
    pub(crate) fn of_new_programme() -> SettingTexts {
        let mut defaults = SettingTexts::of(&Draft::blank());
        for setting in SETTINGS.iter().filter(|setting| setting.is_required) {
            defaults.texts.insert(setting.id, String::new());
        }
        defaults
    }

    pub(crate) fn of(draft: &Draft) -> SettingTexts {
        let texts = SETTINGS.iter().map(|setting| (setting.id, (setting.write)(draft)));
        SettingTexts { texts: texts.collect(), carried: Vec::new() }
    }

    /// These texts, replaced by those that a form carries.
    pub(crate) fn with(mut self, form: &Fields) -> SettingTexts {
        for setting in SETTINGS {
            if let Some(text) = form.get(setting.id) {
                self.texts.insert(setting.id, text.trim().replace("\r\n", "\n"));
                self.carried.push(setting.id);
            }
        }
        self
    }

    pub(crate) fn set(&mut self, id: &'static str, text: String) {
        self.texts.insert(id, text);
    }

    /// These texts, replaced by those of a form that its person changed since it was made.
    pub(crate) fn with_changes(mut self, typed: &SettingTexts, made_from: Option<&str>) -> SettingTexts {
        for id in &typed.carried {
            let text = typed.text(id);
            if !is_untouched(made_from, id, text) {
                self.texts.insert(id, text.to_owned());
                self.carried.push(id);
            }
        }
        self
    }

    /// A short mark of each text, by which a form tells later what was changed in it.
    pub(crate) fn fingerprints(&self) -> String {
        let marks: Vec<String> = self.texts.iter().map(|(id, text)| fingerprint(id, text)).collect();
        marks.join(" ")
    }

    /// The texts that faculty may save: settings that only an admin may change keep their current value.
    pub(crate) fn of_faculty(mut self, now: &SettingTexts) -> SettingTexts {
        for setting in SETTINGS.iter().filter(|setting| setting.owner == SettingOwner::Admins) {
            self.texts.insert(setting.id, now.text(setting.id).to_owned());
            self.carried.retain(|id| *id != setting.id);
        }
        self
    }

    /// The values of these texts. What no form carries, such as the groups, is taken from `before`.
    pub(crate) fn read(&self, before: Option<&Settings>) -> Result<Draft, Refusals> {
        let mut draft = Draft::blank();
        if let Some(before) = before {
            draft.keep_groups_of(before);
        }
        let read = |Setting { id, read, .. }: &Setting| {
            let refused = read(&SettingText { id, texts: self, before }, &mut draft).err();
            refused.map(|why| (*id, why))
        };
        let mut refusals: Refusals = SETTINGS.iter().filter_map(read).collect();
        if refusals.is_empty() {
            refusals.extend(too_many_roles(self, before, &draft.settings));
        }
        if refusals.is_empty() { Ok(draft) } else { Err(refusals) }
    }

    /// The current value of a carried setting, where it differs.
    pub(crate) fn clash(&self, now: &SettingTexts, id: &str) -> Option<String> {
        let clashes = self.carries(id) && self.text(id) != now.text(id);
        clashes.then(|| if now.text(id).is_empty() { "nothing".to_owned() } else { now.text(id).to_owned() })
    }

    pub(crate) fn text(&self, id: &str) -> &str {
        self.texts.get(id).map_or("", String::as_str)
    }

    fn carries(&self, id: &str) -> bool {
        self.carried.contains(&id)
    }
}

/// A mark of a field with its text: the first digits of a hash.
pub(crate) fn fingerprint(field: &str, text: &str) -> String {
    let hash = Sha256::digest(format!("{field}={text}"));
    HEXLOWER.encode(hash.get(..6).unwrap_or_default())
}

/// Whether a form was made with this text in the field, so that its person did not change it.
pub(crate) fn is_untouched(made_from: Option<&str>, field: &str, text: &str) -> bool {
    let mark = fingerprint(field, text);
    made_from.unwrap_or_default().split(' ').any(|known| known == mark)
}

impl Draft {
    fn blank() -> Draft {
        Draft { settings: Settings::new("", Term::first_day(), Usd::ZERO), budget: Usd::ZERO }
    }

    /// The settings of groups, which have a page of their own, as they are.
    pub(crate) fn keep_groups_of(&mut self, before: &Settings) {
        self.settings.allowance.group_caps = before.allowance.group_caps.clone();
        self.settings.rules.group_models = before.rules.group_models.clone();
    }
}

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

    /// The difference without the budget, whose change has an audit entry of its own.
    pub(crate) fn without_budget(&self) -> Difference {
        Difference(self.0.iter().filter(|change| change.setting.id != BUDGET).cloned().collect())
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
