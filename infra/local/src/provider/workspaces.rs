//! `/workspaces`: the drawers that keys and guardrails lie in. One is the default, made at the first start. Members and budgets
//! of workspaces are not simulated.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::access::Management;
use super::asked::{Fields, Parameters, not_null, required};
use super::errors::Refusal;
use super::key::instant;
use super::quirks::Quirks;
use super::{Provider, USER_ID, ids, memory};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) default: bool,
    pub(super) name: String,
    pub(super) slug: String,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    /// What is only stored and printed.
    settings: Map<String, Value>,
}

pub(super) fn routes() -> Router<Provider> {
    Router::new()
        .route("/workspaces", get(list).post(create))
        .route("/workspaces/{reference}", get(read).patch(update).delete(delete))
}

async fn list(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let (offset, limit) = (asked.offset()?, asked.limit()?);
    let memory = provider.memory();
    let listed = if memory.quirks.workspaces_listed { memory.workspaces() } else { &[] };
    let mut workspaces: Vec<&Workspace> = listed.iter().collect();
    workspaces.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let page = workspaces.iter().skip(offset).take(limit).map(|workspace| workspace.object(&memory.quirks));
    Ok(Json(json!({ "data": page.collect::<Vec<_>>(), "total_count": workspaces.len() })))
}

async fn create(
    _: Management,
    State(provider): State<Provider>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fields = Fields::parse(&body)?;
    let name = required("name", fields.text("name", 1..=100)?)?;
    let slug = required("slug", slug(&fields)?)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let mut workspace = Workspace::new(ids::fresh_uuid()?, false, name, slug, now);
    workspace.read_settings(&fields)?;
    free_slug(&memory, &workspace)?;
    let object = workspace.object(&memory.quirks);
    memory.put_workspace(workspace)?;
    Ok((StatusCode::CREATED, Json(json!({ "data": object }))))
}

async fn read(
    _: Management,
    State(provider): State<Provider>,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let memory = provider.memory();
    Ok(Json(json!({ "data": find(&memory, &reference)?.object(&memory.quirks) })))
}

async fn update(
    _: Management,
    State(provider): State<Provider>,
    Path(reference): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let fields = Fields::parse(&body)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let mut workspace = find(&memory, &reference)?.clone();
    if let Some(name) = not_null("name", fields.text("name", 1..=100)?)? {
        workspace.name = name;
    }
    if let Some(slug) = not_null("slug", slug(&fields)?)? {
        workspace.slug = slug;
    }
    workspace.read_settings(&fields)?;
    free_slug(&memory, &workspace)?;
    workspace.updated_at = Some(now);
    let object = workspace.object(&memory.quirks);
    memory.put_workspace(workspace)?;
    Ok(Json(json!({ "data": object })))
}

async fn delete(
    _: Management,
    State(provider): State<Provider>,
    Path(reference): Path<String>,
    asked: Parameters,
) -> Result<Json<Value>, Refusal> {
    let (now, mut memory) = (provider.now(), provider.memory());
    let workspace = find(&memory, &reference)?.clone();
    let places: Vec<usize> =
        memory.shelf(&workspace.id).map(|shelf| shelf.newest_first().collect()).unwrap_or_default();
    let active = |place: &usize| !memory.key(*place).disabled && !memory.key(*place).expired(now);
    if workspace.default {
        if !asked.flag("confirm_default_workspace_deletion", false) {
            let message = "Deleting the default workspace requires confirm_default_workspace_deletion=true";
            return Err(Refusal::bad_request(message));
        }
        // The trap: every key that lies in it is out of use for good.
        for place in places {
            memory.change_key(place, |key| key.end(now, |key| key.disabled = true))?;
        }
    } else if places.iter().any(active) {
        return Err(Refusal::bad_request("Workspaces with active API keys cannot be deleted; remove the keys first"));
    }
    memory.remove_workspace(&workspace.id)?;
    Ok(Json(json!({ "deleted": true })))
}

impl Workspace {
    pub(super) fn default_one(now: Timestamp) -> anyhow::Result<Workspace> {
        Ok(Workspace::new(ids::fresh_uuid()?, true, "Default".to_owned(), "default".to_owned(), now))
    }

    fn new(id: String, default: bool, name: String, slug: String, now: Timestamp) -> Workspace {
        let settings = json!({
            "description": null,
            "default_text_model": null,
            "default_image_model": null,
            "default_provider_sort": null,
            "disabled_server_tools": null,
            "io_logging_api_key_ids": null,
            "io_logging_sampling_rate": 1,
            "is_data_discount_logging_enabled": false,
            "is_observability_broadcast_enabled": false,
            "is_observability_io_logging_enabled": false,
        });
        let settings = settings.as_object().cloned().unwrap_or_default();
        Workspace { id, default, name, slug, created_at: now, updated_at: None, settings }
    }

    /// It has this id before it exists.
    pub(super) fn default_guardrail(&self) -> String {
        ids::derived_uuid(&format!("default guardrail of {}", self.id))
    }

    fn read_settings(&mut self, fields: &Fields) -> Result<(), Refusal> {
        for (name, kept) in &mut self.settings {
            let sent = match name.as_str() {
                "description" => fields.text(name, 0..=500)?.map(Value::from),
                "disabled_server_tools" => {
                    fields.read(name, "must be a list", |value| value.as_array().cloned())?.map(Value::from)
                }
                "io_logging_api_key_ids" => fields
                    .read(name, "must be a list of numbers", |value| {
                        value.as_array().filter(|ids| ids.iter().all(Value::is_u64)).cloned()
                    })?
                    .map(Value::from),
                "io_logging_sampling_rate" => {
                    let rate = fields.read(name, "must be from 0.0001 to 1", |value| {
                        value.as_f64().filter(|rate| (0.0001..=1.0).contains(rate)).map(|_| value.clone())
                    })?;
                    not_null(name, rate)?
                }
                flag if flag.starts_with("is_") => not_null(name, fields.flag(name)?)?.map(Value::from),
                _ => fields.text(name, 0..=200)?.map(Value::from),
            };
            if let Some(value) = sent {
                *kept = value;
            }
        }
        Ok(())
    }

    fn object(&self, quirks: &Quirks) -> Value {
        let mut object = json!({
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "created_at": instant(self.created_at, quirks),
            "updated_at": self.updated_at.map(|at| instant(at, quirks)),
            "created_by": USER_ID,
            "default_guardrail_id": self.default_guardrail(),
            "include_byok_in_budgets": false,
        });
        if let Value::Object(object) = &mut object {
            object.extend(self.settings.clone());
        }
        object
    }
}

impl memory::Memory {
    /// The workspace that a request names by its id; without one, the default.
    pub(super) fn workspace_asked(&self, id: Option<&str>) -> Result<&Workspace, Refusal> {
        let workspaces = self.workspaces();
        match id {
            None => workspaces
                .iter()
                .find(|workspace| workspace.default)
                .ok_or_else(|| Refusal::bad_request("The default workspace was deleted; workspace_id must be given")),
            Some(id) if !ids::is_uuid(id) => {
                Err(Refusal::bad_request("Invalid request parameters: workspace_id must be a UUID"))
            }
            Some(id) => workspaces.iter().find(|workspace| workspace.id == id).ok_or_else(Refusal::not_found),
        }
    }
}

fn find<'a>(memory: &'a memory::Memory, reference: &str) -> Result<&'a Workspace, Refusal> {
    let named = |workspace: &&Workspace| workspace.id == reference || workspace.slug == reference;
    memory.workspaces().iter().find(named).ok_or_else(Refusal::not_found)
}

fn slug(fields: &Fields) -> Result<Option<Option<String>>, Refusal> {
    let must = "must be 1 to 50 lower-case letters and digits, with single hyphens between";
    fields.read("slug", must, |value| {
        let slug = value.as_str().filter(|slug| slug.len() <= 50)?;
        let sound = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        slug.split('-').all(sound).then(|| slug.to_owned())
    })
}

fn free_slug(memory: &memory::Memory, workspace: &Workspace) -> Result<(), Refusal> {
    let taken = memory.workspaces().iter().any(|other| other.slug == workspace.slug && other.id != workspace.id);
    if taken { Err(Refusal::bad_request("A workspace with this slug already exists")) } else { Ok(()) }
}
