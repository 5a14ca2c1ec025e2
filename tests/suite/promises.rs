//! Stories of money that is promised once and could be promised twice: a grant is revoked, a cap is lowered, while the last sync is a day
//! old and what was used since is on nobody's record; the provider is down for ten minutes in between. Every invariant is judged after
//! each step, and others press for what seems to be free all the time. In the end what is really free can be claimed.

use std::collections::BTreeMap;

use bursar_core::domain::id::GrantId;
use bursar_core::domain::money::Usd;
use bursar_core::store::By;
use bursar_local::gate::{Dice, Matcher, RuleId, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{KeySnapshot, NamedQuirks, Nano};
use bursar_local::stack::Stack;
use bursar_tests::invariants::{Answers, Watch};
use bursar_tests::office::{Office, session_cookie, soon};
use bursar_tests::stack;
use bursar_tests::visitor::{Page, Visitor};
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const ADMIN: &str = "admin@example.edu";
/// Quirks that are drawn for each story beside the provider as it is by default.
const SEEDS: u64 = 3;

/// One programme on one stack, on which nothing runs but what the story makes run.
struct Story<'s> {
    stack: &'s Stack,
    office: Office<'s>,
    answers: Answers,
    watch: Watch,
    admin: Visitor,
    students: BTreeMap<String, Student>,
    /// Whether the end has to be as it is told: how long counters lag says when money is free.
    is_plain: bool,
    /// What was done so far.
    told: Vec<String>,
}

struct Student {
    grant: GrantId,
    browser: Visitor,
    /// The hash of the key that was shown last.
    key: Option<String>,
}

impl Story<'_> {
    /// With the provider like this.
    async fn begins<'s>(stack: &'s Stack, pot: i32, quirks: &NamedQuirks) -> Story<'s> {
        stack.schedules.stop().await;
        stack.provider.as_ref().unwrap().set_quirks(|all| quirks.set(all));
        let office = Office::open(stack).await;
        let by = By { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
        office.table.set_pot(&office.programme, Usd::from_dollars(pot), by).await.unwrap();
        let answers = Answers::default();
        let watch = stack::watch(stack).with_answers(answers.clone());
        let admin = signed_in(stack, ADMIN, &answers).await;
        let (is_plain, told) = (quirks.0.is_empty(), vec![format!("quirks: {quirks}")]);
        Story { stack, office, answers, watch, admin, students: BTreeMap::new(), is_plain, told }
    }

    /// Puts people on the roster, with another cap than twenty dollars if wanted.
    async fn invites(&mut self, names: &[&str], cap: Option<&str>) {
        for name in names {
            let grant = self.office.invite(&address(name)).await;
            let browser = signed_in(self.stack, &address(name), &self.answers).await;
            self.students.insert((*name).to_owned(), Student { grant, browser, key: None });
            if let Some(cap) = cap {
                self.caps(name, cap).await;
            }
        }
    }

    /// The sync has seen all this, and then a day passes without one. Sessions are over by then.
    async fn a_day_passes_since_the_sync(&mut self) {
        assert_eq!(self.syncs().await["complete"], true, "{}", self.told.join("\n"));
        self.stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
        self.admin = signed_in(self.stack, ADMIN, &self.answers).await;
        for (name, student) in &mut self.students {
            student.browser = signed_in(self.stack, &address(name), &self.answers).await;
        }
        self.judged("a day passes").await;
    }

    async fn claims(&mut self, name: &str) -> bool {
        self.presses(name, "reveal").await
    }

    async fn replaces(&mut self, name: &str) -> bool {
        self.presses(name, "replace").await
    }

    /// Whether a key was shown.
    async fn presses(&mut self, name: &str, what: &str) -> bool {
        let page = press(&self.students[name].browser, what).await;
        let shown = page.as_ref().and_then(shown);
        let is_shown = shown.is_some();
        let answer = page.map_or("is not offered it".to_owned(), |page| format!("presses it: {}", page.status));
        let student = self.students.get_mut(name).unwrap();
        student.key = shown.or(student.key.take());
        self.judged(&format!("{name} wants to {what} and {answer}")).await;
        is_shown
    }

    /// Everybody presses at once.
    async fn all_claim(&mut self) {
        let presses = self.students.iter().map(|(name, student)| async move {
            (name.clone(), press(&student.browser, "reveal").await.as_ref().and_then(shown))
        });
        let keys: Vec<(String, Option<String>)> = stream::iter(presses).buffered(8).collect().await;
        for (name, key) in keys {
            assert!(key.is_some(), "{name} was shown no key");
            self.students.get_mut(&name).unwrap().key = key;
        }
        self.judged("all claim").await;
    }

    async fn spends(&mut self, name: &str, dollars: i64) {
        let key = self.key(name).hash;
        let provider = self.stack.provider.as_ref().unwrap();
        provider.spend(&key, Nano::usd(dollars), self.stack.clock.now(), "a/model").unwrap();
        self.judged(&format!("{name} spends {dollars}")).await;
    }

    async fn acts(&mut self, name: &str, act: &str, fields: &[(&str, &str)]) -> u16 {
        let at = format!("{GRANTS}/{}", self.students[name].grant);
        let page = self.admin.get(&at).await;
        let status = self.admin.submit(&page, &format!("{at}/{act}"), fields).await.status;
        self.judged(&format!("faculty {act} {name} {fields:?}: {status}")).await;
        status
    }

    async fn caps(&mut self, name: &str, cap: &str) -> u16 {
        self.acts(name, "cap", &[("cap_usd", cap), ("reason", "a story")]).await
    }

    async fn revokes(&mut self, name: &str) {
        assert_eq!(self.acts(name, "revoke", &[("reason", "left")]).await, 303);
    }

    /// Everything that the provider is asked from now on is answered with 503, and that it may be asked again in a minute.
    fn goes_down(&mut self) -> RuleId {
        self.told.push("the provider goes down".to_owned());
        let verdict: Verdict = "status-503-retry-60".parse().unwrap();
        self.stack.gate.at(Matcher::call("provider:*").every(), verdict)
    }

    fn comes_up(&mut self, rule: RuleId) {
        self.told.push("the provider is up again".to_owned());
        self.stack.gate.lift(rule);
    }

    /// So many minutes pass, each with its work, and whoever may want what is free presses in each.
    async fn minutes(&mut self, minutes: i64, wanting: &[&str]) {
        for _ in 0..minutes {
            self.stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
            let worked = self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
            self.judged(&format!("a minute passes: {worked}")).await;
            for name in wanting {
                if self.students[*name].key.is_none() {
                    self.claims(name).await;
                }
            }
        }
    }

    async fn down_for_ten_minutes(&mut self, wanting: &[&str]) {
        let rule = self.goes_down();
        self.minutes(10, wanting).await;
        self.comes_up(rule);
    }

    async fn syncs(&mut self) -> Value {
        let report = self.stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
        self.judged_then(&format!("a sync: complete {}", report["complete"]), report["complete"] == true).await;
        report
    }

    async fn judged(&mut self, what: &str) {
        self.judged_then(what, false).await;
    }

    /// A story in which something is wrong is told so far and ends.
    async fn judged_then(&mut self, what: &str, synced: bool) {
        self.stack.pump.drained().await.unwrap();
        let violations = self.watch.violations(synced).await.unwrap();
        self.told.push(what.to_owned());
        let wrong: Vec<String> = violations.iter().map(|violation| format!("    {violation}")).collect();
        assert!(wrong.is_empty(), "{}\n{}", self.told.join("\n"), wrong.join("\n"));
    }

    fn key(&self, name: &str) -> KeySnapshot {
        let hash = self.students[name].key.as_ref().unwrap_or_else(|| panic!("{name} has no key"));
        let keys = self.stack.provider.as_ref().unwrap().keys();
        keys.into_iter().find(|key| key.hash == *hash).unwrap()
    }

    fn is_enabled(&self, name: &str) -> bool {
        !self.key(name).disabled
    }

    fn limit(&self, name: &str) -> Option<Nano> {
        self.key(name).limit
    }

    /// Whether a key was shown to any of them.
    fn any_has_a_key(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.students[*name].key.is_some())
    }
}

/// Plays a story with the provider as it is by default, and then with quirks that are drawn, where only what must not happen is judged.
async fn played(story: impl AsyncFn(&Stack, &NamedQuirks)) {
    let stack = stack::in_process().await.unwrap();
    story(&stack, &NamedQuirks::default()).await;
    stack.stop().await.unwrap();
    for seed in 0..SEEDS {
        let quirks = NamedQuirks::draw(&mut Dice::new(seed));
        let stack = stack::in_process().await.unwrap();
        story(&stack, &quirks).await;
        stack.stop().await.unwrap();
    }
}

/// Long enough after a confirmation that a reading gives money back, and the sync that reads.
async fn what_is_free_is_given_back(story: &mut Story<'_>, wanting: &[&str]) {
    story.minutes(2, wanting).await;
    story.stack.clock.advance(SignedDuration::from_mins(17)).unwrap();
    story.minutes(1, wanting).await;
    story.syncs().await;
    story.minutes(1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_provider_is_like_keys_that_are_claimed_replaced_and_synced_keep_to_a_full_pot() {
    let seeds = match std::env::var("BURSAR_TEST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (100..106).collect(),
    };
    for seed in seeds {
        let quirks = NamedQuirks::draw(&mut Dice::new(seed));
        let stack = stack::in_process().await.unwrap();
        let mut story = Story::begins(&stack, 40, &quirks).await;
        story.invites(&["ada", "bob", "ben"], None).await;
        story.minutes(2, &["ada", "bob"]).await;
        for (name, dollars) in [("ada", 5), ("bob", 19)] {
            story.spends(name, dollars).await;
        }
        story.replaces("ada").await;
        story.minutes(1, &["ben"]).await;
        story.spends("ada", 3).await;
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        story.stack.clock.advance(SignedDuration::from_mins(30)).unwrap();
        story.syncs().await;
        story.replaces("bob").await;
        story.spends("bob", 1).await;
        story.stack.clock.advance(SignedDuration::from_hours(5)).unwrap();
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        assert!(!story.any_has_a_key(&["ben"]), "nothing is free: {}", story.told.join("\n"));
        stack.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_students_one_is_revoked_with_18_dollars_unread_and_another_may_not_claim_them() {
    let stack = stack::in_process().await.unwrap();
    let mut story = Story::begins(&stack, 1_000, &NamedQuirks::default()).await;
    let names: Vec<String> = (0..50).map(|number| format!("student-{number:02}")).collect();
    story.invites(&names.iter().map(String::as_str).collect::<Vec<_>>(), None).await;
    story.all_claim().await;
    story.invites(&["ben"], None).await;
    story.a_day_passes_since_the_sync().await;
    story.spends("student-00", 18).await;
    story.revokes("student-00").await;
    story.minutes(2, &["ben"]).await;
    story.down_for_ten_minutes(&["ben"]).await;
    what_is_free_is_given_back(&mut story, &["ben"]).await;
    assert!(!story.claims("ben").await, "two dollars are free: {}", story.told.join("\n"));
    // Whoever spent nothing leaves all of it.
    story.revokes("student-01").await;
    what_is_free_is_given_back(&mut story, &[]).await;
    assert!(story.claims("ben").await, "{}", story.told.join("\n"));
    stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_revoked_while_the_provider_is_down_gives_nothing_back_before_it_was_read() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 40, quirks).await;
        story.invites(&["ada", "bob"], None).await;
        story.all_claim().await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        let rule = story.goes_down();
        story.revokes("ada").await;
        story.minutes(5, &["ben"]).await;
        // The key works on, and its owner knows it.
        assert!(story.is_enabled("ada"));
        story.spends("ada", 19).await;
        story.minutes(5, &["ben"]).await;
        story.comes_up(rule);
        story.minutes(3, &["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(!story.is_enabled("ada") && !story.any_has_a_key(&["ben"]), "{}", story.told.join("\n"));
            story.revokes("bob").await;
            what_is_free_is_given_back(&mut story, &[]).await;
            assert!(story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_of_50_that_becomes_10_with_45_dollars_unread_gives_back_five() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.all_claim().await;
        story.invites(&["ben"], Some("6")).await;
        story.invites(&["cid"], Some("5")).await;
        story.a_day_passes_since_the_sync().await;
        story.spends("ada", 45).await;
        let status = story.caps("ada", "10").await;
        assert!(status == 303 || !story.is_plain, "{status}");
        story.minutes(2, &["ben"]).await;
        story.down_for_ten_minutes(&["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(!story.any_has_a_key(&["ben"]), "six are not free: {}", story.told.join("\n"));
            assert!(story.claims("cid").await, "five are: {}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_is_lowered_while_the_key_is_made_leaves_no_key_with_the_old_limit() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        let held = stack.gate.hold_answers(Matcher::call("provider:POST /keys"));
        let ada = story.students["ada"].browser.get("/my").await;
        let pressing = story.students["ada"].browser.submit(&ada, "/my/cs-pilot/reveal", &[]);
        let (at, admin) = (format!("{GRANTS}/{}", story.students["ada"].grant), &story.admin);
        let lowering = async {
            held.arrived().await;
            let page = admin.get(&at).await;
            let capped = admin.submit(&page, &format!("{at}/cap"), &[("cap_usd", "10"), ("reason", "a story")]).await;
            held.release(Verdict::Pass).unwrap();
            capped.status
        };
        let (page, status) = tokio::join!(pressing, lowering);
        story.students.get_mut("ada").unwrap().key = shown(&page);
        drop(held);
        story.judged(&format!("ada claims ({}) and faculty lower her cap meanwhile ({status})", page.status)).await;
        story.minutes(2, &["ben"]).await;
        story.down_for_ten_minutes(&["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            let is_ten = |story: &Story<'_>| story.limit("ada") == Some(Nano::usd(10));
            assert!(story.students["ada"].key.is_none() || is_ten(&story), "{}", story.told.join("\n"));
            assert!(story.any_has_a_key(&["ben"]) || story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_below_what_replaced_keys_used_ends_the_key_that_is_left() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 30, quirks).await;
        story.invites(&["ada"], None).await;
        story.invites(&["bob"], Some("10")).await;
        story.all_claim().await;
        story.spends("ada", 12).await;
        story.replaces("ada").await;
        story.invites(&["ben"], Some("8")).await;
        story.a_day_passes_since_the_sync().await;
        story.caps("ada", "10").await;
        story.minutes(2, &["ben"]).await;
        if story.is_plain {
            assert!(!story.is_enabled("ada"), "nothing is left of ten: {}", story.told.join("\n"));
        }
        story.down_for_ten_minutes(&["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(story.any_has_a_key(&["ben"]) || story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_limit_that_the_provider_was_not_told_is_told_by_the_work_and_not_the_next_night() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.all_claim().await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        let rule = story.goes_down();
        story.caps("ada", "10").await;
        story.minutes(10, &["ben"]).await;
        story.comes_up(rule);
        // What failed is due again later, by a quarter of an hour after ten minutes.
        story.minutes(17, &["ben"]).await;
        if story.is_plain {
            assert_eq!(story.limit("ada"), Some(Nano::usd(10)), "{}", story.told.join("\n"));
        }
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(story.any_has_a_key(&["ben"]) || story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_is_lowered_while_the_key_is_paused_is_its_limit_before_it_is_enabled() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.all_claim().await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        story.acts("ada", "pause", &[("reason", "exam")]).await;
        let rule = story.goes_down();
        story.caps("ada", "10").await;
        story.minutes(10, &["ben"]).await;
        story.comes_up(rule);
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        story.acts("ada", "resume", &[]).await;
        story.minutes(3, &["ben"]).await;
        if story.is_plain {
            assert!(story.is_enabled("ada"), "{}", story.told.join("\n"));
            assert_eq!(story.limit("ada"), Some(Nano::usd(10)), "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_limits_the_one_that_lands_late_counts_until_it_is_known_not_to_hold() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("10")).await;
        story.all_claim().await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        // Raised, and that limit is lost on the way; lowered again, and that one arrives; then the first one does.
        stack.gate.at("provider:PATCH /keys/{hash}", "late-lost+300s".parse::<Verdict>().unwrap());
        story.caps("ada", "50").await;
        story.caps("ada", "10").await;
        story.minutes(12, &["ben"]).await;
        story.down_for_ten_minutes(&["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        for _ in 0..2 {
            story.stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
            what_is_free_is_given_back(&mut story, &[]).await;
        }
        if story.is_plain {
            assert_eq!(story.limit("ada"), Some(Nano::usd(10)), "{}", story.told.join("\n"));
            assert!(story.any_has_a_key(&["ben"]) || story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

fn address(name: &str) -> String {
    format!("{name}@example.edu")
}

/// The answer, if the page offers this.
async fn press(browser: &Visitor, what: &str) -> Option<Page> {
    let my = browser.get("/my").await;
    let path = format!("/my/cs-pilot/{what}");
    if my.offers(&path) { Some(browser.submit(&my, &path, &[]).await) } else { None }
}

/// The hash of the key that a page shows.
fn shown(page: &Page) -> Option<String> {
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
