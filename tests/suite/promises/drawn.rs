//! Histories drawn from seeds, over the whole stack. The next move of people, staff, the provider
//! or time is drawn, and so are the provider's quirks. Every invariant is judged after each step,
//! and in the end nothing is left to be done.
//!
//! Calls fail, are lost, are refused and done all the same, or are late by up to a minute;
//! invocations are killed or held at any call; some begin at the same moment.
//!
//! `BURSAR_TEST_SEED=70 cargo test -p bursar-tests promises::drawn` replays one history, `cargo
//! xtask long` plays 300.

use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider, Quirks};
use bursar_tests::faults::{Fault, HeldCalls, Matcher, RuleId, Service};
use bursar_tests::seeds::seeds;
use fastrand::Rng;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, ToSpan};
use serde_json::json;
use tokio::task::JoinHandle;

use super::story::{Ended, Request, Story};

const SIDE_BY_SIDE: usize = 4;
const MOVES: usize = 30;
const BUDGET: i32 = 50;
const PEOPLE: [&str; 3] = ["ada", "bob", "cid"];
const GROUPS: [&str; 3] = ["A", "B", ""];
const CAPS: [&str; 7] = ["0.01", "5", "10", "19.995", "20", "25", "45"];
const MODELS: [&str; 3] = ["", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5"];
const PRESSES: [&str; 6] = ["reveal", "replace", "return", "leaked", "refresh", "resume"];
const ACTS: [&str; 4] = ["pause", "resume", "revoke", "allow"];
const RESETS: [Reset; 4] = [Reset::None, Reset::Daily, Reset::Weekly, Reset::Monthly];
const FUNCTIONS: [FunctionName; 3] = [
    FunctionName::Claim,
    FunctionName::Console,
    FunctionName::UsageSync,
];
/// Faults that happen once, at the next call of their kind.
const FAULTS: [(&str, &[Fault]); 5] = [
    (
        "provider:PATCH /keys/{hash}",
        &[
            Fault::Late,
            Fault::AnotherKeys,
            Fault::StatusAfter(500),
            Fault::StatusAfter(404),
            Fault::StatusAfter(422),
            Fault::RefusedLate(409),
            Fault::RefusedLate(429),
            Fault::RefusedLate(503),
            Fault::Status(503),
        ],
    ),
    (
        "provider:POST /keys",
        &[
            Fault::Late,
            Fault::Twice,
            Fault::AnotherKeys,
            Fault::StatusAfter(502),
            Fault::StatusAfter(422),
            Fault::RefusedLate(429),
            Fault::Status(429),
        ],
    ),
    (
        "provider:POST /guardrails/{id}/assignments/keys",
        &[
            Fault::Late,
            Fault::LoseAnswer,
            Fault::StatusAfter(409),
            Fault::RefusedLate(503),
            Fault::Status(503),
        ],
    ),
    (
        "provider:PATCH /guardrails/{id}",
        &[
            Fault::Late,
            Fault::LoseAnswer,
            Fault::StatusAfter(422),
            Fault::RefusedLate(429),
            Fault::Status(503),
        ],
    ),
    (
        "dynamodb:TransactWriteItems",
        &[Fault::LoseAnswer, Fault::Conflict],
    ),
];
/// Faults of any call.
const ANY: [Fault; 4] = [
    Fault::KillBefore,
    Fault::KillAfter,
    Fault::LoseAnswer,
    Fault::Status(503),
];
/// What becomes of a call that was held.
const HELD: [Option<Fault>; 5] = [
    None,
    None,
    Some(Fault::KillBefore),
    Some(Fault::KillAfter),
    Some(Fault::LoseAnswer),
];

/// What a person presses, or a schedule begins.
#[derive(Debug, Clone, Copy)]
enum Press {
    /// A button of a student's page.
    Student,
    /// A button of the page of one grant.
    Act,
    CapOfOne,
    Cap,
    CapOfGroup,
    /// Other rules, or none any more.
    Models,
    ModelsOfGroup,
    DataPolicy,
    /// An end of the term that has passed already, or a later one.
    End,
    /// People who are dropped, return, or move to another group.
    Roster,
    Sync,
    Work,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Press,
    /// Two or three at the same moment, half of the time by or about the same person.
    AtOnce,
    /// One that waits at one of its calls while others go on.
    Held,
    Spend,
    Budget,
    Sync,
    Seconds,
    Minutes,
    /// Time enough for the last readings of confirmed disables.
    Settle,
    Hours,
    /// The start or the end of an outage of the provider.
    Outage,
    /// The other account's management key in the secret, or the right one back.
    OtherAccount,
    Fault,
}

/// What is drawn, and how often each is in it.
const PRESSED: [(Press, usize); 12] = [
    (Press::Student, 8),
    (Press::Act, 3),
    (Press::CapOfOne, 2),
    (Press::Cap, 1),
    (Press::CapOfGroup, 1),
    (Press::Models, 1),
    (Press::ModelsOfGroup, 1),
    (Press::DataPolicy, 1),
    (Press::End, 1),
    (Press::Roster, 2),
    (Press::Sync, 2),
    (Press::Work, 2),
];
const DRAWN: [(Move, usize); 13] = [
    (Move::Press, 9),
    (Move::AtOnce, 3),
    (Move::Held, 4),
    (Move::Spend, 4),
    (Move::Budget, 1),
    (Move::Sync, 3),
    (Move::Seconds, 3),
    (Move::Minutes, 2),
    (Move::Settle, 1),
    (Move::Hours, 1),
    (Move::Outage, 1),
    (Move::OtherAccount, 1),
    (Move::Fault, 5),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_every_promise_is_kept() {
    let played = seeds(0, 1, 300).map(|seed| async move {
        tokio::spawn(play(seed))
            .await
            .err()
            .map(|error| (seed, error))
    });
    let played: Vec<_> = stream::iter(played)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let wrong: Vec<_> = played.iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} of {} histories went wrong: {:?}",
        wrong.len(),
        played.len(),
        wrong.first()
    );
}

async fn play(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let quirks = if dice.usize(..3) == 0 {
        Quirks::default()
    } else {
        Quirks::draw(&mut dice)
    };
    let reset = RESETS[dice.usize(..RESETS.len())];
    let mut story = Story::begins(BUDGET * windows(reset), &quirks).await;
    story.tell(format!("seed {seed}, {reset:?}"));
    story.set(|settings| settings.basis.reset = reset).await;
    story.invites(&PEOPLE).await;
    // The first sync separates the opening, which is what the account spent before it.
    story.syncs().await;
    let mut history = History {
        story,
        dice,
        reset,
        outage: None,
        other: None,
        faults: Vec::new(),
        late: BTreeMap::new(),
        held: Vec::new(),
    };
    let ended = history.press(Press::Roster, PEOPLE[0]).await;
    history.story.ends(ended).await;
    for _ in 0..MOVES {
        let next = history.often(&DRAWN);
        history.moves(next).await;
        history.delays();
    }
    history.comes_to_rest().await;
}

/// About how many of these windows are in a term.
fn windows(reset: Reset) -> i32 {
    match reset {
        Reset::None => 1,
        Reset::Monthly => 4,
        Reset::Weekly => 14,
        Reset::Daily => 91,
    }
}

struct History {
    story: Story,
    dice: Rng,
    reset: Reset,
    outage: Option<RuleId>,
    other: Option<Provider>,
    faults: Vec<RuleId>,
    /// When each late call takes effect.
    late: BTreeMap<u64, Moment>,
    held: Vec<Held>,
}

/// An invocation that waits at a call until this instant.
struct Held {
    until: Moment,
    calls: HeldCalls,
    verdict: Option<Fault>,
    task: JoinHandle<Ended>,
}

impl History {
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.usize(..all.len())]
    }

    fn often<T: Copy>(&mut self, all: &[(T, usize)]) -> T {
        let drawn: Vec<T> = all
            .iter()
            .flat_map(|(what, often)| std::iter::repeat_n(*what, *often))
            .collect();
        self.one_of(&drawn)
    }

    fn press(&mut self, what: Press, name: &str) -> Request {
        let (cap, models, group) = (
            self.one_of(&CAPS),
            self.one_of(&MODELS),
            self.one_of(&GROUPS[..2]),
        );
        match what {
            Press::Student => {
                // Most students who press want a key.
                let press = if self.dice.usize(..3) == 0 {
                    self.one_of(&PRESSES)
                } else {
                    self.one_of(&PRESSES[..2])
                };
                self.story.press(name, press)
            }
            Press::Act => {
                let act = self.one_of(&ACTS);
                self.story.act(name, act, &[])
            }
            Press::CapOfOne => self.story.act(name, "cap", &[("cap_usd", cap)]),
            Press::Cap => self.story.form("/settings", "", &[("cap_usd", cap)]),
            Press::CapOfGroup => {
                self.story
                    .form("/groups", "/groups", &[(&format!("cap_usd.{group}"), cap)])
            }
            Press::Models => self.story.form("/settings", "", &[("models", models)]),
            Press::ModelsOfGroup => self.story.form(
                "/groups",
                "/groups",
                &[(&format!("models.{group}"), models)],
            ),
            Press::DataPolicy => {
                let policy = self.one_of(&["zero-retention", "no-training"]);
                self.story.form("/settings", "", &[("data_policy", policy)])
            }
            Press::End => {
                let days = self.one_of(&[-1, 14, 100]);
                let end = utc_date(self.story.clock.now()).saturating_add(days.days());
                self.story
                    .form("/settings", "", &[("ends_on", &end.to_string())])
            }
            Press::Roster => {
                let left_out = self.one_of(&[None, None, Some(name)]);
                let named = PEOPLE.iter().filter(|name| left_out != Some(**name));
                let lines: Vec<String> = named
                    .map(|name| format!("{name}@example.edu,{}\n", self.one_of(&GROUPS)))
                    .collect();
                self.story.roster(&lines.concat())
            }
            Press::Sync => self.story.run(FunctionName::UsageSync, json!({})),
            Press::Work => self
                .story
                .run(FunctionName::Console, json!({"task": "work"})),
        }
    }

    async fn moves(&mut self, what: Move) {
        let name = self.one_of(&PEOPLE);
        match what {
            Move::Press => {
                let press = self.often(&PRESSED);
                let ended = self.press(press, name).await;
                self.story.ends(ended).await;
            }
            Move::AtOnce => {
                let mut requests = Vec::new();
                for _ in 0..2 + self.dice.usize(..2) {
                    let (press, other) = (self.often(&PRESSED), self.one_of(&PEOPLE));
                    let name = if self.dice.bool() { name } else { other };
                    requests.push(self.press(press, name));
                }
                self.story.tell("at the same moment:");
                for ended in join_all(requests).await {
                    self.story.ends(ended).await;
                }
            }
            Move::Held => self.holds(name).await,
            Move::Spend => {
                let micros = 1 + self.dice.usize(..15_000_000);
                let which = self.dice.usize(..3);
                self.story
                    .spends_what_it_can(name, which, Nano::micros(micros.try_into().unwrap()))
                    .await;
            }
            Move::Budget => {
                let budget = self.one_of(&[30, 40, BUDGET, 70]);
                self.story
                    .budget_becomes(budget * windows(self.reset))
                    .await;
            }
            Move::Sync => drop(self.story.syncs().await),
            Move::Seconds => {
                let seconds = self.dice.i64(1..100);
                self.passes(seconds).await;
            }
            Move::Minutes => {
                for _ in 0..self.dice.usize(1..4) {
                    self.works_after(60).await;
                }
            }
            Move::Settle => self.works_after(18 * 60).await,
            Move::Hours => {
                let hours = self.one_of(&[1, 5, 24, 8 * 24]);
                self.passes(3600 * hours).await;
                self.story.sign_in().await;
            }
            Move::Outage => match self.outage.take() {
                Some(rule) => self.story.comes_up(rule),
                None => self.outage = Some(self.story.goes_down()),
            },
            Move::OtherAccount => match self.other.take() {
                Some(other) => self.story.is_asked_again(&other).await,
                // Before a complete sync, nothing shows that the account is another.
                None if self.story.knows_the_account().await => {
                    self.other = Some(self.story.asks_another_account());
                }
                None => {}
            },
            Move::Fault => {
                let function = self.one_of(&FUNCTIONS);
                let (call, verdict, nth) = if self.dice.bool() {
                    ("*", self.one_of(&ANY), self.dice.u64(1..25))
                } else {
                    let (call, verdicts) = self.one_of(&FAULTS);
                    (call, self.one_of(verdicts), 1)
                };
                self.story.tell(format!(
                    "the next {call} #{nth} of {function} comes to {verdict:?}"
                ));
                self.faults.push(
                    self.story
                        .gate
                        .at(Matcher::call(call).of(function).nth(nth), verdict),
                );
            }
        }
    }

    /// Begins something that waits at one of its calls, or behind it. A call of the provider takes
    /// effect within a minute.
    async fn holds(&mut self, name: &str) {
        let press = self.often(&PRESSED);
        let function = match press {
            Press::Student => FunctionName::Claim,
            Press::Sync => FunctionName::UsageSync,
            _ => FunctionName::Console,
        };
        let call = self.one_of(&["*", "provider:*", "dynamodb:TransactWriteItems"]);
        let nth = if call == "*" {
            self.dice.u64(1..30)
        } else {
            self.dice.u64(1..4)
        };
        let (matcher, is_answer) = (Matcher::call(call).of(function).nth(nth), self.dice.bool());
        let gate = &self.story.gate;
        let calls = if is_answer {
            gate.hold_answers(matcher)
        } else {
            gate.hold(matcher)
        };
        let mut task = tokio::spawn(self.press(press, name));
        tokio::select! {
            call = calls.arrived() => {
                let is_effect = call.name.service == Service::Provider && call.name.has_effect() && !is_answer;
                let seconds = self.dice.i64(0..if is_effect { 60 } else { 150 });
                let until = self.story.clock.now() + SignedDuration::from_secs(seconds);
                let verdict = self.one_of(&HELD);
                self.held.push(Held { until, calls, verdict, task });
                self.story.judged(format!("{press:?} about {name} waits at {call}, {is_answer}, until {until}")).await;
            }
            ended = &mut task => self.story.ends(ended.unwrap()).await,
        }
    }

    /// Draws when the calls that are late by now take effect.
    fn delays(&mut self) {
        let now = self.story.clock.now();
        for call in self.story.gate.late() {
            let seconds = self.dice.i64(0..60);
            self.late
                .entry(call.number)
                .or_insert(now + SignedDuration::from_secs(seconds));
        }
    }

    async fn works_after(&mut self, seconds: i64) {
        self.passes(seconds).await;
        let worked = self.press(Press::Work, PEOPLE[0]).await;
        self.story.ends(worked).await;
        self.delays();
    }

    /// Lets time pass, in which late calls take effect, and what is held goes on.
    async fn passes(&mut self, seconds: i64) {
        let until = self.story.clock.now() + SignedDuration::from_secs(seconds);
        loop {
            let instants = self
                .late
                .values()
                .copied()
                .chain(self.held.iter().map(|held| held.until));
            let next = instants.min().filter(|next| *next < until).unwrap_or(until);
            let left = next
                .duration_since(self.story.clock.now())
                .max(SignedDuration::ZERO);
            self.story.clock.advance(left).unwrap();
            for call in self.story.gate.late() {
                if self.late.get(&call.number).is_some_and(|at| *at <= next) {
                    self.story.gate.run_this_late(&call).await;
                    self.late.remove(&call.number);
                    self.story.judged(format!("{call} takes effect late")).await;
                }
            }
            let is_due = |held: &mut Held| held.until <= next;
            for Held {
                calls,
                verdict,
                task,
                ..
            } in self.held.extract_if(.., is_due).collect::<Vec<_>>()
            {
                self.story
                    .tell(format!("what was held goes on to {verdict:?}"));
                calls.release(verdict);
                drop(calls);
                self.story.ends(task.await.unwrap()).await;
                self.delays();
            }
            if next >= until {
                break;
            }
        }
        self.story.judged(format!("{seconds} seconds pass")).await;
    }

    /// Ends all obstacles. Some hours pass, each with its work and a sync, and then nothing is left
    /// to be done.
    async fn comes_to_rest(mut self) {
        if let Some(rule) = self.outage.take() {
            self.story.comes_up(rule);
        }
        if let Some(other) = self.other.take() {
            self.story.is_asked_again(&other).await;
        }
        self.faults
            .drain(..)
            .for_each(|rule| self.story.gate.lift(rule));
        let mut report = json!({});
        for _ in 0..5 {
            self.works_after(70 * 60).await;
            self.works_after(60).await;
            report = self.story.syncs().await;
        }
        assert_eq!(report["complete"], true, "{report}");
        let residual: Usd = Usd::from_form(
            report["residual_usd"]
                .as_str()
                .unwrap()
                .trim_start_matches('-'),
        )
        .unwrap();
        assert!(residual < Usd::CENT, "{report}");
        self.story.holds_what_is_wanted().await;
        // Nothing is left to be sent or read, and no more is reserved than that.
        let (now, mut costs) = (self.story.clock.now(), Usd::ZERO);
        for name in PEOPLE {
            let view = self.story.view(name).await;
            assert_eq!(view.calls(now), [], "{:?}", view.grant);
            costs += view.reservation().cost(now);
        }
        assert_eq!(self.story.reserved().await, costs);
        self.story.campus.finish_faulted().await;
    }
}
