//! The fault layer in front of a small server that records its requests.

mod holding;
mod provider;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;

use super::*;

/// A service that records requests and answers 200 with a JSON body.
#[derive(Clone)]
pub(super) struct Stub {
    router: Router,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub(super) fn new() -> Stub {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembers = seen.clone();
        let router = Router::new().fallback(move |request: Request| {
            let seen = remembers.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, MOST_BYTES).await.unwrap();
                let body = String::from_utf8(body.into()).unwrap();
                seen.lock().unwrap().push(format!("{} {} {body}", parts.method, parts.uri).trim_end().to_owned());
                axum::Json(serde_json::json!({"data": "a body that is long enough to be cut"}))
            }
        });
        Stub { router, seen }
    }

    /// The requests in the order of arrival, such as `POST /keys {}`.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A gate in front of a stub that plays every service.
pub(super) async fn gate_before(stub: &Stub) -> Gate {
    let router = stub.router.clone();
    let to = Upstreams {
        dynamodb: router.clone(),
        ses: router.clone(),
        secretsmanager: router.clone(),
        provider: Some(router),
    };
    Gate::open(to, Keep::All, Clock::system()).await.unwrap()
}

/// A verdict from its text form.
pub(super) fn verdict(text: &str) -> Verdict {
    text.parse().unwrap()
}
