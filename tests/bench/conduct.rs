//! How the stand-in provider is told to behave: slow, slower the further back a page lies, failing now and then, or letting in only so
//! many calls a second. What it answers otherwise is the simulator's business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bursar_local::provider::{Provider, Rate};
use serde::{Deserialize, Serialize};

/// How it behaves; by default as well as it can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conduct {
    /// So many milliseconds pass before each answer.
    pub(crate) latency_ms: u64,
    /// So many more for each thousand keys that a page of keys leaves out at the beginning.
    pub(crate) per_thousand_ms: u64,
    pub(crate) failing: Option<Failing>,
    /// More are refused, after as many at once as come in a second.
    pub(crate) calls_a_second: Option<u32>,
}

/// Each time that so many pages of keys were asked for, the last of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) one_in: usize,
    pub(crate) status: u16,
}

/// The calls that came.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) asked: usize,
    /// Those of them that came faster than they may.
    pub(crate) refused: usize,
}

/// What stands before the provider and sees to its conduct. Clones share it.
#[derive(Clone)]
pub(crate) struct Door {
    provider: Provider,
    /// The world goes so many times as fast as the machine.
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

    /// The calls that came since this was asked last.
    pub(crate) fn take_calls(&self) -> Calls {
        std::mem::take(&mut self.book().calls)
    }

    /// How long a request takes, and as what it fails.
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

/// Which key a page of keys begins with; none of any other request.
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
