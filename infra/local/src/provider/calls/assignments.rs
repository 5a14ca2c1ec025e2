//! The guardrails of keys: a key has at most one, which another assignment replaces silently. Both must be
//! in one workspace. Members are not simulated.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::Memory;
use crate::provider::memory::key::Assignment;
use crate::provider::memory::shelf::Shelf;
use crate::provider::values::asked::{Fields, Parameters, required};
use crate::provider::values::refusal::Refusal;
use crate::provider::values::windows::printed;
use crate::provider::values::{USER_ID, ids};

pub(crate) fn routes() -> Router<Provider> {
    Router::new()
        .route("/guardrails/assignments/keys", get(list_all))
        .route("/guardrails/{id}/assignments/keys", get(list).post(assign))
}

async fn list_all(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    page(&provider.memory(), None, &asked)
}

async fn list(
    _: Management,
    State(provider): State<Provider>,
    Path(id): Path<String>,
    asked: Parameters,
) -> Result<Json<Value>, Refusal> {
    let memory = provider.memory();
    memory.guardrail(&id).ok_or_else(Refusal::not_found)?;
    page(&memory, Some(&id), &asked)
}

async fn assign(
    _: Management,
    State(provider): State<Provider>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let hashes = hashes(&body)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let guardrail = memory.guardrail(&id).ok_or_else(Refusal::not_found)?.clone();
    let mut places = Vec::new();
    for hash in &hashes {
        match memory.find(hash) {
            Ok(place) if memory.key(place).workspace == guardrail.workspace => places.push(place),
            Ok(_) => return Err(Refusal::bad_request("Key and guardrail must be in the same workspace")),
            // What is no key is skipped.
            Err(_) => {}
        }
    }
    let count = places.len();
    for place in places {
        let has = memory.key(place).assignment.as_ref().is_some_and(|assignment| assignment.guardrail == id);
        if !has {
            let assignment = Assignment { id: ids::fresh_uuid()?, guardrail: id.clone(), at: now };
            memory.change_key(place, |key| {
                key.asked_changes.insert(format!("guardrail {id}"));
                key.assignment = Some(assignment);
            })?;
        }
    }
    Ok(Json(json!({ "assigned_count": count })))
}

fn hashes(body: &[u8]) -> Result<BTreeSet<String>, Refusal> {
    let fields = Fields::parse(body)?;
    Ok(required("key_hashes", fields.texts("key_hashes")?)?.into_iter().collect())
}

fn page(memory: &Memory, guardrail: Option<&str>, asked: &Parameters) -> Result<Json<Value>, Refusal> {
    let (offset, limit) = (asked.offset()?, asked.limit()?);
    let shelf = memory.assigned(guardrail);
    let places = shelf.into_iter().flat_map(|shelf| shelf.page(offset, limit));
    let rows = places.filter_map(|place| {
        let key = memory.key(place);
        key.assignment.as_ref().map(|assignment| {
            json!({
                "id": assignment.id,
                "guardrail_id": assignment.guardrail,
                "key_hash": key.hash,
                "key_name": key.name,
                "key_label": key.label,
                "assigned_by": USER_ID,
                "created_at": printed(assignment.at),
            })
        })
    });
    let rows: Vec<Value> = rows.collect();
    Ok(Json(json!({ "data": rows, "total_count": shelf.map_or(0, Shelf::len) })))
}
