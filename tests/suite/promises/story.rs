//! The steps of a story of promises, each logged: people, staff, the provider and time on one campus. Nothing runs but what the
//! story calls, and after each step every invariant is judged.

use std::collections::BTreeMap;
use std::ops::Deref;

use bursar_core::store::Meta;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider, Quirks};
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher, RuleId};
use bursar_tests::visitor::{Page, Visitor};
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The management key of the other account.
const OF_ANOTHER: &str = "sk-or-v1-management-of-another-account";

pub(super) struct Story {
    pub(super) campus: Campus,
    admin: Visitor,
    students: BTreeMap<String, Student>,
    management_key: String,
    /// Whether the end must be exactly as written. With drawn quirks, the lag of counters decides when money is free.
    pub(super) is_plain: bool,
}

struct Student {
    browser: Visitor,
    /// The hashes of the keys that were shown, the latest last.
    keys: Vec<String>,
}

impl Story {
    /// A story at a provider with these quirks.
    pub(super) async fn begins(budget: i32, quirks: &Quirks) -> Story {
        let mut campus = Campus::open().await;
        // What the provider lets in a second comes back only while time passes.
        campus.clock.run_from(campus.clock.now()).unwrap();
        campus.provider().set_quirks(|all| *all = quirks.clone());
        campus.programme("CS pilot", |_| {}).await;
        campus.budget(budget).await;
        campus.tell(format!("{quirks:?}"));
        let (admin, management_key) = (campus.admin().await, aws::management_key(&campus.ready).await);
        Story { campus, admin, students: BTreeMap::new(), management_key, is_plain: *quirks == Quirks::default() }
    }

    /// Puts people on the roster, optionally with another cap than twenty dollars.
    pub(super) async fn invites(&mut self, names: &[&str], cap: Option<&str>) {
        self.campus.students(names).await;
        for name in names {
            let browser = self.campus.student(name).await;
            self.students.insert((*name).to_owned(), Student { browser, keys: Vec::new() });
            if let Some(cap) = cap {
                self.caps(name, cap).await;
            }
        }
    }

    /// Runs a sync, and lets a day pass without another. Sessions have ended by then.
    pub(super) async fn a_day_passes_since_the_sync(&mut self) {
        assert_eq!(self.syncs().await["complete"], true);
        self.hours(24).await;
    }

    /// Lets hours pass, after which everybody signs in again.
    pub(super) async fn hours(&mut self, hours: i64) {
        self.campus.minutes(60 * hours);
        self.admin = self.campus.admin().await;
        for (name, student) in &mut self.students {
            student.browser = self.campus.student(name).await;
        }
        self.judged(format!("{hours} hours pass")).await;
    }

    /// Sends the form of this button of the student's page, where it is offered. Whether a key was shown.
    pub(super) async fn presses(&mut self, name: &str, what: &str) -> bool {
        let page = self.pressed(name, what).await;
        let shown = page.as_ref().and_then(shown);
        let is_shown = shown.is_some();
        let answer = page.map_or("is not offered it".to_owned(), |page| format!("presses it: {}", page.status));
        self.students.get_mut(name).unwrap().keys.extend(shown);
        self.judged(format!("{name} wants to {what} and {answer}")).await;
        is_shown
    }

    /// The page after this request, if the form is offered.
    async fn pressed(&self, name: &str, what: &str) -> Option<Page> {
        let (browser, path) = (&self.students[name].browser, self.campus.my(what));
        let my = browser.get("/my").await;
        if my.offers(&path) { Some(browser.submit(&my, &path, &[]).await) } else { None }
    }

    /// Everybody claims at once.
    pub(super) async fn all_claim(&mut self) {
        let story = &*self;
        let claims = story.students.keys().map(async |name| (name.clone(), story.pressed(name, "reveal").await));
        for (name, page) in stream::iter(claims).buffered(8).collect::<Vec<_>>().await {
            let key = page.as_ref().and_then(shown).unwrap_or_else(|| panic!("{name} was shown no key"));
            self.students.get_mut(&name).unwrap().keys.push(key);
        }
        self.judged("all claim").await;
    }

    pub(super) async fn spends(&self, name: &str, dollars: i64) {
        let key = self.students[name].keys.last().unwrap();
        self.campus.provider().spend(key, Nano::usd(dollars), self.clock.now(), "a/model").unwrap();
        self.judged(format!("{name} spends {dollars}")).await;
    }

    /// Uses one of the keys that were shown, the latest first, as far as the provider allows.
    pub(super) async fn spends_what_it_can(&self, name: &str, which: usize, wanted: Nano) {
        let Some(hash) = self.students[name].keys.iter().rev().cycle().nth(which) else { return };
        let (provider, now) = (self.campus.provider(), self.clock.now());
        let key = provider.keys().into_iter().find(|key| key.hash == *hash).unwrap();
        let works = !key.disabled && !key.deleted && key.expires_at.is_none_or(|expires| now < expires);
        let amount = wanted.min(key.limit.unwrap_or(wanted) - key.spent_in_window);
        if works && amount > Nano::ZERO {
            provider.spend(hash, amount, now, "a/model").unwrap();
        }
        self.judged(format!("{name} spends {amount} if its key {hash} works: {works}")).await;
    }

    /// A claim or replacement in two tabs at once, while a function does its scheduled work.
    pub(super) async fn presses_twice_beside(&mut self, name: &str, beside: FunctionName) {
        let browser = &self.students[name].browser;
        let my = browser.get("/my").await;
        let paths = ["reveal", "replace"].map(|what| self.campus.my(what));
        let Some(path) = paths.into_iter().find(|path| my.offers(path)) else { return };
        let event = if beside == FunctionName::Console { json!({"task": "work"}) } else { json!({}) };
        let press = || browser.submit(&my, &path, &[]);
        let (one, other, beside) = tokio::join!(press(), press(), self.campus.run(beside, event));
        let (statuses, beside) = ((one.status, other.status), beside.map_err(|error| error.to_string()));
        let shown: Vec<String> = [one, other].iter().filter_map(shown).collect();
        self.students.get_mut(name).unwrap().keys.extend(shown);
        self.judged(format!("{name} presses {path} twice: {statuses:?}, beside {beside:?}")).await;
    }

    /// Faculty's form on the page of one grant; `None` where it is not offered.
    pub(super) async fn acts(&self, name: &str, act: &str, fields: &[(&str, &str)]) -> Option<u16> {
        let at = self.campus.console(&format!("/grants/{}", self.campus.id(name)));
        let (page, path) = (self.admin.get(&at).await, format!("{at}/{act}"));
        let sure = [fields, &[("confirm", "CS pilot")]].concat();
        let status = if page.offers(&path) { Some(self.admin.submit(&page, &path, &sure).await.status) } else { None };
        self.judged(format!("faculty {act} {name} {fields:?}: {status:?}")).await;
        status
    }

    pub(super) async fn caps(&self, name: &str, cap: &str) -> Option<u16> {
        self.acts(name, "cap", &[("cap_usd", cap), ("reason", "a story")]).await
    }

    pub(super) async fn revokes(&self, name: &str) {
        assert_eq!(self.acts(name, "revoke", &[("reason", "left")]).await, Some(303));
    }

    pub(super) async fn budget_becomes(&self, dollars: i32) {
        let set = self.campus.try_budget(dollars).await;
        self.judged(format!("the budget becomes {dollars}: {set:?}")).await;
    }

    /// Uploads a roster of exactly these people.
    pub(super) async fn is_on_the_roster(&self, names: &[&str]) {
        let roster = self.campus.console("/roster");
        let page = self.admin.get(&roster).await;
        if !page.offers(&roster) {
            return;
        }
        let file: String = names.iter().map(|name| format!("{name}@example.edu\n")).collect();
        let file = format!("email\n{file}");
        let mut page = self.admin.upload(&page, &roster, &[("mode", "replace")], "roster.csv", file.as_bytes()).await;
        let apply = format!("{roster}/apply");
        if page.offers(&apply) {
            let dropped = page.text("dropped").unwrap();
            page = self.admin.submit(&page, &apply, &[("confirm_dropped", &dropped)]).await;
        }
        self.judged(format!("a roster of {names:?}: {}", page.status)).await;
    }

    pub(super) async fn knows_the_account(&self) -> bool {
        let account = self.campus.table.get(Meta::key_of()).await.unwrap().and_then(|meta| meta.account);
        account.is_some_and(|account| !account.listed.is_empty())
    }

    /// Puts another account's management key into the secret.
    pub(super) fn asks_another_account(&self) -> Provider {
        self.campus.tell("another account's management key is put in");
        let other = self.campus.provider().another_account(OF_ANOTHER).unwrap();
        self.campus.provider().revoke_management_key(&self.management_key).unwrap();
        self.secrets.put(&self.ready.secret, OF_ANOTHER).unwrap();
        other
    }

    /// Puts the right management key back, and checks that the other account has no key.
    pub(super) async fn is_asked_again(&self, other: &Provider) {
        other.revoke_management_key(OF_ANOTHER).unwrap();
        self.campus.provider().add_management_key(&self.management_key).unwrap();
        self.secrets.put(&self.ready.secret, &self.management_key).unwrap();
        self.invoke.end_idle().await;
        self.judged("the right management key is back").await;
        assert_eq!(other.keys().len(), 0);
    }

    /// Lets minutes pass, each with its work, of which anything may fail.
    pub(super) async fn works_for(&self, minutes: i64) {
        for _ in 0..minutes {
            self.campus.minutes(1);
            let worked = self.campus.run(FunctionName::Console, json!({"task": "work"})).await;
            self.judged(format!("a minute passes: {worked:?}")).await;
        }
    }

    /// Runs a sync, in which anything may fail. Returns its report, or null.
    pub(super) async fn syncs(&self) -> Value {
        let report = self.campus.run(FunctionName::UsageSync, json!({})).await;
        self.campus.tell(format!("a sync: {report:?}"));
        let report = report.unwrap_or_default();
        if report["complete"] == true {
            self.campus.judged_after_sync().await;
        } else {
            self.campus.judged().await;
        }
        report
    }

    /// Answers every call to the provider with 503 from now on, and a `Retry-After` of ten minutes, which is longer than any
    /// caller waits.
    pub(super) fn goes_down(&self) -> RuleId {
        self.campus.tell("the provider goes down");
        self.gate.at(Matcher::call("provider:*").every(), Fault::RetryAfter(503, 600))
    }

    pub(super) fn comes_up(&self, rule: RuleId) {
        self.campus.tell("the provider is up again");
        self.gate.lift(rule);
    }

    /// Lets minutes pass, each with its work. In each of them, everybody in `wanting` without a key claims.
    pub(super) async fn minutes(&mut self, minutes: i64, wanting: &[&str]) {
        for _ in 0..minutes {
            self.works_for(1).await;
            for name in wanting {
                if !self.has_a_key(name) {
                    self.presses(name, "reveal").await;
                }
            }
        }
    }

    /// Waits after a confirmation until a reading gives money back, and runs the sync that reads.
    pub(super) async fn what_is_free_is_given_back(&mut self, wanting: &[&str]) {
        self.minutes(2, wanting).await;
        self.campus.minutes(17);
        self.minutes(1, wanting).await;
        self.syncs().await;
        self.works_for(1).await;
    }

    /// Logs a step and judges every invariant. A violation ends the test with the story so far.
    async fn judged(&self, what: impl Into<String>) {
        self.campus.tell(what);
        self.campus.judged().await;
    }

    pub(super) fn is_enabled(&self, name: &str) -> bool {
        let hash = self.students[name].keys.last().unwrap();
        self.campus.provider().keys().iter().any(|key| key.hash == *hash && !key.disabled)
    }

    pub(super) fn has_a_key(&self, name: &str) -> bool {
        !self.students[name].keys.is_empty()
    }
}

impl Deref for Story {
    type Target = Campus;

    fn deref(&self) -> &Campus {
        &self.campus
    }
}

/// The hash of the key that a page shows.
fn shown(page: &Page) -> Option<String> {
    let key = page.all("key").into_iter().next()?;
    Some(HEXLOWER.encode(&Sha256::digest(key.text.as_bytes())))
}
