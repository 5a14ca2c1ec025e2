//! The brake of a programme: what one of its keys may spend in a UTC day, as the provider holds it.

use bursar_core::store::ListedModels;
use bursar_local::provider::{Interval, Nano};
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ID, SETTINGS};

const LARGE: &str = "anthropic/claude-opus-4.5";

/// A class with a cap of $20 and prices on record, of which one model is named.
async fn class() -> (Campus, Visitor) {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |settings| settings.rules.all.models = vec![LARGE.to_owned()]).await;
    campus.students(&["ada"]).await;
    campus.sync().await;
    assert!(campus.table.get(ListedModels::key_of()).await.unwrap().is_some());
    campus.work().await;
    let admin = campus.admin().await;
    (campus, admin)
}

/// What the provider answers to a question whose answer has so many tokens, at $25 a million.
async fn ask(campus: &Campus, key: &str, tokens: u32) -> (u16, Value) {
    let messages = json!([{"role": "user", "content": "x"}]);
    let body = json!({"model": LARGE, "messages": messages, "max_tokens": tokens});
    let url = format!("{}/chat/completions", campus.ready.provider);
    let answer = aws::http().post(url).bearer_auth(key).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"].take())
}

#[tokio::test]
async fn a_loop_costs_a_day() {
    let (campus, admin) = class().await;
    let ada = campus.student("ada").await;
    let first = campus.reveal(&ada).await;
    campus.edit(&admin, &[("daily_usd", "4")]).await.expect(303);
    campus.finish_work().await;
    let guardrail = campus.guardrail().await.unwrap().id;
    assert_eq!(campus.provider().budget_of_guardrail(&guardrail), Some((Nano::usd(4), Interval::Daily)));

    for _ in 0..2 {
        assert_eq!(ask(&campus, &first, 64_000).await.0, 200);
    }
    let (status, error) = ask(&campus, &first, 64_000).await;
    assert_eq!((status, &error["metadata"]["limit_source"]), (402, &json!("openrouter_guardrail_budget")), "{error}");
    campus.spend("ada", "0.8");
    let (status, error) = ask(&campus, &first, 1).await;
    assert_eq!((status, &error["metadata"]["limit_source"]), (403, &json!("openrouter_guardrail_budget")), "{error}");
    campus.press(&ada, "refresh").await.expect(303);
    let page = ada.get("/my").await.expect(200);
    assert!(page.readable().contains("used up today"), "{}", page.readable());
    assert!(page.readable().contains("Your key has spent what it may spend in a day, $4."), "{}", page.readable());
    campus.judged().await;

    // Another key of the same day has a day of its own, which the page says, and no more of the cap.
    assert!(page.readable().contains("With the new key a new day begins: it may spend $4 today."));
    let page = campus.press(&ada, "replace").await.expect(200);
    assert!(page.readable().contains("and $4 of it in a UTC day"), "{}", page.readable());
    let second = page.one("key").text;
    assert_eq!(ask(&campus, &second, 64_000).await.0, 200);
    campus.clock.advance(SignedDuration::from_hours(24)).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&campus, &second, 64_000).await.0, 200, "a day later");
    }
    // Somebody takes it off at the provider, and the next sync puts it back.
    let patch = aws::http().patch(format!("{}/guardrails/{guardrail}", campus.ready.provider));
    let lifted = json!({"limit_usd": null, "reset_interval": null});
    let key = aws::management_key(&campus.ready).await;
    patch.bearer_auth(key).json(&lifted).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(campus.sync().await["complete"], true);
    assert_eq!(campus.provider().budget_of_guardrail(&guardrail), Some((Nano::usd(4), Interval::Daily)));
    campus.edit(&campus.admin().await, &[("daily_usd", "")]).await.expect(303);
    campus.finish_work().await;
    assert_eq!(campus.provider().budget_of_guardrail(&guardrail), None);
    campus.finish_faulted().await;
}

/// A brake is neither so small that a day's work does not fit, nor larger than the cap.
#[tokio::test]
async fn a_brake_has_bounds() {
    let (campus, admin) = class().await;
    let says = |page: &bursar_tests::visitor::Page| page.alerts().pop().unwrap_or_default();
    let page = admin.get(SETTINGS).await.expect(200);
    let mut said = String::new();
    for fields in [
        &[("daily_usd", "3.99")][..],
        &[("daily_usd", "20.01")],
        &[("daily_usd", "2.39"), ("cap_usd", "10")],
        &[("daily_usd", "3.99"), ("models", "")],
        &[("daily_usd", "5"), ("reset", "weekly")],
    ] {
        said += &format!("{fields:?}: {}\n", says(&admin.submit(&page, ID, fields).await.expect(422)));
    }
    // What moves the bound is refused as well, and what does not is saved.
    campus.edit(&admin, &[("daily_usd", "4.009"), ("models", "openai/gpt-4o-mini")]).await.expect(303);
    assert_eq!(campus.settings().await.rules.all.daily.unwrap().limit.to_string(), "4.000000");
    let page = admin.get(SETTINGS).await;
    said += &format!("cap_usd 21: {}\n", says(&admin.submit(&page, ID, &[("cap_usd", "21")]).await.expect(422)));
    campus.edit(&admin, &[("contact", "room 101")]).await.expect(303);
    insta::assert_snapshot!(said, @r#"
    [("daily_usd", "3.99")]: A brake of $3.99 is too small. At least $4: a fifth of the largest cap.
    [("daily_usd", "20.01")]: A brake above $20, the largest cap of the programme and its groups, stops nobody who has such a cap.
    [("daily_usd", "2.39"), ("cap_usd", "10")]: A brake of $2.39 is too small. At least $2.40: three answers of 32,000 tokens by anthropic/claude-opus-4.5, as coding agents ask for, could cost that much.
    [("daily_usd", "3.99"), ("models", "")]: A brake of $3.99 is too small. At least $4: a fifth of the largest cap, since no models of a known price are named.
    [("daily_usd", "5"), ("reset", "weekly")]: A brake goes with a cap for the whole term alone: this cap resets by itself.
    cap_usd 21: A brake of $4 is too small. At least $4.20: a fifth of the largest cap.
    "#);
    campus.finish().await;
}
