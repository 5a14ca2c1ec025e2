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

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;

    use tower::ServiceExt;

    use super::*;
    use crate::aws::engine::tests::in_memory;
    use crate::aws::recorder::Recorder;
    use crate::command::settle::tests::{Bundle, bundle};

    async fn controlled(recorder: &Arc<Recorder>) -> (Bundle, Router) {
        let bundle = bundle(in_memory(), recorder).await;
        let router = router(Control {
            invoke: Arc::clone(recorder) as Arc<dyn Invoke>,
            clock: bundle.clock.clone(),
            schedules: bundle.schedules.clone(),
            settle: bundle.settle.clone(),
        });
        (bundle, router)
    }

    async fn ask(router: &Router, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn sync_answers_the_report_also_when_it_is_not_complete_and_409_while_one_runs() {
        for (report, status) in [
            (json!({"keys_listed": 3, "complete": true}), 200),
            (json!({"keys_listed": 0, "complete": false}), 200),
            (json!({"skipped": "running"}), 409),
        ] {
            let answer = report.clone();
            let recorder = Arc::new(Recorder::answering(move |_, _| Ok(answer.clone())));
            let (bundle, router) = controlled(&recorder).await;
            assert_eq!(ask(&router, "POST", "/sync", "").await, (status, report));
            assert_eq!(recorder.calls(), [(FunctionName::UsageSync, json!({}))]);
            bundle.stop().await;
        }
    }

    #[tokio::test]
    async fn the_clock_is_told_and_moved_forward_with_its_schedules() {
        let recorder = Arc::new(Recorder::new());
        let (bundle, router) = controlled(&recorder).await;
        let now = |body: &Value| body["now"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (status, before) = ask(&router, "GET", "/clock", "").await;
        assert_eq!(status, 200);
        let (status, after) = ask(&router, "POST", "/clock", r#"{"advance_s":7200}"#).await;
        assert_eq!(status, 200);
        let moved = now(&after).duration_since(now(&before));
        assert!(moved >= SignedDuration::from_hours(2) && moved < SignedDuration::from_mins(121), "{moved}");
        let runs = |function, input: Value| recorder.calls_of(function).iter().filter(|event| **event == input).count();
        assert_eq!(runs(FunctionName::Console, json!({"task": "work"})), 1);
        assert_eq!(runs(FunctionName::ThresholdAlerts, json!({"task": "watch"})), 1);
        bundle.stop().await;
    }

    #[tokio::test]
    async fn a_clock_request_that_is_not_understood_moves_nothing() {
        let recorder = Arc::new(Recorder::new());
        let (bundle, router) = controlled(&recorder).await;
        for body in [
            "",
            "{}",
            r#"{"advance_s":-1}"#,
            r#"{"advance_s":1.5}"#,
            r#"{"advance_s":18446744073709551615}"#,
            r#"{"advance_s":9223372036854775807}"#,
            r#"{"advance_s":1,"back_s":1}"#,
        ] {
            let (status, answer) = ask(&router, "POST", "/clock", body).await;
            assert_eq!(status, 400, "{body}");
            assert!(answer["error"].as_str().unwrap().contains("advance_s"));
        }
        assert!(recorder.calls().is_empty());
        bundle.stop().await;
    }
}
