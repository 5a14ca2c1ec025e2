//! A programme's settings as a form: the table of their fields, how each is read, and which of them
//! are shown to whom.

mod create;
mod doubts;
pub(crate) mod edit;
mod models;
mod next_term;
mod page;
mod reader;
mod table;

use bursar_core::domain::audit::SettingChange;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use reader::{never_open, too_many_roles};

use crate::kit::form::{Field, Form, FormValue, ShownField};

pub(crate) use create::{create, new};
pub(crate) use edit::edit;
pub(crate) use models::{KnownModels, NotListed, models_of, new_models, refuse_impossible};
pub(crate) use page::{page, show};
pub(crate) use reader::{cap, own_cap};
pub(crate) use table::{SettingsDraft, plain};

/// What it means for a group that nothing is written.
pub(crate) const AS_THE_PROGRAMME: &str = "as in the programme";

impl FormValue for SettingsDraft {
    const FIELDS: &'static [Field<SettingsDraft>] = table::SETTINGS;

    fn start(filled_from: Option<&SettingsDraft>) -> SettingsDraft {
        filled_from.cloned().unwrap_or_default()
    }
}

impl Default for SettingsDraft {
    fn default() -> SettingsDraft {
        SettingsDraft {
            settings: Settings::new("", Term::first_day(), Usd::ZERO),
            budget: Usd::ZERO,
        }
    }
}

/// A change of a setting, or of a group's, as a person reads it.
pub(crate) fn change(
    SettingChange {
        name,
        old_value,
        new_value,
    }: &SettingChange,
) -> String {
    let mut parts = name.splitn(2, '.');
    let id = parts.next().unwrap_or_default();
    let group = parts.next();
    let Some(field) = SettingsDraft::FIELDS.iter().find(|field| field.id == id) else {
        return format!("{name}: {old_value} → {new_value}");
    };
    let when_empty = if group.is_some() {
        AS_THE_PROGRAMME
    } else {
        field.when_empty
    };
    let [old_value, new_value] =
        [old_value, new_value].map(|text| field.kind.to_words(text, when_empty));
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
fn groups<'a>(
    form: &'a Form<SettingsDraft>,
    is_shown: impl Fn(&Field<SettingsDraft>) -> bool,
) -> Vec<FieldGroup<'a>> {
    let mut headings: Vec<&str> = table::SETTINGS.iter().map(|field| field.heading).collect();
    headings.dedup();
    let groups = headings.into_iter().map(|heading| FieldGroup {
        heading,
        fields: form.shown(|field| field.heading == heading && is_shown(field)),
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use bursar_core::web::Fields;

    use super::*;

    fn typed(form: Form<SettingsDraft>, fields: &[(&str, &str)]) -> SettingsDraft {
        let fields: Fields = fields
            .iter()
            .map(|(id, text)| ((*id).to_owned(), (*text).to_owned()))
            .collect();
        form.typed(&fields).read().unwrap()
    }

    /// A save changes what it carries, and a copy too: a setting without a field of its own, such
    /// as a group's cap, stays.
    #[test]
    fn what_no_field_says_stays() {
        let mut saved = SettingsDraft {
            budget: Usd::from_dollars(400),
            ..SettingsDraft::default()
        };
        let settings = &mut saved.settings;
        (settings.name, settings.allowance.cap) = ("CS pilot".to_owned(), Usd::from_dollars(20));
        settings
            .allowance
            .group_caps
            .insert("A".to_owned(), Usd::from_dollars(30));
        settings
            .rules
            .group_models
            .insert("A".to_owned(), vec!["lab/large".to_owned()]);
        (settings.claims.replacements, settings.mails.thresholds) = (7, vec![40, 100]);
        let mut renamed = saved.clone();
        renamed.settings.name = "Maths".to_owned();
        for form in [Form::edit(saved.clone()), Form::fill_with(saved.clone())] {
            assert!(typed(form, &[("name", "Maths")]) == renamed);
        }
        // What is emptied has its default again, whatever was saved.
        let emptied = typed(
            Form::edit(saved),
            &[("replacements", ""), ("thresholds", "")],
        )
        .settings;
        assert_eq!(
            (emptied.claims.replacements, emptied.mails.thresholds),
            (3, vec![50, 80, 95, 100])
        );
    }
}
