//! The check of a provider's account, against the simulator behind a door that counts its calls,
//! answers some itself, and closes after a call.

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::{KeySnapshot, Nano, Provider};
use bursar_local::state_file::StateFile;
use bursar_ops::provider_check::{self, ASSUMPTIONS, Findings, MODEL, MOST_KEYS, Options};
use bursar_tests::aws;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::Notify;

const MANAGEMENT: &str =
    "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
/// The beginning of the names of what the check makes.
const OURS: &str = "bursar-provider-check/";

#[tokio::test]
async fn a_good_account_is_ready_and_left_clean() {
    let world = World::open().await;
    let findings = world.check().await;
    assert!(findings.is_well(), "{findings}");
    assert!(
        ASSUMPTIONS
            .iter()
            .all(|of| findings.judgement(of.id).0 == Some(true)),
        "{findings}"
    );
    for (what, begins) in [
        (
            "a key of the caller's",
            "ignored: the provider answered another",
        ),
        ("the management key", "not known to be scoped"),
        ("guardrail policies", "not known here (404"),
        (
            "a free model before and after a key's limit is spent",
            "200; 403: Key limit exceeded",
        ),
    ] {
        assert!(
            findings
                .account
                .iter()
                .any(|(of, is)| *of == what && is.starts_with(begins)),
            "{findings}"
        );
    }
    assert!(world.is_clean().await);
    let used: Nano = world
        .provider
        .keys()
        .iter()
        .filter(|key| key.name.starts_with(OURS))
        .map(|key| key.usage)
        .sum();
    let told = Nano::micros(findings.spent.micros());
    assert!(
        Nano::ZERO < used && used <= told && told < Nano::CENT,
        "{used:?} {told:?}"
    );
}

#[tokio::test]
async fn no_key_is_printed_even_if_the_provider_repeats_it() {
    let world = World::open().await;
    world.answers(|call| {
        let external = &call.body["external"]["api_key"];
        let is_echoed =
            external.is_string() || call.path == "guardrails" || call.path == "chat/completions";
        (is_echoed && call.method == Method::POST).then(|| {
            refusal(
                403,
                &format!("neither {} nor {external} is right", call.bearer),
            )
        })
    });
    let findings = world.check().await;
    let printed = format!(
        "{findings} {findings:?} {:?}",
        world.options(MANAGEMENT).management_key
    );
    for call in world.calls() {
        let secrets = [
            Some(call.bearer.as_str()),
            call.body["external"]["api_key"].as_str(),
        ];
        for secret in secrets.into_iter().flatten() {
            assert!(
                secret.starts_with("sk-or-v1-") && !printed.contains(secret),
                "{printed}"
            );
        }
    }
    assert!(
        printed.contains("403: neither sk-or-… nor \"sk-or-…\" is right"),
        "{printed}"
    );
    assert!(!findings.is_well() && world.is_clean().await, "{findings}");

    let ordinary = world
        .provider
        .add_foreign_key("ordinary", None, world.options(MANAGEMENT).clock.now())
        .unwrap();
    let before = world.calls().len();
    for (key, words) in [
        (ordinary.plaintext.as_str(), "is an ordinary key"),
        ("sk-or-v1-unknown", "401"),
    ] {
        let refused = provider_check::check(&world.options(key), pending())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(words) && refused.contains("put it into the file"),
            "{refused}"
        );
        assert!(!refused.contains(key), "{refused}");
    }
    assert!(
        world.calls()[before..]
            .iter()
            .all(|call| call.path == "key")
    );
}

#[tokio::test]
async fn a_killed_check_is_cleaned_up_by_the_next() {
    let world = World::open().await;
    world.check().await;
    let whole = world.calls().len();
    let mut left = 0;
    for fifth in 1..=5 {
        world
            .door
            .closes_after
            .store(world.calls().len() + whole * fifth / 6, Ordering::SeqCst);
        tokio::select! {
            _ = world.check() => panic!("it was not killed"),
            () = world.door.closed.notified() => {}
        }
        for key in world.keys_of_the_check() {
            let hours = key
                .expires_at
                .unwrap()
                .duration_since(key.created_at)
                .as_hours();
            assert!(
                key.limit.is_some_and(|limit| limit <= Nano::micros(10_001)) && hours <= 1,
                "{key:?}"
            );
            left += 1;
        }
        let findings = world.check().await;
        assert!(
            findings.is_well() && world.is_clean().await,
            "{fifth}\n{findings}"
        );
    }
    assert!(left >= 3, "a key was left {left} times");
}

#[tokio::test]
async fn what_does_not_hold_is_told() {
    let world = World::open().await;
    world.provider.add_workspace("Other").unwrap();
    world.provider.scope_management_key(MANAGEMENT).unwrap();
    let completions = AtomicUsize::new(0);
    // After the first request on each of two keys everything passes, whatever forbids it.
    world.answers(move |call| match (&call.method, call.path.as_str()) {
        (&Method::POST, "chat/completions") if completions.fetch_add(1, Ordering::SeqCst) > 1 => {
            Some((200, json!({ "usage": { "cost": 0 } })))
        }
        (&Method::POST, "keys") if call.body["external"].is_object() => {
            Some(refusal(403, "for partners only"))
        }
        (&Method::GET, path) if path.starts_with("guardrails/policies/") => Some((
            200,
            json!({ "data": { "policy_ids": [], "workspace_default_policy_ids": ["p"] } }),
        )),
        _ => None,
    });
    let findings = world.check().await;
    let wrong = [
        "workspaces-read",
        "limit-binds",
        "rules-bind",
        "regions-bind",
        "disable-binds",
        "expiry-binds",
    ];
    for assumption in ASSUMPTIONS.iter() {
        let is_wrong = findings.judgement(assumption.id).0 == Some(false);
        assert_eq!(
            is_wrong,
            wrong.contains(&assumption.id),
            "{}\n{findings}",
            assumption.id
        );
    }
    let report = findings.to_string();
    for told in [
        "a key of the caller's: not taken (external.api_key of POST /keys): 403: for partners only.",
        "the management key: scoped: it reads 1 of 2 workspaces",
        "guardrail policies: in use: 1 of budget, 1 of model_availability",
        "So a programme can cost more than its budget.",
        "This account is NOT ready for Bursar.",
        "  regions-bind does not hold, so restrict no programme by it\n  disable-binds does not hold\n  expiry-binds does not hold\n",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
    assert!(world.is_clean().await, "{report}");

    let poor = World::open().await;
    poor.provider.set_credits(Nano::ZERO).unwrap();
    let findings = poor.check().await;
    assert!(
        matches!(findings.judgement("disable-binds"), (None, why) if why.contains("credit")),
        "{findings}"
    );
    assert!(
        !findings.is_well() && findings.ended_early.is_none() && poor.is_clean().await,
        "{findings}"
    );
    assert!(
        findings.spent == Usd::ZERO
            && poor
                .calls()
                .iter()
                .all(|call| !call.path.starts_with("chat"))
    );
}

#[tokio::test]
async fn keys_are_counted_and_taken_away() {
    let world = World::open().await;
    let found = provider_check::count_keys(&world.options(MANAGEMENT), pending())
        .await
        .unwrap();
    assert!(
        found.is_well() && found.counted == Some((MOST_KEYS, None)) && world.is_clean().await,
        "{found}"
    );
    let made = AtomicUsize::new(0);
    world.answers(move |call| {
        let is_made = call.method == Method::POST && call.path == "keys";
        (is_made && made.fetch_add(1, Ordering::SeqCst) == 7).then(|| refusal(403, "Too many keys"))
    });
    let found = provider_check::count_keys(&world.options(MANAGEMENT), pending())
        .await
        .unwrap();
    let report = found.to_string();
    assert!(
        found.is_well() && report.starts_with("The account took 7 more keys, and refused"),
        "{report}"
    );
    assert!(report.contains("Too many keys"), "{report}");
    world
        .door
        .closes_after
        .store(world.calls().len() + 20, Ordering::SeqCst);
    let interrupted = world.door.closed.notified();
    let found = provider_check::count_keys(&world.options(MANAGEMENT), interrupted)
        .await
        .unwrap();
    assert_eq!(
        (found.ended_early.as_deref(), &found.leftover),
        (Some("it was interrupted"), &None)
    );
    assert!(
        found.counted.as_ref().is_some_and(|(made, _)| *made > 0),
        "{found:?}"
    );
    assert!(world.is_clean().await);
}

#[tokio::test]
async fn a_rate_is_measured_and_its_keys_are_taken_away() {
    let world = World::open().await;
    let made = AtomicUsize::new(0);
    world.answers(move |call| {
        let is_made = call.method == Method::POST && call.path == "keys";
        (is_made && made.fetch_add(1, Ordering::SeqCst) >= 7)
            .then(|| refusal(429, "Rate limit exceeded"))
    });
    let found = provider_check::rate(&world.options(MANAGEMENT), pending(), 10)
        .await
        .unwrap();
    let report = found.to_string();
    assert!(
        found.is_well() && report.starts_with("7 of 10 keys"),
        "{report}"
    );
    assert!(
        report.contains("was the first 429, with no Retry-After") && world.is_clean().await,
        "{report}"
    );
}

/// A tenth of a dollar may be in flight: ten answers of the longest that the model gives.
#[tokio::test]
async fn requests_at_once_are_counted() {
    let world = World::open().await;
    world.provider.set_credits(Nano::usd(1)).unwrap();
    world
        .provider
        .set_quirks(|quirks| quirks.in_flight_budget = true);
    let found = provider_check::in_flight(&world.options(MANAGEMENT), pending())
        .await
        .unwrap();
    let report = found.to_string();
    assert!(
        report.starts_with(
            "The account took 10 requests at once that set no length; others were refused (402: "
        ),
        "{report}"
    );
    assert!(
        report.contains("Retry-After: 2") && report.contains("doctor: --requests-at-once 10\n"),
        "{report}"
    );
    assert!(
        found.is_well() && found.spent < Usd::CENT && world.is_clean().await,
        "{report}"
    );

    world
        .provider
        .set_quirks(|quirks| quirks.in_flight_budget = false);
    let report = provider_check::in_flight(&world.options(MANAGEMENT), pending())
        .await
        .unwrap()
        .to_string();
    assert!(
        report.starts_with(
            "The account took 512 requests at once that set no length; it was asked for no more."
        ),
        "{report}"
    );
}

struct World {
    provider: Provider,
    others: Vec<KeySnapshot>,
    base: String,
    door: Arc<Door>,
    milliseconds: Arc<AtomicI64>,
}

#[derive(Clone)]
struct Call {
    method: Method,
    /// The path below `/api/v1`.
    path: String,
    bearer: String,
    body: Value,
}

/// What answers in place of the simulator.
type Answers = Box<dyn Fn(&Call) -> Option<(u16, Value)> + Send + Sync>;

#[derive(Default)]
struct Door {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<Option<Answers>>,
    /// The number of calls of which the last gets no answer; zero is no such number.
    closes_after: AtomicUsize,
    closed: Notify,
}

impl World {
    /// An account with two keys of somebody else.
    async fn open() -> World {
        let noon: Moment = "2026-11-18T12:00:00Z".parse().unwrap();
        let milliseconds = Arc::new(AtomicI64::new(noon.as_millisecond()));
        let provider = Provider::new(
            StateFile::in_memory().unwrap(),
            clock(&milliseconds),
            MANAGEMENT,
        )
        .unwrap();
        for name in ["by hand", "bursar/de00000000/p/g/1-0123456789abcdef"] {
            provider
                .add_foreign_key(
                    name,
                    Some(Nano::usd(20)),
                    noon - SignedDuration::from_hours(1),
                )
                .unwrap();
        }
        let door = Arc::new(Door::default());
        let routes = provider
            .router()
            .layer(from_fn_with_state(Arc::clone(&door), pass));
        let base = format!("{}/api/v1", aws::serve(routes).await);
        World {
            others: provider.keys(),
            provider,
            base,
            door,
            milliseconds,
        }
    }

    fn answers(&self, answers: impl Fn(&Call) -> Option<(u16, Value)> + Send + Sync + 'static) {
        *self.door.answers.lock().unwrap() = Some(Box::new(answers));
    }

    fn options(&self, key: &str) -> Options {
        let milliseconds = Arc::clone(&self.milliseconds);
        Options {
            provider: self.base.clone(),
            management_key: Arc::new(PlaintextKey::new(key.to_owned()).unwrap()),
            model: MODEL.to_owned(),
            clock: clock(&self.milliseconds),
            wait: Arc::new(move |wait: Duration| {
                milliseconds.fetch_add(i64::try_from(wait.as_millis()).unwrap(), Ordering::SeqCst);
                Box::pin(tokio::task::yield_now())
            }),
            progress: |_| {},
        }
    }

    async fn check(&self) -> Findings {
        provider_check::check(&self.options(MANAGEMENT), pending())
            .await
            .unwrap()
    }

    fn calls(&self) -> Vec<Call> {
        self.door.calls.lock().unwrap().clone()
    }

    fn keys_of_the_check(&self) -> Vec<KeySnapshot> {
        self.provider
            .keys()
            .into_iter()
            .filter(|key| key.name.starts_with(OURS) && !key.deleted)
            .collect()
    }

    /// No key and no guardrail of the check is left, and the keys of others are as they were.
    async fn is_clean(&self) -> bool {
        let request = aws::http()
            .get(format!("{}/guardrails", self.base))
            .bearer_auth(MANAGEMENT);
        let guardrails: Value = request.send().await.unwrap().json().await.unwrap();
        let others = self
            .provider
            .keys()
            .into_iter()
            .filter(|key| self.others.iter().any(|other| other.hash == key.hash));
        self.keys_of_the_check().is_empty()
            && guardrails["total_count"] == 0
            && others.eq(self.others.iter().cloned())
    }
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": { "code": status, "message": message } }),
    )
}

fn clock(milliseconds: &Arc<AtomicI64>) -> Clock {
    let milliseconds = Arc::clone(milliseconds);
    Clock::reading(move || Moment::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap())
}

async fn pass(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let bearer = parts.headers["authorization"].to_str().unwrap();
    let call = Call {
        method: parts.method.clone(),
        path: parts.uri.path().trim_start_matches("/api/v1/").to_owned(),
        bearer: bearer.trim_start_matches("Bearer ").to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let answer = door
        .answers
        .lock()
        .unwrap()
        .as_ref()
        .and_then(|answers| answers(&call));
    let number = {
        let mut calls = door.calls.lock().unwrap();
        calls.push(call);
        calls.len()
    };
    let response = match answer {
        Some((status, body)) => {
            (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
        }
        None => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
    };
    if number == door.closes_after.load(Ordering::SeqCst) {
        door.closed.notify_one();
        pending::<()>().await;
    }
    response
}
