//! The fault layer in front of small servers that record their requests, and of the engine with the real
//! AWS client.

mod holding;
mod provider;
mod table;

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::SharedHttpClient;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use tokio::net::TcpListener;

use super::*;

/// A service that records requests and gives a set answer.
#[derive(Clone)]
pub(super) struct Stub {
    pub(super) origin: String,
    seen: Arc<Mutex<Vec<(Parts, Bytes)>>>,
}

impl Stub {
    pub(super) async fn answering(answer: impl Fn(&Parts) -> http::Response<String> + Send + Sync + 'static) -> Stub {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (remembers, answer) = (seen.clone(), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (seen, answer) = (remembers.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, MOST_BYTES).await.unwrap();
                let response: Response = answer(&parts).map(Body::from);
                seen.lock().unwrap().push((parts, body));
                response
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router, std::future::pending()));
        Stub { origin, seen }
    }

    /// A stub that answers 200 with a JSON body.
    pub(super) async fn content() -> Stub {
        Stub::answering(|_| {
            http::Response::builder()
                .header("content-type", "application/json")
                .body(r#"{"data":"a body that is long enough to be cut"}"#.to_owned())
                .unwrap()
        })
        .await
    }

    /// The requests in the order of arrival, such as `POST /keys`.
    pub(super) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(parts, _)| format!("{} {}", parts.method, parts.uri)).collect()
    }

    pub(super) fn requests(&self) -> Vec<(Parts, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

/// A gate in front of one server that plays every service.
pub(super) async fn gate_before(origin: &str) -> Gate {
    let to = Upstreams {
        dynamodb: origin.to_owned(),
        ses: origin.to_owned(),
        secretsmanager: origin.to_owned(),
        provider: format!("{origin}/api/v1/"),
    };
    Gate::open(to, Keep::All, Clock::system()).await.unwrap()
}

/// An HTTP client without TLS, as Lambda functions use for the stand-ins.
pub(super) fn plain_http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

/// An engine of its own, in a thread of its own.
pub(super) async fn engine() -> String {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            dynoxide::server::serve_on(listener, dynoxide::Database::memory().unwrap()).await;
        });
    });
    format!("http://{}", told.await.unwrap())
}

/// A verdict from its text form.
pub(super) fn verdict(text: &str) -> Verdict {
    text.parse().unwrap()
}
