//! A programme is changed, closed, divided and copied while people hold its keys.

mod edits;
mod ends;
mod jobs;
mod models;
mod rules;
mod tiers;

use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher, RuleId};
use bursar_tests::visitor::{Page, Visitor};
use serde_json::json;

use crate::console::roster::applied;

const ID: &str = "/console/programmes/cs-pilot";
const SETTINGS: &str = "/console/programmes/cs-pilot/settings";

/// What a provider that is down answers. Nobody waits for as long as it asks to.
const DOWN: Fault = Fault::RetryAfter(503, 60);

/// The programme CS pilot of a hundred dollars, and people with a key each.
async fn class(names: &[&str]) -> Campus {
    class_of(100, names).await
}

async fn class_of(budget: i32, names: &[&str]) -> Campus {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.budget(budget).await;
    campus.students_with_keys(names).await;
    campus
}

fn goes_down(campus: &Campus, call: &str) -> RuleId {
    campus.gate.at(Matcher::call(call).every(), DOWN)
}

/// Lets the time pass for which it asked.
fn comes_up(campus: &Campus, down: RuleId) {
    campus.gate.lift(down);
    campus.minutes(2);
}

/// Somebody who is put on the roster and claims a key on the page.
async fn claims(campus: &mut Campus, name: &str) -> String {
    campus.students(&[name]).await;
    campus.reveal(&campus.student(name).await).await
}

/// The status of a request for a completion.
pub(crate) async fn asks(campus: &Campus, key: &str, model: &str) -> u16 {
    let url = format!("{}/chat/completions", campus.ready.provider);
    let body = json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]});
    aws::http()
        .post(url)
        .bearer_auth(key)
        .json(&body)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// A job's line: kind, state, and how many are done of all.
fn jobs(page: &Page) -> Vec<(String, String, String, String)> {
    let of = |name: &str| page.attributes("job", name);
    let (kinds, states) = (of("data-kind"), of("data-state"));
    let counts = of("data-done").into_iter().zip(of("data-all"));
    kinds
        .into_iter()
        .zip(states)
        .zip(counts)
        .map(|((kind, state), (done, all))| (kind, state, done, all))
        .collect()
}

fn job(kind: &str, state: &str, done: u32, all: u32) -> (String, String, String, String) {
    (
        kind.to_owned(),
        state.to_owned(),
        done.to_string(),
        all.to_string(),
    )
}

fn dollars(amount: i64) -> Option<Nano> {
    Some(Nano::usd(amount))
}
