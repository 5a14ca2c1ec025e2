//! The control routes of the inbox origin: start a sync, move the clock, settle. The router that they are
//! merged into checks who may call them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::invoke::Invoke;
use crate::aws::schedules::Schedules;
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::command::settle::{LIMIT, NotSettled, Settle};

/// The parts of a stack that these routes control.
#[derive(Clone)]
pub struct Control {
    pub invoke: Arc<dyn Invoke>,
    pub clock: StackClock,
    pub schedules: Schedules,
    pub settle: Settle,
}

/// The body of `POST /clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u64,
}

pub fn router(control: Control) -> Router {
    Router::new()
        .route("/sync", post(sync))
        .route("/clock", get(tell).post(advance))
        .route("/settle", post(settle))
        .with_state(control)
}

/// Runs a sync concurrently with any other, so that it meets the other's lease as it would in AWS.
async fn sync(State(control): State<Control>) -> Response {
    // A task of its own, which runs to its end even if the client disconnects.
    let run = tokio::spawn(async move {
        let begun = control.clock.now();
        let report = loop {
            let report = control.invoke.invoke(FunctionName::UsageSync, json!({})).await?;
            // An invocation that ran out of time is followed by the next, as by the schedule; one that waits
            // for a later time is not.
            let goes_on_at = report["goes_on_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            if goes_on_at.is_none_or(|at| at > control.clock.now()) {
                break report;
            }
        };
        let skipped = report["skipped"] == "running";
        if !skipped {
            control.schedules.ran(FunctionName::UsageSync, &json!({}), begun)?;
        }
        anyhow::Ok((skipped, report))
    });
    match run.await.map_err(anyhow::Error::from).flatten() {
        Ok((true, report)) => (StatusCode::CONFLICT, Json(report)).into_response(),
        Ok((false, report)) => Json(report).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

async fn tell(State(control): State<Control>) -> Json<Value> {
    Json(json!({"now": control.clock.now()}))
}

async fn advance(State(control): State<Control>, body: Bytes) -> Response {
    let asked = serde_json::from_slice(&body).ok().and_then(|Advance { advance_s }| i64::try_from(advance_s).ok());
    let by = asked.map(SignedDuration::from_secs);
    let Some(by) = by.filter(|by| control.clock.now().checked_add(*by).is_ok()) else {
        return refused(StatusCode::BAD_REQUEST, r#"send {"advance_s":N} with the seconds to go forward"#);
    };
    match control.schedules.advance(by).await {
        Ok(now) => Json(json!({"now": now})).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

async fn settle(State(control): State<Control>) -> Response {
    match control.settle.settle(LIMIT).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(late @ NotSettled::InTime(_)) => refused(StatusCode::GATEWAY_TIMEOUT, &late.to_string()),
        Err(NotSettled::Failed(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}
