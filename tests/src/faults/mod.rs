//! The fault layer: it stands before the stand-ins and makes calls of the functions fail. Each call
//! is known by function, instance, name and number. Five powers: it fails before its effect, its
//! answer is lost after it, its invocation is killed before or after it, it is held until the test
//! releases it, or it is executed late.
//!
//! `stack.gate.at(Matcher::call("provider:POST /keys").of(FunctionName::Claim), Fault::LoseAnswer)`

mod answer;
mod call;
mod matcher;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::serve::no_answer;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt;

pub use self::call::{Call, CallName, Part, Service};
pub use self::matcher::Matcher;

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection closes before the effect.
    Before,
    /// The call takes effect, and the connection closes without an answer.
    LoseAnswer,
    /// The invocation is killed before the effect of its call, or after it.
    KillBefore,
    KillAfter,
    /// An error of the service, before the effect or in the place of the answer.
    Status(u16),
    StatusAfter(u16),
    /// An error before the effect that says when to come back, in seconds.
    RetryAfter(u16, u32),
    /// Refused because of the rate.
    Throttle,
    /// The table refuses, since another transaction has the item.
    Conflict,
    /// The provider's answer is lost, and the call is executed by `run_late`.
    Late,
    /// The provider refuses, and the call is executed by `run_late` all the same.
    RefusedLate(u16),
    /// The call is executed and answered, and once more by `run_late`.
    Twice,
    /// The call takes effect, and the answer is about another key.
    AnotherKeys,
}

/// A call that can still change something at the provider: it is late, held or under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub call: Call,
    /// The path relative to the service's base URL.
    pub path: String,
    /// The JSON body, or null.
    pub body: serde_json::Value,
}

/// A handle to the fault layer. Clones share it.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

/// The id of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    of_function: HashMap<(FunctionName, CallName), u64>,
    last_id: u64,
    rules: Vec<Rule>,
    /// The rules that were lifted before any call met them.
    unmet: Vec<String>,
    parked: BTreeMap<u64, Parked>,
    pending: BTreeMap<u64, Pending>,
    late: Vec<(Call, Asked)>,
    running: HashMap<(FunctionName, u32), oneshot::Sender<()>>,
    killed: BTreeSet<(FunctionName, u32)>,
}

struct Rule {
    id: u64,
    matcher: Matcher,
    then: Then,
    seen: u64,
    fired: bool,
}

/// What a rule does with its calls. A call that comes to a fault is not held.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Come(Fault),
    Hold,
    HoldAnswer,
}

struct Parked {
    rule: u64,
    call: Call,
    release: oneshot::Sender<Option<Fault>>,
    is_told: bool,
}

/// A function's request, as it came.
#[derive(Clone)]
struct Asked {
    service: Router,
    request: http::Request<Bytes>,
}

/// The calls of a matcher, held until they are released or this is dropped; a held call whose
/// client has gone is gone.
pub struct HeldCalls {
    gate: Gate,
    rule: u64,
}

impl Fault {
    /// Whether a call can come to this. A rule does not count calls that cannot.
    pub fn fits(self, name: &CallName) -> bool {
        match self {
            Fault::Throttle => name.service != Service::Provider,
            Fault::Conflict => {
                name.service == Service::DynamoDb
                    && (name.has_effect() || name.operation.starts_with("Transact"))
            }
            Fault::Late | Fault::RefusedLate(_) | Fault::Twice | Fault::AnotherKeys => {
                name.service == Service::Provider && name.has_effect()
            }
            _ => true,
        }
    }

    /// Whether the call takes effect at once.
    pub fn is_after(self) -> bool {
        match self {
            Fault::LoseAnswer
            | Fault::KillAfter
            | Fault::StatusAfter(_)
            | Fault::Twice
            | Fault::AnotherKeys => true,
            Fault::Before | Fault::KillBefore | Fault::Status(_) | Fault::RetryAfter(..) => false,
            Fault::Throttle | Fault::Conflict | Fault::Late | Fault::RefusedLate(_) => false,
        }
    }
}

impl Gate {
    /// Lets the calls of this matcher come to a fault from now on.
    pub fn at(&self, matcher: impl Into<Matcher>, fault: impl Borrow<Fault>) -> RuleId {
        RuleId(
            self.state()
                .rule(matcher.into(), Then::Come(*fault.borrow())),
        )
    }

    /// Ends a rule.
    pub fn lift(&self, rule: RuleId) {
        let state = &mut *self.state();
        let lifted = state.rules.extract_if(.., |known| known.id == rule.0);
        state
            .unmet
            .extend(lifted.filter(|rule| !rule.fired).map(|rule| rule.told()));
    }

    /// Holds the calls of this matcher from now on.
    pub fn hold(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        HeldCalls {
            gate: self.clone(),
            rule: self.state().rule(matcher.into(), Then::Hold),
        }
    }

    /// Executes the calls of this matcher from now on, and holds their answers.
    pub fn hold_answers(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        HeldCalls {
            gate: self.clone(),
            rule: self.state().rule(matcher.into(), Then::HoldAnswer),
        }
    }

    /// The faults that no call met, or met before they were lifted. A test whose fault never
    /// happened proves nothing.
    pub fn unfired(&self) -> Vec<String> {
        let state = self.state();
        let unfired = state
            .rules
            .iter()
            .filter(|rule| !rule.fired && matches!(rule.then, Then::Come(_)));
        state
            .unmet
            .iter()
            .cloned()
            .chain(unfired.map(Rule::told))
            .collect()
    }

    /// All calls of functions so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Executes the late calls in their order.
    pub async fn run_late(&self) -> Vec<Call> {
        let late = self.late();
        for call in &late {
            self.run_this_late(call).await;
        }
        late
    }

    /// The late calls, in their order.
    pub fn late(&self) -> Vec<Call> {
        self.state()
            .late
            .iter()
            .map(|(call, _)| call.clone())
            .collect()
    }

    /// Executes one of the late calls.
    pub async fn run_this_late(&self, call: &Call) {
        let late = self
            .state()
            .late
            .extract_if(.., |(late, _)| late.number == call.number)
            .next();
        if let Some((call, asked)) = late {
            self.execute(&call, asked).await;
        }
    }

    /// The provider's calls that may still take effect.
    pub fn pending(&self) -> Vec<Pending> {
        self.state().pending.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a held call is released, with what it comes to then.
    async fn park(&self, call: &Call, rule: u64) -> Option<Fault> {
        let (release, released) = oneshot::channel();
        self.state().parked.insert(
            call.number,
            Parked {
                rule,
                call: call.clone(),
                release,
                is_told: false,
            },
        );
        self.0.changed.notify_waiters();
        let fault = released.await.unwrap_or_default();
        self.state().calls[usize::try_from(call.number - 1).unwrap()].fault = fault;
        fault
    }

    /// Executes a call to its end, even where its client goes meanwhile. `None` if the service gave
    /// no answer.
    async fn execute(&self, call: &Call, asked: Asked) -> Option<http::Response<Bytes>> {
        let (gate, number) = (self.clone(), call.number);
        let executed = tokio::spawn(async move {
            let answer = asked.execute().await;
            gate.state().pending.remove(&number);
            answer
        });
        executed.await.ok()?
    }

    /// Kills the invocation that made the call. A call of no running invocation loses its answer.
    async fn kill(&self, call: &Call) -> Response {
        let who = (call.function, call.instance);
        let is_killed = {
            let state = &mut *self.state();
            let kill = state.running.remove(&who);
            kill.is_some_and(|kill| kill.send(()).is_ok()) && state.killed.insert(who)
        };
        if is_killed {
            std::future::pending::<()>().await;
        }
        no_answer()
    }
}

impl Between for Gate {
    fn before(&self, service: Router) -> Router {
        Router::new()
            .fallback(pass)
            .with_state((self.clone(), service))
    }

    fn invocation(&self, function: FunctionName, instance: u32) -> BoxFuture<'static, ()> {
        let (kill, killed) = oneshot::channel();
        self.state().running.insert((function, instance), kill);
        Box::pin(async move {
            if killed.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// A call of a function, or of anybody else, whose calls pass.
async fn pass(Shared((gate, service)): Shared<(Gate, Router)>, request: Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let Some((function, instance, named, rest)) = call::addressed(&path) else {
        return service
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
    };
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return no_answer();
    };
    let name = CallName::of(named, &parts.method, rest, &parts.headers, &body);
    // The other stand-ins read from the path whether a function of this process calls.
    if named == Service::Provider {
        let Ok(uri) = format!("/api/v1{rest}").parse() else {
            return no_answer();
        };
        parts.uri = uri;
    }
    parts.extensions.clear();
    let asked = Asked {
        service,
        request: http::Request::from_parts(parts, body),
    };
    let Some((call, then)) = gate
        .state()
        .arrive(function, instance, name, &asked.request)
    else {
        return no_answer();
    };
    let _left = Left {
        gate: gate.clone(),
        number: call.number,
    };
    let mut fault = match then {
        Some((rule, Then::Hold)) => gate.park(&call, rule).await,
        Some((_, Then::Come(fault))) => Some(fault),
        _ => None,
    };
    if let Some(Fault::Late | Fault::RefusedLate(_)) = fault {
        gate.state().late.push((call.clone(), asked));
        return match fault {
            Some(Fault::RefusedLate(code)) => answer::refusal(&call, Fault::Status(code)),
            _ => no_answer(),
        };
    }
    if let Some(fault) = fault.filter(|fault| !fault.is_after()) {
        gate.state().pending.remove(&call.number);
        return match fault {
            Fault::Before => no_answer(),
            Fault::KillBefore => gate.kill(&call).await,
            fault => answer::refusal(&call, fault),
        };
    }
    if let Some(Fault::Twice) = fault {
        gate.state().late.push((call.clone(), asked.clone()));
    }
    let answer = gate.execute(&call, asked).await;
    if let Some((rule, Then::HoldAnswer)) = then {
        fault = gate.park(&call, rule).await;
    }
    match fault {
        None | Some(Fault::Twice) => answer.map_or_else(no_answer, |answer| answer.map(Body::from)),
        Some(Fault::AnotherKeys) => answer
            .as_ref()
            .map_or_else(no_answer, answer::about_another_key),
        Some(Fault::KillAfter) => gate.kill(&call).await,
        Some(Fault::StatusAfter(code)) => answer::refusal(&call, Fault::Status(code)),
        Some(_) => no_answer(),
    }
}

/// Forgets a held call when its client has gone.
struct Left {
    gate: Gate,
    number: u64,
}

impl Drop for Left {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.parked.remove(&self.number).is_some() {
            state.pending.remove(&self.number);
        }
    }
}

impl State {
    fn rule(&mut self, matcher: Matcher, then: Then) -> u64 {
        self.last_id += 1;
        self.rules.push(Rule {
            id: self.last_id,
            matcher,
            then,
            seen: 0,
            fired: false,
        });
        self.last_id
    }

    /// Numbers a call and decides on it: every rule counts it, and the first fault whose turn it is
    /// decides; else the first such hold. `None` if the instance was killed.
    fn arrive(
        &mut self,
        function: FunctionName,
        instance: u32,
        name: CallName,
        request: &http::Request<Bytes>,
    ) -> Option<(Call, Option<(u64, Then)>)> {
        if self.killed.contains(&(function, instance)) {
            return None;
        }
        let nth_of_function = self
            .of_function
            .entry((function, name.clone()))
            .or_default();
        *nth_of_function += 1;
        let (number, nth_of_function) = (self.calls.len() as u64 + 1, *nth_of_function);
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let (parts, by_index) = (call::parts(&name, &body), body["IndexName"].is_string());
        let mut call = Call {
            number,
            function,
            instance,
            name,
            nth_of_function,
            parts,
            by_index,
            fault: None,
        };
        let mut then: Option<(u64, Then)> = None;
        for rule in &mut self.rules {
            let is_fault = matches!(rule.then, Then::Come(_));
            let fits = !matches!(rule.then, Then::Come(fault) if !fault.fits(&call.name));
            let is_first = then.is_none_or(|(_, then)| is_fault && !matches!(then, Then::Come(_)));
            if fits && rule.matcher.takes(&call, &mut rule.seen) && is_first {
                then = Some((rule.id, rule.then));
                rule.fired = true;
            }
        }
        self.rules
            .retain(|rule| !(rule.fired && rule.matcher.is_over(rule.seen)));
        if let Some((_, Then::Come(fault))) = then {
            call.fault = Some(fault);
        }
        self.calls.push(call.clone());
        if call.name.service == Service::Provider && call.name.has_effect() {
            let path = request
                .uri()
                .path()
                .trim_start_matches("/api/v1")
                .to_owned();
            self.pending.insert(
                number,
                Pending {
                    call: call.clone(),
                    path,
                    body,
                },
            );
        }
        Some((call, then))
    }
}

impl Asked {
    /// The service's answer, unless it is lost.
    async fn execute(self) -> Option<http::Response<Bytes>> {
        let answer = self
            .service
            .oneshot(self.request.map(Body::from))
            .await
            .unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        Some(http::Response::from_parts(
            parts,
            axum::body::to_bytes(body, usize::MAX).await.ok()?,
        ))
    }
}

impl HeldCalls {
    /// Waits for the next held call that this has not returned yet. A test that waits for what does
    /// not come would not end.
    pub async fn arrived(&self) -> Call {
        loop {
            let mut changed = pin!(self.gate.0.changed.notified());
            changed.as_mut().enable();
            let new = |parked: &&mut Parked| parked.rule == self.rule && !parked.is_told;
            if let Some(parked) = self.gate.state().parked.values_mut().find(new) {
                parked.is_told = true;
                return parked.call.clone();
            }
            let is_there = tokio::time::timeout(Duration::from_secs(300), changed)
                .await
                .is_ok();
            assert!(is_there, "the call that is to be held does not come");
        }
    }

    /// The held calls, in the order of arrival.
    pub fn parked(&self) -> Vec<Call> {
        let state = self.gate.state();
        state
            .parked
            .values()
            .filter(|parked| parked.rule == self.rule)
            .map(|parked| parked.call.clone())
            .collect()
    }

    /// Releases the call that arrived first, to this fault or to none. `None` if none is held.
    pub fn release(&self, fault: impl Into<Option<Fault>>) -> Option<Call> {
        self.release_this(self.parked().first()?, fault)
    }

    /// Releases this call. One that was numbered before it may be held after it.
    pub fn release_this(&self, call: &Call, fault: impl Into<Option<Fault>>) -> Option<Call> {
        let parked = self.gate.state().parked.remove(&call.number)?;
        parked.release.send(fault.into()).ok().map(|()| parked.call)
    }
}

impl Drop for HeldCalls {
    fn drop(&mut self) {
        self.gate.state().rules.retain(|rule| rule.id != self.rule);
        while !self.parked().is_empty() {
            self.release(None);
        }
    }
}

impl Rule {
    fn told(&self) -> String {
        format!("{:?} -> {:?}", self.matcher, self.then)
    }
}
