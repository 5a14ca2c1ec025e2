//! The Lambda Runtime API for one process: it hands out the next event and takes the answer. Starting and
//! ending the process is left to `binaries`.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::InvokeError;
use super::invocation::Invocation;
use crate::base::guard::guarded;
use crate::base::serve::serve;

/// The Runtime API of one process, which stops on drop.
pub(super) struct RuntimeApi {
    /// The value for `AWS_LAMBDA_RUNTIME_API`.
    pub(super) address: String,
    pub(super) work: mpsc::Sender<Work>,
    _stop: oneshot::Sender<()>,
}

impl RuntimeApi {
    pub(super) async fn open() -> Result<RuntimeApi> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a Runtime API")?;
        let address = listener.local_addr()?.to_string();
        let (give, work) = mpsc::channel(1);
        let desk = WorkQueue { work: Arc::new(tokio::sync::Mutex::new(work)), answer: Arc::default() };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .layer(DefaultBodyLimit::disable())
            .with_state(desk);
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = guarded(routes, &format!("http://{address}"));
        tokio::spawn(async move {
            // The process may wait forever for its next event, so its connection is cut instead of awaited.
            tokio::select! {
                () = serve(listener, routes, std::future::pending()) => {}
                _ = stopped => {}
            }
        });
        Ok(RuntimeApi { address, work: give, _stop: stop })
    }
}

/// An event for the process, with the channel for its answer.
pub(super) struct Work {
    pub(super) invocation: Invocation,
    pub(super) event: Value,
    pub(super) answer: Answer,
}

type Answer = oneshot::Sender<Result<Value, InvokeError>>;

/// The work that waits, and the channel for the answer that is due.
#[derive(Clone)]
struct WorkQueue {
    work: Arc<tokio::sync::Mutex<mpsc::Receiver<Work>>>,
    answer: Arc<Mutex<Option<Answer>>>,
}

async fn next(State(desk): State<WorkQueue>) -> Response {
    let Some(Work { invocation, event, answer }) = desk.work.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    desk.answer.lock().unwrap_or_else(PoisonError::into_inner).replace(answer);
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", invocation.request_id)
        .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
        .header("lambda-runtime-invoked-function-arn", invocation.arn)
        .header("lambda-runtime-trace-id", invocation.trace_id)
        .body(Body::from(event.to_string()));
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn response(State(desk): State<WorkQueue>, body: Bytes) -> StatusCode {
    desk.answered(serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned()))
}

async fn error(State(desk): State<WorkQueue>, body: Bytes) -> StatusCode {
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    desk.answered(Err(said["errorMessage"].as_str().unwrap_or("an error without a message").to_owned()))
}

impl WorkQueue {
    fn answered(&self, answer: Result<Value, String>) -> StatusCode {
        match self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The receiver may have given up waiting; the process has answered all the same.
            Some(owed) => drop(owed.send(answer.map_err(InvokeError::Failed))),
            None => return StatusCode::BAD_REQUEST,
        }
        StatusCode::ACCEPTED
    }
}
