//! The rules of what keys may call, and tiers: named lists of models, kept by admins.
//! [`guardrail`](super::guardrail) says what the provider has confirmed of rules, and
//! [`guardrails`](crate::provider::guardrails) translates them for the provider.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::values::money::Usd;
use crate::domain::values::window::days_between;
use crate::schema::{Queue, begin, key, stored};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    Europe,
    Us,
}

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
        tier_named_in(&self.models)
    }

    /// The rules with the models of the tier that they name, if there is such a tier.
    #[must_use]
    pub fn resolve(self, tiers: &Tiers) -> Rules {
        match self.tier().and_then(|tier| tiers.models(tier)) {
            Some(models) => Rules {
                models: models.to_vec(),
                ..self
            },
            None => self,
        }
    }
}

/// A model as the provider lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedModel {
    pub slug: String,
    /// Its other slug, unless it is a variant of another model, which has the same.
    pub canonical: Option<String>,
    /// What a million tokens of its answers cost, unless that depends on something else.
    pub answer_price: Option<Usd>,
    /// The UTC day on which it is gone, once the provider says so.
    pub gone_on: Option<Date>,
}

/// From so many days before its end on faculty hear of a model, and once more.
const HEARD_OF: i32 = 30;
const HEARD_OF_AGAIN: i32 = 7;

impl ListedModel {
    pub fn is_named(&self, slug: &str) -> bool {
        self.slug == slug || self.canonical.as_deref() == Some(slug)
    }

    pub fn is_gone(&self, today: Date) -> bool {
        self.gone_on.is_some_and(|gone_on| gone_on <= today)
    }

    /// The day on which it is gone, and whether there is time for another notice, once faculty are
    /// to hear of it.
    pub fn end_to_tell(&self, today: Date) -> Option<(Date, bool)> {
        let gone_on = self.gone_on?;
        let days = days_between(today, gone_on);
        (days <= HEARD_OF).then_some((gone_on, days > HEARD_OF_AGAIN))
    }
}

/// The most characters of a tier's name.
const LONGEST_NAME: usize = 40;

const FIRST: [(&str, &[&str]); 3] = [
    ("free", &["meta-llama/llama-3.3-70b-instruct:free"]),
    (
        "basic",
        &[
            "google/gemini-2.5-flash",
            "meta-llama/llama-3.3-70b-instruct",
            "openai/gpt-4o-mini",
        ],
    ),
    (
        "pro",
        &[
            "anthropic/claude-sonnet-4.5",
            "deepseek/deepseek-r1-0528",
            "google/gemini-2.5-flash",
            "meta-llama/llama-3.3-70b-instruct",
            "openai/gpt-4o-mini",
            "openai/gpt-5-mini",
        ],
    ),
];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tier {
    #[serde(rename = "tier")]
    pub name: String,
    /// Empty for a tier that was removed.
    pub models: Vec<String>,
    /// When the guardrails of those who name it are to be looked at.
    pub due_at: Option<Moment>,
    /// The version, which every edit increases; 0 for a tier that nobody has edited.
    pub version: u64,
}

stored! {
    Tier (name: &str) => key("TIERS", name);
    list all() => begin("TIERS", "");
    waits |tier| tier.due_at.map(|due_at| (Queue::GUARDRAIL, due_at))
}

#[derive(Debug)]
pub struct Tiers(BTreeMap<String, Tier>);

impl Tiers {
    /// The tiers to begin with, replaced and followed by those that were edited.
    pub fn new(edited: Vec<Tier>) -> Tiers {
        let first = FIRST.iter().map(|(name, models)| Tier {
            name: (*name).to_owned(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            due_at: None,
            version: 0,
        });
        Tiers(
            first
                .chain(edited)
                .map(|tier| (tier.name.clone(), tier))
                .collect(),
        )
    }

    /// A tier as it is stored or begins, also one that was removed.
    pub fn get(&self, name: &str) -> Option<&Tier> {
        self.0.get(name)
    }

    pub fn models(&self, name: &str) -> Option<&[String]> {
        self.get(name)
            .map(|tier| &tier.models[..])
            .filter(|models| !models.is_empty())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tier> {
        self.0.values().filter(|tier| !tier.models.is_empty())
    }
}

/// Whether a text can be a tier's name. No model's slug can: that has a slash.
pub fn is_tier_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

pub fn tier_named_in(models: &[String]) -> Option<&str> {
    match models {
        [name] if is_tier_name(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Faculty hear of a model thirty days before its end and seven, and on the day itself at the
    /// latest.
    #[test]
    fn an_end_is_told_twice() {
        let today = Date::constant(2026, 11, 3);
        let told = |gone_on: &str| {
            let gone_on = gone_on.parse().ok();
            let model = ListedModel {
                slug: "a/one".to_owned(),
                canonical: None,
                answer_price: None,
                gone_on,
            };
            model.end_to_tell(today).map(|(_, is_first)| is_first)
        };
        assert_eq!(["", "2026-12-04"].map(told), [None, None]);
        assert_eq!(["2026-12-03", "2026-11-11"].map(told), [Some(true); 2]);
        assert_eq!(
            ["2026-11-10", "2026-11-03", "2026-10-01"].map(told),
            [Some(false); 3]
        );
    }

    /// A list names a tier if it is a single name without a slash.
    #[test]
    fn a_lone_name_means_a_tier() {
        let named = |models: &[&str]| {
            let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
            tier_named_in(&models).map(str::to_owned)
        };
        assert_eq!(named(&["basic"]).as_deref(), Some("basic"));
        for models in [
            &[][..],
            &["a/one"],
            &["basic", "a/one"],
            &["basic", "pro"],
            &["Basic"],
            &["-x"],
        ] {
            assert_eq!(named(models), None, "{models:?}");
        }
    }
}
