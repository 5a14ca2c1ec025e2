//! The simulator as a client sees it, over HTTP and with a clock that the test moves: the limits by which the provider keeps to
//! what was promised, and the counters by which the suite judges it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bursar_core::clock::Clock;
use jiff::{SignedDuration, Timestamp, ToSpan};
use reqwest::Method;
use serde_json::{Value, json};

use super::{KeySnapshot, Nano, Provider};
use crate::base::serve::on_a_free_port;
use crate::base::state_file::StateFile;

const MANAGEMENT: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
/// A model at $25 for a million tokens of its answer, $5 for a million of the question.
const DEAR: &str = "anthropic/claude-opus-4.5";
const FREE: &str = "meta-llama/llama-3.3-70b-instruct:free";

struct Simulator {
    provider: Provider,
    base: String,
    http: reqwest::Client,
    now: Arc<AtomicI64>,
}

/// A key as its owner holds it.
struct Held {
    plaintext: String,
    hash: String,
}

impl Simulator {
    /// Starts a simulator on a Wednesday at noon.
    async fn start() -> Simulator {
        let noon: Timestamp = "2026-11-18T12:00:00Z".parse().unwrap();
        let now = Arc::new(AtomicI64::new(noon.as_second()));
        let told = Arc::clone(&now);
        let clock = Clock::reading(move || Timestamp::from_second(told.load(Ordering::SeqCst)).unwrap());
        let provider = Provider::new(StateFile::in_memory().unwrap(), clock, MANAGEMENT).unwrap();
        let base = format!("{}/api/v1", on_a_free_port(provider.router()).await);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Simulator { provider, base, http, now }
    }

    fn at(&self, instant: &str) {
        self.now.store(instant.parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    }

    async fn call(&self, key: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(key).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn key(&self, body: Value) -> Held {
        let (status, made) = self.call(MANAGEMENT, Method::POST, "/keys", body).await;
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Held { plaintext: text(&made["key"]), hash: text(&made["data"]["hash"]) }
    }

    async fn of_key(&self, method: Method, key: &Held, body: Value) -> Value {
        let (status, mut told) = self.call(MANAGEMENT, method, &format!("/keys/{}", key.hash), body).await;
        assert_eq!(status, 200, "{told}");
        told["data"].take()
    }

    async fn read(&self, key: &Held) -> Value {
        self.of_key(Method::GET, key, Value::Null).await
    }

    async fn patch(&self, key: &Held, body: Value) {
        self.of_key(Method::PATCH, key, body).await;
    }

    /// Asks for an answer of so many tokens. The question is five.
    async fn chat(&self, key: &Held, model: &str, max_tokens: u64) -> (u16, Value) {
        let messages = json!([{ "role": "user", "content": "Hello" }]);
        let body = json!({ "model": model, "messages": messages, "max_tokens": max_tokens });
        self.call(&key.plaintext, Method::POST, "/chat/completions", body).await
    }

    async fn total_used(&self) -> Value {
        self.call(MANAGEMENT, Method::GET, "/credits", Value::Null).await.1["data"]["total_usage"].clone()
    }

    fn spend(&self, key: &Held, usd: &str) {
        let amount = Nano::parse(usd).unwrap();
        self.provider.spend(&key.hash, amount, self.provider.now(), "openai/gpt-4o-mini").unwrap();
    }
}

#[tokio::test]
async fn counters_follow_the_utc_calendar_and_the_lifetime_total_is_never_reset() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10, "limit_reset": "daily" })).await;
    simulator.spend(&key, "3");
    simulator.at("2026-11-19T00:00:00Z");
    simulator.spend(&key, "0.5");
    for (at, day, week, month, left) in [
        ("2026-11-19T23:59:59Z", 0.5, 3.5, 3.5, 9.5),
        ("2026-11-20T00:00:00Z", 0.0, 3.5, 3.5, 10.0),
        ("2026-11-23T00:00:00Z", 0.0, 0.0, 3.5, 10.0),
        ("2026-12-01T00:00:00Z", 0.0, 0.0, 0.0, 10.0),
    ] {
        simulator.at(at);
        let read = simulator.read(&key).await;
        let told = ["usage_daily", "usage_weekly", "usage_monthly", "limit_remaining", "usage"];
        assert_eq!(told.map(|field| read[field].as_f64().unwrap()), [day, week, month, left, 3.5], "{at}");
    }
    simulator.patch(&key, json!({ "limit": 30, "limit_reset": null })).await;
    assert_eq!(simulator.read(&key).await["limit_remaining"], 26.5);
}

#[tokio::test]
async fn a_spent_limit_refuses_free_models_too_and_says_which_it_was() {
    let simulator = Simulator::start().await;
    for (reset, told) in [
        (json!(null), "(total limit). Manage it using https://openrouter.ai/settings/keys. $20.05 of $20.00 used"),
        (json!("daily"), "$20.05 of $20.00 used; resets 2026-11-19T00:00:00Z"),
        (json!("weekly"), "$20.05 of $20.00 used; resets 2026-11-23T00:00:00Z"),
        (json!("monthly"), "$20.05 of $20.00 used; resets 2026-12-01T00:00:00Z"),
    ] {
        let key = simulator.key(json!({ "name": "n", "limit": 20, "limit_reset": reset })).await;
        simulator.spend(&key, "20.05");
        for model in [DEAR, FREE] {
            let (status, refused) = simulator.chat(&key, model, 1).await;
            assert_eq!((status, &refused["error"]["metadata"]["limit_source"]), (403, &json!("openrouter_key_limit")));
            let message = refused["error"]["message"].as_str().unwrap();
            let name = reset.as_str().unwrap_or("total");
            let begins = format!("Key limit exceeded ({name} limit).");
            assert!(message.starts_with(&begins) && message.ends_with(told), "{refused}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_may_cost_more_than_is_left_is_402_with_what_can_be_afforded() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 0.1 })).await;
    // Of 0.1 dollars 0.099975 remain, at 25 dollars a million.
    let (status, refused) = simulator.chat(&key, DEAR, 4_000).await;
    assert_eq!((status, &refused["error"]["metadata"]["limit_source"]), (402, &json!("openrouter_key_limit")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("up to 4000 tokens, but can only afford 3999."));
    assert_eq!(simulator.chat(&key, DEAR, 3_999).await.0, 200);
    assert_eq!((&simulator.read(&key).await["usage"], simulator.chat(&key, DEAR, 1).await.0), (&json!(0.1), 403));

    // The account's balance is asked after the key's limit, and below zero refuses free models too.
    let key = simulator.key(json!({ "name": "n", "limit": 20 })).await;
    simulator.provider.set_credits(Nano::parse("1.1").unwrap()).unwrap();
    let of_account = async |model, tokens| {
        let (status, told) = simulator.chat(&key, model, tokens).await;
        (status, told["error"]["metadata"]["limit_source"].clone())
    };
    let refused = (402, json!("openrouter_credits"));
    assert_eq!(of_account(DEAR, 50_000).await, refused);
    simulator.spend(&key, "1");
    assert_eq!((of_account(DEAR, 1).await, of_account(FREE, 1).await.0), (refused.clone(), 200));
    simulator.spend(&key, "0.000001");
    assert_eq!((of_account(DEAR, 1).await, of_account(FREE, 1).await), (refused.clone(), refused));
}

#[tokio::test]
async fn what_runs_side_by_side_overshoots_and_settles_on_a_key_that_is_disabled_or_deleted() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 1 })).await;
    let deleted = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_quirks(|quirks| quirks.hold_settlement = true);
    for key in [&key, &key, &key, &deleted] {
        assert_eq!(simulator.chat(key, DEAR, 39_000).await.0, 200);
    }
    assert_eq!(simulator.read(&key).await["usage"], 0);
    simulator.patch(&key, json!({ "disabled": true })).await;
    simulator.of_key(Method::DELETE, &deleted, Value::Null).await;
    assert_eq!(simulator.provider.settle().unwrap(), 4);
    let read = simulator.read(&key).await;
    assert_eq!((&read["usage"], &read["limit_remaining"]), (&json!(2.925_075), &json!(-1.925_075)));
    assert_eq!(simulator.total_used().await, 3.900_1);
}

#[tokio::test]
async fn what_a_model_maker_is_paid_escapes_the_limit_unless_it_is_included() {
    let simulator = Simulator::start().await;
    for (included, status, left) in [(false, 200, 1), (true, 403, 0)] {
        let key = simulator.key(json!({ "name": "n", "limit": 1, "include_byok_in_limit": included })).await;
        simulator.provider.spend_byok(&key.hash, Nano::usd(1), simulator.provider.now(), DEAR).unwrap();
        assert_eq!(simulator.chat(&key, FREE, 1).await.0, status);
        let read = simulator.read(&key).await;
        assert_eq!(
            (&read["byok_usage"], &read["usage"], &read["limit_remaining"]),
            (&json!(1), &json!(0), &json!(left))
        );
    }
    assert_eq!(simulator.total_used().await, 0);
}

#[tokio::test]
async fn what_was_used_beyond_a_limit_or_charged_too_late_is_known_and_so_is_what_answers_said() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10 })).await;
    let seen = || simulator.provider.keys().remove(0);
    let beyond = |KeySnapshot { overshot, settled_late, .. }| (overshot, settled_late);
    simulator.spend(&key, "9");
    // The limit falls below the usage; only usage from then on is beyond it.
    simulator.patch(&key, json!({ "limit": 5 })).await;
    assert_eq!(beyond(seen()), (Nano::ZERO, Nano::ZERO));
    simulator.spend(&key, "1");

    // A change by hand is no request.
    let by_hand = |change: Value| simulator.provider.change_by_hand(&key.hash, &change);
    by_hand(json!({ "limit": 500 })).unwrap();
    simulator.spend(&key, "2");
    assert_eq!((seen().limit, seen().asked_limit), (Some(Nano::usd(500)), Some(Nano::usd(5))));
    assert_eq!(beyond(seen()), (Nano::usd(3), Nano::ZERO));
    simulator.patch(&key, json!({ "limit": 20, "disabled": true })).await;
    by_hand(json!({ "disabled": false })).unwrap();
    assert_eq!((seen().disabled, seen().asked_disabled), (false, true));

    // Usage settles for a quarter of an hour; anything charged after that is late, whatever instant it is booked as of.
    simulator.patch(&key, json!({ "disabled": true })).await;
    simulator.now.fetch_add(900, Ordering::SeqCst);
    simulator.spend(&key, "1");
    assert_eq!(seen().settled_late, Nano::ZERO);
    simulator.now.fetch_add(1, Ordering::SeqCst);
    simulator.spend(&key, "2");
    simulator.provider.spend(&key.hash, Nano::usd(1), simulator.provider.now() - 2.hours(), DEAR).unwrap();
    assert_eq!(beyond(seen()), (Nano::usd(3), Nano::usd(3)));

    simulator.provider.set_quirks(|quirks| quirks.lag.key = SignedDuration::from_secs(60));
    simulator.spend(&key, "1");
    simulator.read(&key).await;
    let told = simulator.provider.told(&key.hash);
    assert_eq!(told.last().unwrap().1, Nano::usd(12), "a minute ago nothing of the last five was used");
    assert!(told.is_sorted(), "{told:?}");
}
