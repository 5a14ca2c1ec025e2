//! Guardrails, the keys that have them, and the workspaces of both. Models, providers and regions
//! bind; what else can be set is only kept and told.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::account::{Account, within};
use super::keys::{Assignment, Key};
use super::models::{Model, model};
use super::quirks::time;
use super::{Answer, Manager, Provider, Refusal, USER_ID, changed, refuse};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Workspace {
    pub(super) id: String,
    name: String,
    created_at: Timestamp,
}

impl Workspace {
    pub(super) fn new(name: &str, now: Timestamp) -> Workspace {
        Workspace {
            id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            created_at: now,
        }
    }

    fn object(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "slug": self.name.to_lowercase(),
            "description": null,
            "created_at": time(self.created_at),
            "updated_at": null,
            "created_by": USER_ID,
            "default_guardrail_id": null,
        })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Guardrail {
    pub(super) id: String,
    workspace: String,
    pub(super) rules: Rules,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rules {
    name: String,
    pub(super) allowed_models: Option<Vec<String>>,
    allowed_providers: Option<Vec<String>>,
    allowed_data_regions: Option<Vec<String>>,
    enable_free_model_training: Option<bool>,
    enable_paid_model_training: Option<bool>,
    enable_free_model_publication: Option<bool>,
    enforce_zdr_anthropic: Option<bool>,
    enforce_zdr_openai: Option<bool>,
    enforce_zdr_google: Option<bool>,
    enforce_zdr_xai: Option<bool>,
    enforce_zdr_other: Option<bool>,
}

impl Rules {
    fn changed(&self, body: &Map<String, Value>) -> Result<Rules, Refusal> {
        let rules = changed(self, body)?;
        let lists = [
            &rules.allowed_models,
            &rules.allowed_providers,
            &rules.allowed_data_regions,
        ];
        if rules.name.is_empty() || lists.into_iter().flatten().any(Vec::is_empty) {
            return Err(refuse(
                400,
                "Invalid request parameters: a name is not empty, nor is a list",
            ));
        }
        Ok(rules)
    }

    pub(super) fn allow(&self, requested: &Model) -> bool {
        let among = |list: &Option<Vec<String>>, is_it: &dyn Fn(&String) -> bool| {
            list.as_ref().is_none_or(|list| list.iter().any(is_it))
        };
        among(&self.allowed_models, &|name| {
            model(name).is_some_and(|named| named.slug == requested.slug)
        }) && among(&self.allowed_providers, &|name| name == requested.provider)
            && among(&self.allowed_data_regions, &|region| {
                requested.regions.contains(&region.as_str())
            })
    }
}

impl Guardrail {
    /// Models are told by their canonical slugs, however they were sent.
    fn object(&self) -> Value {
        let mut object = json!(self.rules);
        let canonical = |sent: &String| {
            model(sent).map_or_else(|| sent.clone(), |model| model.canonical.to_owned())
        };
        let models = self.rules.allowed_models.as_ref();
        object["allowed_models"] =
            json!(models.map(|sent| sent.iter().map(canonical).collect::<Vec<_>>()));
        object["id"] = json!(self.id);
        // The SDK's models require this.
        object["include_byok_in_budgets"] = false.into();
        object["workspace_id"] = json!(self.workspace);
        object["created_at"] = json!(time(self.created_at));
        object["updated_at"] = json!(self.updated_at.map(time));
        object
    }
}

pub(super) fn routes() -> Router<Provider> {
    Router::new()
        .route("/workspaces", get(workspaces))
        .route("/guardrails", get(list).post(create))
        .route("/guardrails/{id}", get(read).patch(update).delete(delete))
        .route(
            "/guardrails/{id}/assignments/keys",
            get(assignments).post(assign),
        )
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    offset: usize,
    #[serde(default = "fifty")]
    limit: usize,
    workspace_id: Option<String>,
}

fn fifty() -> usize {
    50
}

impl Page {
    fn answer<T>(&self, rows: &[T], object: impl Fn(&T) -> Value) -> Answer {
        if !(1..=100).contains(&self.limit) {
            return Err(refuse(
                400,
                "Invalid request parameters: limit is from 1 to 100",
            ));
        }
        let page: Vec<Value> = rows
            .iter()
            .skip(self.offset)
            .take(self.limit)
            .map(object)
            .collect();
        Ok(Json(json!({ "data": page, "total_count": rows.len() })))
    }
}

async fn workspaces(manager: Manager, Query(page): Query<Page>) -> Answer {
    let (_, account) = manager.account();
    let newest_first: Vec<&Workspace> = account.books.workspaces.iter().rev().collect();
    page.answer(&newest_first, |workspace| workspace.object())
}

async fn list(manager: Manager, Query(page): Query<Page>) -> Answer {
    let (_, account) = manager.account();
    let workspace = account.workspace(page.workspace_id.as_deref(), &manager.scope)?;
    let guardrails = account
        .books
        .guardrails
        .iter()
        .rev()
        .filter(|guardrail| guardrail.workspace == workspace);
    page.answer(&guardrails.collect::<Vec<_>>(), |guardrail| {
        guardrail.object()
    })
}

async fn create(manager: Manager, body: Bytes) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Map<String, Value> = serde_json::from_slice(&body)?;
    let (now, mut account) = manager.account();
    let workspace = account.workspace(
        body.get("workspace_id").and_then(Value::as_str),
        &manager.scope,
    )?;
    let rules = Rules::default().changed(&body)?;
    let id = Uuid::new_v4().to_string();
    let guardrail = Guardrail {
        id,
        workspace,
        rules,
        created_at: now,
        updated_at: None,
    };
    let object = guardrail.object();
    account.change_books(|books| books.guardrails.push(guardrail))?;
    Ok((StatusCode::CREATED, Json(json!({ "data": object }))))
}

async fn read(manager: Manager, Path(id): Path<String>) -> Answer {
    let (_, account) = manager.account();
    Ok(Json(
        json!({ "data": find(&account, &manager.scope, &id)?.object() }),
    ))
}

/// Changes a guardrail, lists as a whole.
async fn update(manager: Manager, Path(id): Path<String>, body: Bytes) -> Answer {
    let body: Map<String, Value> = serde_json::from_slice(&body)?;
    let (now, mut account) = manager.account();
    let old = find(&account, &manager.scope, &id)?.clone();
    let new = Guardrail {
        rules: old.rules.changed(&body)?,
        updated_at: Some(now),
        ..old
    };
    let object = new.object();
    account.change_books(|books| {
        books
            .guardrails
            .iter_mut()
            .filter(|old| old.id == id)
            .for_each(|old| *old = new.clone());
    })?;
    Ok(Json(json!({ "data": object })))
}

async fn delete(manager: Manager, Path(id): Path<String>) -> Answer {
    let (_, mut account) = manager.account();
    find(&account, &manager.scope, &id)?;
    account.delete_guardrail(&id)?;
    Ok(Json(json!({ "deleted": true })))
}

/// The keys under a guardrail, newest assignment first.
async fn assignments(manager: Manager, Path(id): Path<String>, Query(page): Query<Page>) -> Answer {
    let (_, account) = manager.account();
    find(&account, &manager.scope, &id)?;
    let assigned = account
        .keys()
        .iter()
        .filter(|key| !key.deleted)
        .filter_map(|key| Some((key, key.assignment.as_ref()?)));
    let mut pairs: Vec<(&Key, &Assignment)> = assigned
        .filter(|(_, assignment)| assignment.guardrail == id)
        .collect();
    pairs.sort_by_key(|(_, assignment)| std::cmp::Reverse(assignment.at));
    page.answer(&pairs, |(key, assignment)| {
        json!({
            "id": format!("{}/{}", assignment.guardrail, key.hash),
            "guardrail_id": assignment.guardrail,
            "key_hash": key.hash,
            "key_name": key.settings.name,
            "key_label": key.label,
            "assigned_by": USER_ID,
            "created_at": time(assignment.at),
        })
    })
}

/// Gives keys a guardrail, which replaces another silently. What is no key is skipped, so the count
/// says how many got it.
async fn assign(manager: Manager, Path(id): Path<String>, body: Bytes) -> Answer {
    let mut body: Map<String, Value> = serde_json::from_slice(&body)?;
    let hashes: BTreeSet<String> =
        serde_json::from_value(body.remove("key_hashes").unwrap_or_default())?;
    let (now, mut account) = manager.account();
    let workspace = find(&account, &manager.scope, &id)?.workspace.clone();
    let places: Vec<usize> = hashes
        .iter()
        .filter_map(|hash| account.find(hash).ok())
        .collect();
    if places
        .iter()
        .any(|place| account.key(*place).settings.workspace_id != workspace)
    {
        return Err(refuse(
            400,
            "Key and guardrail must be in the same workspace",
        ));
    }
    for place in &places {
        let has = account
            .key(*place)
            .assignment
            .as_ref()
            .is_some_and(|assignment| assignment.guardrail == id);
        if !has {
            account.change(*place, |key| {
                key.asked.changes.insert(format!("guardrail {id}"));
                key.assignment = Some(Assignment {
                    guardrail: id.clone(),
                    at: now,
                });
            })?;
        }
    }
    Ok(Json(json!({ "assigned_count": places.len() })))
}

fn find<'a>(
    account: &'a Account,
    scope: &Option<String>,
    id: &str,
) -> Result<&'a Guardrail, Refusal> {
    let guardrail = account
        .guardrail(id)
        .ok_or_else(|| refuse(404, "Resource not found"))?;
    within(scope, &guardrail.workspace)?;
    Ok(guardrail)
}
