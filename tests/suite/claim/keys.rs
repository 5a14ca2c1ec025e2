//! The life of a key: shown once, spent, read, replaced, reported leaked, resumed.

use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::{KeySnapshot, Nano};
use bursar_tests::faults::Matcher;
use bursar_tests::seeds::sized;
use bursar_tests::visitor::{Form, Found};
use futures_util::future::join_all;

use super::faults::DISABLE;
use super::*;
use crate::changes::asks;

const CAP: Usd = Usd::from_dollars(20);

fn keys(campus: &Campus) -> Vec<KeySnapshot> {
    campus.provider().keys()
}

/// Sends a request to a model with a key, as a student does, and returns the status.
async fn spends(campus: &Campus, key: &str) -> u16 {
    asks(campus, key, "openai/gpt-4o-mini").await
}

fn limit(key: &KeySnapshot) -> Usd {
    Usd::from_form(&key.limit.unwrap().to_string()).unwrap()
}

/// The use of a key by the provider's account of it.
fn used(key: &KeySnapshot) -> Usd {
    Usd::parse_ceil(&key.usage.to_string()).unwrap()
}

/// An amount in an attribute of a page's element.
fn amount(found: &Found, name: &str) -> Usd {
    Usd::from_form(found.get(name)).unwrap()
}

#[tokio::test]
async fn a_key_is_shown_once_and_replaced_with_what_is_left() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let my = ada.get("/my").await.expect(200);
    let grant = my.one("grant");
    assert_eq!(
        (grant.get("data-state"), amount(&grant, "data-cap-usd")),
        ("invited", CAP)
    );
    let reveal = my.form(&campus.my("reveal"));

    let page = ada.send_form(&reveal).await.expect(200);
    let first = page.one("key").text;
    assert!(first.starts_with("sk-or-") && first.trim() == first);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(
        page.body
            .contains(&format!("{}/chat/completions", campus.ready.provider))
    );
    campus.judged().await;
    let made = &keys(&campus)[0];
    assert_eq!(
        (
            made.limit.unwrap().to_string().as_str(),
            made.limit_reset,
            made.include_byok_in_limit
        ),
        ("20", None, true)
    );
    assert!(made.expires_at.is_some() && made.name.starts_with("bursar/"));

    // A reload, a second tab, the button of another page.
    let again = ada.send_form(&reveal).await.expect(409);
    assert_eq!(
        again.alert().as_deref(),
        Some("Your key was shown and is not shown again. Lost it? Replace it.")
    );
    assert!(again.offers(&campus.my("replace")), "{}", again.readable());
    let my = ada.get("/my").await.expect(200);
    assert!(!my.offers(&campus.my("reveal")) && !my.body.contains(&first));
    assert_eq!(my.one("grant").get("data-state"), "live");

    assert_eq!(spends(&campus, &first).await, 200);
    let reads = |campus: &Campus| {
        calls(campus)
            .iter()
            .filter(|call| *call == "provider:GET /keys/{hash}")
            .count()
    };
    ada.submit(&my, &campus.my("refresh"), &[])
        .await
        .expect(303);
    let spent = ada.get("/my").await.one("grant");
    assert!(amount(&spent, "data-spent-usd") > Usd::ZERO);
    assert_eq!(
        amount(&spent, "data-left-usd"),
        CAP - amount(&spent, "data-spent-usd")
    );
    campus
        .clock
        .advance(jiff::SignedDuration::from_secs(20))
        .unwrap();
    ada.submit(&my, &campus.my("refresh"), &[])
        .await
        .expect(303);
    assert_eq!(
        ada.get("/my").await.text("notice").as_deref(),
        Some("Checked 20 seconds ago.")
    );
    assert_eq!(reads(&campus), 1, "once a minute");
    campus.minutes(1);
    for _ in 0..2 {
        ada.submit(&my, &campus.my("refresh"), &[])
            .await
            .expect(303);
    }
    assert_eq!(reads(&campus), 2, "also when nothing more was used");

    assert_eq!(spends(&campus, &first).await, 200);
    let replace = ada.get("/my").await.form(&campus.my("replace"));
    let page = ada.send_form(&replace).await.expect(200);
    let second = page.one("key").text;
    campus.judged().await;
    assert!(
        ada.send_form(&replace)
            .await
            .expect(409)
            .alert()
            .unwrap()
            .contains("not shown again")
    );
    assert_eq!(spends(&campus, &first).await, 401);
    assert_eq!(spends(&campus, &second).await, 200);
    let all = keys(&campus);
    assert!(all[0].disabled && !all[1].disabled);
    let left = (CAP - used(&all[0])).whole_cents();
    assert_eq!(
        limit(&all[1]),
        left,
        "also what was used since the last reading, in whole cents"
    );
    assert_eq!(
        amount(&ada.get("/my").await.one("grant"), "data-spent-usd"),
        used(&all[0])
    );

    // A report from a page before the replacement does not concern the new key.
    let stale = Form {
        action: campus.my("leaked"),
        ..reveal.clone()
    };
    ada.send_form(&stale).await.expect(303);
    campus.judged().await;
    assert!(!keys(&campus)[1].disabled);

    campus.press(&ada, "leaked").await.expect(303);
    campus.judged().await;
    assert!(keys(&campus)[1].disabled);
    let my = ada.get("/my").await.expect(200);
    assert_eq!(my.one("grant").get("data-state"), "stopped");
    assert!(!my.offers(&campus.my("leaked")));
    // The form's own fields once more: the report has already taken effect.
    ada.send_form(&Form {
        action: campus.my("leaked"),
        ..reveal
    })
    .await
    .expect(303);
    ada.submit(&my, &campus.my("replace"), &[])
        .await
        .expect(200);
    campus.judged().await;
    let all = keys(&campus);
    assert!(
        used(&all[1]) > Usd::ZERO,
        "what the leaked key used counts too"
    );
    assert_eq!(
        limit(&all[2]),
        (CAP - used(&all[0]) - used(&all[1])).whole_cents()
    );

    campus.finish().await;
}

#[tokio::test]
async fn many_presses_at_once_make_one_key() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let reveal = ada.get("/my").await.form(&campus.my("reveal"));
    let presses = || 0..sized(12, 50);
    // The first page of each browser starts an instance of the function, which takes a moment on a
    // slow machine.
    for page in join_all(presses().map(|_| ada.get("/my"))).await {
        page.expect(200);
    }
    let pages = join_all(presses().map(|_| ada.send_form(&reveal))).await;
    let (shown, refused): (Vec<_>, Vec<_>) = pages.into_iter().partition(|page| page.status == 200);
    assert_eq!((shown.len(), keys(&campus).len()), (1, 1));
    for page in refused {
        let page = page.expect(409);
        assert!(
            page.all("key").is_empty() && page.alert().is_some(),
            "{}",
            page.readable()
        );
    }
    campus.finish().await;
}

#[tokio::test]
async fn an_unused_key_is_resumed_by_a_press() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    campus.hold("ada", HoldKind::Unused).await;
    campus.settle().await;
    assert!(keys(&campus)[0].disabled);
    let my = ada.get("/my").await.expect(200);
    assert_eq!(my.one("grant").get("data-state"), "paused");
    for _ in 0..2 {
        ada.submit(&my, &campus.my("resume"), &[]).await.expect(303);
        assert!(!keys(&campus)[0].disabled);
        assert_eq!(ada.get("/my").await.one("grant").get("data-state"), "live");
    }
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn no_key_is_shown_before_it_is_under_its_guardrail() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let reveal = ada.get("/my").await.form(&campus.my("reveal"));
    campus
        .set(|settings| settings.rules.all.models = vec!["openai/gpt-4o-mini".to_owned()])
        .await;
    let my = ada.get("/my").await.expect(200);
    assert!(
        !my.offers(&campus.my("reveal")) && my.readable().contains("being set up"),
        "{}",
        my.readable()
    );
    let page = ada.send_form(&reveal).await.expect(503);
    assert!(page.header("retry-after").is_some() && page.alert().unwrap().contains("being set up"));
    assert!(keys(&campus).is_empty());

    let guardrail = campus.restrict().await;
    campus.gate.at(
        "provider:POST /guardrails/{id}/assignments/keys",
        bursar_tests::faults::Fault::Status(404),
    );
    campus.press(&ada, "reveal").await.expect(502);
    assert!(keys(&campus)[0].disabled, "nobody was shown it");
    campus.judged().await;
    campus.reveal(&ada).await;
    assert_eq!(keys(&campus)[1].guardrail_id, Some(guardrail));
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_asks_the_provider() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    let (my, path) = (ada.get("/my").await.expect(200), campus.my("refresh"));
    let held = campus.gate.hold("provider:GET /keys/{hash}");
    let second = async {
        held.arrived().await;
        ada.submit(&my, &path, &[]).await.expect(303);
        assert!(
            held.parked().len() == 1,
            "the first still waits for its answer"
        );
        drop(held);
    };
    let (first, ()) = tokio::join!(ada.submit(&my, &path, &[]), second);
    first.expect(303);
    let reads = calls(&campus)
        .iter()
        .filter(|call| *call == "provider:GET /keys/{hash}")
        .count();
    assert_eq!(reads, 1);
    campus.finish().await;
}

#[tokio::test]
async fn a_limit_of_yesterday_is_not_sent_after_midnight() {
    let mut campus = class().await;
    campus
        .set(|settings| settings.basis.reset = Reset::Daily)
        .await;
    const A_DAY: i64 = 24 * 60 * 60 * 1000;
    let until_midnight = A_DAY - campus.clock.now().as_millisecond().rem_euclid(A_DAY);
    campus
        .clock
        .advance(jiff::SignedDuration::from_millis(until_midnight - 60_000))
        .unwrap();
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    let provider = campus.provider();
    provider
        .spend(
            &keys(&campus)[0].hash,
            Nano::usd(5),
            campus.clock.now(),
            "a/model",
        )
        .unwrap();
    // The old key's use is read, and the day ends before the reading is written.
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:PutItem").of(FunctionName::Claim));
    let over_midnight = async {
        held.arrived().await;
        campus.minutes(2);
        drop(held);
    };
    let (shown, ()) = tokio::join!(campus.press(&ada, "replace"), over_midnight);
    shown.expect(200);
    assert_eq!(limit(&keys(&campus)[1]), CAP, "the new day's cap is whole");
    campus.finish().await;
}

/// A call is sent two seconds before midnight and done two seconds after it, when some of the new
/// day was used: none of that is booked on the old day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_two_days_is_asked_again() {
    for what in ["leaked", "return"] {
        let mut campus = Campus::at("2026-03-10T12:00:00Z").await;
        campus
            .programme("CS pilot", |settings| {
                settings.allowance.cap = Usd::from_dollars(5);
                settings.basis.reset = Reset::Daily;
            })
            .await;
        campus.students_with_keys(&["ada"]).await;
        campus.minutes(12 * 60 - 1);
        campus
            .clock
            .advance(jiff::SignedDuration::from_secs(58))
            .unwrap();
        let ada = campus.student("ada").await;
        let form = ada.get("/my").await.form(&campus.my(what));
        let held = campus
            .gate
            .hold(Matcher::call(DISABLE).of(FunctionName::Claim));
        let (page, ()) = tokio::join!(ada.send_form(&form), async {
            held.arrived().await;
            campus
                .clock
                .advance(jiff::SignedDuration::from_secs(4))
                .unwrap();
            campus.spend("ada", "2");
            held.release(None).unwrap();
        });
        drop(held);
        page.expect(303);
        campus.minutes(16);
        campus.work().await;
        campus.replace("ada").await;
        assert_eq!(campus.key("ada").limit.unwrap().to_string(), "3", "{what}");
        campus.finish().await;
    }
}
