//! What a setting of a programme is: its field, whose it is, and how its text is written and read.

use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::money::Usd;

use super::reader::SettingText;

/// One setting of a programme.
pub(crate) struct Setting {
    /// The name of its form field, also used in audit entries and requests.
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) kind: Kind,
    pub(super) owner: SettingOwner,
    /// Whether it has no default.
    pub(crate) is_required: bool,
    /// Whether it may name people: then an audit entry records the change without the value.
    pub(super) is_private: bool,
    pub(super) write: fn(&Draft) -> String,
    /// Puts the value of a text into a draft, or says in one sentence why it is none.
    pub(super) read: fn(&SettingText<'_>, &mut Draft) -> Result<(), String>,
}

/// The values that a form edits: the settings of a programme and its pot.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    pub(crate) pot: Usd,
}

/// The kind of a setting's form field, which decides the format of its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Money,
    Date,
    Time,
    Number,
    Area,
    /// Addresses, one on each line.
    People,
    /// One of these values: as a form sends it, and as a person reads it.
    Choice(&'static [(&'static str, &'static str)]),
}

/// The people who may change a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingOwner {
    Faculty,
    /// Admins; faculty can request a change.
    Admins,
    /// The admin who creates the programme; the value is fixed afterwards.
    Creator,
}
