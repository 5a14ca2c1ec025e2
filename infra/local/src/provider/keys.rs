//! `/keys`: list, create, read, change, delete; and `/key`, where a key reads about itself. The plaintext is in the answer of
//! `POST /keys`, beside `data`, and nowhere else.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{Caller, Management, caller};
use super::asked::{Fields, Parameters, not_null, required};
use super::errors::Refusal;
use super::key::{Key, printed};
use super::memory::Memory;
use super::{Provider, USER_ID, ids, limits};

const PAGE: usize = 100;
const ACCEPTED: [&str; 6] = ["name", "disabled", "limit", "limit_reset", "include_byok_in_limit", "workspace_id"];

pub(super) fn routes() -> Router<Provider> {
    Router::new()
        .route("/keys", get(list).post(create))
        .route("/keys/", get(list).post(create))
        .route("/keys/{hash}", get(read).patch(update).delete(delete))
        .route("/key", get(own))
}

async fn list(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let offset = asked.offset()?;
    let (now, memory) = (provider.now(), provider.memory());
    let workspace = memory.workspace_asked(asked.get("workspace_id"))?;
    let disabled = asked.flag("include_disabled", memory.quirks.include_disabled_by_default);
    let expired = asked.flag("include_expired", false);
    let Some(shelf) = memory.shelf(&workspace.id).filter(|_| memory.quirks.keys_listed) else {
        return Ok(Json(json!({ "data": [] })));
    };
    let shown = |place: &usize| {
        let key = memory.key(*place);
        (disabled || !key.disabled) && (expired || !key.expired(now))
    };
    let page: Vec<usize> = if disabled && expired {
        // Nothing is hidden, so the page lies where the offset says, however many keys there are.
        shelf.page(offset, PAGE).collect()
    } else {
        shelf.newest_first().filter(shown).skip(offset).take(PAGE).collect()
    };
    let page: Vec<Value> = page.into_iter().map(|place| memory.listed(place, now)).collect();
    Ok(Json(json!({ "data": page })))
}

async fn create(
    _: Management,
    State(provider): State<Provider>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fields = Fields::parse(&body)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let plaintext = ids::fresh_key()?;
    let key = asked_for(&fields, &memory, &plaintext, now)?;
    let place = memory.add_key(key)?;
    let data = memory.object(place, now);
    Ok((StatusCode::CREATED, Json(json!({ "key": plaintext, "data": data }))))
}

async fn read(
    _: Management,
    State(provider): State<Provider>,
    Path(hash): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (now, mut memory) = (provider.now(), provider.memory());
    let place = memory.find_by_now(&hash, now)?;
    Ok(Json(json!({ "data": memory.object(place, now) })))
}

/// What is not accepted is ignored without a word, `expires_at` too.
async fn update(
    _: Management,
    State(provider): State<Provider>,
    Path(hash): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let fields = Fields::parse(&body)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let place = memory.find_by_now(&hash, now)?;
    memory.update_key(place, &fields, now)?;
    let (asked_limit, asked_disabled) = (fields.has_any(&["limit"]), fields.has_any(&["disabled"]));
    memory.change_key(place, |key| {
        key.asked_limit = if asked_limit { key.limit } else { key.asked_limit };
        key.asked_disabled = if asked_disabled { key.disabled } else { key.asked_disabled };
    })?;
    Ok(Json(json!({ "data": memory.object(place, now) })))
}

impl Memory {
    pub(super) fn update_key(&mut self, place: usize, fields: &Fields, now: Timestamp) -> Result<(), Refusal> {
        if !fields.has_any(&ACCEPTED) {
            return Err(Refusal::bad_request("No update fields provided"));
        }
        let name = not_null("name", fields.text("name", 0..=usize::MAX)?)?;
        let disabled = not_null("disabled", fields.flag("disabled")?)?;
        let byok = not_null("include_byok_in_limit", fields.flag("include_byok_in_limit")?)?;
        let (limit, reset) = (fields.money("limit")?, fields.interval("limit_reset")?);
        let limit = limit.map(|limit| self.quirks.kept_limit(limit));
        let workspace = match not_null("workspace_id", fields.text("workspace_id", 1..=100)?)? {
            Some(id) => Some(self.workspace_asked(Some(&id))?.id.clone()),
            None => None,
        };
        let homeless = !self.workspaces().iter().any(|workspace| workspace.id == self.key(place).workspace);
        if homeless && disabled == Some(false) {
            return Err(Refusal::forbidden("The workspace of this key was deleted"));
        }
        if disabled == Some(true) && !self.key(place).disabled {
            let latency = self.quirks.disable_latency;
            self.reprieves.insert(place, latency);
        }
        self.change_key(place, |key| {
            key.name = name.unwrap_or_else(|| key.name.clone());
            match disabled {
                Some(true) => key.end(now, |key| key.disabled = true),
                Some(false) => (key.disabled, key.ended_at) = (false, None),
                None => {}
            }
            key.byok_in_limit = byok.unwrap_or(key.byok_in_limit);
            key.limit = limit.unwrap_or(key.limit);
            key.reset = reset.unwrap_or(key.reset);
            key.workspace = workspace.unwrap_or_else(|| key.workspace.clone());
            key.updated_at = Some(now);
        })?;
        Ok(())
    }
}

async fn delete(
    _: Management,
    State(provider): State<Provider>,
    Path(hash): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (now, mut memory) = (provider.now(), provider.memory());
    let place = memory.find_by_now(&hash, now)?;
    memory.change_key(place, |key| key.end(now, |key| key.deleted = true))?;
    Ok(Json(json!({ "deleted": true })))
}

async fn own(State(provider): State<Provider>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let (now, memory) = (provider.now(), provider.memory());
    let caller = caller(&memory, &headers, now)?;
    let (key, management) = match caller {
        Caller::Ordinary(place) => (memory.key(place).clone(), false),
        Caller::Management(label) => (Key::blank(String::new(), label, String::new(), now), true),
    };
    let budgets = limits::budgets(&memory, &key, now);
    let mut regions = vec!["global"];
    for guardrail in limits::guardrails(&memory, &key) {
        regions.retain(|region| {
            guardrail.regions.as_ref().is_none_or(|allowed| allowed.iter().any(|name| name == region))
        });
    }
    let mut data = key.counters(now, &memory.quirks);
    let rest = json!({
        "is_free_tier": memory.account().credits <= super::Nano::ZERO,
        "is_management_key": management,
        "is_provisioning_key": management,
        "rate_limit": { "requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore." },
        "workspace_id": (!management).then_some(&key.workspace),
        "organization_id": null,
        "allowed_data_regions": regions,
        "free_model_daily_requests": memory.free_requests(now),
        "budgets": budgets.iter().map(|budget| budget.object(now, &memory.quirks)).collect::<Vec<_>>(),
        "effective_budget": limits::effective(&budgets).map(|budget| budget.object(now, &memory.quirks)),
    });
    data.extend(rest.as_object().cloned().unwrap_or_default());
    Ok(Json(json!({ "data": printed(data, &memory.quirks) })))
}

fn asked_for(fields: &Fields, memory: &Memory, plaintext: &str, now: Timestamp) -> Result<Key, Refusal> {
    let name = required("name", fields.text("name", 1..=usize::MAX)?)?;
    if memory.quirks.unique_names && memory.keys().iter().any(|key| !key.deleted && key.name == name) {
        return Err(Refusal::bad_request("A key with this name already exists"));
    }
    let workspace = not_null("workspace_id", fields.text("workspace_id", 1..=100)?)?;
    let workspace = memory.workspace_asked(workspace.as_deref());
    let workspace =
        workspace.map_err(|_| Refusal::bad_request("Invalid request parameters: workspace_id names no workspace"))?;
    let mut key = Key::blank(ids::sha256(plaintext), ids::label(plaintext), workspace.id.clone(), now);
    key.name = name;
    key.limit = memory.quirks.kept_limit(fields.money("limit")?.flatten());
    key.reset = fields.interval("limit_reset")?.flatten();
    key.expires_at = fields.instant("expires_at")?.flatten();
    let byok = not_null("include_byok_in_limit", fields.flag("include_byok_in_limit")?)?;
    key.byok_in_limit = byok.unwrap_or(memory.quirks.include_byok_by_default);
    let creator = fields.text("creator_user_id", 1..=200)?.flatten();
    key.creator = Some(creator.unwrap_or_else(|| USER_ID.to_owned()));
    let external = fields.read("external", "must be an object with user", |external| {
        let user = external["user"].as_str().filter(|user| !user.is_empty())?;
        Some((user.to_owned(), external.get("api_key").is_some()))
    })?;
    if let Some((user, own_key)) = not_null("external", external)? {
        if !memory.quirks.external_allowed || own_key {
            return Err(Refusal::forbidden("External keys are not enabled for this account"));
        }
        key.external_user = Some(user);
    }
    Ok(key)
}

impl Key {
    pub(super) fn blank(hash: String, label: String, workspace: String, now: Timestamp) -> Key {
        Key {
            hash,
            place: 0,
            name: String::new(),
            label,
            workspace,
            disabled: false,
            deleted: false,
            limit: None,
            reset: None,
            byok_in_limit: false,
            created_at: now,
            updated_at: None,
            expires_at: None,
            last_used_at: None,
            creator: Some(USER_ID.to_owned()),
            external_user: None,
            credit: Default::default(),
            byok: Default::default(),
            models: Default::default(),
            asked_limit: None,
            asked_disabled: false,
            ended_at: None,
            overshot: super::Nano::ZERO,
            settled_late: super::Nano::ZERO,
            assignment: None,
        }
    }
}
