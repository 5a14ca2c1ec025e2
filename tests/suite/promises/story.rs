//! The steps of a story of promises, each logged: people, staff, the provider and time on one
//! campus. Nothing runs but what the story calls, and after each step every invariant is judged.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use bursar_core::store::Meta;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider, Quirks};
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher, RuleId};
use bursar_tests::visitor::{Page, Visitor};
use data_encoding::HEXLOWER;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The management key of the other account.
const OF_ANOTHER: &str = "sk-or-v1-management-of-another-account";

pub(super) struct Story {
    pub(super) campus: Campus,
    admin: Arc<Visitor>,
    students: BTreeMap<String, Student>,
    management_key: String,
}

struct Student {
    browser: Arc<Visitor>,
    /// The hashes of the keys that were shown, the latest last.
    keys: Vec<String>,
}

/// What a person presses or a schedule begins, to its end.
pub(super) type Request = BoxFuture<'static, Ended>;

pub(super) struct Ended {
    told: String,
    /// The student and the hash of the key that the page shows.
    shown: Option<(String, String)>,
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
        let (admin, management_key) = (
            Arc::new(campus.admin().await),
            aws::management_key(&campus.ready).await,
        );
        Story {
            campus,
            admin,
            students: BTreeMap::new(),
            management_key,
        }
    }

    /// Puts people on the roster.
    pub(super) async fn invites(&mut self, names: &[&str]) {
        self.campus.students(names).await;
        for name in names {
            let browser = Arc::new(self.campus.student(name).await);
            self.students.insert(
                (*name).to_owned(),
                Student {
                    browser,
                    keys: Vec::new(),
                },
            );
        }
    }

    /// Lets hours pass, after which everybody signs in again.
    pub(super) async fn hours(&mut self, hours: i64) {
        self.campus.minutes(60 * hours);
        self.sign_in().await;
        self.judged(format!("{hours} hours pass")).await;
    }

    pub(super) async fn sign_in(&mut self) {
        self.admin = Arc::new(self.campus.admin().await);
        for (name, student) in &mut self.students {
            student.browser = Arc::new(self.campus.student(name).await);
        }
    }

    /// Sends the form of this button of the student's page, where it is offered. Whether a key was
    /// shown.
    pub(super) async fn presses(&mut self, name: &str, what: &str) -> bool {
        let ended = self.press(name, what).await;
        let is_shown = ended.shown.is_some();
        self.ends(ended).await;
        is_shown
    }

    pub(super) fn press(&self, name: &str, what: &str) -> Request {
        let (browser, path) = (
            Arc::clone(&self.students[name].browser),
            self.campus.my(what),
        );
        let (name, wants) = (name.to_owned(), format!("{name} wants to {what}"));
        Box::pin(async move {
            let page = pressed(&browser, "/my", &path, &[]).await;
            let status = page.as_ref().map(|page| page.status);
            let shown = page.as_ref().and_then(shown).map(|key| (name, key));
            Ended {
                told: format!("{wants}: {status:?}"),
                shown,
            }
        })
    }

    /// A form on a page of the console, where it is offered.
    pub(super) fn form(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Request {
        let (admin, page, path) = (
            Arc::clone(&self.admin),
            self.campus.console(page),
            self.campus.console(path),
        );
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Box::pin(async move {
            let filled: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let status = pressed(&admin, &page, &path, &filled)
                .await
                .map(|page| page.status);
            Ended {
                told: format!("staff {path} {filled:?}: {status:?}"),
                shown: None,
            }
        })
    }

    /// An upload of a roster of exactly these people, each with a group, as lines of a file.
    pub(super) fn roster(&self, people: &str) -> Request {
        let (admin, roster) = (Arc::clone(&self.admin), self.campus.console("/roster"));
        let (file, apply) = (format!("email,group\n{people}"), format!("{roster}/apply"));
        Box::pin(async move {
            let mut page = admin.get(&roster).await;
            if page.offers(&roster) {
                page = admin
                    .upload(
                        &page,
                        &roster,
                        &[("mode", "replace")],
                        "roster.csv",
                        file.as_bytes(),
                    )
                    .await;
            }
            if page.offers(&apply) {
                let dropped = page.text("dropped").unwrap_or_default();
                page = admin
                    .submit(&page, &apply, &[("confirm_dropped", &dropped)])
                    .await;
            }
            let status = Some(page.status);
            Ended {
                told: format!("a roster of {file:?}: {status:?}"),
                shown: None,
            }
        })
    }

    pub(super) fn run(&self, function: FunctionName, event: Value) -> Request {
        let invoke = self.campus.invoke.clone();
        Box::pin(async move {
            let answer = invoke.invoke(function, event).await;
            Ended {
                told: format!("{function}: {answer:?}"),
                shown: None,
            }
        })
    }

    pub(super) async fn ends(&mut self, ended: Ended) {
        if let Some((name, key)) = ended.shown {
            self.students.get_mut(&name).unwrap().keys.push(key);
        }
        self.judged(ended.told).await;
    }

    pub(super) async fn spends(&self, name: &str, dollars: i64) {
        let key = self.students[name].keys.last().unwrap();
        self.campus
            .provider()
            .spend(key, Nano::usd(dollars), self.clock.now(), "a/model")
            .unwrap();
        self.judged(format!("{name} spends {dollars}")).await;
    }

    /// Uses one of the keys that were shown, the latest first, as far as the provider allows.
    pub(super) async fn spends_what_it_can(&self, name: &str, which: usize, wanted: Nano) {
        let Some(hash) = self.students[name].keys.iter().rev().cycle().nth(which) else {
            return;
        };
        let (provider, now) = (self.campus.provider(), self.clock.now());
        let key = provider
            .keys()
            .into_iter()
            .find(|key| key.hash == *hash)
            .unwrap();
        let works =
            !key.disabled && !key.deleted && key.expires_at.is_none_or(|expires| now < expires);
        let amount = wanted.min(key.limit.unwrap_or(wanted) - key.spent_in_window);
        if works && amount > Nano::ZERO {
            provider.spend(hash, amount, now, "a/model").unwrap();
        }
        self.judged(format!(
            "{name} spends {amount} if its key {hash} works: {works}"
        ))
        .await;
    }

    /// Faculty's form on the page of one grant; `None` where it is not offered.
    pub(super) fn act(&self, name: &str, act: &str, fields: &[(&str, &str)]) -> Request {
        let page = format!("/grants/{}", self.campus.id(name));
        self.form(
            &page,
            &format!("{page}/{act}"),
            &[fields, &[("confirm", "CS pilot"), ("reason", "a story")]].concat(),
        )
    }

    pub(super) async fn budget_becomes(&self, dollars: i32) {
        let set = self.campus.try_budget(dollars).await;
        self.judged(format!("the budget becomes {dollars}: {set:?}"))
            .await;
    }

    pub(super) async fn knows_the_account(&self) -> bool {
        let account = self
            .campus
            .table
            .get(Meta::key_of())
            .await
            .unwrap()
            .and_then(|meta| meta.account);
        account.is_some_and(|account| !account.listed.is_empty())
    }

    /// Puts another account's management key into the secret.
    pub(super) fn asks_another_account(&self) -> Provider {
        self.campus
            .tell("another account's management key is put in");
        let other = self.campus.provider().another_account(OF_ANOTHER).unwrap();
        self.campus
            .provider()
            .revoke_management_key(&self.management_key)
            .unwrap();
        self.secrets.put(&self.ready.secret, OF_ANOTHER).unwrap();
        other
    }

    /// Puts the right management key back, and checks that the other account has no key.
    pub(super) async fn is_asked_again(&self, other: &Provider) {
        other.revoke_management_key(OF_ANOTHER).unwrap();
        self.campus
            .provider()
            .add_management_key(&self.management_key)
            .unwrap();
        self.secrets
            .put(&self.ready.secret, &self.management_key)
            .unwrap();
        self.invoke.end_idle().await;
        self.judged("the right management key is back").await;
        assert_eq!(other.keys().len(), 0);
    }

    /// Lets minutes pass, each with its work, of which anything may fail.
    pub(super) async fn works_for(&self, minutes: i64) {
        for _ in 0..minutes {
            self.campus.minutes(1);
            let worked = self
                .campus
                .run(FunctionName::Console, json!({"task": "work"}))
                .await;
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

    /// Answers every call to the provider with 503 from now on, and a `Retry-After` of ten minutes,
    /// which is longer than any caller waits.
    pub(super) fn goes_down(&self) -> RuleId {
        self.campus.tell("the provider goes down");
        self.gate.at(
            Matcher::call("provider:*").every(),
            Fault::RetryAfter(503, 600),
        )
    }

    pub(super) fn comes_up(&self, rule: RuleId) {
        self.campus.tell("the provider is up again");
        self.gate.lift(rule);
    }

    /// Logs a step and judges every invariant. A violation ends the test with the story so far.
    pub(super) async fn judged(&self, what: impl Into<String>) {
        self.campus.tell(what);
        self.campus.judged().await;
    }
}

impl Deref for Story {
    type Target = Campus;

    fn deref(&self) -> &Campus {
        &self.campus
    }
}

/// The page after this form of a page, if it is offered.
async fn pressed(
    browser: &Visitor,
    page: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Option<Page> {
    let page = browser.get(page).await;
    if page.offers(path) {
        Some(browser.submit(&page, path, fields).await)
    } else {
        None
    }
}

/// The hash of the key that a page shows.
fn shown(page: &Page) -> Option<String> {
    let key = page.all("key").into_iter().next()?;
    Some(HEXLOWER.encode(&Sha256::digest(key.text.as_bytes())))
}
