//! Histories drawn from seeds, over the whole stack. The next move of people, staff, the provider or time is
//! drawn, and so are the provider's quirks. Every invariant is judged after each step, and in the end nothing
//! is left to be done.
//!
//! `BURSAR_TEST_SEED=70 cargo test -p bursar-tests promises::drawn` replays one history, `cargo xtask long` plays 150.

use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider, Quirks};
use bursar_tests::faults::{Fault, Matcher, RuleId};
use bursar_tests::seeds::seeds;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::story::Story;

const SIDE_BY_SIDE: usize = 4;
const MOVES: usize = 24;
const BUDGET: i32 = 50;
const PEOPLE: [&str; 3] = ["ada", "bob", "cid"];
const CAPS: [&str; 7] = ["0.01", "5", "10", "19.995", "20", "25", "45"];
const PRESSES: [&str; 6] = ["reveal", "replace", "return", "leaked", "refresh", "resume"];
const ACTS: [&str; 4] = ["pause", "resume", "revoke", "allow"];
const RESETS: [Reset; 4] = [Reset::None, Reset::Daily, Reset::Weekly, Reset::Monthly];
const FUNCTIONS: [FunctionName; 3] = [FunctionName::Claim, FunctionName::Console, FunctionName::UsageSync];
/// Faults that happen once, at the next call of their kind.
const FAULTS: [(&str, &[Fault]); 5] = [
    (
        "provider:PATCH /keys/{hash}",
        &[
            Fault::Late,
            Fault::LoseAnswer,
            Fault::KillBefore,
            Fault::KillAfter,
            Fault::StatusAfter(500),
            Fault::Status(503),
        ],
    ),
    (
        "provider:POST /keys",
        &[
            Fault::Late,
            Fault::LoseAnswer,
            Fault::KillBefore,
            Fault::KillAfter,
            Fault::StatusAfter(502),
            Fault::Status(429),
        ],
    ),
    ("provider:GET /keys/{hash}", &[Fault::Before, Fault::KillAfter, Fault::Status(503)]),
    ("provider:GET /keys", &[Fault::Before, Fault::KillAfter, Fault::Status(500)]),
    ("dynamodb:TransactWriteItems", &[Fault::KillBefore, Fault::KillAfter, Fault::LoseAnswer, Fault::Conflict]),
];

#[derive(Debug, Clone, Copy)]
enum Move {
    /// A request on a student's page, if it offers one.
    Request,
    /// A claim or replacement in two tabs at once, while the sync or the work runs.
    TwoTabs,
    Spend,
    Act,
    Cap,
    Budget,
    /// A person dropped from the roster, or a roster that names everybody again.
    Roster,
    Sync,
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

/// The moves of the draw, and how often each is in it.
const DRAWN: [(Move, usize); 14] = [
    (Move::Request, 5),
    (Move::TwoTabs, 2),
    (Move::Spend, 4),
    (Move::Act, 2),
    (Move::Cap, 2),
    (Move::Budget, 1),
    (Move::Roster, 1),
    (Move::Sync, 3),
    (Move::Minutes, 2),
    (Move::Settle, 1),
    (Move::Hours, 1),
    (Move::Outage, 1),
    (Move::OtherAccount, 1),
    (Move::Fault, 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_every_promise_is_kept() {
    let played =
        seeds(0, 1, 150).map(|seed| async move { tokio::spawn(play(seed)).await.err().map(|error| (seed, error)) });
    let played: Vec<_> = stream::iter(played).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let wrong: Vec<_> = played.iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {} histories went wrong: {:?}", wrong.len(), played.len(), wrong.first());
}

async fn play(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let quirks = if dice.usize(..3) == 0 { Quirks::default() } else { Quirks::draw(&mut dice) };
    let reset = RESETS[dice.usize(..RESETS.len())];
    let mut story = Story::begins(BUDGET * windows(reset), &quirks).await;
    story.tell(format!("seed {seed}, {reset:?}"));
    story.set(|settings| settings.basis.reset = reset).await;
    story.invites(&PEOPLE, None).await;
    // The first sync separates the opening, which is what the account spent before it.
    story.syncs().await;
    let mut history = History { story, dice, reset, outage: None, other: None, faults: Vec::new() };
    let drawn: Vec<Move> = DRAWN.iter().flat_map(|(what, often)| std::iter::repeat_n(*what, *often)).collect();
    for _ in 0..MOVES {
        let next = history.one_of(&drawn);
        history.moves(next).await;
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
}

impl History {
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.usize(..all.len())]
    }

    async fn moves(&mut self, what: Move) {
        let name = self.one_of(&PEOPLE);
        match what {
            Move::Request => {
                // Most students who press want a key.
                let press = if self.dice.usize(..3) == 0 { self.one_of(&PRESSES) } else { self.one_of(&PRESSES[..2]) };
                self.story.presses(name, press).await;
            }
            Move::TwoTabs => {
                let beside = self.one_of(&[FunctionName::UsageSync, FunctionName::Console]);
                self.story.presses_twice_beside(name, beside).await;
            }
            Move::Spend => {
                let micros = 1 + self.dice.usize(..15_000_000);
                let which = self.dice.usize(..3);
                self.story.spends_what_it_can(name, which, Nano::micros(micros.try_into().unwrap())).await;
            }
            Move::Act => {
                let act = self.one_of(&ACTS);
                self.story.acts(name, act, &[("reason", "drawn")]).await;
            }
            Move::Cap => {
                let cap = self.one_of(&CAPS);
                self.story.acts(name, "cap", &[("cap_usd", cap), ("reason", "drawn")]).await;
            }
            Move::Budget => {
                let budget = self.one_of(&[30, 40, BUDGET, 70]);
                self.story.budget_becomes(budget * windows(self.reset)).await;
            }
            Move::Roster => {
                let named: Vec<&str> = match self.dice.usize(..2) {
                    0 => PEOPLE.to_vec(),
                    _ => PEOPLE.into_iter().filter(|other| *other != name).collect(),
                };
                self.story.is_on_the_roster(&named).await;
            }
            Move::Sync => drop(self.story.syncs().await),
            Move::Minutes => {
                let minutes = 1 + self.dice.usize(..3);
                self.story.works_for(minutes.try_into().unwrap()).await;
            }
            Move::Settle => {
                self.story.campus.minutes(17);
                self.story.works_for(1).await;
            }
            Move::Hours => {
                let hours = self.one_of(&[1, 5, 24, 8 * 24]);
                self.story.hours(hours).await;
            }
            Move::Outage => match self.outage.take() {
                Some(rule) => self.story.comes_up(rule),
                None => self.outage = Some(self.story.goes_down()),
            },
            Move::OtherAccount => match self.other.take() {
                Some(other) => self.story.is_asked_again(&other).await,
                // Before a complete sync, nothing shows that the account is another.
                None if self.story.knows_the_account().await => self.other = Some(self.story.asks_another_account()),
                None => {}
            },
            Move::Fault => {
                let (call, verdicts) = self.one_of(&FAULTS);
                let (verdict, function) = (self.one_of(verdicts), self.one_of(&FUNCTIONS));
                self.story.tell(format!("the next {call} of {function} comes to {verdict:?}"));
                self.faults.push(self.story.gate.at(Matcher::call(call).of(function), verdict));
            }
        }
    }

    /// Ends all obstacles. Some hours pass, each with its work and a sync, and then nothing is left to be done.
    async fn comes_to_rest(mut self) {
        if let Some(rule) = self.outage.take() {
            self.story.comes_up(rule);
        }
        if let Some(other) = self.other.take() {
            self.story.is_asked_again(&other).await;
        }
        self.faults.drain(..).for_each(|rule| self.story.gate.lift(rule));
        self.story.gate.run_late().await;
        let mut report = json!({});
        for _ in 0..5 {
            self.story.campus.minutes(70);
            self.story.works_for(2).await;
            report = self.story.syncs().await;
        }
        assert_eq!(report["complete"], true, "{report}");
        let residual: Usd = Usd::from_form(report["residual_usd"].as_str().unwrap().trim_start_matches('-')).unwrap();
        assert!(residual < Usd::CENT, "{report}");
        for grant in self.story.table.grants(&self.story.programme).await.unwrap() {
            let view = self.story.table.view(&self.story.programme, &grant.id).await.unwrap().unwrap();
            assert_eq!(view.calls(self.story.campus.clock.now()), [], "{grant:?}");
        }
        self.story.campus.finish_faulted().await;
    }
}
