//! What the check does to an account and says of it: what it costs, whom it refuses, what it never prints, and
//! that a deployment's sync leaves its key alone.

use std::future::pending;
use std::sync::{Arc, OnceLock};

use bursar_core::domain::values::id::KeyName;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::office::Office;
use bursar_tests::stack;
use http::Method;
use provider_check::assumptions::{
    ALL, ASSIGNMENT_LISTED, DISABLE_BINDS, LAST_USE_TOLD, LIMIT_BINDS, LIMIT_DIGITS, NAME_KEPT, RULES_BIND,
};
use provider_check::{Finding, MOST_KEYS, Options, Refused};
use serde_json::json;

use super::world::{MANAGEMENT, OURS, Told, World};

#[tokio::test]
async fn the_simulated_account_is_ready_and_nothing_in_it_is_changed_for_less_than_a_cent() {
    let world = World::open().await;
    let others = world.of_others().await;
    let findings = world.check().await;
    assert!(findings.is_well(), "{findings}");
    assert!(world.is_clean().await && world.of_others().await == others);
    let made: Vec<_> = world.provider.keys().into_iter().filter(|key| key.name.starts_with(OURS)).collect();
    let [key] = made.as_slice() else { panic!("{made:#?}") };
    assert!(key.name.parse::<KeyName>().is_err() && key.deleted);
    assert!(Nano::ZERO < key.usage && key.usage < Nano::micros(1_000), "{:?}", key.usage);
    let told = Nano::micros(findings.spent.micros());
    assert!(key.usage <= told && told < Nano::CENT, "{told:?} {:?}", key.usage);
    let reads = |path: &str| path.starts_with("analytics");
    let writes = world.calls().into_iter().filter(|call| call.method != Method::GET && !reads(&call.path));
    let mut paths: Vec<_> = writes.map(|call| format!("{} {}", call.method, call.path)).collect();
    paths.sort();
    paths.dedup();
    let foreign: Vec<_> = paths.iter().filter(|path| path.contains("/keys/") && !path.contains(&key.hash)).collect();
    assert!(foreign.iter().all(|path| path.contains("/assignments/")), "{foreign:?}");
}

/// The name of a key that an earlier check left.
const LEFT: &str = "bursar-provider-check/01M82J0DZ9THETR5EFPVZ2WMFZ/01M82J0DZ9Y291M5E7WF0J6R57/1-0123456789abcdef";
/// The plaintext of the key that a check made.
static MADE: OnceLock<String> = OnceLock::new();

#[tokio::test]
async fn neither_the_management_key_nor_the_made_one_is_printed_even_if_the_provider_repeats_them() {
    let world = World::open().await;
    world.answers(
        None,
        Some(|asked, told| {
            if asked.is(&Method::POST, "keys") {
                let plaintext = MADE.get_or_init(|| told.body["key"].as_str().unwrap().to_owned());
                told.body["data"]["name"] = json!(plaintext);
            }
            let Some(plaintext) = MADE.get() else { return };
            if asked.is(&Method::GET, "keys/*") && told.status == 200 {
                told.body["data"]["last_used_at"] = json!(plaintext);
            }
            if asked.is(&Method::POST, "guardrails") {
                *told = Told::refused(403, &format!("neither {plaintext} nor {MANAGEMENT} is right"));
            }
        }),
    );
    let findings = world.check().await;
    let printed = format!("{findings} {findings:?} {:?}", world.options().management_key);
    for secret in [MADE.get().unwrap().as_str(), MANAGEMENT] {
        assert!(secret.starts_with("sk-or-v1-") && !printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("403: neither sk-or-…"), "{printed}");
    for assumption in [&NAME_KEPT, &LAST_USE_TOLD] {
        assert!(format!("{:?}", findings.of(assumption)).contains("sk-or-…"), "{printed}");
    }
}

#[tokio::test]
async fn an_ordinary_key_and_an_unknown_one_are_refused_before_anything_is_done() {
    let world = World::open().await;
    let refused = provider_check::check(&world.options_with(&world.foreign[0].plaintext), pending()).await;
    let words = refused.err().unwrap().to_string();
    assert!(words.contains("is an ordinary key") && words.contains("sk-or-…"), "{words}");
    assert!(!words.contains(&world.foreign[0].plaintext));
    let refused = provider_check::check(&world.options_with("sk-or-v1-unknown"), pending()).await;
    assert!(matches!(refused, Err(Refused::Key(_))), "{refused:?}");
    let calls: Vec<_> = world.calls().into_iter().map(|call| (call.method, call.path)).collect();
    assert_eq!(calls, vec![(Method::GET, "key".to_owned()); 2]);
}

#[tokio::test]
async fn an_account_without_credit_is_told_what_was_not_seen_and_is_not_ready() {
    let world = World::open().await;
    world.provider.set_credits(Nano::ZERO).unwrap();
    let findings = world.check().await;
    assert!(matches!(findings.of(&DISABLE_BINDS), Finding::NotSeen(why) if why.contains("credit")), "{findings}");
    assert!(!findings.is_well() && findings.ended_early.is_none() && world.is_clean().await);
    assert_eq!((findings.spent, findings.requests), (Usd::ZERO, 0));
    assert!(world.calls().iter().all(|call| !call.path.starts_with("chat")), "nothing may be bought on credit");
}

#[tokio::test]
async fn an_account_that_can_have_no_guardrail_is_told_so_and_is_ready_all_the_same() {
    let world = World::open().await;
    world.answers(
        Some(|asked| asked.call.path.starts_with("guardrails").then(|| Told::refused(403, "Guardrails need a plan"))),
        None,
    );
    let findings = world.check().await;
    assert!(findings.is_well(), "{findings}");
    assert!(matches!(findings.of(&RULES_BIND), Finding::NotSeen(why) if why.contains("Guardrails need a plan")));
    let has_none = |what: &str| findings.account.iter().any(|(of, is)| of == what && is.starts_with("no (4"));
    assert!(has_none("guardrails") && has_none("organization"), "{:?}", findings.account);
    assert!(
        findings.account.contains(&(
            "free models".to_owned(),
            "1000 requests a day for the whole account, 0 used today".to_owned()
        ))
    );
}

#[tokio::test]
async fn what_the_provider_refuses_of_odd_limits_and_assignments_is_told_and_the_rest_is_tried_all_the_same() {
    let world = World::open().await;
    world.answers(
        Some(|asked| {
            let is_odd = asked.call.body["limit"].as_f64().is_some_and(|limit| limit < 0.01);
            let is_assignment = asked.is(&Method::POST, "guardrails/*/assignments/keys");
            (is_odd || is_assignment).then(|| Told::refused(400, "not like this"))
        }),
        None,
    );
    let findings = world.check().await;
    assert_eq!(findings.ended_early, None, "{findings}");
    for assumption in [&LIMIT_DIGITS, &ASSIGNMENT_LISTED] {
        let finding = findings.of(assumption);
        assert!(matches!(&finding, Finding::NotHeld(seen) if seen.contains("not like this")), "{finding:?}");
    }
    for assumption in [&LIMIT_BINDS, &RULES_BIND] {
        assert!(matches!(findings.of(assumption), Finding::NotSeen(_)), "{findings}");
    }
    assert!(matches!(findings.of(&DISABLE_BINDS), Finding::Held(_)), "{findings}");
    assert!(world.is_clean().await);
}

#[tokio::test]
async fn a_run_that_fails_in_the_middle_says_so_and_takes_away_what_it_made() {
    let world = World::open().await;
    let others = world.of_others().await;
    // The answer to the new key is lost, and so are those to its first cleaning.
    world.answers(
        None,
        Some(|asked, told| {
            let is_made = asked.last(|call| call.is(&Method::POST, "keys")).is_some();
            let cleanings = asked.earlier.iter().filter(|call| call.is(&Method::GET, "keys")).count();
            let is_late = is_made && asked.is(&Method::GET, "keys") && cleanings < 8;
            if asked.is(&Method::POST, "keys") || is_late {
                *told = Told::refused(502, "Bad gateway");
            }
        }),
    );
    let findings = world.check().await;
    assert!(findings.ended_early.as_ref().is_some_and(|why| why.contains("502")), "{findings}");
    assert!(findings.left.is_none() && !findings.is_well() && world.is_clean().await, "{findings}");
    assert!(findings.taken_away.iter().any(|what| what.contains(OURS)), "{findings}");
    assert_eq!(world.of_others().await, others);
    assert_eq!(findings.missing().len(), ALL.iter().filter(|one| is_missing(&findings.of(one), one)).count());
}

fn is_missing(finding: &Finding, one: &provider_check::assumptions::Assumption) -> bool {
    one.bearing == provider_check::assumptions::Bearing::Needed && !matches!(finding, Finding::Held(_))
}

#[tokio::test]
async fn what_cannot_be_taken_away_is_told_with_why_it_is_harmless() {
    let world = World::open().await;
    world.answers(
        Some(|asked| (asked.call.method == Method::DELETE).then(|| Told::refused(500, "Internal error"))),
        None,
    );
    let findings = world.check().await;
    assert!(findings.left.is_some() && !findings.is_well(), "{findings}");
    let report = findings.to_string();
    assert!(report.contains("Something of the check may be left"), "{report}");
    world.answers(None, None);
    world.check().await;
    assert!(world.is_clean().await);
}

#[tokio::test]
async fn keys_are_counted_up_to_fifty_or_to_the_first_refusal_and_taken_away() {
    let world = World::open().await;
    let others = world.of_others().await;
    let count = provider_check::count_keys(&world.options(), pending()).await.unwrap();
    assert_eq!((count.made, &count.refused, &count.failed), (50, &None, &None));
    assert!(world.is_clean().await);
    let made = world.provider.keys().into_iter().filter(|key| key.name.starts_with(OURS));
    assert!(made.into_iter().all(|key| key.limit == Some(Nano::CENT) && key.expires_at.is_some()));
    world.answers(
        Some(|asked| {
            let made = asked.earlier.iter().filter(|call| call.is(&Method::POST, "keys")).count();
            (asked.is(&Method::POST, "keys") && made == MOST_KEYS + 7).then(|| Told::refused(400, "Too many keys"))
        }),
        None,
    );
    let count = provider_check::count_keys(&world.options(), pending()).await.unwrap();
    assert_eq!((count.made, count.refused.as_deref()), (7, Some("400: Too many keys")));
    assert!(world.is_clean().await && world.of_others().await == others);
}

#[tokio::test]
async fn a_deployments_sync_takes_the_checks_key_for_a_foreign_one_and_the_check_leaves_its_keys_alone() {
    let stack = stack::in_process().await.unwrap();
    let provider = stack.provider.clone().unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    office.claim(&grant).await;
    let key_of = |begins: &str| provider.keys().into_iter().find(|key| key.name.starts_with(begins)).unwrap();
    provider.add_foreign_key(LEFT, Some(Nano::CENT), stack.clock.now()).unwrap();
    let (left, student) = (key_of(OURS), key_of("bursar/"));
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!((key_of(OURS), key_of("bursar/")), (left, student.clone()));

    let management_key = aws::management_key(&stack.ready).await;
    let options = Options {
        provider: stack.ready.provider.clone(),
        management_key: Arc::new(PlaintextKey::new(management_key).unwrap()),
        clock: stack.clock.as_clock(),
        ..World::open().await.options()
    };
    let findings = provider_check::check(&options, pending()).await.unwrap();
    assert!(findings.is_well(), "{findings}");
    assert!(key_of(OURS).deleted && key_of("bursar/") == student);
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(key_of("bursar/"), student);
    stack.finish_leaving(&[stack::Left::AnyMails]).await;
}
