//! The rules of what keys may call. `guardrail` says what the provider has confirmed of them, and `provider::guardrails` translates them
//! for the provider.

use crate::domain::programme::tiers::{self, Tiers};
use crate::prelude::*;

/// The permissions of a model's providers to use prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataPolicy {
    #[default]
    Account,
    NoTraining,
    ZeroRetention,
}

/// A part of the world in which models may run, as the provider names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    Europe,
    Us,
}

/// The rules of what keys may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The allowed models; empty allows all.
    pub models: Vec<String>,
    pub data_policy: DataPolicy,
    /// The providers that may serve a model; empty allows all.
    pub providers: Vec<String>,
    /// The regions in which a model may run; empty allows all.
    pub regions: Vec<Region>,
}

impl Rules {
    pub fn allow_all(&self) -> bool {
        *self == Rules::default()
    }

    /// The tier that they name instead of models.
    pub fn tier(&self) -> Option<&str> {
        tiers::named_in(&self.models)
    }

    /// The rules with the models of the tier that they name, if there is such a tier.
    #[must_use]
    pub fn resolved(self, tiers: &Tiers) -> Rules {
        match self.tier().and_then(|tier| tiers.models(tier)) {
            Some(models) => Rules { models: models.to_vec(), ..self },
            None => self,
        }
    }
}
