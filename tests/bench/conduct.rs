//! The stand-in provider's conduct: slow, slower with the offset of a page, failing now and then, or with a rate
//! limit. Its answers are otherwise the simulator's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bursar_local::provider::{Provider, Rate};
use serde::{Deserialize, Serialize};

/// The conduct; by default without latency, failures or limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conduct {
    /// The latency of each answer in milliseconds.
    pub(crate) latency_ms: u64,
    /// Additional milliseconds for each thousand keys of a page's offset.
    pub(crate) per_thousand_ms: u64,
    pub(crate) failing: Option<Failing>,
    /// The rate limit, with a burst of one second's calls; more are refused.
    pub(crate) calls_a_second: Option<u32>,
}

/// Regular failures: of every so many requests for a page of keys, the last fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) one_in: usize,
    pub(crate) status: u16,
}

/// The number of calls that arrived, and of those that were refused.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) asked: usize,
    /// Calls above the rate limit, which are among `asked`.
    pub(crate) refused: usize,
}

/// The proxy in front of the provider that enforces the conduct. Clones share their state.
#[derive(Clone)]
pub(crate) struct Door {
    provider: Provider,
    /// The factor by which the world's clock is faster than the machine's.
    by: u16,
    state: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    conduct: Conduct,
    calls: Calls,
    pages: usize,
}

impl Door {
    pub(crate) fn before(provider: &Provider, by: u16) -> Door {
        Door { provider: provider.clone(), by, state: Arc::default() }
    }

    pub(crate) fn behave(&self, conduct: Conduct) {
        self.provider.set_quirks(|quirks| {
            let rate = |per_second| Rate { per_second, burst: per_second, retry_after: true };
            quirks.rate = conduct.calls_a_second.map(rate);
        });
        let mut book = self.book();
        (book.conduct, book.pages) = (conduct, 0);
    }

    /// The counts since the last call.
    pub(crate) fn take_calls(&self) -> Calls {
        std::mem::take(&mut self.book().calls)
    }

    /// The delay of a request, and the status that it fails with if it fails.
    fn meet(&self, request: &Request) -> (Duration, Option<StatusCode>) {
        let offset = offset_of(request);
        let mut book = self.book();
        let Conduct { latency_ms, per_thousand_ms, failing, .. } = book.conduct;
        book.calls.asked += 1;
        book.pages += usize::from(offset.is_some());
        let fails = failing.filter(|failing| offset.is_some() && book.pages.is_multiple_of(failing.one_in));
        let takes = Duration::from_millis(latency_ms + per_thousand_ms * offset.unwrap_or_default() / 1_000);
        (takes / u32::from(self.by), fails.and_then(|failing| StatusCode::from_u16(failing.status).ok()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The offset of a request for a page of keys; `None` for other requests.
fn offset_of(request: &Request) -> Option<u64> {
    if request.method() != Method::GET || !request.uri().path().ends_with("/keys") {
        return None;
    }
    let mut fields = request.uri().query().unwrap_or_default().split('&');
    Some(fields.find_map(|field| field.strip_prefix("offset=")?.parse().ok()).unwrap_or_default())
}

pub(crate) async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (takes, fails) = door.meet(&request);
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    if let Some(status) = fails {
        return (status, r#"{"error":{"code":500,"message":"a page that fails"}}"#).into_response();
    }
    let answer = next.run(request).await;
    door.book().calls.refused += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    answer
}
