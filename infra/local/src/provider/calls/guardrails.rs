//! `/guardrails`: list, create, read, change, delete. Assigning keys is left to `assignments.rs`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::guardrail::Guardrail;
use crate::provider::values::asked::{Fields, Parameters, not_null};
use crate::provider::values::ids;
use crate::provider::values::refusal::Refusal;

pub(crate) fn routes() -> Router<Provider> {
    Router::new()
        .route("/guardrails", get(list).post(create))
        .route("/guardrails/{id}", get(read).patch(update).delete(delete))
}

async fn list(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let (offset, limit) = (asked.offset()?, asked.limit()?);
    let memory = provider.memory();
    let workspace = memory.workspace_asked(asked.get("workspace_id")).map_err(|_| no_workspace())?.id.clone();
    let mut guardrails: Vec<&Guardrail> =
        memory.guardrails().iter().filter(|guardrail| guardrail.workspace == workspace).collect();
    guardrails.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let page = guardrails.iter().skip(offset).take(limit).map(|guardrail| guardrail.object());
    Ok(Json(json!({ "data": page.collect::<Vec<_>>(), "total_count": guardrails.len() })))
}

async fn create(
    _: Management,
    State(provider): State<Provider>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fields = Fields::parse(&body)?;
    let asked = not_null("workspace_id", fields.text("workspace_id", 1..=100)?)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let workspace = memory.workspace_asked(asked.as_deref()).map_err(|_| no_workspace())?.id.clone();
    let guardrail = Guardrail::created(ids::fresh_uuid()?, workspace, &fields, now)?;
    let object = guardrail.object();
    memory.put_guardrail(guardrail)?;
    Ok((StatusCode::CREATED, Json(json!({ "data": object }))))
}

async fn read(_: Management, State(provider): State<Provider>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let memory = provider.memory();
    let guardrail = memory.guardrail(&id).ok_or_else(Refusal::not_found)?;
    Ok(Json(json!({ "data": guardrail.object() })))
}

async fn update(
    _: Management,
    State(provider): State<Provider>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let fields = Fields::parse(&body)?;
    let (now, mut memory) = (provider.now(), provider.memory());
    let guardrail = memory.guardrail(&id).ok_or_else(Refusal::not_found)?.clone();
    let guardrail = guardrail.updated(&fields, now)?;
    let object = guardrail.object();
    memory.put_guardrail(guardrail)?;
    Ok(Json(json!({ "data": object })))
}

async fn delete(
    _: Management,
    State(provider): State<Provider>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let mut memory = provider.memory();
    memory.guardrail(&id).ok_or_else(Refusal::not_found)?;
    memory.remove_guardrail(&id)?;
    Ok(Json(json!({ "deleted": true })))
}

fn no_workspace() -> Refusal {
    Refusal::bad_request("Invalid request parameters: workspace_id names no workspace")
}
