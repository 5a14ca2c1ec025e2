//! The fault layer: it stands before the stand-ins and makes calls of the functions fail. Each call is known by
//! function, instance, name and number. Five powers: it fails before its effect, its answer is lost after it, its
//! invocation is killed before or after it, it is held until the test releases it, or it is executed late.
//!
//! `stack.gate.at(Matcher::call("provider:POST /keys").of(FunctionName::Claim), Fault::LoseAnswer)`

mod answer;
mod call;
mod matcher;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::serve::no_answer;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Uri};
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt;

pub use self::call::{Call, CallName, Part, Service, Shape};
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
}

/// A call with what it came to.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub call: Call,
    pub fault: Option<Fault>,
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
    calls: Vec<Recorded>,
    of_function: HashMap<(FunctionName, CallName), u64>,
    last_id: u64,
    rules: Vec<Rule>,
    /// The rules that were lifted before any call met them.
    unmet: Vec<String>,
    holds: Vec<Hold>,
    parked: BTreeMap<u64, Parked>,
    pending: BTreeMap<u64, Pending>,
    late: Vec<(Call, Asked)>,
    running: HashMap<(FunctionName, u32), oneshot::Sender<()>>,
    killed: BTreeSet<(FunctionName, u32)>,
}

struct Rule {
    id: u64,
    matcher: Matcher,
    fault: Fault,
    seen: u64,
    fired: bool,
}

struct Hold {
    id: u64,
    matcher: Matcher,
    of_answers: bool,
    seen: u64,
}

struct Parked {
    hold: u64,
    call: Call,
    release: oneshot::Sender<Option<Fault>>,
    is_told: bool,
}

/// A function's request, as it came.
#[derive(Clone)]
struct Asked {
    service: Router,
    method: Method,
    rest: String,
    headers: HeaderMap,
    body: bytes::Bytes,
}

/// The calls of a matcher, held until they are released or this is dropped; a held call whose client has gone is gone.
pub struct HeldCalls {
    gate: Gate,
    id: u64,
}

impl Fault {
    /// Whether a call can come to this. A rule does not count calls that cannot.
    pub fn fits(self, name: &CallName) -> bool {
        match self {
            Fault::Throttle => name.service != Service::Provider,
            Fault::Conflict => {
                name.service == Service::DynamoDb && (name.has_effect() || name.operation.starts_with("Transact"))
            }
            Fault::Late => name.service == Service::Provider && name.has_effect(),
            _ => true,
        }
    }

    /// Whether the call takes effect at once.
    pub fn is_after(self) -> bool {
        matches!(self, Fault::LoseAnswer | Fault::KillAfter | Fault::StatusAfter(_))
    }
}

impl Gate {
    /// Lets the calls of this matcher come to a fault from now on.
    pub fn at(&self, matcher: impl Into<Matcher>, fault: impl Borrow<Fault>) -> RuleId {
        let mut state = self.state();
        let id = state.next_id();
        state.rules.push(Rule { id, matcher: matcher.into(), fault: *fault.borrow(), seen: 0, fired: false });
        RuleId(id)
    }

    /// Ends a rule.
    pub fn lift(&self, rule: RuleId) {
        let state = &mut *self.state();
        let lifted = state.rules.extract_if(.., |known| known.id == rule.0);
        state.unmet.extend(lifted.filter(|rule| !rule.fired).map(|rule| rule.to_string()));
    }

    /// Holds the calls of this matcher from now on. A call that a rule meets is not held.
    pub fn hold(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_calls(matcher.into(), false)
    }

    /// Executes the calls of this matcher from now on, and holds their answers.
    pub fn hold_answers(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_calls(matcher.into(), true)
    }

    fn hold_calls(&self, matcher: Matcher, of_answers: bool) -> HeldCalls {
        let mut state = self.state();
        let id = state.next_id();
        state.holds.push(Hold { id, matcher, of_answers, seen: 0 });
        HeldCalls { gate: self.clone(), id }
    }

    /// The rules that no call met, or met before they were lifted. A test whose fault never happened proves nothing.
    pub fn unfired(&self) -> Vec<String> {
        let state = self.state();
        let unfired = state.rules.iter().filter(|rule| !rule.fired).map(Rule::to_string);
        state.unmet.iter().cloned().chain(unfired).collect()
    }

    /// All calls of functions so far.
    pub fn calls(&self) -> Vec<Recorded> {
        self.state().calls.clone()
    }

    /// The number of calls.
    pub fn count(&self) -> usize {
        self.state().calls.len()
    }

    /// The calls so far, one line each, for the output of a failed test.
    pub fn transcript(&self) -> String {
        let lines: Vec<String> = self.state().calls.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    /// Executes the late calls in their order.
    pub async fn run_late(&self) -> Vec<Call> {
        let late = std::mem::take(&mut self.state().late);
        let mut executed = Vec::new();
        for (call, asked) in late {
            asked.execute().await;
            self.state().pending.remove(&call.number);
            executed.push(call);
        }
        executed
    }

    /// The provider's calls that may still take effect.
    pub fn pending(&self) -> Vec<Pending> {
        self.state().pending.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at the hold until the call is released, with what it comes to then.
    async fn park(&self, call: &Call, hold: u64) -> Option<Fault> {
        let (release, released) = oneshot::channel();
        self.state().parked.insert(call.number, Parked { hold, call: call.clone(), release, is_told: false });
        self.0.changed.notify_waiters();
        released.await.unwrap_or_default()
    }

    /// Carries out a fault on a call that has no effect yet.
    async fn carry_out(&self, call: &Call, fault: Option<Fault>, asked: Asked) -> Response {
        match fault {
            None => self.execute(call, asked).await.unwrap_or_else(no_answer),
            Some(Fault::Before) => no_answer(),
            Some(Fault::KillBefore) => self.kill(call).await,
            Some(Fault::Late) => {
                self.state().late.push((call.clone(), asked));
                no_answer()
            }
            Some(fault) if fault.is_after() => {
                self.execute(call, asked).await;
                self.tell(call, Some(fault), None).await
            }
            Some(fault) => answer::refusal(call, fault),
        }
    }

    /// The answer to a call that took effect.
    async fn tell(&self, call: &Call, fault: Option<Fault>, answer: Option<Response>) -> Response {
        match fault {
            None => answer.unwrap_or_else(no_answer),
            Some(Fault::KillAfter) => self.kill(call).await,
            Some(Fault::StatusAfter(code)) => answer::refusal(call, Fault::Status(code)),
            Some(_) => no_answer(),
        }
    }

    /// Executes a call to its end, even where its client goes meanwhile. `None` if the service gave no answer.
    async fn execute(&self, call: &Call, asked: Asked) -> Option<Response> {
        let (gate, number) = (self.clone(), call.number);
        let executed = tokio::spawn(async move {
            let answer = asked.execute().await;
            gate.state().pending.remove(&number);
            answer
        });
        let (parts, body) = executed.await.ok()??;
        Some(Response::from_parts(parts, Body::from(body)))
    }

    /// Kills the invocation that made the call. A call of no running invocation loses its answer.
    async fn kill(&self, call: &Call) -> Response {
        let who = (call.function, call.instance);
        let killed = {
            let mut state = self.state();
            let killed = state.running.remove(&who).is_some_and(|kill| kill.send(()).is_ok());
            if killed {
                state.killed.insert(who);
            }
            killed
        };
        if killed {
            std::future::pending::<()>().await;
        }
        no_answer()
    }
}

impl Between for Gate {
    fn before(&self, service: Router) -> Router {
        Router::new().fallback(pass).with_state((self.clone(), service))
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
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let Some((function, instance, named, rest)) = call::addressed(&path) else {
        return service.oneshot(request).await.unwrap_or_else(|never| match never {});
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return no_answer() };
    let name = CallName::of(named, &parts.method, rest, &parts.headers, &body);
    let rest = match named {
        Service::Provider => format!("/api/v1{rest}"),
        // The stand-in reads from the path whether a function of this process calls.
        _ => path.clone(),
    };
    let asked = Asked { service, method: parts.method, rest, headers: parts.headers, body };
    let Some((call, fault, hold)) = gate.state().arrive(function, instance, name, &asked) else { return no_answer() };
    let _left = Left { gate: gate.clone(), number: call.number };
    match hold {
        None => gate.carry_out(&call, fault, asked).await,
        Some((hold, false)) => {
            let fault = gate.park(&call, hold).await;
            gate.state().record(call.number).fault = fault;
            gate.carry_out(&call, fault, asked).await
        }
        Some((hold, true)) => {
            let answer = gate.execute(&call, asked).await;
            let fault = gate.park(&call, hold).await;
            gate.state().record(call.number).fault = fault;
            gate.tell(&call, fault, answer).await
        }
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
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn record(&mut self, number: u64) -> &mut Recorded {
        &mut self.calls[usize::try_from(number - 1).unwrap()]
    }

    /// Numbers a call and decides on it: every rule counts it, and the first one whose turn it is decides; else the first
    /// such hold. `None` if the instance was killed.
    #[expect(clippy::type_complexity, reason = "a fault, or a hold and whether it is of answers")]
    fn arrive(
        &mut self,
        function: FunctionName,
        instance: u32,
        name: CallName,
        asked: &Asked,
    ) -> Option<(Call, Option<Fault>, Option<(u64, bool)>)> {
        if self.killed.contains(&(function, instance)) {
            return None;
        }
        let count = self.of_function.entry((function, name.clone())).or_default();
        *count += 1;
        let nth_of_function = *count;
        let (number, shape) = (self.calls.len() as u64 + 1, Shape::of(&name, &asked.body));
        let call = Call { number, function, instance, name, nth_of_function, shape };
        let mut fault = None;
        for rule in &mut self.rules {
            if rule.fault.fits(&call.name) && rule.matcher.takes(&call, &mut rule.seen) && fault.is_none() {
                rule.fired = true;
                fault = Some(rule.fault);
            }
        }
        self.rules.retain(|rule| !(rule.fired && rule.matcher.is_over(rule.seen)));
        let mut held = None;
        if fault.is_none() {
            for hold in &mut self.holds {
                if hold.matcher.takes(&call, &mut hold.seen) && held.is_none() {
                    held = Some((hold.id, hold.of_answers));
                }
            }
        }
        self.calls.push(Recorded { call: call.clone(), fault });
        let has_effect = call.name.service == Service::Provider && call.name.has_effect();
        let stays = fault.is_none_or(|fault| fault.is_after() || fault == Fault::Late);
        if has_effect && stays {
            let path = asked.rest.trim_start_matches("/api/v1").to_owned();
            let body = serde_json::from_slice(&asked.body).unwrap_or_default();
            self.pending.insert(number, Pending { call: call.clone(), path, body });
        }
        Some((call, fault, held))
    }

    /// Releases a held call.
    fn release(&mut self, number: u64, fault: Option<Fault>) -> Option<Call> {
        let parked = self.parked.remove(&number)?;
        if fault.is_some_and(|fault| !fault.is_after() && fault != Fault::Late) {
            self.pending.remove(&number);
        }
        parked.release.send(fault).ok().map(|()| parked.call)
    }
}

impl Asked {
    /// The service's answer, unless it is lost.
    async fn execute(self) -> Option<(http::response::Parts, bytes::Bytes)> {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.rest.parse::<Uri>().ok()?;
        *request.headers_mut() = self.headers;
        let answer = self.service.oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        Some((parts, axum::body::to_bytes(body, usize::MAX).await.ok()?))
    }
}

impl HeldCalls {
    /// Waits for the next held call that this has not returned yet.
    pub async fn arrived(&self) -> Call {
        loop {
            let mut changed = pin!(self.gate.0.changed.notified());
            changed.as_mut().enable();
            if let Some(parked) =
                self.gate.state().parked.values_mut().find(|parked| parked.hold == self.id && !parked.is_told)
            {
                parked.is_told = true;
                return parked.call.clone();
            }
            changed.await;
        }
    }

    /// The held calls, in the order of arrival.
    pub fn parked(&self) -> Vec<Call> {
        let state = self.gate.state();
        state.parked.values().filter(|parked| parked.hold == self.id).map(|parked| parked.call.clone()).collect()
    }

    /// Releases the call that arrived first, to this fault or to none. `None` if none is held.
    pub fn release(&self, fault: impl Into<Option<Fault>>) -> Option<Call> {
        let number = self.parked().first()?.number;
        self.release_call(number, fault)
    }

    /// Releases the call of this number. `None` if it is not held any more.
    pub fn release_call(&self, number: u64, fault: impl Into<Option<Fault>>) -> Option<Call> {
        self.gate.state().release(number, fault.into())
    }
}

impl Drop for HeldCalls {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.holds.retain(|hold| hold.id != self.id);
        let held: Vec<u64> =
            state.parked.iter().filter(|(_, parked)| parked.hold == self.id).map(|(number, _)| *number).collect();
        for number in held {
            state.release(number, None);
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {:?}", self.matcher, self.fault)
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Some(fault) => write!(f, "{} -> {fault:?}", self.call),
            None => self.call.fmt(f),
        }
    }
}
