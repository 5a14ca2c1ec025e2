//! The Lambda Runtime API for one process: it hands out an event when the process asks for the next one, and takes the answer.
//! Starting and ending the process is left to `process`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::invocation::{Invocation, MOST_BYTES};
use crate::guard::guarded;
use crate::serve::serve;

/// One process's Runtime API, which ends when this is dropped.
pub(super) struct RuntimeApi {
    address: SocketAddr,
    asks: mpsc::UnboundedReceiver<oneshot::Sender<Response>>,
    current: Arc<Current>,
    _stop: oneshot::Sender<()>,
}

/// What a process said to an invocation.
pub(super) enum Said {
    Answer(Bytes),
    Error(String),
    TooLarge,
}

/// The invocation that the process works on.
#[derive(Default)]
struct Current(Mutex<Option<(String, oneshot::Sender<Said>)>>);

#[derive(Clone)]
struct Desk {
    asks: mpsc::UnboundedSender<oneshot::Sender<Response>>,
    current: Arc<Current>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostic {
    error_message: String,
}

impl RuntimeApi {
    pub(super) async fn open() -> Result<RuntimeApi> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a Runtime API")?;
        let address = listener.local_addr()?;
        let (ask, asks) = mpsc::unbounded_channel();
        let current = Arc::new(Current::default());
        let desk = Desk { asks: ask, current: current.clone() };
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = guarded(routes(desk), &format!("http://{address}"));
        tokio::spawn(async move {
            let server = serve(listener, routes, std::future::pending());
            // The process may wait for its next event for ever: its connection is cut, not waited for.
            tokio::select! {
                () = server => {}
                _ = stopped => {}
            }
        });
        Ok(RuntimeApi { address, asks, current, _stop: stop })
    }

    /// As the process wants it in `AWS_LAMBDA_RUNTIME_API`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the process asks for an event, then gives it what `begin` makes. The receiver tells what comes of it.
    pub(super) async fn hand_out(
        &mut self,
        begin: impl FnOnce() -> (Invocation, Bytes),
    ) -> Option<(Invocation, oneshot::Receiver<Said>)> {
        // An ask whose process hung up again is no ask.
        let ask = loop {
            let ask = self.asks.recv().await?;
            if !ask.is_closed() {
                break ask;
            }
        };
        let (invocation, event) = begin();
        let (say, said) = oneshot::channel();
        *self.current.lock() = Some((invocation.request_id.clone(), say));
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &invocation.request_id)
            .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
            .header("lambda-runtime-invoked-function-arn", &invocation.arn)
            .header("lambda-runtime-trace-id", &invocation.trace_id)
            .body(Body::from(event))
            .ok()?;
        ask.send(response).ok()?;
        Some((invocation, said))
    }
}

impl Current {
    fn lock(&self) -> MutexGuard<'_, Option<(String, oneshot::Sender<Said>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the invocation of this id. False if it is not the one under way.
    fn said(&self, id: Option<&str>, said: Said) -> bool {
        let current = self.lock().take_if(|(current, _)| id.is_none_or(|id| id == current));
        // Whoever waited may have given up; the process has answered all the same.
        current.map(|(_, say)| say.send(said)).is_some()
    }
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(desk)
}

async fn next(Shared(desk): Shared<Desk>) -> Response {
    let (give, given) = oneshot::channel();
    if desk.asks.send(give).is_err() {
        return StatusCode::GONE.into_response();
    }
    given.await.unwrap_or_else(|_| StatusCode::GONE.into_response())
}

async fn response(Shared(desk): Shared<Desk>, Path(id): Path<String>, body: Body) -> Response {
    match axum::body::to_bytes(body, MOST_BYTES).await {
        Ok(answer) => taken(desk.current.said(Some(&id), Said::Answer(answer))),
        Err(_) => {
            desk.current.said(Some(&id), Said::TooLarge);
            problem(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge")
        }
    }
}

async fn error(Shared(desk): Shared<Desk>, Path(id): Path<String>, body: Bytes) -> Response {
    taken(desk.current.said(Some(&id), Said::Error(message(&body))))
}

async fn init_error(Shared(desk): Shared<Desk>, body: Bytes) -> Response {
    desk.current.said(None, Said::Error(message(&body)));
    taken(true)
}

fn message(body: &[u8]) -> String {
    serde_json::from_slice::<Diagnostic>(body)
        .map_or_else(|_| "an error without a message".to_owned(), |error| error.error_message)
}

fn taken(known: bool) -> Response {
    if known {
        (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
    } else {
        problem(StatusCode::BAD_REQUEST, "InvalidRequestID")
    }
}

fn problem(status: StatusCode, kind: &str) -> Response {
    (status, axum::Json(json!({ "errorType": kind, "errorMessage": kind }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::FunctionName;
    use super::super::invocation::test_settings;
    use super::*;

    fn begin() -> (Invocation, Bytes) {
        (Invocation::new(FunctionName::Claim, &test_settings()), Bytes::from_static(b"{\"a\":1}"))
    }

    async fn api() -> (RuntimeApi, String, reqwest::Client) {
        let api = RuntimeApi::open().await.unwrap();
        let base = format!("http://{}/2018-06-01/runtime", api.address());
        (api, base, reqwest::Client::builder().no_proxy().build().unwrap())
    }

    #[tokio::test]
    async fn an_event_goes_to_whoever_asks_and_its_answer_comes_back_once() {
        let (mut api, base, client) = api().await;
        let asks = tokio::spawn(client.get(format!("{base}/invocation/next")).send());
        let (invocation, said) = api.hand_out(begin).await.unwrap();
        let asked = asks.await.unwrap().unwrap();
        let header = |name: &str| asked.headers()[name].to_str().unwrap().to_owned();
        let id = header("lambda-runtime-aws-request-id");
        assert_eq!(id, invocation.request_id);
        assert_eq!(header("lambda-runtime-deadline-ms"), invocation.deadline_ms.to_string());
        assert!(header("lambda-runtime-invoked-function-arn").ends_with(":function:bursar-claim"));
        assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
        assert_eq!(asked.text().await.unwrap(), "{\"a\":1}");

        let post =
            |id: &str, body: &'static str| client.post(format!("{base}/invocation/{id}/response")).body(body).send();
        assert_eq!(post("another", "1").await.unwrap().status(), 400);
        assert_eq!(post(&id, "{\"b\":2}").await.unwrap().status(), 202);
        let Said::Answer(answer) = said.await.unwrap() else {
            panic!("no answer");
        };
        assert_eq!(answer, "{\"b\":2}");
        assert_eq!(post(&id, "{}").await.unwrap().status(), 400);
    }

    #[tokio::test]
    async fn errors_and_answers_that_are_too_large_are_told_apart() {
        let (mut api, base, client) = api().await;
        for (end, body, status) in [
            ("error", "{\"errorType\":\"t\",\"errorMessage\":\"m\"}".to_owned(), 202),
            ("response", "x".repeat(MOST_BYTES + 1), 413),
        ] {
            let asks = tokio::spawn(client.get(format!("{base}/invocation/next")).send());
            let (invocation, said) = api.hand_out(begin).await.unwrap();
            asks.await.unwrap().unwrap();
            let url = format!("{base}/invocation/{}/{end}", invocation.request_id);
            assert_eq!(client.post(url).body(body).send().await.unwrap().status(), status);
            match said.await.unwrap() {
                Said::Error(message) => assert_eq!((end, message.as_str()), ("error", "m")),
                Said::TooLarge => assert_eq!(end, "response"),
                Said::Answer(_) => panic!("an answer to {end}"),
            }
        }
    }

    #[tokio::test]
    async fn an_ask_that_hung_up_gets_no_event() {
        let (mut api, base, client) = api().await;
        let gone = tokio::spawn(client.get(format!("{base}/invocation/next")).send());
        while api.asks.is_empty() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        let _ = gone.await;
        let next = tokio::spawn(client.get(format!("{base}/invocation/next")).send());
        while api.asks.len() < 2 {
            tokio::task::yield_now().await;
        }
        let (_, _said) = api.hand_out(begin).await.unwrap();
        assert_eq!(next.await.unwrap().unwrap().text().await.unwrap(), "{\"a\":1}");
    }
}
