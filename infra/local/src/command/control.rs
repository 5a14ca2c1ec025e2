//! The control routes of the inbox origin: start a sync, move the clock, settle. The router that
//! they are merged into checks who may call them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::error::Elapsed;

use crate::aws::invoke::Invoke;
use crate::aws::schedules::Schedules;
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::command::settle::{LIMIT, Settle};

#[derive(Clone)]
pub struct Control {
    pub invoke: Arc<dyn Invoke>,
    pub clock: StackClock,
    pub schedules: Schedules,
    pub settle: Settle,
}

pub fn router(control: Control) -> Router {
    Router::new()
        .route("/sync", post(sync))
        .route(
            "/clock",
            get(async |State(control): State<Control>| Json(json!({"now": *control.clock.now()}))),
        )
        .route("/clock", post(advance))
        .route("/settle", post(settle))
        .with_state(control)
}

/// Runs a sync concurrently with any other, so that it meets the other's lease as it would in AWS.
/// It is a task of its own, which runs to its end even if the client disconnects.
async fn sync(State(control): State<Control>) -> Response {
    let run = tokio::spawn(async move {
        let begun = control.clock.now();
        let report = control
            .invoke
            .invoke(FunctionName::UsageSync, json!({}))
            .await?;
        if report["skipped"] == "running" {
            return Ok((StatusCode::CONFLICT, Json(report)));
        }
        control
            .schedules
            .ran(FunctionName::UsageSync, &json!({}), begun)?;
        anyhow::Ok((StatusCode::OK, Json(report)))
    });
    run.await
        .map_err(anyhow::Error::from)
        .flatten()
        .map_or_else(|error| failed(&error), IntoResponse::into_response)
}

async fn advance(State(control): State<Control>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let duration = request["advance_s"]
        .as_i64()
        .filter(|seconds| *seconds >= 0)
        .map(SignedDuration::from_secs);
    let duration = duration.filter(|duration| control.clock.now().checked_add(*duration).is_ok());
    let Some(duration) = duration else {
        return refused(
            StatusCode::BAD_REQUEST,
            r#"send {"advance_s":N} with the seconds to go forward"#,
        );
    };
    match control.schedules.advance(duration).await {
        Ok(now) => Json(json!({"now": *now})).into_response(),
        Err(error) => failed(&error),
    }
}

async fn settle(State(control): State<Control>) -> Response {
    match control.settle.settle(LIMIT).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(late) if late.is::<Elapsed>() => {
            refused(StatusCode::GATEWAY_TIMEOUT, &late.to_string())
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    refused(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"))
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}
