//! The rules of what keys may call, the guardrail that the provider confirmed, and the order for rules it is
//! still to be told. `provider::guardrails` translates them for the provider; `restriction` says what follows
//! for a programme.

use std::fmt;

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The time for which the provider may refuse rules before the admins are alerted, so that a mistyped model
/// can be mended first.
pub const REFUSAL_TOLD_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The bounds of the pause before refused rules are sent again. Within them, the pause is as long as they
/// have been refused.
const LEAST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
const MOST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// The permissions of a model's providers to use prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataPolicy {
    #[default]
    Account,
    NoTraining,
    ZeroRetention,
}

/// The rules of what keys may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The allowed models; empty allows all.
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default)]
    pub data_policy: DataPolicy,
}

/// The guardrail at the provider that a programme's keys are put under. A programme never drops it: lifted
/// rules are lifted in the guardrail, for every key under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    pub id: String,
    /// The rules that the provider confirmed last.
    pub rules: Rules,
    #[serde(with = "millisecond::required")]
    pub confirmed_at: Timestamp,
}

/// The order for rules that the provider is still to be told, due until it confirms them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesOrder {
    #[serde(with = "millisecond::required")]
    pub due: Timestamp,
    /// Whether the rules were confirmed before and are only repeated, so that keys can be made in the
    /// meantime.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RulesRefusal>,
}

/// The provider's refusal of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesRefusal {
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// The provider's reason.
    pub why: String,
}

impl Rules {
    pub fn allow_all(&self) -> bool {
        *self == Rules::default()
    }
}

impl RulesOrder {
    /// The order for rules that were changed now.
    pub(in crate::domain) fn changed(now: Timestamp) -> RulesOrder {
        RulesOrder { due: now, again: false, refusal: None }
    }

    /// The order that repeats rules which were confirmed before.
    pub fn again(now: Timestamp) -> RulesOrder {
        RulesOrder { again: true, ..RulesOrder::changed(now) }
    }

    /// The order after a refusal.
    #[must_use]
    pub fn refused(self, why: &str, now: Timestamp) -> RulesOrder {
        let since = self.refusal.map_or(now, |refusal| refusal.since);
        let pause = now.duration_since(since).clamp(LEAST_PAUSE, MOST_PAUSE);
        RulesOrder { due: now + pause, refusal: Some(RulesRefusal { since, why: why.to_owned() }), ..self }
    }
}

impl RulesRefusal {
    /// Whether the refusal has lasted so long that the admins are alerted.
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
