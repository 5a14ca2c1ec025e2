//! The port for the machine's own monitor: how old what should be young is, and a sync by hand.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_core::config::FrontSecret;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::aws::dead_letters::DeadLetters;
use crate::aws::gateway::FRONT;
use crate::aws::invoke::Invoke;
use crate::aws::schedules::Schedules;
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;

/// What the answers are read from.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) clock: StackClock,
    pub(super) schedules: Schedules,
    pub(super) dead_letters: DeadLetters,
    pub(super) invoke: Arc<dyn Invoke>,
}

/// Ages in seconds, each absent until there is one, and what somebody has to look at.
#[derive(Debug, Default, Serialize)]
struct Report {
    drain_s: Option<i64>,
    watch_s: Option<i64>,
    complete_sync_s: Option<i64>,
    oldest_mail_s: Option<i64>,
    dead_letters: usize,
    problems: Vec<String>,
}

/// How long a sync is waited for that another keeps from beginning: it says so at once.
const BEGINS_WITHIN: Duration = Duration::from_secs(3);

/// The routes. Where `front` is given, whoever asks has to bring it.
pub(super) fn router(health: Health, front: Option<FrontSecret>) -> Router {
    let routes = Router::new().route("/health", get(report)).route("/sync", post(sync)).with_state(health);
    match front {
        Some(front) => routes.layer(from_fn_with_state(front, guard)),
        None => routes,
    }
}

async fn guard(State(front): State<FrontSecret>, request: Request, next: Next) -> Response {
    if request.headers().get(FRONT).is_some_and(|secret| front.is(secret.as_bytes())) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, Json(json!({"error": "X-Bursar-Front is missing or wrong"}))).into_response()
}

async fn report(State(health): State<Health>) -> Response {
    let report = health.report().await;
    let status = if report.problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// Begins a sync as its schedule would, and does not wait for its end.
async fn sync(State(health): State<Health>) -> Response {
    let run = tokio::spawn(async move {
        let begun_at = health.clock.now();
        let report = health.invoke.invoke(FunctionName::UsageSync, json!({})).await?;
        if report["skipped"] == "running" {
            return anyhow::Ok(false);
        }
        health.schedules.ran(FunctionName::UsageSync, &json!({}), begun_at)?;
        Ok(true)
    });
    match tokio::time::timeout(BEGINS_WITHIN, run).await {
        Ok(Ok(Ok(false))) => (StatusCode::CONFLICT, Json(json!({"skipped": "running"}))).into_response(),
        Ok(Ok(Ok(true))) | Err(_) => (StatusCode::ACCEPTED, Json(json!({}))).into_response(),
        Ok(Ok(Err(error))) => failed(&error),
        Ok(Err(error)) => failed(&error.into()),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": format!("{error:#}")}))).into_response()
}

impl Health {
    async fn report(&self) -> Report {
        let mut report = Report::default();
        match self.dead_letters.all() {
            Ok(letters) => report.dead_letters = letters.len(),
            Err(error) => report.problems.push(format!("the dead letters cannot be read: {error:#}")),
        }
        report
    }
}
