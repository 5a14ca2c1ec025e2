//! One workspace, which contains keys and guardrails: its name and its printed form.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::provider::values::windows::printed;
use crate::provider::values::{USER_ID, ids};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) id: String,
    pub(crate) default: bool,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

impl Workspace {
    pub(crate) fn default_one(now: Timestamp) -> anyhow::Result<Workspace> {
        Ok(Workspace { default: true, ..Workspace::new("Default", now)? })
    }

    pub(crate) fn new(name: &str, now: Timestamp) -> anyhow::Result<Workspace> {
        Ok(Workspace { id: ids::fresh_uuid()?, default: false, name: name.to_owned(), created_at: now })
    }

    pub(crate) fn object(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "slug": self.name.to_lowercase(),
            "created_at": printed(self.created_at),
            "updated_at": null,
            "created_by": USER_ID,
            "default_guardrail_id": ids::derived_uuid(&format!("default guardrail of {}", self.id)),
            "description": null,
            "default_text_model": null,
            "default_image_model": null,
            "default_provider_sort": null,
            "io_logging_api_key_ids": null,
            "io_logging_sampling_rate": 1,
            "is_data_discount_logging_enabled": false,
            "is_observability_broadcast_enabled": false,
            "is_observability_io_logging_enabled": false,
        })
    }
}
