//! The management calls, one file for each resource.

mod activity;
mod analytics;
mod assignments;
mod credits;
mod guardrails;
mod keys;
mod models;
mod own_key;
mod workspaces;

use axum::Router;

use super::handle::Provider;

pub(crate) fn routes() -> Router<Provider> {
    Router::new()
        .merge(keys::routes())
        .merge(own_key::routes())
        .merge(credits::routes())
        .merge(analytics::routes())
        .merge(activity::routes())
        .merge(workspaces::routes())
        .merge(models::routes())
        .merge(assignments::routes())
        .merge(guardrails::routes())
}
