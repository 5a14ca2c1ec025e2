//! One guardrail: its fields, its printed form, and whether it admits a model. Models, providers, regions and
//! data policy are simulated; budgets and filters are not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::provider::values::asked::{Fields, Sent, not_null, required};
use crate::provider::values::models::{self, Data, Model};
use crate::provider::values::refusal::Refusal;
use crate::provider::values::windows::printed;

const LISTS: [&str; 3] = ["allowed_models", "allowed_providers", "allowed_data_regions"];
const SWITCHES: [&str; 8] = [
    "enable_free_model_training",
    "enable_paid_model_training",
    "enable_free_model_publication",
    "enforce_zdr_anthropic",
    "enforce_zdr_openai",
    "enforce_zdr_google",
    "enforce_zdr_xai",
    "enforce_zdr_other",
];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Guardrail {
    pub(crate) id: String,
    pub(crate) workspace: String,
    name: String,
    lists: BTreeMap<String, Vec<String>>,
    switches: BTreeMap<String, bool>,
    pub(crate) created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

impl Guardrail {
    pub(crate) fn created(
        id: String,
        workspace: String,
        fields: &Fields,
        now: Timestamp,
    ) -> Result<Guardrail, Refusal> {
        let name = required("name", fields.text("name", 1..=200)?)?;
        let (lists, switches) = (BTreeMap::new(), BTreeMap::new());
        let mut guardrail = Guardrail { id, workspace, name, lists, switches, created_at: now, updated_at: None };
        guardrail.read(fields)?;
        Ok(guardrail)
    }

    /// The guardrail with the sent fields replaced, lists as a whole; fields that were not sent stay.
    pub(crate) fn updated(mut self, fields: &Fields, now: Timestamp) -> Result<Guardrail, Refusal> {
        if let Some(name) = not_null("name", fields.text("name", 1..=200)?)? {
            self.name = name;
        }
        self.read(fields)?;
        self.updated_at = Some(now);
        Ok(self)
    }

    fn read(&mut self, fields: &Fields) -> Result<(), Refusal> {
        for name in LISTS {
            set(&mut self.lists, name, fields.texts(name)?);
        }
        for name in SWITCHES {
            set(&mut self.switches, name, fields.flag(name)?);
        }
        Ok(())
    }

    pub(crate) fn object(&self) -> Value {
        let mut object = json!({
            "id": self.id,
            "name": self.name,
            "workspace_id": self.workspace,
            "description": null,
            "limit_usd": null,
            "reset_interval": null,
            "include_byok_in_budgets": false,
            "ignored_models": null,
            "ignored_providers": null,
            "created_at": printed(self.created_at),
            "updated_at": self.updated_at.map(printed),
        });
        for name in LISTS {
            object[name] = json!(self.lists.get(name).map(|list| spelled(name, list)));
        }
        for name in SWITCHES {
            object[name] = json!(self.switches.get(name));
        }
        object
    }

    pub(crate) fn allowed_models(&self) -> Option<&Vec<String>> {
        self.lists.get("allowed_models")
    }

    pub(crate) fn allows(&self, model: &Model) -> bool {
        let list = |name: &str| self.lists.get(name);
        let names = |list: &Vec<String>| {
            list.iter().any(|name| models::find(name).is_some_and(|found| found.slug == model.slug))
        };
        let serves = |list: &Vec<String>| list.iter().any(|provider| provider == model.provider);
        let runs = |list: &Vec<String>| list.iter().any(|region| model.regions().contains(&region.as_str()));
        let retention = match model.author() {
            author @ ("anthropic" | "openai" | "google") => format!("enforce_zdr_{author}"),
            _ => "enforce_zdr_other".to_owned(),
        };
        let training = if model.is_free() { "enable_free_model_training" } else { "enable_paid_model_training" };
        list("allowed_models").is_none_or(names)
            && list("allowed_providers").is_none_or(serves)
            && list("allowed_data_regions").is_none_or(runs)
            && (model.data == Data::Forgets
                || (self.switches.get(&retention) != Some(&true) && self.switches.get(training) != Some(&false)))
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

/// The models as answers spell them: by canonical slug. A model that the simulator does not sell keeps its
/// spelling.
fn spelled(name: &str, list: &[String]) -> Vec<String> {
    let canonical = |slug: &String| models::find(slug).map_or_else(|| slug.clone(), |model| model.canonical.to_owned());
    if name.ends_with("_models") { list.iter().map(canonical).collect() } else { list.to_vec() }
}
