//! A simulated account behind a door that counts the check's calls, changes answers, and closes after a call.

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bursar_core::clock::Clock;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_local::provider::{KeySnapshot, MadeKey, Nano, Provider};
use bursar_local::serve::serve;
use bursar_local::state_file::StateFile;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use provider_check::{Findings, MODEL, Options, Waiting};
use serde_json::Value;
use tokio::sync::Notify;

pub(crate) const MANAGEMENT: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";

/// The beginning of the names of what the check makes, which no key of a deployment or of a person has.
pub(crate) const OURS: &str = "bursar-provider-check/";

/// A call of the check, with those before it.
pub(crate) struct Asked {
    pub(crate) call: Call,
    pub(crate) earlier: Vec<Call>,
}

#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path below `/api/v1`.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// An answer to it.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// What answers in place of the simulator.
pub(crate) type Before = fn(&Asked) -> Option<Told>;
/// What changes an answer of the simulator.
pub(crate) type After = fn(&Asked, &mut Told);

pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) base: String,
    /// Keys of somebody else.
    pub(crate) foreign: Vec<MadeKey>,
    door: Arc<Door>,
    milliseconds: Arc<AtomicI64>,
}

#[derive(Default)]
struct Door {
    calls: Mutex<Vec<Call>>,
    before: Mutex<Option<Before>>,
    after: Mutex<Option<After>>,
    /// The number of calls after which no answer leaves any more; zero is no such number.
    closes_after: AtomicUsize,
    closed: Notify,
}

impl World {
    /// An account with two keys and a guardrail of somebody else.
    pub(crate) async fn open() -> World {
        let noon: Timestamp = "2026-11-18T12:00:00Z".parse().unwrap();
        let milliseconds = Arc::new(AtomicI64::new(noon.as_millisecond()));
        let clock = clock(&milliseconds);
        let provider = Provider::new(StateFile::in_memory().unwrap(), clock, MANAGEMENT).unwrap();
        let before = |hours| noon - SignedDuration::from_hours(hours);
        let foreign: Vec<MadeKey> = [("by hand", 2), ("bursar/de00000000/p/g/1-0123456789abcdef", 1)]
            .into_iter()
            .map(|(name, hours)| provider.add_foreign_key(name, Some(Nano::usd(20)), before(hours)).unwrap())
            .collect();
        provider.spend(&foreign[0].hash, Nano::micros(1_234_567), before(1), MODEL).unwrap();
        let door = Arc::new(Door::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let routes = provider.router().layer(from_fn_with_state(Arc::clone(&door), pass));
        tokio::spawn(serve(listener, routes, pending()));
        let world = World { provider, base, foreign, door, milliseconds };
        let guardrail = serde_json::json!({ "name": "bursar/de00000000/p", "allowed_models": [MODEL] });
        world.send(Method::POST, "guardrails", Some(guardrail)).await;
        world
    }

    pub(crate) fn answers(&self, before: Option<Before>, after: Option<After>) {
        *self.door.before.lock().unwrap() = before;
        *self.door.after.lock().unwrap() = after;
    }

    pub(crate) fn options(&self) -> Options {
        self.options_with(MANAGEMENT)
    }

    pub(crate) fn options_with(&self, key: &str) -> Options {
        let milliseconds = Arc::clone(&self.milliseconds);
        let passes = move |wait: Duration| {
            milliseconds.fetch_add(i64::try_from(wait.as_millis()).unwrap(), Ordering::SeqCst);
            // Nothing sleeps, and what is under way goes on.
            let yielded: futures_util::future::BoxFuture<'static, ()> = Box::pin(tokio::task::yield_now());
            yielded
        };
        Options {
            provider: self.base.clone(),
            management_key: Arc::new(PlaintextKey::new(key.to_owned()).unwrap()),
            model: MODEL.to_owned(),
            paces: vec![2, 4],
            clock: clock(&self.milliseconds),
            waiting: Waiting::by(passes),
            progress: |_| {},
        }
    }

    pub(crate) async fn check(&self) -> Findings {
        provider_check::check(&self.options(), pending()).await.unwrap()
    }

    /// Checks until this many calls were carried out, the last of which gets no answer; false if the check
    /// makes fewer.
    pub(crate) async fn killed_after(&self, calls: usize, work: impl Future<Output = ()>) -> bool {
        let is_killed = tokio::select! {
            () = work => false,
            () = self.closed_after(calls) => true,
        };
        self.door.closes_after.store(0, Ordering::SeqCst);
        is_killed
    }

    /// Waits until this many calls more were carried out, the last of which gets no answer.
    pub(crate) async fn closed_after(&self, calls: usize) {
        self.door.closes_after.store(self.calls().len() + calls, Ordering::SeqCst);
        self.door.closed.notified().await;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.door.calls.lock().unwrap().clone()
    }

    /// The keys of the check that exist.
    pub(crate) fn keys_of_the_check(&self) -> Vec<KeySnapshot> {
        self.provider.keys().into_iter().filter(|key| key.name.starts_with(OURS) && !key.deleted).collect()
    }

    /// What there is that the check did not make: keys as they are, and guardrails.
    pub(crate) async fn of_others(&self) -> (Vec<KeySnapshot>, Vec<Value>) {
        let keys = self.provider.keys().into_iter().filter(|key| !key.name.starts_with(OURS)).collect();
        (keys, self.guardrails(|name| !name.starts_with(OURS)).await)
    }

    /// Nothing of the check is left.
    pub(crate) async fn is_clean(&self) -> bool {
        self.keys_of_the_check().is_empty() && self.guardrails(|name| name.starts_with(OURS)).await.is_empty()
    }

    async fn guardrails(&self, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let listed = self.send(Method::GET, "guardrails?limit=100", None).await;
        let rows = listed["data"].as_array().unwrap().clone();
        rows.into_iter().filter(|row| wanted(row["name"].as_str().unwrap())).collect()
    }

    /// Sends a request past the changes of answers.
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = reqwest::Client::new().request(method, format!("{}/{path}", self.base)).bearer_auth(MANAGEMENT);
        request.header("x-past-the-door", "yes").body(body).send().await.unwrap().json().await.unwrap()
    }
}

impl Asked {
    pub(crate) fn is(&self, method: &Method, path: &str) -> bool {
        self.call.is(method, path)
    }

    /// The last call before this one that fits.
    pub(crate) fn last(&self, fits: impl Fn(&Call) -> bool) -> Option<&Call> {
        self.earlier.iter().rev().find(|call| fits(call))
    }
}

impl Call {
    /// Whether it is this call; `*` stands for one part of a path.
    pub(crate) fn is(&self, method: &Method, path: &str) -> bool {
        let (parts, wanted): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), path.split('/').collect());
        self.method == *method
            && parts.len() == wanted.len()
            && parts.iter().zip(wanted).all(|(part, wanted)| wanted == "*" || *part == wanted)
    }
}

impl Told {
    pub(crate) fn refused(status: u16, message: &str) -> Told {
        Told { status, body: serde_json::json!({ "error": { "code": status, "message": message } }) }
    }

    pub(crate) fn says(&self, words: &str) -> bool {
        self.body["error"]["message"].as_str().is_some_and(|message| message.contains(words))
    }
}

fn clock(milliseconds: &Arc<AtomicI64>) -> Clock {
    let milliseconds = Arc::clone(milliseconds);
    Clock::reading(move || Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap())
}

async fn pass(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key("x-past-the-door") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let call = Call {
        method: parts.method.clone(),
        path: parts.uri.path().trim_start_matches("/api/v1/").to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let asked = {
        let mut calls = door.calls.lock().unwrap();
        let earlier = calls.clone();
        calls.push(call.clone());
        Asked { call, earlier }
    };
    let before = *door.before.lock().unwrap();
    let response = match before.and_then(|before| before(&asked)) {
        Some(told) => answer(&told),
        None => next.run(Request::from_parts(parts, Body::from(bytes))).await,
    };
    if asked.earlier.len() + 1 == door.closes_after.load(Ordering::SeqCst) {
        door.closed.notify_one();
        pending::<()>().await;
    }
    let after = *door.after.lock().unwrap();
    match after {
        None => response,
        Some(after) => changed(response, &asked, after).await,
    }
}

/// The answer with its change. One that is a text becomes a page of a proxy.
async fn changed(response: Response, asked: &Asked, after: After) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes: Bytes = to_bytes(body, usize::MAX).await.unwrap();
    let was = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut told = Told { status: parts.status.as_u16(), body: was };
    after(asked, &mut told);
    parts.status = StatusCode::from_u16(told.status).unwrap();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(written(&told.body)))
}

fn answer(told: &Told) -> Response {
    (StatusCode::from_u16(told.status).unwrap(), written(&told.body)).into_response()
}

fn written(body: &Value) -> String {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}
