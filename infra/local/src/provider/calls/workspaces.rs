//! `GET /workspaces`: the workspaces in pages, newest first.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::workspace::Workspace;
use crate::provider::values::asked::Parameters;
use crate::provider::values::refusal::Refusal;

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/workspaces", get(list))
}

async fn list(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let (offset, limit) = (asked.offset()?, asked.limit()?);
    let memory = provider.memory();
    let listed = if memory.quirks.workspaces_listed { memory.workspaces() } else { &[] };
    let mut workspaces: Vec<&Workspace> = listed.iter().collect();
    workspaces.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let page = workspaces.iter().skip(offset).take(limit).map(|workspace| workspace.object());
    Ok(Json(json!({ "data": page.collect::<Vec<_>>(), "total_count": workspaces.len() })))
}
