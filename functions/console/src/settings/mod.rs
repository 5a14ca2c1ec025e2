//! A programme's settings as the fields of a form: what stands in them, how they are read, and what is said of one that cannot be
//! read. A form is always read whole: the fields it carries over what was set before.

mod create;
mod difference;
mod field;
mod reader;
mod table;

use std::collections::BTreeMap;

use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::web::Fields;

pub(crate) use create::{create, new};
pub(crate) use difference::Difference;
pub(crate) use field::{Audience, FormFields};
pub(crate) use table::{Draft, plain};

use reader::SettingReader;
use table::{SETTINGS, SettingOwner};

/// The text of every setting, and which of them a form carries.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SettingTexts {
    texts: BTreeMap<&'static str, String>,
    carried: Vec<&'static str>,
}

/// The settings that were refused, each with a sentence.
pub(crate) type Refusals = BTreeMap<&'static str, String>;

impl SettingTexts {
    /// A programme that nobody said anything about yet: the defaults, where there are any.
    pub(crate) fn of_new_programme() -> SettingTexts {
        let mut defaults = SettingTexts::of(&Draft::blank());
        for setting in SETTINGS.iter().filter(|setting| setting.is_required) {
            defaults.texts.insert(setting.id, String::new());
        }
        defaults
    }

    /// A programme as it stands.
    pub(crate) fn of(draft: &Draft) -> SettingTexts {
        let texts = SETTINGS.iter().map(|setting| (setting.id, (setting.write)(draft)));
        SettingTexts { texts: texts.collect(), carried: Vec::new() }
    }

    /// These texts, and over them what a form carries.
    pub(crate) fn with(mut self, form: &Fields) -> SettingTexts {
        for setting in SETTINGS {
            if let Some(text) = form.get(setting.id) {
                self.texts.insert(setting.id, text.trim().replace("\r\n", "\n"));
                self.carried.push(setting.id);
            }
        }
        self
    }

    /// What faculty may save of these texts: what only an admin may change stays as it is now.
    pub(crate) fn of_faculty(mut self, now: &SettingTexts) -> SettingTexts {
        for setting in SETTINGS.iter().filter(|setting| setting.owner == SettingOwner::Admins) {
            self.texts.insert(setting.id, now.text(setting.id).to_owned());
            self.carried.retain(|id| *id != setting.id);
        }
        self
    }

    /// What these texts mean. What no form has, such as the groups, comes from `before`.
    pub(crate) fn read(&self, before: Option<&Settings>) -> Result<Draft, Refusals> {
        let mut reader = SettingReader::of(self, before);
        let mut draft = Draft::blank();
        draft.settings.groups = before.map(|before| before.groups.clone()).unwrap_or_default();
        for setting in SETTINGS {
            reader.turn_to(setting.id);
            (setting.read)(&mut reader, &mut draft);
        }
        reader.end(&draft.settings)?;
        Ok(draft)
    }

    /// What a carried setting is now, where that is something else.
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

impl Draft {
    fn blank() -> Draft {
        Draft { settings: Settings::new("", Term::first_day(), Usd::ZERO), pot: Usd::ZERO }
    }
}
