//! A programme is changed, closed, divided and copied while people hold its keys.

mod edits;
mod ends;
mod jobs;
mod meanwhile;
mod models;
mod races;
mod returned;
mod rules;
mod tiers;

use bursar_core::deadline::Waits;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Author, Job, Table};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::invariants::{Snapshot, Watch};
use bursar_tests::office::{Office, ProgrammeEdits, soon};
use bursar_tests::stack::{self, Setup, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::console::{ADMIN, signed_in};

const ID: &str = "/console/programmes/cs-pilot";

/// A stack in which nothing runs by itself.
async fn quiet(setup: Setup<'_>) -> Stack {
    let stack = stack::of(setup).await.unwrap();
    stack.schedules.stop().await;
    stack
}

/// A quiet stack with a programme, of a hundred dollars where nothing else is said, and of people with a key each.
struct Class {
    stack: Stack,
    people: Vec<(GrantId, String)>,
}

impl Class {
    async fn of(names: &[&str]) -> Class {
        Class::with_budget(100, names).await
    }

    async fn with_budget(budget: i32, names: &[&str]) -> Class {
        Class::on(Setup::default(), budget, names).await
    }

    /// A class whose functions hardly wait for a provider that is down.
    async fn impatient(budget: i32, names: &[&str]) -> Class {
        Class::on(Setup { waits: Waits::shortened(20), ..Setup::default() }, budget, names).await
    }

    async fn on(setup: Setup<'_>, budget: i32, names: &[&str]) -> Class {
        let stack = quiet(setup).await;
        let office = Office::open(&stack).await;
        let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
        office.table.set_pot(&office.programme, Usd::from_dollars(budget), by).await;
        let mut people = Vec::new();
        for name in names {
            let grant = office.invite(&format!("{name}@example.edu")).await;
            let key = office.claim(&grant).await;
            people.push((grant, key));
        }
        stack.pump.drained().await.unwrap();
        Class { stack, people }
    }

    fn office(&self) -> Office<'_> {
        Office::of(&self.stack, "cs-pilot")
    }

    fn watch(&self) -> Watch {
        stack::watch(&self.stack)
    }

    async fn admin(&self) -> Visitor {
        signed_in(&self.stack, ADMIN).await
    }

    /// The limits of everybody's key at the provider, in dollars.
    fn limits(&self) -> Vec<Option<Nano>> {
        self.people.iter().map(|(_, key)| self.office().key(key).limit).collect()
    }

    fn enabled(&self) -> usize {
        self.people.iter().filter(|(_, key)| !self.office().key(key).disabled).count()
    }

    async fn reserved(&self) -> Usd {
        Table::new(&self.stack.config).pot(&"cs-pilot".parse().unwrap()).await.unwrap().unwrap().reserved
    }

    async fn job(&self, kind: &str) -> Option<Job> {
        let jobs = Table::new(&self.stack.config).jobs(&"cs-pilot".parse().unwrap()).await.unwrap();
        jobs.into_iter().find(|job| job.work.kind() == kind)
    }

    /// One round of the work of a minute.
    async fn works(&self) -> Value {
        self.stack.clock.advance(SignedDuration::from_secs(61)).unwrap();
        self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap()
    }

    /// Judges this moment, when no mail is on its way.
    async fn judged<'w>(&self, watch: &'w mut Watch) -> &'w Snapshot {
        self.stack.pump.drained().await.unwrap();
        watch.check().await
    }
}

async fn edits(admin: &Visitor, fields: &[(&str, &str)]) -> Page {
    admin.submit(&admin.get(ID).await, ID, fields).await
}

/// A job's line: kind, state, and how many are done of all.
fn jobs(page: &Page) -> Vec<(String, String, String, String)> {
    let of = |name: &str| page.attributes("job", name);
    let (kinds, states) = (of("data-kind"), of("data-state"));
    let counts = of("data-done").into_iter().zip(of("data-all"));
    kinds.into_iter().zip(states).zip(counts).map(|((kind, state), (done, all))| (kind, state, done, all)).collect()
}

fn job(kind: &str, state: &str, done: u32, all: u32) -> (String, String, String, String) {
    (kind.to_owned(), state.to_owned(), done.to_string(), all.to_string())
}

fn dollars(amount: i64) -> Option<Nano> {
    Some(Nano::usd(amount))
}

/// How many calls the console has made.
fn calls_of_the_console(stack: &Stack) -> u64 {
    let calls = stack.gate.calls();
    calls.iter().filter(|recorded| recorded.call.function == FunctionName::Console).count() as u64
}

/// Another list of models for each number.
fn some_of(number: usize) -> String {
    const MODELS: [&str; 7] = [
        "openai/gpt-4o-mini",
        "openai/gpt-4o",
        "openai/gpt-5-mini",
        "google/gemini-2.5-flash",
        "deepseek/deepseek-r1-0528",
        "meta-llama/llama-3.3-70b-instruct",
        "anthropic/claude-opus-4.5",
    ];
    let chosen = MODELS.iter().enumerate().filter(|(place, _)| number >> place & 1 == 1);
    chosen.map(|(_, model)| *model).collect::<Vec<_>>().join("\n")
}
