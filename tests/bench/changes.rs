//! `cargo xtask bench changes`: a cap edit, other models and a close for a tenth of 5,000 live keys, at a provider that takes ten calls a second.
//! A minute of the product's clock has one round of work; within a round the clock goes as the machine's does.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Author, Job, Table};
use bursar_local::gate::Service;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Rate;
use bursar_tests::office::{Office, ProgrammeEdits, session_cookie, soon};
use bursar_tests::stack::{self, Left, Stack};
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;
use serde_json::json;

const KEYS: u32 = 500;
const SCALE: u32 = 10;
const A_SECOND: u32 = 10;
const ADMIN: &str = "admin@example.edu";
const PAGE: &str = "/console/programmes/cs-pilot";
/// The rounds of work after which the job is given up.
const MOST_MINUTES: u32 = 60;

/// What a change took.
struct Took {
    minutes: u32,
    calls: usize,
    writes: f64,
    reads: f64,
}

pub(crate) async fn run() -> Result<()> {
    let stack = stack::in_process().await?;
    stack.schedules.stop().await;
    let office = Office::open(&stack).await;
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(1_000_000), by).await;
    let mut people: Vec<(GrantId, String)> = Vec::new();
    for number in 0..KEYS {
        let grant = office.invite(&format!("s{number:04}@example.edu")).await;
        let key = office.claim(&grant).await;
        people.push((grant, key));
    }
    let provider = stack.provider.clone().context("a built-in provider")?;
    provider.set_quirks(|quirks| quirks.rate = Some(Rate { per_second: A_SECOND, burst: A_SECOND, retry_after: true }));
    stack.gate.count_units();
    let admin = Visitor::new(&stack.ready.web);
    let cookie = session_cookie(&stack, ADMIN).await;
    let (name, value) = cookie.split_once('=').context("a cookie")?;
    admin.set_cookie(name, value);
    let keys = || provider.keys();
    let cap = took(&stack, &admin, "limits", PAGE, &[("cap_usd", "10")]).await?;
    ensure!(
        keys().iter().all(|key| key.limit.is_some_and(|limit| limit.to_string() == "10")),
        "a key has another limit"
    );
    told("a lower cap", &cap);
    let rules = took(&stack, &admin, "rules", PAGE, &[("models", "openai/gpt-4o-mini")]).await?;
    ensure!(keys().iter().all(|key| key.guardrail_id.is_some()), "a key is under no guardrail");
    told("other models", &rules);
    let close = took(&stack, &admin, "close", &format!("{PAGE}/close"), &[]).await?;
    ensure!(keys().iter().all(|key| key.disabled), "a key is enabled");
    told("a close", &close);
    stack.finish_leaving(&[Left::PerhapsMails, Left::PerhapsComplaints(&[("console", "")])]).await;
    Ok(())
}

/// Posts a form, and lets the work of minutes go on until the job is done.
async fn took(stack: &Stack, admin: &Visitor, kind: &str, path: &str, fields: &[(&str, &str)]) -> Result<Took> {
    let before = stack.gate.calls().len();
    let page = admin.get(PAGE).await;
    ensure!(admin.submit(&page, path, fields).await.status == 303, "the form was refused");
    let mut minutes = 0;
    while job(stack, kind).await?.is_none_or(|job| job.is_running()) {
        minutes += 1;
        ensure!(minutes < MOST_MINUTES, "the job is not done after {minutes} minutes");
        let began = Instant::now();
        stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await?;
        let rest = SignedDuration::from_secs(60) - SignedDuration::try_from(began.elapsed())?;
        if rest > SignedDuration::ZERO {
            stack.clock.advance(rest)?;
        }
    }
    let calls = stack.gate.calls();
    let (mut reads, mut writes, mut asked) = (0.0, 0.0, 0);
    for recorded in calls.iter().skip(before).filter(|recorded| recorded.call.function == FunctionName::Console) {
        let name = &recorded.call.name;
        match name.service {
            Service::Provider => asked += 1,
            Service::DynamoDb if ["GetItem", "Query"].contains(&&*name.operation) => {
                reads += recorded.units.unwrap_or_default();
            }
            Service::DynamoDb => writes += recorded.units.unwrap_or_default(),
            _ => {}
        }
    }
    Ok(Took { minutes, calls: asked, writes, reads })
}

async fn job(stack: &Stack, kind: &str) -> Result<Option<Job>> {
    let id: ProgrammeId = "cs-pilot".parse()?;
    Ok(Table::new(&stack.config).jobs(&id).await?.into_iter().find(|job| job.work.kind() == kind))
}

fn told(what: &str, Took { minutes, calls, writes, reads }: &Took) {
    let times = f64::from(SCALE);
    eprintln!(
        "bench: {what} for {KEYS} keys at {A_SECOND} calls a second: done in {minutes} minutes, {calls} calls, {writes:.0} write units, \
         {reads:.0} read units; for {} keys: {} minutes, {} calls, {:.0} write units, {:.0} read units",
        KEYS * SCALE,
        minutes * SCALE,
        calls * SCALE as usize,
        writes * times,
        reads * times,
    );
}
