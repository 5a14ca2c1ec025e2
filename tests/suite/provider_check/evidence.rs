//! What the check must not take for evidence: refusals for other reasons, counters that are absent, somebody
//! else's spending, and answers that only put it off.

use std::future::pending;

use bursar_local::provider::Cents;
use http::Method;
use jiff::SignedDuration;
use provider_check::assumptions::*;
use provider_check::{Finding, Refused};
use serde_json::json;

use super::world::{Asked, Told, World};

#[tokio::test]
async fn a_refusal_that_came_before_the_key_was_disabled_proves_nothing() {
    let world = World::open().await;
    world.answers(
        Some(|asked| {
            let lifted = asked.last(|call| call.is(&Method::PATCH, "guardrails/*"));
            (asked.is(&Method::POST, "chat/completions") && lifted.is_some())
                .then(|| Told::refused(403, "not this model"))
        }),
        None,
    );
    let findings = world.check().await;
    assert!(matches!(findings.of(&RULES_LIFTED), Finding::NotHeld(_)), "{findings}");
    for assumption in [&DISABLE_BINDS, &DISABLED_IS_401] {
        let finding = findings.of(assumption);
        assert!(matches!(&finding, Finding::NotSeen(why) if why.contains("not this model")), "{finding:?}");
    }
    assert!(findings.ended_early.is_none() && world.is_clean().await, "{findings}");
}

#[tokio::test]
async fn a_refusal_for_the_accounts_money_is_not_taken_for_the_keys_limit() {
    let world = World::open().await;
    world.answers(
        Some(|asked| {
            let patched = asked.last(|call| call.is(&Method::PATCH, "keys/*"));
            let is_lowered = patched.is_some_and(|patch| patch.body["limit"] == 0.000_001);
            let metadata = json!({ "limit_source": "openrouter_in_flight_budget" });
            (asked.is(&Method::POST, "chat/completions") && is_lowered).then(|| Told {
                status: 402,
                body: json!({ "error": { "code": 402, "message": "Too much in flight", "metadata": metadata } }),
            })
        }),
        None,
    );
    let findings = world.check().await;
    let finding = findings.of(&LIMIT_BINDS);
    assert!(matches!(&finding, Finding::NotSeen(why) if why.contains("Too much in flight")), "{finding:?}");
    assert!(matches!(findings.of(&DISABLE_BINDS), Finding::Held(_)) && !findings.is_well(), "{findings}");
}

#[tokio::test]
async fn a_key_that_no_listing_shows_by_its_name_is_taken_away_by_its_hash() {
    let world = World::open().await;
    let others = world.of_others().await;
    world.answers(
        Some(|asked| match () {
            () if asked.is(&Method::GET, "keys") => Some(Told { status: 200, body: json!({ "data": [] }) }),
            () if asked.call.body["disabled"] == true => Some(Told::refused(400, "not now")),
            () => None,
        }),
        Some(|asked, told| {
            if asked.is(&Method::POST, "keys") {
                told.body["data"]["name"] = json!("another");
                told.body["data"]["workspace_id"] = json!("11111111-1111-4111-8111-111111111111");
            }
        }),
    );
    let findings = world.check().await;
    assert!(findings.ended_early.as_ref().is_some_and(|why| why.contains("not now")), "{findings}");
    for assumption in [&NAME_KEPT, &LISTED_AT_ONCE, &KEY_IN_WORKSPACE] {
        assert!(matches!(findings.of(assumption), Finding::NotHeld(_)), "{findings}");
    }
    assert!(findings.left.is_none() && world.is_clean().await, "{findings}");
    assert_eq!(world.of_others().await, others);
}

#[tokio::test]
async fn an_answer_that_puts_the_check_off_is_no_fact_about_the_account() {
    let world = World::open().await;
    world.answers(
        Some(|asked| match () {
            () if asked.is(&Method::GET, "organization/members") => Some(Told::refused(429, "Slow down")),
            () if asked.is(&Method::POST, "guardrails") => Some(Told::refused(503, "Overloaded")),
            () => None,
        }),
        None,
    );
    let findings = world.check().await;
    for (of, words) in [("organization", "Slow down"), ("a guardrail of its own", "Overloaded")] {
        let is_unknown = |is: &str| is.starts_with("unknown") && is.contains(words);
        assert!(findings.account.iter().any(|(what, is)| what == of && is_unknown(is)), "{findings}");
    }

    world.answers(Some(|asked| asked.is(&Method::POST, "keys").then(|| Told::refused(429, "Slow down"))), None);
    let count = provider_check::count_keys(&world.options(), pending()).await.unwrap();
    assert!(count.refused.is_none() && count.failed.as_ref().is_some_and(|why| why.contains("Slow down")), "{count}");

    world.answers(
        Some(|asked| asked.is(&Method::GET, "workspaces").then(|| Told::refused(503, "Overloaded"))),
        Some(|asked, told| {
            if asked.is(&Method::GET, "key") {
                told.body["data"] = json!({});
            }
        }),
    );
    let refused = provider_check::check(&world.options(), pending()).await;
    assert!(matches!(refused, Err(Refused::Unusable(_))), "{refused:?}");
}

#[tokio::test]
async fn counters_that_are_absent_or_show_nothing_agree_with_nothing() {
    let absent = World::open().await;
    absent.provider.set_quirks(|quirks| quirks.absent_fields = vec!["usage_weekly"]);
    let unused = World::open().await;
    unused.provider.set_quirks(|quirks| quirks.lag.key = SignedDuration::from_hours(1));
    for (world, assumptions) in
        [(absent, [&COUNTERS_AGREE].as_slice()), (unused, &[&COUNTERS_AGREE, &REMAINING_AGREES, &USAGE_KEPT])]
    {
        let findings = world.check().await;
        for assumption in assumptions {
            let finding = findings.of(assumption);
            assert!(matches!(finding, Finding::NotSeen(_)), "{}: {finding:?}", assumption.id);
        }
    }
}

#[tokio::test]
async fn what_others_spend_meanwhile_does_not_settle_the_credits() {
    let world = World::open().await;
    world.answers(
        None,
        Some(|asked, told| {
            if asked.is(&Method::GET, "credits") {
                told.body["data"]["total_usage"] = json!(2.0 + 0.01 * reads_of_credits(asked));
            }
        }),
    );
    let finding = world.check().await.of(&CREDITS_SETTLE);
    assert!(matches!(&finding, Finding::NotSeen(why) if why.contains("others spend")), "{finding:?}");
}

fn reads_of_credits(asked: &Asked) -> f64 {
    let reads = asked.earlier.iter().filter(|call| call.is(&Method::GET, "credits")).count();
    f64::from(u32::try_from(reads).unwrap())
}

#[tokio::test]
async fn a_limit_that_became_zero_is_not_near_the_one_that_was_sent() {
    let world = World::open().await;
    world.provider.set_quirks(|quirks| quirks.limit_cents = Some(Cents::Down));
    let finding = world.check().await.of(&LIMIT_NEAR);
    assert!(matches!(&finding, Finding::NotHeld(seen) if seen.contains("0.009999")), "{finding:?}");
}
