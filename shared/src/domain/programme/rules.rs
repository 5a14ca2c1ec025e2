//! The rules of what keys may call. `rule_set` says what the provider has confirmed of them, and `provider::guardrails` translates them
//! for the provider.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::programme::tiers::{self, Tiers};
use crate::domain::values::id::RuleSetId;

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    #[serde(default)]
    pub data_policy: DataPolicy,
    /// The providers that may serve a model; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The regions in which a model may run; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

    /// The rules with the models of the tier that they name; `None` if there is no such tier.
    pub fn resolved(&self, tiers: &Tiers) -> Option<Rules> {
        match self.tier() {
            Some(tier) => Some(Rules { models: tiers.models(tier)?.to_vec(), ..self.clone() }),
            None => Some(self.clone()),
        }
    }

    /// The name of the rules: equal for equal rules, in whatever order their lists are written.
    pub fn id(&self) -> RuleSetId {
        let Rules { models, data_policy, providers, regions } = self;
        let ordered = Rules {
            models: ordered(models),
            data_policy: *data_policy,
            providers: ordered(providers),
            regions: ordered(regions),
        };
        // No rules are without a form as JSON.
        let digest = Sha256::digest(serde_json::to_vec(&ordered).unwrap_or_default());
        let mut head = [0; 8];
        head.iter_mut().zip(digest).for_each(|(byte, digit)| *byte = digit);
        RuleSetId::of_bytes(head)
    }
}

fn ordered<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(models: &[&str], providers: &[&str]) -> Rules {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Rules { models: list(models), providers: list(providers), ..Rules::default() }
    }

    #[test]
    fn equal_rules_have_one_name_in_whatever_order_and_any_others_have_another() {
        let id = rules(&["a/one", "b/two"], &[]).id();
        assert_eq!(rules(&["b/two", "a/one", "b/two"], &[]).id(), id);
        let others = [
            Rules::default(),
            rules(&["a/one"], &["b/two"]),
            rules(&["a/oneb/two"], &[]),
            Rules { data_policy: DataPolicy::NoTraining, ..rules(&["a/one", "b/two"], &[]) },
            Rules { regions: vec![Region::Europe], ..rules(&["a/one", "b/two"], &[]) },
        ];
        for other in others {
            assert_ne!(other.id(), id, "{other:?}");
        }
        assert_eq!(Rules::default().id().as_str().len(), 16);
    }
}
