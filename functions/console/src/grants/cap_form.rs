//! The form that gives one grant a cap of its own.

use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::Fields;

use crate::settings;

/// The fields as they are shown or were posted.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapForm {
    pub(crate) cap: String,
    pub(crate) reason: String,
    pub(crate) cap_error: Option<String>,
}

impl CapForm {
    /// The form with the cap of now.
    pub(super) fn now(grant: &Grant, settings: &Settings) -> CapForm {
        CapForm { cap: settings::plain(grant.cap(settings)), ..CapForm::default() }
    }

    pub(super) fn of(fields: &Fields) -> CapForm {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        CapForm { cap: text("cap_usd"), reason: text("reason"), cap_error: None }
    }

    /// The cap, or what is wrong with it. Without one the group's or programme's holds again.
    pub(super) fn read(&self) -> Result<Option<Usd>, String> {
        if self.cap.is_empty() { Ok(None) } else { settings::cap(&self.cap).map(Some) }
    }
}
