//! The end of a term, keys that are found disabled or gone at the provider, and limits that
//! drifted.

use bursar_core::domain::audit::{Act, Actor, AuditEntry};
use bursar_core::domain::grant::{GrantState, Stopped};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_local::provider::Nano;
use bursar_tests::campus::{Campus, name_people};
use bursar_tests::faults::{Fault, Matcher};
use serde_json::json;

use super::{complete, problems, quiet};

const GONE: GrantState = GrantState::Stopped {
    why: Stopped::GoneAtProvider,
};

async fn was_stopped(campus: &Campus, name: &str) -> bool {
    let entries = campus
        .table
        .list(AuditEntry::of_grant(&campus.programme, campus.id(name)))
        .await
        .unwrap();
    entries
        .into_iter()
        .any(|entry| entry.what.act == Act::Stopped)
}

#[tokio::test]
async fn the_end_of_a_term_ends_every_key_in_one_run() {
    let names = name_people(0..5);
    let campus = quiet(&names).await;
    names[..3]
        .iter()
        .for_each(|name| campus.spend(name, "1.50"));
    campus.hours(24 * 95);
    complete(&campus).await;
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    assert!(grants.len() == 5 && grants.iter().all(|grant| grant.state == GrantState::Ended));
    assert!(campus.enabled().is_empty());
    assert_eq!(
        campus.reserved().await,
        Usd::from_dollars(100),
        "nobody has read since what they spent"
    );
    campus.hours(24);
    complete(&campus).await;
    assert_eq!(campus.reserved().await, Usd::from_micros(4_500_000));
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_key_that_is_gone_stops_its_grant_once_that_is_sure() {
    let campus = quiet(&["ada", "ben"]).await;
    campus.spend("ben", "0.0001");
    complete(&campus).await;
    // A key younger than the run does not count as missing.
    campus.minutes(2);
    campus.provider().disable(&campus.key("ada").hash).unwrap();
    campus.provider().delete(&campus.key("ben").hash).unwrap();
    assert_eq!(complete(&campus).await["keys_missing"], 1);
    assert!(campus.grant("ada").await.state == GONE && was_stopped(&campus, "ada").await);
    assert!(
        campus.grant("ben").await.live().is_some(),
        "one answer may be wrong"
    );
    campus.judged_after_sync().await;
    for (minutes, is_gone) in [(59, false), (2, true), (1, true)] {
        campus.minutes(minutes);
        complete(&campus).await;
        assert_eq!(
            campus.grant("ben").await.state == GONE,
            is_gone,
            "{minutes}"
        );
        campus.judged_after_sync().await;
    }
    // Both may have another key at once.
    for name in ["ada", "ben"] {
        let old = campus.key(name).hash;
        campus.replace(name).await;
        assert_ne!(campus.key(name).hash, old);
    }
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_key_that_is_replaced_meanwhile_is_left_alone() {
    let campus = quiet(&["ada", "ben"]).await;
    campus.minutes(2);
    for (name, is_gone) in [("ada", false), ("ben", true)] {
        let old = campus.key(name).hash;
        if is_gone {
            campus.provider().delete(&old).unwrap();
            campus.sync().await;
            let refused = campus
                .press(&campus.student(name).await, "replace")
                .await
                .expect(503);
            assert!(
                refused.readable().contains("You can try again from"),
                "{}",
                refused.readable()
            );
            campus.hours(2);
        } else {
            campus.provider().disable(&old).unwrap();
        }
        let held = campus
            .gate
            .hold_answers(Matcher::call("provider:GET /keys/{hash}").of(UsageSync));
        let meanwhile = async {
            held.arrived().await;
            campus.replace(name).await;
            drop(held);
        };
        let (report, ()) = tokio::join!(campus.sync(), meanwhile);
        let (grant, new) = (campus.grant(name).await, campus.key(name).hash);
        assert_eq!(grant.live().unwrap().hash.as_str(), new, "{report}");
        assert!(!was_stopped(&campus, name).await && campus.is_on(&new));
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_limit_that_is_not_as_it_should_be_is_sent() {
    let mut campus = quiet(&[]).await;
    campus
        .set(|settings| settings.basis.reset = Reset::Daily)
        .await;
    campus.students_with_keys(&["ada", "ben"]).await;
    let drifts = [
        json!({"limit": 1}),
        json!({"limit": 500}),
        json!({"limit": null}),
        json!({"limit_reset": "monthly"}),
        json!({"include_byok_in_limit": false}),
    ];
    let right = campus.key("ada");
    for drift in drifts {
        campus.minutes(2);
        campus
            .provider()
            .change_by_hand(&right.hash, &drift)
            .unwrap();
        // A listing alone does not tell it.
        let unanswered = campus.gate.at(
            Matcher::call("provider:GET /keys/{hash}").every(),
            Fault::Status(400),
        );
        assert!(
            !problems(&campus.sync().await).contains("is set again"),
            "{drift}"
        );
        campus.gate.lift(unanswered);
        // What was found is said, also where it cannot be mended.
        let rule = campus.gate.at(
            Matcher::call("provider:PATCH /keys/{hash}").every(),
            Fault::Status(400),
        );
        let report = campus.sync().await;
        assert!(problems(&report).contains(&right.hash), "{drift}: {report}");
        campus.gate.lift(rule);
        complete(&campus).await;
        let now = campus.key("ada");
        assert_eq!(
            (now.limit, now.limit_reset, now.include_byok_in_limit),
            (right.limit, right.limit_reset, true),
            "{drift}"
        );
    }
    // Late use of a retired key comes off it until the window turns, and of nothing a cent is left.
    for (name, dollars) in [("ada", "5"), ("ben", "19.995")] {
        let old = campus.key(name).hash;
        campus.replace(name).await;
        campus.spend_on(&old, dollars);
    }
    complete(&campus).await;
    assert_eq!(campus.key("ada").limit, Some(Nano::usd(15)));
    assert_eq!(campus.key("ben").limit, Some(Nano::micros(10_000)));
    let raised = Some(Usd::from_dollars(30));
    campus
        .table
        .act(campus.on("ada"), |view, now| {
            view.set_cap(raised, &Actor::Rule, None, now)
        })
        .await
        .unwrap();
    for (hours, dollars) in [(1, 25), (23, 30)] {
        campus.hours(hours);
        complete(&campus).await;
        assert_eq!(campus.key("ada").limit, Some(Nano::usd(dollars)));
    }
    campus.judged_after_sync().await;
    campus.finish().await;
}
