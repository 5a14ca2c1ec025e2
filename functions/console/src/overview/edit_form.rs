//! The form that edits a programme: its fields, and the version that it was made from.

use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::money::Usd;

use crate::access::ProgrammeAccess;
use crate::settings::{Audience, Draft, FormFields, Refusals, SettingTexts};

/// The form that edits a programme.
pub(super) struct EditForm {
    pub(super) version: String,
    /// The fingerprints of the settings as they are, by which a stale form knows what its person changed.
    pub(super) made_from: String,
    pub(super) fields: FormFields,
    pub(super) open: bool,
    /// The reason why the posted form was not saved.
    pub(super) refusal: Option<&'static str>,
}

impl EditForm {
    /// The form with the current settings of a programme.
    pub(super) fn of(access: &ProgrammeAccess, pot: Usd) -> EditForm {
        let texts = SettingTexts::of(&Draft { settings: access.programme.settings.clone(), pot });
        EditForm { open: false, refusal: None, ..EditForm::refilled(access, pot, &texts, &Refusals::new(), "") }
    }

    /// The form as it was posted, with the reason why it was not saved.
    pub(super) fn refilled(
        access: &ProgrammeAccess,
        pot: Usd,
        texts: &SettingTexts,
        refusals: &Refusals,
        why: &'static str,
    ) -> EditForm {
        let audience = if access.is_admin() { Audience::Admin } else { Audience::Faculty };
        let fields = FormFields::of(texts, audience, refusals);
        let now = SettingTexts::of(&Draft { settings: access.programme.settings.clone(), pot });
        let version = version(&access.programme, pot);
        EditForm { version, made_from: now.fingerprints(), fields, open: true, refusal: Some(why) }
    }

    /// Adds the current value to each carried field that differs from it.
    pub(super) fn beside(mut self, typed: &SettingTexts, now: &SettingTexts) -> EditForm {
        self.fields = self.fields.beside(typed, now);
        self
    }
}

/// The version that an edit must have been made from. The pot is an item of its own, so its amount is part
/// of it beside its version.
pub(super) fn version(programme: &Programme, pot: Usd) -> String {
    format!("{}-{}", programme.version, pot.micros())
}
