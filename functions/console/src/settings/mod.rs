//! A programme's settings as a form: the table of their fields, how each is read, and which of them are shown to whom.

mod create;
mod models;
mod reader;
mod table;

use bursar_core::domain::values::term::Term;
pub(crate) use create::{create, make, new};
pub(crate) use models::{KnownModels, NotListed, models_of, new_models, refuse_unlisted};
pub(crate) use reader::cap;
use reader::too_many_roles;
pub(crate) use table::{Draft, plain};

use crate::form::{Owner, ShownField};
use crate::prelude::*;

impl FormValue for Draft {
    const FIELDS: &'static [Field<Draft>] = table::SETTINGS;

    /// What is left empty has its default. The groups have a page of their own.
    fn start(before: Option<&Draft>) -> Draft {
        let mut draft = Draft { settings: Settings::new("", Term::first_day(), Usd::ZERO), budget: Usd::ZERO };
        if let Some(before) = before {
            draft.keep_groups_of(&before.settings);
        }
        draft
    }
}

impl Draft {
    pub(crate) fn keep_groups_of(&mut self, before: &Settings) {
        self.settings.allowance.group_caps = before.allowance.group_caps.clone();
        self.settings.rules.group_models = before.rules.group_models.clone();
    }
}

/// The settings and the budget of a form; nothing where some of it is refused.
pub(crate) fn read(form: &mut Form<Draft>) -> Option<Draft> {
    let draft = form.read()?;
    match too_many_roles(form, &draft.settings) {
        Some((id, why)) => {
            form.refuse(id, why);
            None
        }
        None => Some(draft),
    }
}

/// The fields of a programme's form, as it shows them.
pub(crate) struct SettingFields<'a> {
    pub(crate) required: Vec<ShownField<'a>>,
    pub(crate) optional: Vec<ShownField<'a>>,
    /// The fields that faculty see, and request of an admin.
    pub(crate) admins: Vec<ShownField<'a>>,
}

impl<'a> SettingFields<'a> {
    pub(crate) fn of_new(form: &'a Form<Draft>) -> SettingFields<'a> {
        SettingFields {
            required: form.shown(|field| field.is_required),
            optional: form.shown(|field| !field.is_required),
            admins: Vec::new(),
        }
    }

    pub(crate) fn of_edit(form: &'a Form<Draft>, is_admin: bool) -> SettingFields<'a> {
        let is_own = |owner: Owner| owner == Owner::Faculty || (is_admin && owner == Owner::Admins);
        SettingFields {
            required: form.shown(|field| field.is_required && is_own(field.owner)),
            optional: form.shown(|field| !field.is_required && is_own(field.owner)),
            admins: form.shown(|field| !is_admin && field.owner == Owner::Admins),
        }
    }
}
