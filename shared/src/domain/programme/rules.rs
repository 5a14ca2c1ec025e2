//! Rules of what keys may call, the guardrail that the provider confirmed, and the order of what it is still to be told. The
//! provider's words for it are `provider::guardrails`; what follows for a programme is `restriction`.

use std::fmt;

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So long the provider may refuse rules before somebody is told: whoever has just mistyped a model is still at it.
pub const REFUSAL_TOLD_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// What was refused is tried again after as long as it has been refused, within these bounds.
const LEAST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
const MOST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What the model's providers may do with prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataPolicy {
    #[default]
    Account,
    NoTraining,
    ZeroRetention,
}

/// What keys may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Empty allows all.
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default)]
    pub data_policy: DataPolicy,
}

/// The guardrail at the provider that a programme's keys are put under. A programme keeps it once it has one: rules that are lifted
/// are lifted there, for every key under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    pub id: String,
    /// What the provider confirmed last.
    pub rules: Rules,
    #[serde(with = "millisecond::required")]
    pub confirmed_at: Timestamp,
}

/// The rules of a programme that the provider is still to be told. It is due again until the provider confirms them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesOrder {
    #[serde(with = "millisecond::required")]
    pub due: Timestamp,
    /// The provider confirmed these rules before, and is only told them once more: keys are made meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RulesRefusal>,
}

/// That the provider refuses the rules as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesRefusal {
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// In the provider's words.
    pub why: String,
}

impl Rules {
    pub fn allow_all(&self) -> bool {
        *self == Rules::default()
    }
}

impl RulesOrder {
    /// The rules were changed now.
    pub(in crate::domain) fn changed(now: Timestamp) -> RulesOrder {
        RulesOrder { due: now, again: false, refusal: None }
    }

    /// The provider is to be told once more what it confirmed before.
    pub fn again(now: Timestamp) -> RulesOrder {
        RulesOrder { again: true, ..RulesOrder::changed(now) }
    }

    /// What was refused now, and why.
    #[must_use]
    pub fn refused(self, why: &str, now: Timestamp) -> RulesOrder {
        let since = self.refusal.map_or(now, |refusal| refusal.since);
        let pause = now.duration_since(since).clamp(LEAST_PAUSE, MOST_PAUSE);
        RulesOrder { due: now + pause, refusal: Some(RulesRefusal { since, why: why.to_owned() }), ..self }
    }
}

impl RulesRefusal {
    /// Whether it has lasted so long that somebody is told.
    pub fn is_to_be_told(&self, now: Timestamp) -> bool {
        self.since + REFUSAL_TOLD_AFTER <= now
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = if self.models.is_empty() { "all models".to_owned() } else { self.models.join(" ") };
        let policy = match self.data_policy {
            DataPolicy::Account => "account",
            DataPolicy::NoTraining => "no-training",
            DataPolicy::ZeroRetention => "zero-retention",
        };
        write!(f, "{models}; {policy}")
    }
}
