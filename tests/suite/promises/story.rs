//! The steps of a story of promises, each logged: people, staff, the provider and time on one stack. Nothing
//! runs but what the story calls, and after each step every invariant is judged.

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{Author, EditOutcome};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{KeySnapshot, Nano, Provider, Quirks};
use bursar_tests::faults::{Fault, Matcher, RuleId};
use bursar_tests::invariants::{Answers, Watch};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, session_cookie, soon};
use bursar_tests::stack;
use bursar_tests::stack::Stack;
use bursar_tests::visitor::{Page, Visitor};
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PROGRAMME: &str = "/console/programmes/cs-pilot";
pub(super) const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const ADMIN: &str = "admin@example.edu";

/// One programme on one stack, on which nothing runs but what the story calls.
pub(super) struct Story<'s> {
    pub(super) stack: &'s Stack,
    pub(super) office: Office<'s>,
    pub(super) answers: Answers,
    pub(super) watch: Watch,
    pub(super) admin: Visitor,
    pub(super) students: BTreeMap<String, Student>,
    management_key: String,
    /// Whether the end must be exactly as written. With drawn quirks, the lag of counters decides when money is free.
    pub(super) is_plain: bool,
    /// The log of the story so far.
    pub(super) told: Vec<String>,
}

pub(super) struct Student {
    pub(super) grant: GrantId,
    pub(super) browser: Visitor,
    /// The hashes of the keys that were shown, the latest last.
    pub(super) keys: Vec<String>,
}

/// The management key of the other account.
const OF_ANOTHER: &str = "sk-or-v1-management-of-another-account";

impl Story<'_> {
    /// A story at a provider with these quirks.
    pub(super) async fn begins<'s>(stack: &'s Stack, pot: i32, quirks: &Quirks) -> Story<'s> {
        stack.schedules.stop().await;
        stack.provider.as_ref().unwrap().set_quirks(|all| *all = quirks.clone());
        let office = Office::open(stack).await;
        let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
        office.table.set_pot(&office.programme, Usd::from_dollars(pot), by).await;
        let answers = Answers::default();
        let watch = stack::watch(stack).with_answers(answers.clone());
        let admin = signed_in(stack, ADMIN, &answers).await;
        let management_key = bursar_tests::aws::management_key(&stack.ready).await;
        let (is_plain, told) = (*quirks == Quirks::default(), vec![format!("{quirks:?}")]);
        Story { stack, office, answers, watch, admin, students: BTreeMap::new(), management_key, is_plain, told }
    }

    /// Sets the kind of window that caps count in.
    pub(super) async fn counts_in(&mut self, reset: Reset) {
        let programme = self.office.table.programme(&self.office.programme).await.unwrap().unwrap();
        let settings = Settings { reset, ..programme.settings };
        let by = Author { actor: &self.office.faculty, now: self.stack.clock.now(), deadline: soon() };
        let what = AuditDetail::new(Act::Edited);
        let saved =
            self.office.table.save_settings(&programme.id, settings, programme.version, what, by).await.unwrap();
        assert!(matches!(saved, EditOutcome::Done), "{saved:?}");
    }

    /// Puts people on the roster, optionally with another cap than twenty dollars.
    pub(super) async fn invites(&mut self, names: &[&str], cap: Option<&str>) {
        for name in names {
            let grant = self.office.invite(&address(name)).await;
            let browser = signed_in(self.stack, &address(name), &self.answers).await;
            self.students.insert((*name).to_owned(), Student { grant, browser, keys: Vec::new() });
            if let Some(cap) = cap {
                self.caps(name, cap).await;
            }
        }
    }

    /// Runs a sync, and lets a day pass without another. Sessions have ended by then.
    pub(super) async fn a_day_passes_since_the_sync(&mut self) {
        assert_eq!(self.syncs().await["complete"], true, "{}", self.told.join("\n"));
        self.hours(24).await;
    }

    /// Lets hours pass, after which everybody signs in again.
    pub(super) async fn hours(&mut self, hours: i64) {
        self.stack.clock.advance(SignedDuration::from_hours(hours)).unwrap();
        self.admin = signed_in(self.stack, ADMIN, &self.answers).await;
        for (name, student) in &mut self.students {
            student.browser = signed_in(self.stack, &address(name), &self.answers).await;
        }
        self.judged(&format!("{hours} hours pass")).await;
    }

    pub(super) async fn claims(&mut self, name: &str) -> bool {
        self.presses(name, "reveal").await
    }

    pub(super) async fn replaces(&mut self, name: &str) -> bool {
        self.presses(name, "replace").await
    }

    /// Presses a button of the student's page. Whether a key was shown.
    pub(super) async fn presses(&mut self, name: &str, what: &str) -> bool {
        let page = press(&self.students[name].browser, what).await;
        let shown = page.as_ref().and_then(shown);
        let is_shown = shown.is_some();
        let answer = page.map_or("is not offered it".to_owned(), |page| format!("presses it: {}", page.status));
        self.students.get_mut(name).unwrap().keys.extend(shown);
        self.judged(&format!("{name} wants to {what} and {answer}")).await;
        is_shown
    }

    /// Presses for everybody at once.
    pub(super) async fn all_claim(&mut self) {
        let presses = self.students.iter().map(|(name, student)| async move {
            (name.clone(), press(&student.browser, "reveal").await.as_ref().and_then(shown))
        });
        let keys: Vec<(String, Option<String>)> = stream::iter(presses).buffered(8).collect().await;
        for (name, key) in keys {
            assert!(key.is_some(), "{name} was shown no key");
            self.students.get_mut(&name).unwrap().keys.extend(key);
        }
        self.judged("all claim").await;
    }

    pub(super) async fn spends(&mut self, name: &str, dollars: i64) {
        let key = self.key(name).hash;
        let provider = self.stack.provider.as_ref().unwrap();
        provider.spend(&key, Nano::usd(dollars), self.stack.clock.now(), "a/model").unwrap();
        self.judged(&format!("{name} spends {dollars}")).await;
    }

    /// Uses one of the keys that were shown, the latest first, as far as the provider allows.
    pub(super) async fn spends_what_it_can(&mut self, name: &str, which: usize, wanted: Nano) {
        let Some(hash) = self.students[name].keys.iter().rev().cycle().nth(which).cloned() else { return };
        let (provider, now) = (self.stack.provider.as_ref().unwrap(), self.stack.clock.now());
        let key = provider.keys().into_iter().find(|key| key.hash == hash).unwrap();
        let works = !key.disabled && !key.deleted && key.expires_at.is_none_or(|expires| now < expires);
        let left = key.limit.unwrap_or(wanted) - key.spent_in_window;
        let amount = wanted.min(left);
        if works && amount > Nano::ZERO {
            provider.spend(&hash, amount, now, "a/model").unwrap();
        }
        self.judged(&format!("{name} spends {amount} if its key {hash} works: {works}")).await;
    }

    /// A claim or replacement in two tabs at once, while a function does its scheduled work.
    pub(super) async fn presses_twice_beside(&mut self, name: &str, beside: FunctionName) {
        let browser = &self.students[name].browser;
        let my = browser.get("/my").await;
        let paths = ["reveal", "replace"].map(|what| format!("/my/cs-pilot/{what}"));
        let Some(path) = paths.into_iter().find(|path| my.offers(path)) else { return };
        let event = if beside == FunctionName::Console { json!({"task": "work"}) } else { json!({}) };
        let press = || browser.submit(&my, &path, &[]);
        let (one, other, beside) = tokio::join!(press(), press(), self.stack.invoke.invoke(beside, event));
        let statuses = (one.status, other.status);
        let shown: Vec<String> = [one, other].iter().filter_map(shown).collect();
        self.students.get_mut(name).unwrap().keys.extend(shown);
        let beside = beside.map_err(|error| error.to_string());
        self.judged(&format!("{name} presses {path} twice: {statuses:?}, beside {beside:?}")).await;
    }

    pub(super) async fn acts_if_offered(&mut self, name: &str, act: &str, fields: &[(&str, &str)]) {
        let at = format!("{GRANTS}/{}", self.students[name].grant);
        let page = self.admin.get(&at).await;
        let path = format!("{at}/{act}");
        let answer = match page.offers(&path) {
            true => self.admin.submit(&page, &path, fields).await.status,
            false => return,
        };
        self.judged(&format!("faculty {act} {name} {fields:?}: {answer}")).await;
    }

    pub(super) async fn pot_becomes(&mut self, dollars: i32) {
        let by = Author { actor: &self.office.faculty, now: self.stack.clock.now(), deadline: soon() };
        let set = self.office.table.try_pot(&self.office.programme, Usd::from_dollars(dollars), by).await;
        self.judged(&format!("the pot becomes {dollars}: {set:?}")).await;
    }

    /// Uploads a roster of exactly these people.
    pub(super) async fn is_on_the_roster(&mut self, names: &[&str]) {
        let lines: Vec<String> = names.iter().map(|name| address(name)).collect();
        let file = format!("email\n{}\n", lines.join("\n"));
        let overview = self.admin.get(PROGRAMME).await;
        let roster = format!("{PROGRAMME}/roster");
        if !overview.offers(&roster) {
            return;
        }
        let preview =
            self.admin.upload(&overview, &roster, &[("mode", "replace")], "roster.csv", file.as_bytes()).await;
        let apply = format!("{roster}/apply");
        let answer = match preview.offers(&apply) {
            true => {
                let dropped = preview.text("dropped").unwrap();
                self.admin.submit(&preview, &apply, &[("confirm_dropped", &dropped)]).await.status
            }
            false => preview.status,
        };
        self.judged(&format!("a roster of {names:?}: {answer}")).await;
    }

    pub(super) async fn has_witnesses(&self) -> bool {
        let account = self.office.table.known_meta().await.unwrap().and_then(|meta| meta.account);
        account.is_some_and(|account| !account.witnesses.is_empty())
    }

    /// Puts another account's management key into the secret.
    pub(super) fn asks_another_account(&mut self) -> Provider {
        self.told.push("another account's management key is put in".to_owned());
        let provider = self.stack.provider.as_ref().unwrap();
        let other = provider.another_account(OF_ANOTHER).unwrap();
        provider.revoke_management_key(&self.management_key).unwrap();
        self.stack.secrets.put(&self.stack.ready.secret, OF_ANOTHER).unwrap();
        other
    }

    /// Puts the right management key back, and checks that the other account has no key.
    pub(super) async fn is_asked_again(&mut self, other: &Provider) {
        let provider = self.stack.provider.as_ref().unwrap();
        other.revoke_management_key(OF_ANOTHER).unwrap();
        provider.add_management_key(&self.management_key).unwrap();
        self.stack.secrets.put(&self.stack.ready.secret, &self.management_key).unwrap();
        self.stack.invoke.end_idle().await;
        self.judged("the right management key is back").await;
        assert_eq!(other.keys().len(), 0, "{}", self.told.join("\n"));
    }

    /// Lets minutes pass, each with its work, of which anything may fail.
    pub(super) async fn works_for(&mut self, minutes: i64) {
        for _ in 0..minutes {
            self.stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
            let worked = self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await;
            self.judged(&format!("a minute passes: {worked:?}")).await;
        }
    }

    /// Runs a sync, in which anything may fail.
    pub(super) async fn syncs_as_it_can(&mut self) {
        let report = self.stack.invoke.invoke(FunctionName::UsageSync, json!({})).await;
        let is_complete = report.as_ref().is_ok_and(|report| report["complete"] == true);
        let problems = report.map(|report| report["problems"].clone());
        self.judged_then(&format!("a sync: complete {is_complete}, {problems:?}"), is_complete).await;
    }

    pub(super) async fn acts(&mut self, name: &str, act: &str, fields: &[(&str, &str)]) -> u16 {
        let at = format!("{GRANTS}/{}", self.students[name].grant);
        let page = self.admin.get(&at).await;
        let status = self.admin.submit(&page, &format!("{at}/{act}"), fields).await.status;
        self.judged(&format!("faculty {act} {name} {fields:?}: {status}")).await;
        status
    }

    pub(super) async fn caps(&mut self, name: &str, cap: &str) -> u16 {
        self.acts(name, "cap", &[("cap_usd", cap), ("reason", "a story")]).await
    }

    pub(super) async fn revokes(&mut self, name: &str) {
        assert_eq!(self.acts(name, "revoke", &[("reason", "left")]).await, 303);
    }

    /// Answers every call to the provider with 503 from now on, and a `Retry-After` of ten minutes, which is
    /// longer than any caller waits.
    pub(super) fn goes_down(&mut self) -> RuleId {
        self.told.push("the provider goes down".to_owned());
        let verdict: Fault = Fault::RetryAfter(503, 600);
        self.stack.gate.at(Matcher::call("provider:*").every(), verdict)
    }

    pub(super) fn comes_up(&mut self, rule: RuleId) {
        self.told.push("the provider is up again".to_owned());
        self.stack.gate.lift(rule);
    }

    /// Lets minutes pass, each with its work. In each of them, everybody in `wanting` without a key presses.
    pub(super) async fn minutes(&mut self, minutes: i64, wanting: &[&str]) {
        for _ in 0..minutes {
            self.stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
            let worked = self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
            self.judged(&format!("a minute passes: {worked}")).await;
            for name in wanting {
                if self.students[*name].keys.is_empty() {
                    self.claims(name).await;
                }
            }
        }
    }

    pub(super) async fn down_for_ten_minutes(&mut self, wanting: &[&str]) {
        let rule = self.goes_down();
        self.minutes(10, wanting).await;
        self.comes_up(rule);
    }

    pub(super) async fn syncs(&mut self) -> Value {
        let report = self.stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
        self.judged_then(&format!("a sync: complete {}", report["complete"]), report["complete"] == true).await;
        report
    }

    pub(super) async fn judged(&mut self, what: &str) {
        self.judged_then(what, false).await;
    }

    /// Logs a step and judges every invariant. A violation ends the test with the story so far.
    pub(super) async fn judged_then(&mut self, what: &str, synced: bool) {
        self.stack.pump.drained().await.unwrap();
        let violations = self.watch.violations(synced).await.unwrap();
        self.told.push(what.to_owned());
        let wrong: Vec<String> = violations.iter().map(|violation| format!("    {violation}")).collect();
        assert!(wrong.is_empty(), "{}\n{}", self.told.join("\n"), wrong.join("\n"));
    }

    pub(super) fn key(&self, name: &str) -> KeySnapshot {
        let hash = self.students[name].keys.last().unwrap_or_else(|| panic!("{name} has no key"));
        let keys = self.stack.provider.as_ref().unwrap().keys();
        keys.into_iter().find(|key| key.hash == *hash).unwrap()
    }

    pub(super) fn is_enabled(&self, name: &str) -> bool {
        !self.key(name).disabled
    }

    pub(super) fn any_has_a_key(&self, names: &[&str]) -> bool {
        names.iter().any(|name| !self.students[*name].keys.is_empty())
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.edu")
}

/// The page after this press, if the form is offered.
async fn press(browser: &Visitor, what: &str) -> Option<Page> {
    let my = browser.get("/my").await;
    let path = format!("/my/cs-pilot/{what}");
    if my.offers(&path) { Some(browser.submit(&my, &path, &[]).await) } else { None }
}

/// The hash of the key that a page shows.
pub(super) fn shown(page: &Page) -> Option<String> {
    let key = page.all("key").into_iter().next()?;
    Some(HEXLOWER.encode(&Sha256::digest(key.text.as_bytes())))
}

async fn signed_in(stack: &Stack, address: &str, answers: &Answers) -> Visitor {
    let visitor = Visitor::new(&stack.ready.web).noting(answers);
    let cookie = session_cookie(stack, address).await;
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}
