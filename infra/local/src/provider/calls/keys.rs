//! `/keys`: list, create, read, change, delete. The plaintext is only in the answer of `POST /keys`, beside
//! `data`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::Memory;
use crate::provider::memory::key::Key;
use crate::provider::values::asked::{Fields, Parameters, not_null, required};
use crate::provider::values::ids;
use crate::provider::values::refusal::Refusal;

const PAGE: usize = 100;

pub(crate) fn routes() -> Router<Provider> {
    Router::new()
        .route("/keys", get(list).post(create))
        .route("/keys/", get(list).post(create))
        .route("/keys/{hash}", get(read).patch(update).delete(delete))
}

async fn list(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let offset = asked.offset()?;
    let (now, memory) = (provider.now(), provider.memory());
    let workspace = memory.workspace_asked(asked.get("workspace_id"))?;
    let disabled = asked.flag("include_disabled");
    let expired = asked.flag("include_expired");
    let Some(shelf) = memory.shelf(&workspace.id).filter(|_| memory.quirks.keys_listed) else {
        return Ok(Json(json!({ "data": [] })));
    };
    let shown = |place: &usize| {
        let key = memory.key(*place);
        (disabled || !key.disabled) && (expired || !key.expired(now))
    };
    let page: Vec<usize> = if disabled && expired {
        // Nothing is hidden, so the page begins at the offset, however many keys there are.
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

/// Changes a key. Fields that the provider does not accept are ignored silently, `expires_at` too.
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
        key.asked_changes.insert(fields.printed());
    })?;
    Ok(Json(json!({ "data": memory.object(place, now) })))
}

async fn delete(
    _: Management,
    State(provider): State<Provider>,
    Path(hash): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (now, mut memory) = (provider.now(), provider.memory());
    let place = memory.find_by_now(&hash, now)?;
    memory.change_key(place, |key| {
        key.asked_changes.insert("deletion".to_owned());
        key.end(now, |key| key.deleted = true);
    })?;
    Ok(Json(json!({ "deleted": true })))
}

fn asked_for(fields: &Fields, memory: &Memory, plaintext: &str, now: Timestamp) -> Result<Key, Refusal> {
    let name = required("name", fields.text("name", 1..=usize::MAX)?)?;
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
    key.byok_in_limit = byok.unwrap_or(false);
    Ok(key)
}
