//! The rehearsal over a whole stack, and at each of its steps with something that fails there.

use std::fs;
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_core::clock::Moment;
use bursar_local::base::clock::StackClock;
use bursar_local::base::serve;
use bursar_local::inbox::Contents;
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::provider::{Nano, Provider};
use bursar_local::schedules::Schedules;
use bursar_local::ses::Ses;
use bursar_local::settle::{LIMIT, Settle};
use bursar_local::stack::{listen, origin_of};
use bursar_ops::provider_check::MODEL;
use bursar_ops::rehearse::{Options, Place, Prompt, Report, Step, rehearse};
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Gate, Matcher, RuleId};
use bursar_tests::office::session_cookie;
use bursar_tests::stack::{self, ADMIN, Setup, Stack};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

/// All goes well, and the day after has the final reading.
#[tokio::test]
async fn a_rehearsal_goes_the_whole_way() {
    let world = World::open().await;
    world.hands.lose("health");
    let options = world.options(NOTHING);
    let (_, second) = tokio::join!(world.rehearse(NOTHING), rehearse(&options));
    assert!(
        second
            .err()
            .unwrap()
            .to_string()
            .starts_with("another rehearsal runs")
    );
    // Of three tries for a code the last is right, and the provider has hiccups.
    world.hands.lose("two codes");
    for (call, fault) in [
        ("provider:GET /models", Fault::Before),
        ("provider:POST /chat/completions", Fault::Status(503)),
        ("provider:GET /key", Fault::Status(429)),
    ] {
        world.hands.gate.at(
            Matcher::call(call).of_instance(FunctionName::Claim, 99),
            fault,
        );
    }
    let report = world.rehearse(NOTHING).await;
    assert_eq!(report.failed(), None, "{report}");
    let page = report.to_string();
    for words in [
        "**All went well.**",
        "the closed programme “Rehearsal 2026-11-10 09:",
        "--finish",
        "| 6 requests at the provider |",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains(ADMIN) && !page.contains("sk-or-"), "{page}");
    let next_day = || Options {
        is_next_day: true,
        ..world.options(NOTHING)
    };
    // Where links are shut, by a session that was made elsewhere.
    world.hands.pass(SignedDuration::from_mins(2)).await;
    let with_session = |prompt| Options {
        takes_session: true,
        prompt,
        ..next_day()
    };
    let cookie = session_cookie(&world.stack, ADMIN).await;
    let early = rehearse(&with_session(types(format!("Cookie: front=1; {cookie}"))))
        .await
        .unwrap();
    assert_eq!(
        early.failed().map(|(step, _)| step),
        Some(Step::FinalReading),
        "{early}"
    );
    let refused: Prompt = Arc::new(|_| {
        let why = "User: arn:aws:sts::123456789012:assumed-role/Admin/jo@uni.edu is not authorized";
        Box::pin(async move { anyhow::bail!("{why}") })
    });
    let others = session_cookie(&world.stack, "student@example.edu").await;
    let own = types(cookie);
    for (prompt, model, step, words) in [
        (
            types(others),
            MODEL,
            Step::SignIn,
            "the session is not of the address in --to",
        ),
        (
            types("front=1".to_owned()),
            MODEL,
            Step::SignIn,
            "the front wants its own cookie",
        ),
        (
            types("1".to_owned()),
            MODEL,
            Step::SignIn,
            "no Cookie header",
        ),
        (
            refused,
            MODEL,
            Step::SignIn,
            "User: … is not authorized. See infra/runbook/machine.md#the-night-pages-that-apply",
        ),
        (
            own.clone(),
            "anthropic/claude-opus-4.5",
            Step::Money,
            "take a cheaper --model. See infra/runbook/night.md#the-balance-is-gone",
        ),
        (
            own,
            "meta-llama/llama-3.3-70b-instruct:free",
            Step::Money,
            "costs too little",
        ),
    ] {
        let options = Options {
            takes_session: true,
            prompt,
            model: model.to_owned(),
            ..world.options(NOTHING)
        };
        let report = rehearse(&options).await.unwrap();
        let page = report.to_string();
        let (failed, _) = report.failed().unwrap();
        assert!(
            failed == step && page.contains(words) && !page.contains("jo@uni"),
            "{page}"
        );
    }
    world.hands.pass(SignedDuration::from_hours(24)).await;
    sync(State(world.hands.clone())).await;
    let report = rehearse(&next_day()).await.unwrap();
    assert_eq!(report.failed(), None, "{report}");
    assert!(!world.state().exists());
    world.stack.finish().await;
}

const LISTING: &str = "provider:GET /keys";
const MAKE: &str = "provider:POST /keys";
const NOTHING: Act = (Step::Deployment, |_| ());

/// What is done as a step begins.
type Act = (Step, fn(&Hands));
/// What fails at a step: the step, what is done as it begins, and what the page says.
type Failure = (Step, fn(&Hands), &'static str);

const FAILURES: [Failure; 16] = [
    (
        Step::Deployment,
        |hands| hands.lose("health"),
        "is not Bursar's",
    ),
    (
        Step::SignIn,
        |hands| hands.break_at("ses:*", FunctionName::Mail),
        "no code came",
    ),
    (
        Step::SignIn,
        |hands| hands.lose("code"),
        "/code answered 403",
    ),
    (
        Step::FirstSync,
        |hands| hands.lose("sync"),
        "/sync answered 500",
    ),
    (
        Step::FirstSync,
        |hands| hands.break_at(LISTING, FunctionName::UsageSync),
        "no sync was complete",
    ),
    (Step::Money, Hands::spend_all, "buy credit"),
    (
        Step::Programme,
        |hands| hands.break_at("dynamodb:TransactWriteItems", FunctionName::Console),
        "answered 503",
    ),
    (
        Step::Invitation,
        |hands| hands.lose("roster"),
        "the invitation came back",
    ),
    (
        Step::Claim,
        |hands| hands.break_at(MAKE, FunctionName::Claim),
        "answered 502",
    ),
    (
        Step::Spend,
        Hands::spend_all,
        "the provider refuses the key: 402",
    ),
    (
        Step::SecondSync,
        |hands| hands.break_at(LISTING, FunctionName::UsageSync),
        "no sync was complete",
    ),
    (
        Step::Alert,
        |hands| hands.lose("alert"),
        "the alert is bounced",
    ),
    (
        Step::Leak,
        Hands::half_keep_keys,
        "it is not so within ten minutes",
    ),
    (
        Step::Replacement,
        |hands| hands.break_at(MAKE, FunctionName::Claim),
        "answered 502",
    ),
    (Step::Close, Hands::keep_keys, "the keys are confirmed off"),
    (
        Step::Statement,
        |hands| hands.break_at("dynamodb:*", FunctionName::Console),
        "answered 503",
    ),
];

/// Whatever fails, the page says where and why, and the programme is closed, if need be by the next
/// run. With `--nocapture` the pages can be read.
#[tokio::test]
async fn each_step_fails_once() {
    for (step, fault, words) in FAILURES {
        let world = World::open().await;
        // The balance is the one of the last sync.
        let begun = if step == Step::Money {
            Step::FirstSync
        } else {
            step
        };
        let report = world.rehearse((begun, fault)).await;
        let page = report.to_string();
        eprintln!("{page}");
        let (failed, why) = report.failed().unwrap();
        assert!(failed == step && why.contains(words), "{step:?}");
        let stays_open = matches!(step, Step::Programme | Step::Leak | Step::Close);
        assert_eq!(page.contains("**not seen closed**"), stays_open);
        if stays_open {
            world.hands.mend();
            // What was refused is tried again ever later.
            world.hands.pass(SignedDuration::from_hours(1)).await;
            let before = world.folder.path().join("before");
            fs::hard_link(world.state(), &before).unwrap();
            let again = world.rehearse(NOTHING).await;
            // Whether the programme was made after all is for a person to see.
            let is_unknown = step == Step::Programme;
            let words = if is_unknown {
                "look whether it was made"
            } else {
                "of an earlier run is closed"
            };
            let [old, new] = [before, world.state()].map(|file| fs::read(file).unwrap());
            assert_eq!(old == new, is_unknown);
            assert!(
                again.is_well() != is_unknown && again.to_string().contains(words),
                "{again}"
            );
        }
        let keys = world.hands.provider.keys();
        assert!(keys.iter().all(|key| key.disabled || key.deleted));
        world.stack.finish_unjudged().await;
    }
}

/// A person who always types this.
fn types(words: String) -> Prompt {
    Arc::new(move |_| Box::pin(std::future::ready(Ok(words.clone()))))
}

struct World {
    stack: Stack,
    hands: Hands,
    folder: TempDir,
    health: String,
}

/// What steps and stand-ins hold of the stack.
#[derive(Clone)]
struct Hands {
    schedules: Schedules,
    settle: Settle,
    ses: Ses,
    clock: StackClock,
    provider: Provider,
    gate: Gate,
    inbox: String,
    /// The kind of the mails that come back.
    lost: Arc<Mutex<&'static str>>,
    completed_at: Arc<Mutex<Option<Moment>>>,
    broken: Arc<Mutex<Vec<RuleId>>>,
}

impl World {
    async fn open() -> World {
        let door = listen(0).await.unwrap();
        // As a function's, so that the fault layer knows what a student's program asks.
        let spend_at = Some(format!("{}/claim/99/api/v1", origin_of(&door).unwrap()));
        let stack = stack::of(Setup {
            spend_at,
            ..Setup::default()
        })
        .await;
        let hands = Hands {
            schedules: stack.schedules.clone(),
            settle: stack.settle.clone(),
            ses: stack.ses.clone(),
            clock: stack.clock.clone(),
            provider: stack.provider.clone().unwrap(),
            gate: stack.gate.clone(),
            inbox: stack.ready.inbox.clone(),
            lost: Arc::default(),
            completed_at: Arc::default(),
            broken: Arc::default(),
        };
        tokio::spawn(serve::serve(
            door,
            hands.gate.before(hands.provider.router()),
            pending(),
        ));
        let health = Router::new()
            .route("/health", get(health))
            .route("/sync", post(sync))
            .with_state(hands.clone());
        World {
            stack,
            hands,
            folder: tempfile::tempdir().unwrap(),
            health: aws::serve(health).await,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    /// A rehearsal whose waits move the stack's clock, and in which a fault is done as its step
    /// begins.
    fn options(&self, (step, fault): Act) -> Options {
        let [waits, types, breaks] = std::array::from_fn(|_| self.hands.clone());
        let origin = self.stack.ready.web.clone();
        Options {
            place: Place::machine(origin, self.health.clone()),
            address: ADMIN.to_owned(),
            model: MODEL.to_owned(),
            takes_session: false,
            is_next_day: false,
            state: self.state(),
            clock: self.stack.clock.as_clock(),
            wait: Arc::new(move |wait| {
                let hands = waits.clone();
                Box::pin(async move { hands.pass(wait.try_into().unwrap()).await })
            }),
            prompt: Arc::new(move |words| {
                let hands = types.clone();
                let lost = *hands.lost.lock().unwrap();
                let is_wrong = lost == "code" || lost == "two codes" && !words.contains("last");
                Box::pin(async move {
                    Ok(if is_wrong {
                        "AAAA-AAAA-AAAA".to_owned()
                    } else {
                        hands.code().await
                    })
                })
            }),
            progress: Arc::new(move |begun| {
                if begun == step {
                    fault(&breaks);
                }
            }),
        }
    }

    async fn rehearse(&self, fault: Act) -> Report {
        rehearse(&self.options(fault)).await.unwrap()
    }
}

impl Hands {
    async fn pass(&self, duration: SignedDuration) {
        self.schedules.advance(duration).await.unwrap();
        self.settle.settle(LIMIT).await.unwrap();
        for mail in self.ses.unread() {
            let is_lost =
                Contents::parse(&mail.raw).kind.as_deref() == Some(*self.lost.lock().unwrap());
            let outcome = if is_lost { "bounce" } else { "delivery" };
            let event = json!({"mail": mail.id, "type": outcome, "permanent": true});
            let told = aws::http()
                .post(format!("{}/events", self.inbox))
                .json(&event)
                .send()
                .await
                .unwrap();
            assert_eq!(told.status(), 200);
        }
    }

    /// The code of the newest link.
    async fn code(&self) -> String {
        self.settle.settle(LIMIT).await.unwrap();
        let mut mails = self.ses.mails_to(ADMIN).into_iter().rev();
        let code = |text: String| Some(text.split_once("Code: ")?.1.lines().next()?.to_owned());
        mails
            .find_map(|mail| code(Contents::parse(&mail.raw).text?))
            .unwrap_or_default()
    }

    /// Leaves the account no money.
    fn spend_all(&self) {
        self.provider.set_credits(Nano::ZERO).unwrap();
    }

    /// No key can be switched off.
    fn keep_keys(&self) {
        for function in [
            FunctionName::Claim,
            FunctionName::Console,
            FunctionName::UsageSync,
        ] {
            self.break_at("provider:PATCH /keys/{hash}", function);
        }
    }

    /// Nor does the provider let one ask a model, or say whether it knows the key.
    fn half_keep_keys(&self) {
        self.keep_keys();
        self.refuse_at("provider:POST /chat/completions", FunctionName::Claim, 401);
        self.refuse_at("provider:GET /key", FunctionName::Claim, 429);
    }

    fn mend(&self) {
        self.broken
            .lock()
            .unwrap()
            .drain(..)
            .for_each(|rule| self.gate.lift(rule));
    }

    fn lose(&self, kind: &'static str) {
        *self.lost.lock().unwrap() = kind;
    }

    fn break_at(&self, call: &str, function: FunctionName) {
        self.refuse_at(call, function, 500);
    }

    fn refuse_at(&self, call: &str, function: FunctionName, status: u16) {
        let rule = self.gate.at(
            Matcher::call(call).of(function).every(),
            Fault::Status(status),
        );
        self.broken.lock().unwrap().push(rule);
    }
}

async fn sync(State(hands): State<Hands>) -> StatusCode {
    if *hands.lost.lock().unwrap() == "sync" {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let report = hands
        .schedules
        .run_now(FunctionName::UsageSync, json!({}))
        .await
        .unwrap();
    if report["complete"] == true {
        *hands.completed_at.lock().unwrap() = Some(hands.clock.now());
    }
    StatusCode::ACCEPTED
}

async fn health(State(hands): State<Hands>) -> Json<Value> {
    if *hands.lost.lock().unwrap() == "health" {
        return Json(Value::Null);
    }
    let completed_at = *hands.completed_at.lock().unwrap();
    if completed_at.is_none() {
        // The look at a deployment takes its time, before a link is asked for.
        hands.pass(SignedDuration::from_secs(3)).await;
    }
    let age = completed_at.map(|at| hands.clock.now().duration_since(at).as_secs());
    Json(json!({"problems": [], "complete_sync_s": age}))
}
