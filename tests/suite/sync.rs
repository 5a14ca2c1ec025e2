//! The sync over a whole stack: what it records, and what it does about what it finds. It meets providers that
//! fail, lie or disappear, is killed, repeated and overtaken, and runs on restored tables.

mod another_account;
mod checkpoints;
mod contended;
mod corrected;
pub(crate) mod crooked;
mod ends;
mod fence;
mod guard;
mod lifecycle;
mod many_missing;
mod owners;
mod pages;
mod reconciliation;
mod repeated;
mod reports;
mod restored;
pub(crate) mod rotation;
mod second_keys;
mod statement;
mod sums;
mod weather;
mod windows;
mod world;

use std::collections::BTreeMap;

use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, MintedKey, OpenAttempt, Person, Press, PressKind};
use bursar_core::domain::programme::{Byok, Programme, Settings};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{GrantId, KeyName, Nonce};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::items::Item;
use bursar_core::store::{ActOutcome, Author, NewPerson};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Interval, Nano, Provider};
use bursar_tests::invariants::{RawTable, Snapshot, Watch};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, session_cookie, soon};
use bursar_tests::stack;
use bursar_tests::stack::Stack;
use bursar_tests::visitor::Visitor;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

const ADMIN: &str = "admin@example.edu";

/// A stack whose stream is not read, so that nothing runs but what a test calls.
pub(crate) async fn still() -> Stack {
    let stack = stack::in_process().await.unwrap();
    stack.pump.stop().await;
    stack
}

/// A stack without a running stream, schedules or clock, on the morning of its first day.
async fn in_the_morning() -> Stack {
    let stack = still().await;
    stack.schedules.stop().await;
    stack.clock.begin_at(instant(0, 10 * 60)).unwrap();
    stack
}

/// The instant so many days after the test's first day, and so many minutes after midnight UTC.
fn instant(day: i64, minutes: i64) -> Timestamp {
    let midnight = date(day).to_zoned(TimeZone::UTC).unwrap().timestamp();
    midnight + SignedDuration::from_mins(minutes)
}

fn date(day: i64) -> Date {
    utc_date(stack::begins()).saturating_add(day.days())
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub(crate) fn watch(stack: &Stack) -> Watch {
    let watch = Watch::over(raw(stack), stack.clock.as_clock());
    watch.with_provider(stack.provider.clone().unwrap()).with_gate(stack.gate.clone())
}

fn raw(stack: &Stack) -> RawTable {
    RawTable::at(&stack.ready.dynamodb, &stack.ready.table)
}

pub(crate) async fn sync(stack: &Stack) -> Value {
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap()
}

fn provider(stack: &Stack) -> &Provider {
    stack.provider.as_ref().unwrap()
}

pub(crate) fn spend(stack: &Stack, key: &str, micros: i64) {
    provider(stack).spend(key, Nano::micros(micros), stack.clock.now(), "a/model").unwrap();
}

fn foreign(stack: &Stack, name: &str) -> String {
    provider(stack).add_foreign_key(name, None, stack.clock.now()).unwrap().hash
}

fn is_enabled(stack: &Stack, key: &str) -> bool {
    provider(stack).keys().iter().any(|known| known.hash == key && !known.disabled && !known.deleted)
}

fn problems(report: &Value) -> String {
    report["problems"].to_string()
}

/// Every item except the records of runs, none of which a repeated run may change.
pub(crate) fn without_runs(seen: &Snapshot) -> BTreeMap<(String, String), Item> {
    let of_runs = ["run", "lease", "sync", "checkpoint", "checkpoint-part", "cut", "cut-keys"];
    let is_run = |item: &Item| item["kind"].as_s().is_ok_and(|kind| of_runs.contains(&kind.as_str()));
    seen.items.iter().filter(|(_, item)| !is_run(item)).map(|(key, item)| (key.clone(), item.clone())).collect()
}

/// The differences between two moments, apart from the records of runs.
fn changed(before: &BTreeMap<(String, String), Item>, seen: &Snapshot) -> Vec<String> {
    let now = without_runs(seen);
    let keys = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
    let different = keys.filter(|key| before.get(*key) != now.get(*key));
    different.map(|key| format!("{key:?}: {:?} became {:?}", before.get(key), now.get(key))).collect()
}

/// Changes the programme's settings as an edit would, without the act.
async fn shape(stack: &Stack, office: &Office<'_>, change: impl FnOnce(&mut Settings)) {
    let mut programme: Programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    change(&mut programme.settings);
    raw(stack).keep(&programme).await.unwrap();
}

/// Releases what the guard held back, so that the next sync does it.
async fn release(stack: &Stack) {
    let admin = signed_in(stack, ADMIN).await;
    let page = admin.get("/console/account").await.expect(200);
    admin.submit(&page, "/console/account/release", &[]).await.expect(303);
}

/// A programme with a pot for everybody.
pub(crate) async fn rich(stack: &Stack) -> Office<'_> {
    let office = Office::open(stack).await;
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(1_000_000), by).await;
    office
}

pub(crate) async fn invite(stack: &Stack, office: &Office<'_>, name: &str, group: Option<&str>) -> GrantId {
    let address = EmailAddress::parse(&format!("{name}@x.edu")).unwrap();
    let person = NewPerson { person: Person { address, name: None, roster_id: None }, group: group.map(str::to_owned) };
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office.table.invite(&office.programme, &[person], by).await.unwrap().pop().unwrap()
}

async fn grant(office: &Office<'_>, grant: &GrantId) -> Grant {
    office.table.grant(&office.programme, grant).await.unwrap().unwrap()
}

/// The key that a student gets by a press, the first or the next.
pub(crate) async fn mint(stack: &Stack, office: &Office<'_>, grant: &GrantId) -> String {
    let begun = begin(stack, office, grant).await;
    let key = make(stack, office, grant, &begun).await;
    record(office, grant, &begun, &key).await;
    key
}

/// Begins an attempt, and disables the keys before it.
async fn begin(stack: &Stack, office: &Office<'_>, of: &GrantId) -> OpenAttempt {
    begin_with(stack, office, of, true).await
}

/// Begins an attempt, and confirms the disable of the keys before it. Unless `has_old`, the provider does not
/// have them.
async fn begin_with(stack: &Stack, office: &Office<'_>, of: &GrantId, has_old: bool) -> OpenAttempt {
    let known = grant(office, of).await;
    let kind = if known.ever_shown { PressKind::Replace } else { PressKind::Reveal };
    let press = Press { kind, epoch: known.epoch, terms: None };
    let begun =
        match office.table.act(office.at(of), |view, now| view.begin(press, Nonce::random(), now)).await.unwrap() {
            ActOutcome::Done(begun) => begun,
            other => panic!("{other:?}"),
        };
    for order in &begun.to_retire {
        if has_old {
            provider(stack).disable(order.key.as_str()).unwrap();
        }
        office.table.act(office.at(of), |view, now| view.confirmed(order, now)).await.unwrap();
    }
    begun
}

/// Makes the key of an attempt at the provider.
async fn make(stack: &Stack, office: &Office<'_>, of: &GrantId, begun: &OpenAttempt) -> String {
    let name = KeyName {
        deployment: stack.ready.deployment.parse().unwrap(),
        programme: office.programme.clone(),
        grant: of.clone(),
        epoch: begun.epoch,
        nonce: begun.nonce.clone(),
    };
    let limit = Some(Nano::micros(office.next_limit(of).await.micros()));
    let made = provider(stack).add_foreign_key(&name.to_string(), limit, stack.clock.now()).unwrap().hash;
    let settings = office.table.programme(&office.programme).await.unwrap().unwrap().settings;
    let window = match settings.reset {
        Reset::None => None,
        Reset::Daily => Some(Interval::Daily),
        Reset::Weekly => Some(Interval::Weekly),
        Reset::Monthly => Some(Interval::Monthly),
    };
    let (byok, expires_at) = (settings.byok == Byok::Inside, settings.keys_expire_at());
    provider(stack).count_limit(&made, window, byok, Some(expires_at)).unwrap();
    made
}

async fn record(office: &Office<'_>, of: &GrantId, begun: &OpenAttempt, key: &str) {
    let minted = MintedKey {
        key: key.parse().unwrap(),
        limit: office.next_limit(of).await,
        rule_set: office.next_rules(of).await,
    };
    let recorded = office.table.act(office.at(of), |view, now| view.record(begun, &minted, now)).await.unwrap();
    assert!(matches!(recorded, ActOutcome::Done(_)), "{recorded:?}");
}

/// A browser in which this address is signed in.
async fn signed_in(stack: &Stack, address: &str) -> Visitor {
    let (visitor, cookie) = (Visitor::new(&stack.ready.web), session_cookie(stack, address).await);
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}

/// Changes a key as a person does by hand at the provider.
fn change_by_hand(stack: &Stack, key: &str, change: &Value) {
    provider(stack).change_by_hand(key, change).unwrap();
}

pub(crate) fn office_deadline() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(25))
}
