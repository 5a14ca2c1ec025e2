//! What the suite measures the product by: the calendar, what binds a key, and the two counters of what breaks no promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bursar_core::clock::Clock;
use jiff::{SignedDuration, Timestamp, ToSpan};
use reqwest::Method;
use serde_json::{Value, json};

use super::{KeySnapshot, MadeKey, Nano, Provider};
use crate::base::serve::on_a_free_port;
use crate::base::state_file::StateFile;

const MANAGEMENT: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
/// A model at $25 for a million tokens of its answer, $5 for a million of the question.
const DEAR: &str = "anthropic/claude-opus-4.5";
const FREE: &str = "meta-llama/llama-3.3-70b-instruct:free";

struct Simulator {
    provider: Provider,
    kept: StateFile,
    base: String,
    now: Arc<AtomicI64>,
}

impl Simulator {
    async fn start() -> Simulator {
        let noon: Timestamp = "2026-11-18T12:00:00Z".parse().unwrap();
        let now = Arc::new(AtomicI64::new(noon.as_second()));
        let told = Arc::clone(&now);
        let clock = Clock::reading(move || Timestamp::from_second(told.load(Ordering::SeqCst)).unwrap());
        let kept = StateFile::in_memory().unwrap();
        let provider = Provider::new(kept.clone(), clock, MANAGEMENT).unwrap();
        let base = format!("{}/api/v1", on_a_free_port(provider.router()).await);
        Simulator { provider, kept, base, now }
    }

    fn at(&self, instant: &str) {
        self.now.store(instant.parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    }

    async fn call(&self, key: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.request(method, format!("{}{path}", self.base)).bearer_auth(key).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn key(&self, body: Value) -> MadeKey {
        let (status, made) = self.call(MANAGEMENT, Method::POST, "/keys", body).await;
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        MadeKey { plaintext: text(&made["key"]), hash: text(&made["data"]["hash"]) }
    }

    async fn read(&self, key: &MadeKey) -> Value {
        self.call(MANAGEMENT, Method::GET, &format!("/keys/{}", key.hash), Value::Null).await.1["data"].take()
    }

    async fn patch(&self, key: &MadeKey, body: Value) {
        let (status, told) = self.call(MANAGEMENT, Method::PATCH, &format!("/keys/{}", key.hash), body).await;
        assert_eq!(status, 200, "{told}");
    }

    /// Asks for an answer of so many tokens. The question is five.
    async fn chat(&self, key: &MadeKey, model: &str, max_tokens: u64) -> (u16, String) {
        let messages = json!([{ "role": "user", "content": "Hello" }]);
        let body = json!({ "model": model, "messages": messages, "max_tokens": max_tokens });
        let (status, told) = self.call(&key.plaintext, Method::POST, "/chat/completions", body).await;
        (status, format!("{} {}", told["error"]["metadata"]["limit_source"], told["error"]["message"]))
    }

    fn spend(&self, key: &MadeKey, usd: &str) {
        let amount = Nano::parse(usd).unwrap();
        self.provider.spend(&key.hash, amount, self.provider.now(), "openai/gpt-4o-mini").unwrap();
    }
}

#[tokio::test]
async fn counters_follow_the_utc_calendar_and_survive_a_restart() {
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
    let again = Provider::new(simulator.kept.clone(), simulator.provider.clock.clone(), MANAGEMENT).unwrap();
    assert_eq!(again.keys(), simulator.provider.keys());
}

#[tokio::test]
async fn a_limit_binds_and_byok_escapes_it_unless_it_is_included() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 0.1, "limit_reset": "weekly" })).await;
    // Of 0.1 dollars 0.099975 remain, at 25 dollars a million.
    let (status, refused) = simulator.chat(&key, DEAR, 4_000).await;
    assert!(status == 402 && refused.starts_with("\"openrouter_key_limit\""), "{refused}");
    assert_eq!(simulator.chat(&key, DEAR, 3_999).await.0, 200);
    for model in [DEAR, FREE] {
        let (status, refused) = simulator.chat(&key, model, 1).await;
        let told = "Key limit exceeded (weekly limit). Manage it using https://openrouter.ai/settings/keys. \
                    $0.10 of $0.10 used; resets 2026-11-23T00:00:00Z";
        assert!(status == 403 && refused.contains(told), "{refused}");
    }
    for (included, status, left) in [(false, 200, 1), (true, 403, 0)] {
        let key = simulator.key(json!({ "name": "n", "limit": 1, "include_byok_in_limit": included })).await;
        simulator.provider.spend_byok(&key.hash, Nano::usd(1), simulator.provider.now(), DEAR).unwrap();
        assert_eq!(simulator.chat(&key, FREE, 1).await.0, status);
        let read = simulator.read(&key).await;
        assert_eq!([&read["byok_usage"], &read["usage"], &read["limit_remaining"]], [1, 0, left]);
    }
}

#[tokio::test]
async fn use_beyond_a_limit_or_charged_too_late_is_known_and_so_is_what_answers_told() {
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
    let by_hand = |change: Value| simulator.provider.change_by_hand(&key.hash, &change).unwrap();
    by_hand(json!({ "limit": 500 }));
    simulator.spend(&key, "2");
    assert_eq!((seen().limit, seen().asked_limit), (Some(Nano::usd(500)), Some(Nano::usd(5))));
    assert_eq!(beyond(seen()), (Nano::usd(3), Nano::ZERO));
    simulator.patch(&key, json!({ "limit": 20, "disabled": true })).await;
    by_hand(json!({ "disabled": false }));
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

    simulator.provider.set_quirks(|quirks| quirks.lag = SignedDuration::from_secs(1));
    simulator.spend(&key, "1");
    assert_eq!(simulator.read(&key).await["usage"], 13);
    let told = simulator.provider.told(&key.hash);
    assert_eq!(told.last().unwrap().1, Nano::usd(13), "a second ago nothing of the last four was used");
    assert!(told.is_sorted(), "{told:?}");
}
