//! The fields of one group, and what they change.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::{Group, Settings};
use bursar_core::domain::values::money::Usd;
use bursar_core::web::Fields;

use crate::settings::{fingerprint, is_untouched, plain};

/// The fields of one group, as it is or as they were posted.
pub(crate) struct GroupForm {
    pub(crate) name: String,
    pub(crate) people: usize,
    pub(crate) cap: String,
    pub(crate) cap_error: Option<String>,
    /// The present cap, where a stale form carries another.
    pub(crate) cap_now: Option<String>,
}

/// What is to be changed of a group.
pub(super) struct GroupChange {
    pub(super) name: String,
    pub(super) from: Group,
    pub(super) to: Group,
}

impl GroupForm {
    pub(super) fn of(settings: &Settings, people: usize, name: String) -> GroupForm {
        let cap = settings.groups.get(&name).and_then(|group| group.cap).map(plain).unwrap_or_default();
        GroupForm { name, people, cap, cap_error: None, cap_now: None }
    }

    /// Takes in what a form carries of this group and its person changed.
    pub(super) fn take(&mut self, fields: &Fields) {
        let field = format!("cap_usd.{}", self.name);
        let Some(typed) = fields.get(&field).map(str::trim) else { return };
        if is_untouched(fields.filled("made_from"), &field, typed) {
            return;
        }
        let before = std::mem::replace(&mut self.cap, typed.to_owned());
        if before != self.cap {
            self.cap_now = Some(if before.is_empty() { "the programme's".to_owned() } else { before });
        }
        self.cap_error = self.cap().err();
    }

    /// The mark of its field as it is, by which a stale form knows what its person changed.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&format!("cap_usd.{}", self.name), &self.cap)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.cap_error.is_some()
    }

    pub(super) fn change(&self, settings: &Settings) -> Option<GroupChange> {
        let from = settings.groups.get(&self.name).cloned().unwrap_or_default();
        let to = Group { cap: self.cap().ok()?, ..from.clone() };
        (from != to).then(|| GroupChange { name: self.name.clone(), from, to })
    }

    /// Refuses the field if it changes anything.
    pub(super) fn refuse_change(&mut self, settings: &Settings, why: &str) {
        if self.change(settings).is_some() {
            self.cap_error = Some(why.to_owned());
        }
    }

    fn cap(&self) -> Result<Option<Usd>, String> {
        if self.cap.is_empty() {
            return Ok(None);
        }
        match Usd::from_form(&self.cap) {
            Ok(cap) if cap >= Usd::CENT => Ok(Some(cap)),
            Ok(_) => Err("No key has a cap below one cent.".to_owned()),
            Err(error) => Err(format!("Refused: {error}.")),
        }
    }
}

/// The audit entry of changed groups.
pub(super) fn entry(act: Act, changes: &[GroupChange]) -> AuditDetail {
    let said = |group: &Group| group.cap.map(plain).unwrap_or_default();
    let all = |which: fn(&GroupChange) -> &Group| -> String {
        let each: Vec<String> =
            changes.iter().map(|change| format!("cap_usd.{}={}", change.name, said(which(change)))).collect();
        each.join("; ")
    };
    AuditDetail::new(act).changing(all(|change| &change.from), all(|change| &change.to))
}
