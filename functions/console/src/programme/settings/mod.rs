//! A programme's settings as a form: the table of their fields, how each is read, and which of them are shown to whom.

mod brake;
mod create;
mod doubts;
pub(crate) mod edit;
mod models;
mod page;
mod pause;
mod reader;
mod table;

use bursar_core::domain::audit::SettingChange;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use reader::{never_open, too_many_roles};

use crate::kit::form::{Field, Form, FormValue, ShownField};

pub(crate) use brake::BrakeFloor;
pub(crate) use create::{create, make, new};
pub(crate) use doubts::of_request;
pub(crate) use edit::{approve, edit};
pub(crate) use models::{KnownModels, NotListed, models_of, new_models, refuse_impossible};
pub(crate) use page::{CARRIED, PageState, copying, page, show};
pub(crate) use pause::{how_long, is_past};
pub(crate) use reader::{cap, instant};
pub(crate) use table::{SettingsDraft, local_time, plain};

/// What it means for a group that nothing is written.
pub(crate) const AS_THE_PROGRAMME: &str = "as in the programme";

impl FormValue for SettingsDraft {
    const FIELDS: &'static [Field<SettingsDraft>] = table::SETTINGS;

    /// What is left empty has its default. The groups have a page of their own.
    fn start(before: Option<&SettingsDraft>) -> SettingsDraft {
        let mut draft = SettingsDraft::default();
        if let Some(before) = before {
            draft.keep_groups_of(&before.settings);
        }
        draft
    }
}

impl Default for SettingsDraft {
    fn default() -> SettingsDraft {
        SettingsDraft { settings: Settings::new("", Term::first_day(), Usd::ZERO), budget: Usd::ZERO }
    }
}

impl SettingsDraft {
    pub(crate) fn keep_groups_of(&mut self, before: &Settings) {
        self.settings.allowance.group_caps = before.allowance.group_caps.clone();
        self.settings.rules.group_models = before.rules.group_models.clone();
        self.settings.pauses.groups = before.pauses.groups.clone();
    }
}

/// A change of a setting, or of a group's, as a person reads it.
pub(crate) fn change(SettingChange { name, old_value, new_value }: &SettingChange) -> String {
    let mut parts = name.splitn(2, '.');
    let id = parts.next().unwrap_or_default();
    let group = parts.next();
    let Some(field) = SettingsDraft::FIELDS.iter().find(|field| field.id == id) else {
        return format!("{name}: {old_value} → {new_value}");
    };
    let when_empty = if group.is_some() { AS_THE_PROGRAMME } else { field.when_empty };
    let [old_value, new_value] = [old_value, new_value].map(|text| field.kind.in_words(text, when_empty));
    let of_group = group.map_or(String::new(), |group| format!(" of {group}"));
    format!("{}{of_group}: {old_value} → {new_value}", field.label)
}

/// The settings and the budget of a form; nothing where some of it is refused.
pub(crate) fn read(form: &mut Form<SettingsDraft>) -> Option<SettingsDraft> {
    let draft = form.read()?;
    let refused = too_many_roles(form, &draft.settings).or_else(|| never_open(&draft.settings));
    match refused {
        Some((id, why)) => {
            form.refuse(id, why);
            None
        }
        None => Some(draft),
    }
}

/// Fields of a programme's form under their heading.
pub(crate) struct FieldGroup<'a> {
    heading: &'static str,
    fields: Vec<ShownField<'a>>,
}

/// These fields of a programme, each under its heading.
fn groups<'a>(form: &'a Form<SettingsDraft>, is_shown: impl Fn(&Field<SettingsDraft>) -> bool) -> Vec<FieldGroup<'a>> {
    let mut headings: Vec<&str> = table::SETTINGS.iter().map(|field| field.heading).collect();
    headings.dedup();
    let groups = headings
        .into_iter()
        .map(|heading| FieldGroup { heading, fields: form.shown(|field| field.heading == heading && is_shown(field)) });
    groups.collect()
}
