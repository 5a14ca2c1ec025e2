//! A management key of another account, put into the secret at any moment. Nothing is made, sent or written
//! with it, and an admin is notified. Once the right key is back, everything is as before.

use std::collections::BTreeSet;

use bursar_core::domain::audit::Act;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::ForeignKey;
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider};
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Matcher, Service};
use bursar_tests::office::Office;
use bursar_tests::seeds::sample;
use bursar_tests::stack::Stack;
use serde_json::json;

use super::crooked::{Crooked, Told};
use super::rotation::put_pending;
use super::{
    ADMIN, foreign, grant, hours, in_the_morning, invite, is_enabled, mint, minutes, problems, provider, rich,
    signed_in, spend, sync, watch,
};

const OF_ANOTHER: &str = "sk-or-v1-management-of-another-account";

struct Scene<'s> {
    stack: &'s Stack,
    office: Office<'s>,
    other: Provider,
    right: String,
    grants: Vec<GrantId>,
    keys: Vec<String>,
    foreign: BTreeSet<String>,
    /// The keys of the other account at the start.
    before: String,
}

/// A deployment with keys in use, foreign keys, and a complete sync.
async fn scene(stack: &Stack) -> Scene<'_> {
    let office = rich(stack).await;
    let (mut grants, mut keys) = (Vec::new(), Vec::new());
    for name in ["ada", "ben"] {
        let of = invite(stack, &office, name, None).await;
        keys.push(mint(stack, &office, &of).await);
        grants.push(of);
    }
    keys.iter().for_each(|key| spend(stack, key, 1_250_000));
    let by_hand = foreign(stack, "by hand");
    spend(stack, &by_hand, 3_000_000);
    let report = sync(stack).await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    let other = provider(stack).another_account(OF_ANOTHER).unwrap();
    let theirs = other.add_foreign_key("theirs", Some(Nano::usd(5)), stack.clock.now()).unwrap().hash;
    other.spend(&theirs, Nano::usd(2), stack.clock.now(), "a/model").unwrap();
    let right = bursar_tests::aws::management_key(&stack.ready).await;
    let foreign = of_table(&office).await;
    let before = has(&other);
    Scene { stack, office, other, right, grants, keys, foreign, before }
}

async fn of_table(office: &Office<'_>) -> BTreeSet<String> {
    let known: Vec<ForeignKey> = office.table.foreign_keys().await.unwrap();
    known.into_iter().map(|known| known.key.to_string()).collect()
}

/// The account's keys, without what the turn of a window changes.
fn has(account: &Provider) -> String {
    let keys = account.keys().into_iter();
    format!(
        "{:?}",
        keys.map(|key| (key.hash, key.name, key.disabled, key.deleted, key.limit, key.usage)).collect::<Vec<_>>()
    )
}

impl Scene<'_> {
    /// Puts the other account's key into the secret and revokes the right one, so that the secret is read again.
    fn put_the_wrong_one(&self) {
        provider(self.stack).revoke_management_key(&self.right).unwrap();
        self.stack.secrets.put(&self.stack.ready.secret, OF_ANOTHER).unwrap();
    }

    /// Puts the right key back. Functions use it at the latest when their kept copy is some minutes old; here
    /// their instances end, and keep nothing.
    async fn put_the_right_one_back(&self) {
        provider(self.stack).add_management_key(&self.right).unwrap();
        self.stack.secrets.put(&self.stack.ready.secret, &self.right).unwrap();
        self.stack.invoke.end_idle().await;
    }

    fn has_asked_the_other_for_nothing(&self) {
        assert_eq!(has(&self.other), self.before, "nothing is made or changed in the other account");
    }

    /// Checks that everything is as if the other key had never been there.
    async fn is_as_it_was(&self, when: &str) {
        self.has_asked_the_other_for_nothing();
        let report = sync(self.stack).await;
        assert_eq!(
            (&report["complete"], &report["residual_usd"], &report["keys_missing"]),
            (&json!(true), &json!("0.000000"), &json!(0)),
            "{when}: {report}"
        );
        assert_eq!(of_table(&self.office).await, self.foreign, "{when}");
        for (of, key) in self.grants.iter().zip(&self.keys) {
            assert!(grant(&self.office, of).await.live().is_some() && is_enabled(self.stack, key), "{when}");
        }
    }
}

#[tokio::test]
async fn put_in_at_any_call_of_a_sync_it_ends_that_run_and_leaves_nothing_behind() {
    let stack = in_the_morning().await;
    let scene = scene(&stack).await;
    let mut watch = watch(&stack);
    stack.clock.advance(hours(24)).unwrap();
    let first = stack.gate.calls().len();
    spend(&stack, &scene.keys[0], 10_000);
    sync(&stack).await;
    let calls = stack.gate.calls().split_off(first);
    let calls: Vec<_> = calls.into_iter().filter(|made| made.call.name.service == Service::Provider).collect();
    let names: Vec<String> = calls.iter().map(|made| made.call.name.to_string()).collect();
    assert!(names.iter().collect::<BTreeSet<_>>().len() >= 5, "{names:?}");
    let cases = (0..names.len()).map(|at| (&names[at], names[..=at].iter().filter(|name| **name == names[at]).count()));
    for (name, nth) in sample(cases, 4) {
        // After a day with some use, a night makes every call that it can.
        stack.clock.advance(hours(24)).unwrap();
        spend(&stack, &scene.keys[0], 10_000);
        let when = format!("{name}, call {nth}");
        let held = stack.gate.hold(Matcher::call(name).of(FunctionName::UsageSync).nth(nth as u64));
        let exchange = async {
            held.arrived().await;
            scene.put_the_wrong_one();
            drop(held);
        };
        let both = async { tokio::join!(sync(&stack), exchange) };
        let (report, ()) = tokio::time::timeout(LIMIT, both).await.expect(&when);
        assert_eq!(report["complete"], false, "{when}: {report}");
        assert!(problems(&report).contains("is of another account"), "{when}: {report}");
        // Another run, and another function's work, begin with the wrong key.
        let report = sync(&stack).await;
        assert_eq!((&report["keys_listed"], &report["keys_missing"]), (&json!(0), &json!(0)), "{when}: {report}");
        assert!(problems(&report).contains("nothing was listed"), "{when}: {report}");
        stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
        scene.has_asked_the_other_for_nothing();
        scene.put_the_right_one_back().await;
        stack.clock.advance(minutes(5)).unwrap();
        scene.is_as_it_was(&when).await;
        watch.check_after_sync().await;
    }
    stack.finish_faulted().await;
}

#[tokio::test]
async fn put_in_at_any_call_of_a_claim_the_student_is_asked_to_come_back_and_no_key_is_made_there() {
    let stack = in_the_morning().await;
    let scene = scene(&stack).await;
    let mut watch = watch(&stack);
    for (what, who, calls) in [
        ("reveal", "cat", &["provider:POST /keys"][..]),
        ("replace", "dan", &["provider:PATCH /keys/{hash}", "provider:GET /keys/{hash}", "provider:POST /keys"]),
    ] {
        for (number, call) in calls.iter().enumerate() {
            let name = format!("{who}{number}");
            let of = invite(&stack, &scene.office, &name, None).await;
            if what == "replace" {
                mint(&stack, &scene.office, &of).await;
            }
            watch.check().await;
            let student = signed_in(&stack, &format!("{name}@x.edu")).await;
            let action = format!("/my/{}/{what}", scene.office.programme);
            let form = student.get("/my").await.expect(200).form(&action);
            let held = stack.gate.hold(Matcher::call(call).of(FunctionName::Claim));
            let exchange = async {
                held.arrived().await;
                scene.put_the_wrong_one();
                drop(held);
            };
            let (refused, ()) = tokio::join!(student.send_form(&form), exchange);
            assert_eq!(refused.status, 503, "{what} at {call}: {}", refused.readable());
            assert!(refused.header("retry-after").is_some(), "{what} at {call}");
            watch.check().await;
            // A press is now refused before anything is written.
            let before = grant(&scene.office, &of).await;
            let my = student.get("/my").await.expect(200);
            let again = student.submit(&my, &action, &[]).await;
            assert_eq!((again.status, again.header("retry-after")), (503, Some("60")), "{}", again.readable());
            assert_eq!(grant(&scene.office, &of).await, before, "{what} at {call}");
            scene.has_asked_the_other_for_nothing();
            scene.put_the_right_one_back().await;
            let my = student.get("/my").await.expect(200);
            let shown = student.submit(&my, &action, &[]).await;
            assert_eq!(shown.status, 200, "{what} at {call}: {}", shown.readable());
            watch.check().await;
        }
    }
    stack.clock.advance(hours(2)).unwrap();
    scene.is_as_it_was("after the claims").await;
    stack.finish_faulted().await;
}

#[tokio::test]
async fn a_rotation_to_it_is_refused_and_said_and_an_admin_who_means_it_says_so_by_one_press() {
    let stack = in_the_morning().await;
    let scene = scene(&stack).await;
    let mut watch = watch(&stack);
    watch.check().await;
    stack.clock.advance(minutes(1)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let told = || {
        stack.ses.mails().into_iter().filter(|mail| Contents::of(&mail.raw).subject.contains("another account")).count()
    };
    let warned = async || {
        let page = admin.get("/console/account").await.expect(200);
        page.texts("warning").into_iter().filter(|warning| warning.contains("is of another account")).count()
    };
    assert_eq!(warned().await, 0);
    put_pending(&stack, OF_ANOTHER).await;
    for _ in 0..2 {
        stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "rotate"})).await.unwrap_err();
        stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    }
    let refused: String = stack.logs.all().into_iter().map(|line| line.text).collect();
    assert!(refused.contains("the management key is of another account") && !refused.contains(OF_ANOTHER), "{refused}");
    assert_eq!(bursar_tests::aws::management_key(&stack.ready).await, scene.right, "the current one stays");
    assert_eq!((told(), warned().await), (1, 1));
    scene.is_as_it_was("after a refused rotation").await;
    assert_eq!(warned().await, 1, "it still waits");

    // The change is intended: the deployment moves to the other account.
    let page = admin.get("/console/account").await.expect(200);
    for _ in 0..2 {
        admin.submit(&page, "/console/account/release", &[]).await.expect(303);
    }
    watch.check().await;
    assert_eq!(warned().await, 0);
    let promoted = stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "rotate"})).await.unwrap();
    assert_eq!(promoted, json!({"promoted": true}));
    let seen = watch.check().await;
    let confirmed = seen.account_entries.iter().filter(|entry| entry.what.act == Act::AccountConfirmed);
    assert_eq!(confirmed.count(), 1);
    let report = sync(&stack).await;
    assert_eq!((&report["keys_listed"], &report["keys_missing"]), (&json!(1), &json!(2)), "{report}");
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn the_page_shows_the_key_in_the_secret_and_no_other_is_confirmed() {
    let stack = in_the_morning().await;
    let scene = scene(&stack).await;
    scene.put_the_wrong_one();
    stack.clock.advance(hours(1)).unwrap();
    sync(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get("/console/account").await.expect(200);
    assert!(
        page.texts("warning").iter().any(|warning| warning.contains("is of another account")),
        "{:?}",
        page.texts("warning")
    );
    scene.put_the_right_one_back().await;
    stack.clock.advance(minutes(5)).unwrap();
    sync(&stack).await;
    // A confirmation on the old page has no effect, since that key is gone from the secret.
    let pressed = admin.submit(&page, "/console/account/release", &[]).await;
    assert_eq!(pressed.status, 409, "{}", pressed.readable());
    let page = admin.get("/console/account").await.expect(200);
    // No mail is sent in this scene, and it has one admin.
    let besides = ["Mail waits for longer than it should", "There is one admin only"];
    let mut warnings = page.texts("warning");
    warnings.retain(|warning| !besides.iter().any(|begins| warning.starts_with(begins)));
    assert!(warnings.is_empty(), "{warnings:?}");
    scene.is_as_it_was("after a press on an old page").await;
    stack.finish_faulted().await;
}

#[tokio::test]
async fn an_account_that_lists_no_workspace_or_no_key_is_not_believed() {
    let stack = in_the_morning().await;
    let scene = scene(&stack).await;
    let crooked = Crooked::before(&stack).await;
    for (list, said) in [("/workspaces", "it names no workspace"), ("/keys?", "lists no key at all")] {
        crooked.bend(move |path, told| match path.starts_with(list) {
            true => Told { body: json!({ "data": [], "total_count": 0 }).to_string(), ..told },
            false => told,
        });
        for _ in 0..2 {
            stack.clock.advance(hours(2)).unwrap();
            let report = crooked.sync().await;
            assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(false), &json!(0)), "{report}");
            assert!(problems(&report).contains(said), "{report}");
        }
        let known: Vec<ForeignKey> = scene.office.table.foreign_keys().await.unwrap();
        assert!(known.iter().all(|known| known.gone_at.is_none()), "{known:?}");
        scene.is_as_it_was("when it lists them again").await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn before_any_witness_an_account_without_keys_is_not_believed_where_one_is_on_record() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    provider(&stack).delete(&key).unwrap();
    stack.clock.advance(hours(2)).unwrap();
    for _ in 0..2 {
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(false), &json!(0)), "{report}");
        assert!(problems(&report).contains("lists no key at all, and 1 or more are on record"), "{report}");
        stack.clock.advance(hours(2)).unwrap();
    }
    assert!(grant(&office, &ada).await.live().is_some());

    // An admin confirms that the account is the right one.
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get("/console/account").await.expect(200);
    assert!(page.readable().contains("it listed no key at all, and some are on record"), "{}", page.readable());
    for _ in 0..2 {
        admin.submit(&page, "/console/account/release", &[]).await.expect(303);
    }
    for _ in 0..2 {
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(true), &json!(1)), "{report}");
        stack.clock.advance(hours(2)).unwrap();
    }
    assert!(grant(&office, &ada).await.live().is_none());
    stack.finish().await;
}

#[tokio::test]
async fn an_exchange_in_the_first_run_of_all_is_noticed_though_no_witness_is_there_yet() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    spend(&stack, &key, 1_000_000);
    let other = provider(&stack).another_account(OF_ANOTHER).unwrap();
    let theirs = other.add_foreign_key("theirs", None, stack.clock.now()).unwrap().hash;
    other.spend(&theirs, Nano::usd(2), stack.clock.now(), "a/model").unwrap();
    let right = bursar_tests::aws::management_key(&stack.ready).await;
    for (call, nth) in [
        ("provider:POST /analytics/query", 1),
        ("provider:GET /keys", 1),
        ("provider:GET /workspaces", 1),
        ("provider:GET /credits", 2),
    ] {
        stack.clock.advance(minutes(10)).unwrap();
        let wrong = format!("{OF_ANOTHER}-{nth}-{}", call.len());
        other.add_management_key(&wrong).unwrap();
        let held = stack.gate.hold(Matcher::call(call).of(FunctionName::UsageSync).nth(nth));
        let exchange = async {
            held.arrived().await;
            provider(&stack).revoke_management_key(&right).unwrap();
            stack.secrets.put(&stack.ready.secret, &wrong).unwrap();
            drop(held);
        };
        let both = async { tokio::join!(sync(&stack), exchange) };
        let (report, ()) = tokio::time::timeout(LIMIT, both).await.expect(call);
        assert_eq!(report["complete"], false, "at {call}: {report}");
        assert!(problems(&report).contains("was exchanged before any sync was complete"), "at {call}: {report}");
        assert_eq!(office.table.foreign_keys().await.unwrap(), [], "at {call}");
        assert_eq!(office.table.meta(stack.clock.now()).await.unwrap().account, None, "at {call}");
        other.revoke_management_key(&wrong).unwrap();
        provider(&stack).add_management_key(&right).unwrap();
        stack.secrets.put(&stack.ready.secret, &right).unwrap();
    }
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
    assert!(grant(&office, &ada).await.live().is_some() && is_enabled(&stack, &key));
    stack.finish().await;
}
