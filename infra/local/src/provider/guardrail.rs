//! One guardrail: what it may say, what it prints, and whether it lets a model through. Its routes are in `guardrails.rs`, its
//! budget is weighed in `limits.rs`; content filters are kept and printed, nothing is filtered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::{Fields, Sent, not_null, required};
use super::errors::Refusal;
use super::key::instant;
use super::models::{self, Model};
use super::money::Nano;
use super::quirks::Quirks;
use super::windows::Interval;

const LISTS: [&str; 4] = ["allowed_models", "ignored_models", "allowed_providers", "ignored_providers"];
const SWITCHES: [&str; 5] = [
    "allow_safety_retention_google",
    "allow_safety_retention_other",
    "enable_free_model_training",
    "enable_paid_model_training",
    "enable_free_model_publication",
];
const ZERO_RETENTION: [&str; 5] =
    ["enforce_zdr_anthropic", "enforce_zdr_openai", "enforce_zdr_google", "enforce_zdr_xai", "enforce_zdr_other"];
const REGIONS: [&str; 3] = ["global", "europe", "us"];
const FILTERS: [(&str, &str); 2] = [("content_filters", "pattern"), ("content_filter_builtins", "slug")];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Guardrail {
    pub(super) id: String,
    pub(super) workspace: String,
    /// It governs the whole workspace, bears its name and is assigned to no key.
    pub(super) default: bool,
    pub(super) name: String,
    description: Option<String>,
    lists: BTreeMap<String, Vec<String>>,
    switches: BTreeMap<String, bool>,
    pub(super) regions: Option<Vec<String>>,
    filters: BTreeMap<String, Value>,
    pub(super) limit: Option<Nano>,
    pub(super) reset: Option<Interval>,
    pub(super) byok: bool,
    pub(super) created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

impl Guardrail {
    pub(super) fn new(id: String, workspace: String, default: bool, name: String, now: Timestamp) -> Guardrail {
        Guardrail {
            id,
            workspace,
            default,
            name,
            description: None,
            lists: BTreeMap::new(),
            switches: BTreeMap::new(),
            regions: None,
            filters: BTreeMap::new(),
            limit: None,
            reset: None,
            byok: false,
            created_at: now,
            updated_at: None,
        }
    }

    pub(super) fn created(
        id: String,
        workspace: String,
        fields: &Fields,
        now: Timestamp,
    ) -> Result<Guardrail, Refusal> {
        let name = required("name", fields.text("name", 1..=200)?)?;
        let mut guardrail = Guardrail::new(id, workspace, false, name, now);
        guardrail.read(fields)?;
        Ok(guardrail)
    }

    /// What is sent replaces what was, lists as a whole; what is not sent stays.
    pub(super) fn updated(mut self, fields: &Fields, now: Timestamp) -> Result<Guardrail, Refusal> {
        if let Some(name) = not_null("name", fields.text("name", 1..=200)?)? {
            if self.default {
                return Err(Refusal::bad_request("The name of a workspace default guardrail cannot be changed"));
            }
            self.name = name;
        }
        self.read(fields)?;
        self.updated_at = Some(now);
        Ok(self)
    }

    fn read(&mut self, fields: &Fields) -> Result<(), Refusal> {
        if let Some(description) = fields.text("description", 0..=1_000)? {
            self.description = description;
        }
        for name in LISTS {
            set(&mut self.lists, name, fields.texts(name)?);
        }
        // The old field speaks for the five that are not spoken for.
        let for_all = fields.flag("enforce_zdr")?;
        for name in ZERO_RETENTION {
            set(&mut self.switches, name, fields.flag(name)?.or(for_all));
        }
        for name in SWITCHES {
            set(&mut self.switches, name, fields.flag(name)?);
        }
        if let Some(regions) = fields.texts("allowed_data_regions")? {
            if regions.iter().flatten().any(|region| !REGIONS.contains(&region.as_str())) {
                return Err(Refusal::bad_request("Invalid request parameters: allowed_data_regions: no such region"));
            }
            self.regions = regions;
        }
        for (name, key) in FILTERS {
            set(&mut self.filters, name, fields.read(name, "must be a list of filters", |value| filters(value, key))?);
        }
        if let Some(byok) = not_null("include_byok_in_budgets", fields.flag("include_byok_in_budgets")?)? {
            self.byok = byok;
        }
        if let Some(limit) = fields.money("limit_usd")? {
            self.limit = limit;
        }
        if let Some(reset) = fields.interval("reset_interval")? {
            self.reset = reset;
        }
        match self.limit.is_some() == self.reset.is_some() {
            true => Ok(()),
            false => Err(Refusal::bad_request("limit_usd and reset_interval must be provided together")),
        }
    }

    pub(super) fn object(&self, quirks: &Quirks) -> Value {
        let mut object = json!({
            "id": self.id,
            "name": self.name,
            "workspace_id": self.workspace,
            "description": self.description,
            "limit_usd": self.limit.map(Nano::json),
            "reset_interval": self.reset,
            "include_byok_in_budgets": self.byok,
            "allowed_data_regions": self.regions,
            "enforce_zdr": self.zero_retention_of_all(),
            "created_at": instant(self.created_at, quirks),
            "updated_at": self.updated_at.map(|at| instant(at, quirks)),
        });
        for name in LISTS {
            object[name] = json!(self.lists.get(name).map(|list| spelled(name, list, quirks)));
        }
        for name in SWITCHES.into_iter().chain(ZERO_RETENTION) {
            object[name] = json!(self.switches.get(name));
        }
        for (name, _) in FILTERS {
            object[name] = json!(self.filters.get(name));
        }
        object
    }

    pub(super) fn allows(&self, model: &Model) -> bool {
        let list = |name: &str| self.lists.get(name);
        let names = |list: &Vec<String>| {
            list.iter().any(|name| models::find(name).is_some_and(|found| found.slug == model.slug))
        };
        let serves = |list: &Vec<String>| list.iter().any(|provider| provider == model.provider);
        let retention = match model.author() {
            author @ ("anthropic" | "openai" | "google") => format!("enforce_zdr_{author}"),
            "x-ai" => "enforce_zdr_xai".to_owned(),
            _ => "enforce_zdr_other".to_owned(),
        };
        let training = if model.is_free() { "enable_free_model_training" } else { "enable_paid_model_training" };
        list("allowed_models").is_none_or(names)
            && !list("ignored_models").is_some_and(names)
            && list("allowed_providers").is_none_or(serves)
            && !list("ignored_providers").is_some_and(serves)
            && (model.zero_retention || self.switches.get(&retention) != Some(&true))
            && (!model.trains || self.switches.get(training) != Some(&false))
    }

    fn zero_retention_of_all(&self) -> Option<bool> {
        let mut values = ZERO_RETENTION.iter().map(|name| self.switches.get(*name).copied());
        let first = values.next().flatten();
        first.filter(|_| values.all(|value| value == first))
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, name: &str, sent: Sent<T>) {
    match sent {
        Some(Some(value)) => {
            map.insert(name.to_owned(), value);
        }
        Some(None) => {
            map.remove(name);
        }
        None => {}
    }
}

fn filters(value: &Value, key: &str) -> Option<Value> {
    let sound = |filter: &Value| {
        let action = filter["action"].as_str()?;
        let named = filter[key].as_str().is_some_and(|text| !text.is_empty());
        (named && ["redact", "block", "flag"].contains(&action)).then_some(())
    };
    value.as_array()?.iter().all(|filter| sound(filter).is_some()).then(|| value.clone())
}

/// Whatever was sent, answers name models by their canonical slug. A model the simulator does not sell keeps its spelling.
fn spelled(name: &str, list: &[String], quirks: &Quirks) -> Vec<String> {
    let canonical = |slug: &String| models::find(slug).map_or_else(|| slug.clone(), |model| model.canonical.to_owned());
    match name.ends_with("_models") && quirks.canonical_slugs {
        true => list.iter().map(canonical).collect(),
        false => list.to_vec(),
    }
}
