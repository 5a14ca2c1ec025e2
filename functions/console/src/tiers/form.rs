//! The form of one tier, and how what was typed is read.

use bursar_core::domain::programme::tiers::{self, Tier};
use bursar_core::web::Fields;

use crate::settings::models_of;

/// The fields of one tier, as it is or as they were posted.
#[derive(Default)]
pub(crate) struct TierForm {
    /// Empty for a tier that is to be made.
    pub(crate) name: String,
    pub(crate) models: String,
    /// Empty where there was no such tier.
    pub(crate) version: String,
    pub(crate) name_error: Option<String>,
    pub(crate) models_error: Option<String>,
    /// The present models, where a stale form carries others.
    pub(crate) now: Option<String>,
}

/// A tier as it is to be.
pub(super) struct TypedTier {
    pub(super) name: String,
    pub(super) models: Vec<String>,
    /// The version that the form was made from; `None` if there was no such tier.
    pub(super) version: Option<u64>,
}

impl TierForm {
    pub(super) fn of(tier: &Tier) -> TierForm {
        let (models, version) = (tier.models.join("\n"), tier.version.to_string());
        TierForm { name: tier.name.clone(), models, version, ..TierForm::default() }
    }

    pub(super) fn typed(fields: &Fields) -> TierForm {
        let text = |field| fields.get(field).map(|typed| typed.trim().replace("\r\n", "\n")).unwrap_or_default();
        TierForm { name: text("tier"), models: text("models"), version: text("version"), ..TierForm::default() }
    }

    /// What the form says, or why it cannot be read.
    pub(super) fn read(&mut self) -> Option<TypedTier> {
        if !tiers::is_name(&self.name) {
            self.name_error =
                Some("A tier's name has small letters, digits and hyphens, at most 40, such as first-year.".to_owned());
        }
        let models = match models_of(&self.models) {
            Ok(models) if tiers::named_in(&models).is_some() => {
                Err("A tier lists models, and no other tier. Write each with its provider, such as openai/gpt-4o-mini."
                    .to_owned())
            }
            Ok(models) if models.is_empty() && self.version.is_empty() => Err("Write at least one model.".to_owned()),
            models => models,
        };
        let version = match self.version.as_str() {
            "" => Ok(None),
            version => version.parse().map(Some),
        };
        if version.is_err() {
            self.models_error = Some("The form did not say which state of the tier it was made from.".to_owned());
        }
        match models {
            Err(why) => self.models_error = Some(why),
            Ok(models) if self.name_error.is_none() => {
                return Some(TypedTier { name: self.name.clone(), models, version: version.ok()? });
            }
            Ok(_) => {}
        }
        None
    }
}
