//! The fields of one group, and what they change.

use axum::http::StatusCode;
use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::{Group, Settings};
use bursar_core::domain::values::money::Usd;
use bursar_core::web::Fields;

use crate::settings::{KnownModels, cap, fingerprint, is_untouched, models_of, new_models, plain};

/// The fields of one group, as it is or as they were posted.
pub(crate) struct GroupForm {
    pub(crate) name: String,
    pub(crate) people: usize,
    pub(crate) cap: GroupField,
    pub(crate) models: GroupField,
}

/// One field of a group; blank means the programme's.
#[derive(Default)]
pub(crate) struct GroupField {
    pub(crate) text: String,
    pub(crate) error: Option<String>,
    /// The present value, where a stale form carries another.
    pub(crate) now: Option<String>,
}

/// What is to be changed of a group.
pub(super) struct GroupChange {
    pub(super) name: String,
    pub(super) from: Group,
    pub(super) to: Group,
}

impl GroupForm {
    pub(super) fn of(settings: &Settings, people: usize, name: String) -> GroupForm {
        let group = settings.groups.get(&name).cloned().unwrap_or_default();
        let field = |text: String| GroupField { text, ..GroupField::default() };
        GroupForm { people, cap: field(in_form(group.cap)), models: field(group.models.join("\n")), name }
    }

    /// Takes in what a form carries of this group and its person changed.
    pub(super) fn take(&mut self, fields: &Fields) {
        self.cap.take(fields, &format!("cap_usd.{}", self.name));
        self.models.take(fields, &format!("models.{}", self.name));
        self.cap.error = cap_of(&self.cap.text).err();
        self.models.error = models_of(&self.models.text).err();
    }

    /// The models that the group did not name before.
    pub(super) fn new_models(&self, settings: &Settings) -> Vec<String> {
        let models = models_of(&self.models.text).unwrap_or_default();
        new_models(self.models_before(settings), &models).into_iter().map(str::to_owned).collect()
    }

    /// Refuses a tier or models that there are not. Returns the status if anything of this group is refused by then.
    pub(super) fn check(&mut self, settings: &Settings, known: &KnownModels) -> Option<StatusCode> {
        if let Ok(models) = models_of(&self.models.text)
            && let Some(refused) = known.refusal(self.models_before(settings), &models)
        {
            self.models.error = Some(refused.why);
            return Some(if self.cap.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { refused.status });
        }
        (self.cap.error.is_some() || self.models.error.is_some()).then_some(StatusCode::UNPROCESSABLE_ENTITY)
    }

    fn models_before<'a>(&self, settings: &'a Settings) -> &'a [String] {
        settings.groups.get(&self.name).map(|group| &group.models[..]).unwrap_or_default()
    }

    /// The marks of its fields as they are, by which a stale form knows what its person changed.
    pub(super) fn fingerprint(&self) -> String {
        let cap = fingerprint(&format!("cap_usd.{}", self.name), &self.cap.text);
        format!("{cap} {}", fingerprint(&format!("models.{}", self.name), &self.models.text))
    }

    pub(super) fn change(&self, settings: &Settings) -> Option<GroupChange> {
        let from = settings.groups.get(&self.name).cloned().unwrap_or_default();
        let to = Group { cap: cap_of(&self.cap.text).ok()?, models: models_of(&self.models.text).ok()? };
        (from != to).then(|| GroupChange { name: self.name.clone(), from, to })
    }

    /// Refuses the cap if it changes.
    pub(super) fn refuse_cap(&mut self, settings: &Settings, why: &str) {
        if self.change(settings).is_some_and(|change| change.from.cap != change.to.cap) {
            self.cap.error = Some(why.to_owned());
        }
    }
}

impl GroupField {
    fn take(&mut self, fields: &Fields, name: &str) {
        let Some(typed) = fields.get(name).map(|typed| typed.trim().replace("\r\n", "\n")) else { return };
        if is_untouched(fields.filled("made_from"), name, &typed) {
            return;
        }
        let before = std::mem::replace(&mut self.text, typed);
        if before != self.text {
            self.now = Some(if before.is_empty() { "the programme's".to_owned() } else { before });
        }
    }
}

fn in_form(cap: Option<Usd>) -> String {
    cap.map(plain).unwrap_or_default()
}

fn cap_of(text: &str) -> Result<Option<Usd>, String> {
    if text.is_empty() { Ok(None) } else { cap(text).map(Some) }
}

/// The audit entry of changed groups.
pub(super) fn entry(act: Act, changes: &[GroupChange]) -> AuditDetail {
    let said = |which: fn(&GroupChange) -> &Group| -> String {
        let each = changes.iter().flat_map(|change| {
            let (of, name) = (which(change), &change.name);
            let cap = (change.from.cap != change.to.cap).then(|| format!("cap_usd.{name}={}", in_form(of.cap)));
            let models =
                (change.from.models != change.to.models).then(|| format!("models.{name}={}", of.models.join(" ")));
            cap.into_iter().chain(models)
        });
        each.collect::<Vec<_>>().join("; ")
    };
    AuditDetail::new(act).changing(said(|change| &change.from), said(|change| &change.to))
}
