//! Rule sets: what keys may call, whichever programmes and groups ask for it, and the guardrail that holds it at the provider.
//!
//! A set is named by its rules as people wrote them, so equal rules share a guardrail, which is found by that name. A tier stands by its
//! name: when it is edited, the guardrail is changed and every key under it follows. Keys of a programme with other rules are put under
//! another guardrail, by a job. A set is never removed.

use std::collections::BTreeMap;

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::programme::rules::Rules;
use crate::domain::programme::tiers::Tiers;
use crate::domain::programme::{Programme, Settings};
use crate::domain::values::id::RuleSetId;
use crate::store::items::stored;
use crate::store::keys::{RULE_SETS, key};

/// The time for which the provider may refuse rules before the admins are alerted, so that a mistyped model
/// can be mended first.
pub const REFUSAL_TOLD_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The bounds of the pause before refused rules are sent again. Within them, the pause is as long as they
/// have been refused.
const LEAST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
const MOST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// The rules of one guardrail, with what the provider has confirmed of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSet {
    #[serde(rename = "rule_set")]
    pub id: RuleSetId,
    /// The rules as people wrote them.
    pub rules: Rules,
    /// The guardrail that keys are put under, once it was made at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Guardrail>,
    /// The order for rules that the provider has not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<RulesOrder>,
    /// The version, which every write increases.
    pub version: u64,
}

stored! {
    "rule-set" RuleSet |it| (id: &RuleSetId = &it.id) => key(RULE_SETS, id.as_str())
}

/// The guardrail of a rule set at the provider.
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

impl RuleSet {
    /// A set that nobody has told the provider yet.
    pub fn new(rules: Rules, now: Timestamp) -> RuleSet {
        RuleSet { id: rules.id(), rules, guardrail: None, order: Some(RulesOrder::due(now)), version: 1 }
    }

    /// The order that is to be sent now: one that is due, or one for the models that its tier has by now.
    pub fn due(&self, tiers: &Tiers, now: Timestamp) -> Option<RulesOrder> {
        match &self.order {
            Some(order) => Some(order.clone()).filter(|order| order.due <= now),
            None if self.is_behind(tiers) => Some(RulesOrder::due(now)),
            None => None,
        }
    }

    /// Whether the provider has confirmed other models than its tier has by now.
    fn is_behind(&self, tiers: &Tiers) -> bool {
        let confirmed = self.guardrail.as_ref().map(|known| &known.rules);
        self.rules.resolved(tiers).is_some_and(|wanted| confirmed != Some(&wanted))
    }

    /// The refusal of its rules that has lasted so long that the admins are alerted.
    pub fn refusal_to_be_told(&self, now: Timestamp) -> Option<&RulesRefusal> {
        let refusal = self.order.as_ref()?.refusal.as_ref()?;
        (refusal.since + REFUSAL_TOLD_AFTER <= now).then_some(refusal)
    }
}

impl RulesOrder {
    pub fn due(now: Timestamp) -> RulesOrder {
        RulesOrder { due: now, refusal: None }
    }

    /// The order after a refusal.
    #[must_use]
    pub fn refused(self, why: &str, now: Timestamp) -> RulesOrder {
        let since = self.refusal.map_or(now, |refusal| refusal.since);
        let pause = now.duration_since(since).clamp(LEAST_PAUSE, MOST_PAUSE);
        RulesOrder { due: now + pause, refusal: Some(RulesRefusal { since, why: why.to_owned() }) }
    }
}

impl Settings {
    /// The rules for the members of a group, or for people without one.
    pub fn rules(&self, group: Option<&str>) -> Rules {
        Rules {
            models: self.models_of(group).to_vec(),
            data_policy: self.data_policy,
            providers: self.providers.clone(),
            regions: self.regions.clone(),
        }
    }

    /// The models that members of a group may call, or people without one; empty allows all.
    pub fn models_of(&self, group: Option<&str>) -> &[String] {
        let own = group.and_then(|group| self.groups.get(group)).filter(|group| !group.models.is_empty());
        own.map_or(&self.models, |own| &own.models)
    }

    /// The rules whose sets are kept before the settings are saved. Rules that allow all need one where keys may come from under
    /// others: of another group, or of the settings before.
    pub fn rule_sets(&self, before: Option<&Settings>) -> Vec<Rules> {
        let restricts = |settings: &Settings| settings.all_rules().iter().any(|rules| !rules.allow_all());
        let has_others = restricts(self) || before.is_some_and(restricts);
        if has_others { self.all_rules() } else { Vec::new() }
    }

    /// The groups whose own models make this set theirs.
    pub fn groups_under(&self, set: &RuleSetId) -> Vec<String> {
        let own = self.groups.iter().filter(|(_, group)| !group.models.is_empty()).map(|(name, _)| name);
        own.filter(|name| self.rules(Some(name)).id() == *set).cloned().collect()
    }

    /// The rules of everybody and of each group, each once.
    pub fn all_rules(&self) -> Vec<Rules> {
        let groups =
            self.groups.iter().filter(|(_, group)| !group.models.is_empty()).map(|(name, _)| Some(name.as_str()));
        let all = std::iter::once(None).chain(groups).map(|group| self.rules(group));
        let by_id: BTreeMap<RuleSetId, Rules> = all.map(|rules| (rules.id(), rules)).collect();
        by_id.into_values().collect()
    }

    /// Whether members of some group, or people without one, may call other models under the other settings.
    pub fn rules_differ(&self, other: &Settings) -> bool {
        let differ = |group: Option<&str>| self.rules(group).id() != other.rules(group).id();
        let mut groups = self.groups.iter().chain(&other.groups).filter(|(_, group)| !group.models.is_empty());
        differ(None) || groups.any(|(name, _)| differ(Some(name)))
    }
}

impl Programme {
    /// Whether keys of the programme are to be under this set, so that its rules have to be told.
    pub fn asks_for(&self, set: &RuleSetId, now: Timestamp) -> bool {
        !self.is_over(now) && self.settings.all_rules().iter().any(|rules| rules.id() == *set)
    }
}
