//! A management key of another account, put into the secret at any moment. Nothing is made, sent or
//! written with it, and an admin is notified. Once the right key is back, everything is as before.

use bursar_core::domain::audit::Act;
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::store::Meta;
use bursar_local::invoke::FunctionName::{Claim, Console, Mail, UsageSync};
use bursar_local::provider::{Nano, Provider};
use bursar_tests::aws;
use bursar_tests::campus::{Campus, reports};
use bursar_tests::faults::{Fault, HeldCalls, Matcher, Service};
use bursar_tests::seeds::{sample, sized};
use serde_json::json;

use super::crooked::{Crooked, Told};
use super::rotation::{put_pending, rotate};
use super::{ACCOUNT, RELEASE, calls_of_a_run, complete, problems, quiet};

const OF_ANOTHER: &str = "sk-or-v1-management-of-another-account";

/// A campus with two keys in use and a foreign one, and another account.
struct Accounts {
    campus: Campus,
    other: Provider,
    /// The keys of the other account at the start.
    before: String,
    right: String,
}

impl Accounts {
    async fn open() -> Accounts {
        let campus = quiet(&["ada", "ben"]).await;
        campus.spend("ada", "1.25");
        let by_hand = campus.foreign("by hand");
        campus.spend_on(&by_hand, "3");
        let other = campus.provider().another_account(OF_ANOTHER).unwrap();
        let theirs = other
            .add_foreign_key("theirs", Some(Nano::usd(5)), campus.clock.now())
            .unwrap()
            .hash;
        other
            .spend(&theirs, Nano::usd(2), campus.clock.now(), "a/model")
            .unwrap();
        let (before, right) = (
            format!("{:?}", other.keys()),
            aws::management_key(&campus.ready).await,
        );
        Accounts {
            campus,
            other,
            before,
            right,
        }
    }

    /// Exchanges the key in the secret at a held call, and revokes the right one, so that the
    /// secret is read again.
    async fn exchange(&self, held: HeldCalls) {
        held.arrived().await;
        self.put_the_wrong_one();
        drop(held);
    }

    fn put_the_wrong_one(&self) {
        self.campus
            .provider()
            .revoke_management_key(&self.right)
            .unwrap();
        self.campus
            .secrets
            .put(&self.campus.ready.secret, OF_ANOTHER)
            .unwrap();
    }

    /// Puts the right key back. Functions use it at the latest when their kept copy is some minutes
    /// old; here their instances end, and keep nothing.
    async fn put_the_right_one_back(&self) {
        assert_eq!(
            format!("{:?}", self.other.keys()),
            self.before,
            "nothing is made or changed in the other account"
        );
        self.campus
            .provider()
            .add_management_key(&self.right)
            .unwrap();
        self.campus
            .secrets
            .put(&self.campus.ready.secret, &self.right)
            .unwrap();
        self.campus.invoke.end_idle().await;
        self.campus.minutes(5);
    }

    /// Checks that everything is as if the other key had never been there.
    async fn is_as_it_was(&self, when: &str) {
        assert_eq!(complete(&self.campus).await["keys_missing"], 0, "{when}");
        let foreign = self.campus.table.foreign_keys().await.unwrap();
        assert!(
            foreign.len() == 1 && foreign[0].gone_at.is_none(),
            "{when}: {foreign:?}"
        );
        assert_eq!(self.campus.enabled()[..2], ["ada", "ben"], "{when}");
        self.campus.judged_after_sync().await;
    }
}

#[tokio::test]
async fn an_exchange_leaves_nothing_behind() {
    let mut accounts = Accounts::open().await;
    let campus = &accounts.campus;
    // In the first run of all nothing on record says which account is the right one.
    for (call, nth) in [("provider:GET /keys", 1), ("provider:GET /credits", 2)] {
        let held = campus.gate.hold(Matcher::call(call).of(UsageSync).nth(nth));
        let (report, ()) = tokio::join!(campus.sync(), accounts.exchange(held));
        assert!(
            problems(&report).contains("the management key was exchanged"),
            "at {call}: {report}"
        );
        let foreign = campus.table.foreign_keys().await.unwrap();
        assert!(
            report["complete"] == false && foreign.len() < 2,
            "nothing of the other account, at {call}"
        );
        assert_eq!(
            campus.table.meta(campus.clock.now()).await.unwrap().account,
            None,
            "at {call}"
        );
        accounts.put_the_right_one_back().await;
    }
    accounts.is_as_it_was("after the first runs").await;

    campus.hours(24);
    campus.spend("ada", "0.01");
    let calls = calls_of_a_run(campus)
        .await
        .into_iter()
        .map(|made| made.name);
    let names: Vec<String> = calls
        .filter(|name| name.service == Service::Provider)
        .map(|name| name.to_string())
        .collect();
    // The credits are read before the listing, which then has the wrong key from its beginning.
    // After the last call, for the list of models, nothing is asked that could tell.
    let cases = (sized(1, 0)..names.len() - 1).map(|at| {
        (
            &names[at],
            names[..=at]
                .iter()
                .filter(|name| **name == names[at])
                .count(),
        )
    });
    for (name, nth) in sample(cases, 3) {
        // After a day with some use, a night makes every call that it can.
        campus.hours(24);
        campus.spend("ada", "0.01");
        let held = campus
            .gate
            .hold(Matcher::call(name).of(UsageSync).nth(nth as u64));
        let (report, ()) = tokio::join!(campus.sync(), accounts.exchange(held));
        let when = format!("{name}, call {nth}: {report}");
        // The use by model is asked for once the run is concluded.
        let says = problems(&report).contains("is of another account");
        assert!(
            report["complete"] == name.contains("/analytics/") && says,
            "{when}"
        );
        // Another run, and another function's work, begin with the wrong key.
        let report = campus.sync().await;
        assert_eq!(
            (&report["keys_listed"], &report["keys_missing"]),
            (&json!(0), &json!(0)),
            "{when}: {report}"
        );
        campus.run(Console, json!({"task": "work"})).await.unwrap();
        accounts.put_the_right_one_back().await;
        accounts.is_as_it_was(&when).await;
    }

    // During a claim.
    for (name, what, call) in [
        ("cat", "reveal", "provider:POST /keys"),
        ("ada", "replace", "provider:PATCH /keys/{hash}"),
    ] {
        accounts.campus.students(&[name]).await;
        accounts.campus.minutes(2);
        let campus = &accounts.campus;
        let student = campus.student(name).await;
        let held = campus.gate.hold(Matcher::call(call).of(Claim));
        let (refused, ()) = tokio::join!(campus.press(&student, what), accounts.exchange(held));
        assert!(
            refused.status == 503 && refused.header("retry-after").is_some(),
            "{call}: {}",
            refused.readable()
        );
        // A request is now refused before anything is written.
        let before = campus.grant(name).await;
        let again = campus.press(&student, what).await;
        assert_eq!(
            (again.status, again.header("retry-after")),
            (503, Some("60")),
            "{}",
            again.readable()
        );
        assert_eq!(campus.grant(name).await, before, "{what} at {call}");
        accounts.put_the_right_one_back().await;
        campus.press(&student, what).await.expect(200);
        campus.judged().await;
    }
    accounts.campus.hours(2);
    accounts.is_as_it_was("after the claims").await;
    accounts.campus.finish_faulted().await;
}

#[tokio::test]
async fn a_run_does_not_take_back_what_an_admin_said_meanwhile() {
    let campus = quiet(&["ada"]).await;
    complete(&campus).await;
    campus.hours(24);
    // The account is known by another key from now on.
    campus.foreign("by hand");
    let account = async || {
        campus
            .table
            .get(Meta::key_of())
            .await
            .unwrap()
            .unwrap()
            .account
            .unwrap()
    };
    let said: Fingerprint = serde_json::from_value(json!("0".repeat(64))).unwrap();
    let held = campus
        .gate
        .hold(Matcher::call("provider:GET /credits").of(UsageSync).nth(2));
    let (report, ()) = tokio::join!(campus.sync(), async {
        held.arrived().await;
        campus
            .table
            .confirm_account(&said, campus.by())
            .await
            .unwrap();
        drop(held);
    });
    assert_eq!(
        (&report["complete"], account().await.management_key),
        (&json!(true), said),
        "{report}"
    );
    complete(&campus).await;
    assert_eq!(account().await.listed.len(), 2, "the next one knows better");
    campus.finish().await;
}

#[tokio::test]
async fn an_admin_confirms_another_account() {
    let accounts = Accounts::open().await;
    let campus = &accounts.campus;
    accounts.is_as_it_was("at first").await;
    let warned = async || {
        let page = campus.admin().await.get(ACCOUNT).await.expect(200);
        page.texts("warning")
            .iter()
            .any(|warning| warning.contains("belongs to another account"))
    };
    // A page of the wrong key confirms nothing once that is gone from the secret.
    accounts.put_the_wrong_one();
    campus.hours(1);
    campus.sync().await;
    let (admin, page) = (
        campus.admin().await,
        campus.admin().await.get(ACCOUNT).await.expect(200),
    );
    assert!(warned().await);
    accounts.put_the_right_one_back().await;
    accounts.is_as_it_was("with the right one").await;
    admin.submit(&page, RELEASE, &[]).await.expect(409);
    assert!(!warned().await);

    campus.hours(24);
    for _ in 0..3 {
        campus.run(Mail, json!({"task": "drain"})).await.unwrap();
    }
    campus.mails("account");
    put_pending(campus, OF_ANOTHER).await;
    for mailed in [1, 0] {
        campus
            .run(UsageSync, json!({"task": "rotate"}))
            .await
            .unwrap_err();
        campus.run(Mail, json!({"task": "drain"})).await.unwrap();
        let subjects = campus.subjects("account");
        assert_eq!(
            subjects
                .iter()
                .filter(|subject| subject.contains("another account"))
                .count(),
            mailed
        );
    }
    assert!(
        campus.has_logged("the management key is of another account")
            && !campus.has_logged(OF_ANOTHER)
    );
    assert_eq!(
        aws::management_key(&campus.ready).await,
        accounts.right,
        "the current one stays"
    );
    accounts.is_as_it_was("after a refused rotation").await;
    assert!(warned().await, "it still waits");
    // The deployment moves to the other account.
    let page = campus.admin().await.get(ACCOUNT).await.expect(200);
    for _ in 0..2 {
        campus
            .admin()
            .await
            .submit(&page, RELEASE, &[])
            .await
            .expect(303);
    }
    assert!(!warned().await);
    let seen = campus.judged().await;
    let confirmed = seen
        .account_entries
        .iter()
        .filter(|entry| entry.what.act == Act::AccountConfirmed);
    assert_eq!(
        (confirmed.count(), rotate(campus).await),
        (1, json!({"promoted": true}))
    );
    let report = campus.sync().await;
    reports(&report, &json!({"keys_listed": 1, "keys_missing": 2}));
    accounts.campus.finish_unjudged().await;
}

#[tokio::test]
async fn an_account_without_keys_or_workspaces_is_not_believed() {
    let accounts = Accounts::open().await;
    let campus = &accounts.campus;
    let crooked = Crooked::before(campus).await;
    // Before the first complete sync, and after it.
    for (list, said) in [
        ("/keys?", "2 or more are on record"),
        ("/workspaces", "it names no workspace"),
    ] {
        crooked.bend(move |path, told| match path.starts_with(list) {
            true => Told {
                body: json!({ "data": [], "total_count": 0 }).to_string(),
                ..told
            },
            false => told,
        });
        campus.hours(2);
        let report = crooked.sync().await;
        reports(&report, &json!({"complete": false, "keys_missing": 0}));
        assert!(problems(&report).contains(said), "{report}");
        let page = campus
            .admin()
            .await
            .get(ACCOUNT)
            .await
            .expect(200)
            .readable();
        assert!(
            list != "/keys?"
                || page.contains("it listed no key at all, although some are on record"),
            "{page}"
        );
        accounts.is_as_it_was(list).await;
    }
    accounts.campus.finish().await;
}

#[tokio::test]
async fn no_guardrail_is_made_in_another_account() {
    const MAKE: &str = "provider:POST /guardrails";
    let accounts = Accounts::open().await;
    let campus = &accounts.campus;
    complete(campus).await;
    accounts.put_the_wrong_one();
    campus.invoke.end_idle().await;
    let before = campus.gate.calls().len();
    campus
        .set(|settings| settings.rules.all.models = vec!["openai/gpt-4o-mini".to_owned()])
        .await;
    let calls = async || {
        campus.work().await;
        let calls = campus.gate.calls().split_off(before).into_iter();
        calls.map(|made| made.name.to_string()).collect::<Vec<_>>()
    };
    let made = calls().await;
    assert!(
        made.iter().any(|name| name == "provider:GET /keys/{hash}"),
        "it is looked for ours: {made:?}"
    );
    assert!(!made.iter().any(|name| name == MAKE));
    accounts.put_the_right_one_back().await;
    assert!(calls().await.iter().any(|name| name == MAKE));
    accounts.campus.finish_faulted().await;
}

#[tokio::test]
async fn a_key_is_gone_only_while_another_is_found() {
    let campus = quiet(&["ada", "ben"]).await;
    complete(&campus).await;
    campus.hours(2);
    campus.provider().delete(&campus.key("ada").hash).unwrap();
    complete(&campus).await;
    campus.hours(2);
    let rule = campus.gate.at(
        Matcher::call("provider:GET /keys/{hash}")
            .of(UsageSync)
            .every(),
        Fault::Status(404),
    );
    campus.sync().await;
    campus.gate.lift(rule);
    assert!(
        campus.grant("ada").await.live().is_some(),
        "none of ours was found"
    );
    campus.hours(2);
    complete(&campus).await;
    assert!(campus.grant("ada").await.live().is_none());
    campus.finish_faulted().await;
}
