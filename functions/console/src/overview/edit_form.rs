//! The form that edits a programme: its fields, and what it was made from.

use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::money::Usd;

use crate::access::ProgrammeAccess;
use crate::settings::{Audience, Draft, FormFields, Refusals, SettingTexts};

/// The form that edits the programme.
pub(super) struct EditForm {
    pub(super) version: String,
    pub(super) fields: FormFields,
    pub(super) open: bool,
    /// Why what was sent was not saved.
    pub(super) refusal: Option<&'static str>,
}

impl EditForm {
    /// The form of a programme as it stands.
    pub(super) fn of(access: &ProgrammeAccess, pot: Usd) -> EditForm {
        let texts = SettingTexts::of(&Draft { settings: access.programme.settings.clone(), pot });
        EditForm { open: false, refusal: None, ..EditForm::refilled(access, pot, &texts, &Refusals::new(), "") }
    }

    /// The form as somebody filled it, with why it was not saved.
    pub(super) fn refilled(
        access: &ProgrammeAccess,
        pot: Usd,
        texts: &SettingTexts,
        refusals: &Refusals,
        why: &'static str,
    ) -> EditForm {
        let audience = if access.is_admin() { Audience::Admin } else { Audience::Faculty };
        let fields = FormFields::of(texts, audience, refusals);
        EditForm { version: version(&access.programme, pot), fields, open: true, refusal: Some(why) }
    }

    /// Says beside each carried field what it is now, where that is something else.
    pub(super) fn beside(mut self, typed: &SettingTexts, now: &SettingTexts) -> EditForm {
        self.fields = self.fields.beside(typed, now);
        self
    }
}

/// What an edit must have been made from. The pot is an item of its own, so it counts beside the edits of the programme.
pub(super) fn version(programme: &Programme, pot: Usd) -> String {
    format!("{}-{}", programme.edits, pot.micros())
}
