//! The fault layer: one loopback server between our functions and everything they call. Each call is
//! identified by function, instance, name and number, and gets the verdict of a rule, hold or history.
//! Nothing else in the project makes a call fail, and the stand-ins know nothing of faults.
//!
//! A function's instance finds its services under
//! `http://127.0.0.1:PORT/{pass}/{function}/{instance}/{service}`. Only this process knows the pass, since
//! the services behind the gate are open to nobody else.

mod call;
mod conduct;
mod explore;
mod history;
mod hold;
mod instance;
mod matcher;
mod record;
mod rules;
mod state;
mod verdict;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse, Response};
use bursar_core::clock::Clock;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use self::call::{Call, CallName, Part, Service, Shape};
pub use self::conduct::upstream::Upstreams;
pub use self::explore::{Exploration, Explored};
pub use self::history::{History, Step};
pub use self::hold::{HeldCalls, ReleaseError};
pub use self::instance::{Instance, Killed, RunningInvocation};
pub use self::matcher::Matcher;
pub use self::record::{Keep, Recorded};
pub use self::state::Pending;
pub use self::verdict::{DelayedUntil, FaultMoment, LateAnswer, Throttle, Verdict};

use self::conduct::upstream::UpstreamRequest;
use self::conduct::{Reply, conduct, execute_late};
use self::state::{Late, Refused, State};
use crate::base::function::FunctionName;
use crate::base::guard::guarded;
use crate::base::serve::{NoAnswer, serve};

/// The largest request that is let through: more than any service accepts.
const MOST_BYTES: usize = 64 << 20;

/// A handle to the fault layer, which stops when the last one is dropped.
#[derive(Clone)]
pub struct Gate(Arc<Handle>);

/// The id of a rule that `at` set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

struct Handle {
    inner: Arc<Inner>,
    base: String,
    /// The sender that stops the server when the last handle is dropped.
    _stop: watch::Sender<()>,
}

struct Inner {
    way: Upstreams,
    /// The secret first segment of every path.
    pass: String,
    /// The product's clock, which late calls wait for.
    clock: Clock,
    /// Whether the table is asked what it bills each call with.
    counts_units: AtomicBool,
    state: Mutex<State>,
    changed: Notify,
    stopped: watch::Receiver<()>,
}

impl Gate {
    /// Opens the fault layer in front of these services, on a free port.
    pub async fn open(to: Upstreams, keep: Keep, clock: Clock) -> Result<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a port for the fault layer")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(());
        let pass = format!("/{}", Uuid::new_v4().simple());
        let base = format!("{origin}{pass}");
        let inner = Arc::new(Inner {
            way: to,
            pass,
            clock,
            counts_units: AtomicBool::new(false),
            state: Mutex::new(State::new(keep)),
            changed: Notify::new(),
            stopped,
        });
        let router = guarded(Router::new().fallback(answer_call).with_state(inner.clone()), &origin);
        let stopped = inner.clone();
        tokio::spawn(async move { serve(listener, router, stopped.stopped()).await });
        Ok(Gate(Arc::new(Handle { inner, base, _stop: stop })))
    }

    /// Whether it stands before the provider too.
    pub fn has_provider(&self) -> bool {
        self.inner().way.provider.is_some()
    }

    /// The base URL of all instances.
    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Gives such calls this verdict from now on. A call that the verdict does not fit is not counted.
    pub fn at(&self, matcher: impl Into<Matcher>, verdict: Verdict) -> RuleId {
        RuleId(self.inner().state().rules.add(matcher.into(), verdict))
    }

    /// Ends a rule.
    pub fn lift(&self, rule: RuleId) {
        self.inner().state().rules.remove(rule.0);
    }

    /// Gives each call that a step names the step's verdict from now on; all others pass.
    pub fn play(&self, history: &History) {
        let mut state = self.inner().state();
        for step in &history.0 {
            state.rules.add_step(step.clone());
        }
    }

    /// The rules and steps that no call met, or met before they were lifted. A test whose fault never happened proves nothing.
    pub fn unfired(&self) -> Vec<String> {
        self.inner().state().rules.unfired()
    }

    /// The recorded calls with their verdicts, as many as are kept.
    pub fn calls(&self) -> Vec<Recorded> {
        self.inner().state().records.all()
    }

    /// The number of calls.
    pub fn count(&self) -> u64 {
        self.inner().state().records.total()
    }

    /// Has the table say from now on what it bills each call with.
    pub fn count_units(&self) {
        self.inner().counts_units.store(true, Ordering::Relaxed);
    }

    /// The number of invocations that each function has begun.
    pub fn invocations(&self) -> BTreeMap<FunctionName, u64> {
        self.inner().state().begun.clone()
    }

    /// The calls so far, one line each, for the output of a failed test.
    pub fn transcript(&self) -> String {
        let lines: Vec<String> = self.calls().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    /// Executes the late calls in the order in which they were made, and returns the service's status for
    /// each.
    pub async fn run_late(&self) -> Vec<(Call, Option<u16>)> {
        let late = std::mem::take(&mut self.inner().state().late);
        self.execute(late).await
    }

    /// The provider's calls that may still take effect: late, held, or under way.
    pub fn pending(&self) -> Vec<Pending> {
        self.inner().state().pending()
    }

    async fn execute(&self, late: Vec<Late>) -> Vec<(Call, Option<u16>)> {
        let mut executed = Vec::with_capacity(late.len());
        for late in late {
            executed.push(execute_late(self.inner(), late).await);
        }
        executed
    }

    /// Waits until nothing moves: no call is under way, and each invocation has ended or is at a held call.
    /// One held call is enough for an invocation with concurrent calls.
    pub async fn quiet(&self) {
        self.inner().until(|state| state.is_quiet().then_some(())).await;
    }

    fn inner(&self) -> &Inner {
        &self.0.inner
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and notifies the waiters.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `seen` finds something in the state.
    async fn until<T>(&self, mut seen: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(seen) = seen(&self.state()) {
                return seen;
            }
            changed.await;
        }
    }

    async fn stopped(&self) {
        // The receiver fails when the last handle is dropped; nothing is ever sent.
        let _ = self.stopped.clone().changed().await;
    }
}

async fn answer_call(Shared(gate): Shared<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Some((function, instance, service, rest)) = path.strip_prefix(&gate.pass).and_then(addressed) else {
        return (StatusCode::NOT_FOUND, "the fault layer wants /{pass}/{function}/{instance}/{service}\n")
            .into_response();
    };
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let name = CallName::of(service, &parts.method, rest, &parts.headers, &body);
    let call = Call {
        number: 0,
        function,
        instance,
        shape: Shape::of(&name, &body),
        name,
        nth: 0,
        nth_of_function: 0,
        nth_of_instance: 0,
    };
    let asked = UpstreamRequest { service, method: parts.method, rest: rest.to_owned(), headers: parts.headers, body };
    let (call, decision) = match gate.change(|state| state.arrive(call, &asked)) {
        Ok(arrived) => arrived,
        Err(Refused::Ended) => return NoAnswer.into_response(),
        Err(Refused::Unknown) => return (StatusCode::NOT_FOUND, "there is no such instance\n").into_response(),
    };
    let forsaken = AbandonedCall { gate: &gate, number: call.number };
    // A task of its own, since the call continues when the function disconnects.
    let reply = tokio::spawn({
        let gate = gate.clone();
        async move {
            tokio::select! {
                reply = conduct(&gate, &call, decision, asked) => reply,
                () = gate.stopped() => Reply::Nothing,
            }
        }
    });
    let reply = reply.await.unwrap_or(Reply::Nothing);
    match reply {
        Reply::Answer(response) => response.map(Body::from),
        Reply::Cut(response) => cut(response),
        Reply::Nothing => NoAnswer.into_response(),
        Reply::Never => {
            gate.stopped().await;
            drop(forsaken);
            NoAnswer.into_response()
        }
    }
}

/// A guard that marks the call as no longer awaited, when hyper drops the handler of a closed connection.
struct AbandonedCall<'a> {
    gate: &'a Inner,
    number: u64,
}

impl Drop for AbandonedCall<'_> {
    fn drop(&mut self) {
        self.gate.change(|state| state.forsake(self.number));
    }
}

/// The function, instance, service and rest of a path after the pass.
fn addressed(path: &str) -> Option<(FunctionName, u32, Service, &str)> {
    let (function, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (instance, rest) = rest.split_once('/')?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (service, rest) = rest.split_at(end);
    Some((function.parse().ok()?, instance.parse().ok()?, service.parse().ok()?, rest))
}

/// The head of an answer and the first half of its body, after which the connection is closed.
fn cut(response: http::Response<Bytes>) -> Response {
    let (mut parts, body) = response.into_parts();
    let half = body.slice(..body.len() / 2);
    parts.headers.insert(CONTENT_LENGTH, body.len().max(1).into());
    let rest = async {
        // The first half must be sent before the connection breaks.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut by the fault layer"))
    };
    let first = futures_util::stream::once(std::future::ready(Ok(half)));
    let body = futures_util::StreamExt::chain(first, futures_util::stream::once(rest));
    Response::from_parts(parts, Body::from_stream(body))
}
