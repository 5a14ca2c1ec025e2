//! The provider in its worse positions, one at a time.

use fastrand::Rng;
use jiff::{SignedDuration, ToSpan};

use super::*;
use crate::provider::{Cents, Differ, DrawnQuirks, Rate};

const OTHER: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ee";
const MODEL: &str = "openai/gpt-4o-mini";

impl Simulator {
    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn listed(&self, key: &Held) -> Value {
        let (_, page) = self.get("/keys?include_disabled=true").await;
        let rows = page["data"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["hash"] == key.hash.as_str()).unwrap()
    }

    async fn credits_used(&self) -> Value {
        self.get("/credits").await.1["data"]["total_usage"].clone()
    }
}

#[tokio::test]
async fn limits_become_whole_cents_down_or_up_and_what_is_whole_stays() {
    let simulator = Simulator::start().await;
    let lagging = SignedDuration::from_secs(900);
    for (cents, kept) in [(None, 4.999_999), (Some(Cents::Down), 4.99), (Some(Cents::Up), 5.0)] {
        simulator.provider.set_quirks(|quirks| (quirks.limit_cents, quirks.lag.key) = (cents, lagging));
        let made = simulator.key(json!({ "name": "n", "limit": 4.999_999 })).await;
        let patched = simulator.patch(&format!("/keys/{}", made.hash), json!({ "limit": 4.999_999 })).await.1;
        for limit in [&simulator.read(&made).await["limit"], &patched["data"]["limit"]] {
            assert_eq!(limit.as_f64(), Some(kept), "{cents:?}");
        }
        let patched = simulator.patch(&format!("/keys/{}", made.hash), json!({ "limit": 7.25 })).await.1;
        assert_eq!(patched["data"]["limit"], 7.25, "{cents:?}");
        let patched = simulator.patch(&format!("/keys/{}", made.hash), json!({ "limit": null })).await.1;
        assert_eq!(patched["data"]["limit"], Value::Null, "{cents:?}");
    }
}

#[tokio::test]
async fn each_counter_lags_by_itself_and_limits_do_not() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10, "limit_reset": "daily" })).await;
    simulator.spend(&key, "1");
    simulator.pass(3600);
    let seconds = SignedDuration::from_secs;
    simulator.provider.set_quirks(|quirks| {
        (quirks.lag.key, quirks.lag.listing, quirks.lag.credits) = (seconds(900), seconds(300), seconds(60));
    });
    simulator.spend(&key, "2");
    simulator.provider.spend_elsewhere(Nano::usd(4)).unwrap();
    let told = async || {
        let (read, listed) = (simulator.read(&key).await, simulator.listed(&key).await);
        assert_eq!(read["usage"], read["usage_daily"]);
        let of = |row: &Value| (row["usage"].as_f64().unwrap(), row["limit_remaining"].as_f64().unwrap());
        (of(&read), of(&listed), simulator.credits_used().await.as_f64().unwrap())
    };
    assert_eq!(told().await, ((1.0, 9.0), (1.0, 9.0), 1.0));
    simulator.pass(60);
    assert_eq!(told().await, ((1.0, 9.0), (1.0, 9.0), 7.0));
    simulator.pass(240);
    assert_eq!(told().await, ((1.0, 9.0), (3.0, 7.0), 7.0));
    let patched = simulator.patch(&format!("/keys/{}", key.hash), json!({ "limit": 5 })).await.1;
    assert_eq!((&patched["data"]["limit"], &patched["data"]["usage"]), (&json!(5), &json!(1)));
    assert_eq!(told().await, ((1.0, 4.0), (3.0, 2.0), 7.0));
    simulator.pass(600);
    assert_eq!(told().await, ((3.0, 2.0), (3.0, 2.0), 7.0));

    simulator.at("2026-11-19T00:14:59Z");
    assert_eq!(simulator.read(&key).await["usage_daily"], 3, "it is still yesterday's");
    assert_eq!(simulator.listed(&key).await["usage_daily"], 0);
    simulator.pass(1);
    assert_eq!(simulator.read(&key).await["usage_daily"], 0);
    assert_eq!(simulator.provider.keys()[0].usage, Nano::usd(3), "the judge is told at once");
}

#[tokio::test]
async fn a_listed_counter_is_off_in_its_last_digit_and_nothing_stays_nothing() {
    let simulator = Simulator::start().await;
    let (used, unused) = (simulator.key(json!({ "name": "a" })).await, simulator.key(json!({ "name": "b" })).await);
    simulator.spend(&used, "0.3");
    for (differ, listed) in [(Differ::Micro, "0.300001"), (Differ::Tail, "0.30000000000000004")] {
        simulator.provider.set_quirks(|quirks| quirks.listed_counters = Some(differ));
        for counter in ["usage", "usage_daily", "usage_weekly", "usage_monthly"] {
            assert_eq!(simulator.listed(&used).await[counter].to_string(), listed);
            assert_eq!(simulator.read(&used).await[counter].to_string(), "0.3");
        }
        assert_eq!(simulator.listed(&unused).await["usage"], 0);
    }
}

#[tokio::test]
async fn a_young_key_is_not_found_by_its_hash_and_is_listed() {
    let simulator = Simulator::start().await;
    simulator.provider.set_quirks(|quirks| quirks.found_after = SignedDuration::from_secs(5));
    let key = simulator.key(json!({ "name": "young" })).await;
    let path = format!("/keys/{}", key.hash);
    let (status, body) = simulator.get(&path).await;
    assert_eq!((status, message(&body)), (404, "Resource not found"));
    assert_eq!(simulator.patch(&path, json!({ "disabled": true })).await.0, 404);
    assert_eq!(simulator.delete(&path).await.0, 404);
    assert_eq!(simulator.listed(&key).await["disabled"], false);
    assert_eq!(simulator.chat(&key.plaintext, FREE, 1).await.0, 200);
    simulator.pass(5);
    assert_eq!(simulator.get(&path).await.0, 200);
}

#[tokio::test]
async fn a_bucket_of_calls_is_emptied_by_calling_and_filled_by_the_clock() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let ask = async || simulator.http.get(format!("{}/keys", simulator.base)).bearer_auth(MANAGEMENT).send().await;
    for retry_after in [true, false] {
        simulator.pass(60);
        simulator.provider.set_quirks(|quirks| quirks.rate = Some(Rate { per_second: 1, burst: 3, retry_after }));
        for status in [200, 200, 200, 429, 429] {
            let answer = ask().await.unwrap();
            assert_eq!(answer.status(), status);
            let wait = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(wait.as_deref(), (retry_after && status == 429).then_some("1"));
        }
        assert_eq!(simulator.chat(&key.plaintext, FREE, 1).await.0, 200, "inference has no part in it");
        simulator.pass(2);
        for status in [200, 200, 429] {
            assert_eq!(ask().await.unwrap().status(), status);
        }
    }
    let (_, body) = simulator.get("/keys").await;
    assert_eq!((&body["error"]["code"], message(&body)), (&json!(429), "Rate limit exceeded"));
}

/// Moves the management key to the other account, as if it had always belonged there.
fn hand_over(from: &Provider, to: &Provider) {
    from.revoke_management_key(MANAGEMENT).unwrap();
    to.add_management_key(MANAGEMENT).unwrap();
}

#[tokio::test]
async fn a_management_key_sees_its_own_account_and_can_be_handed_to_the_other() {
    let simulator = Simulator::start().await;
    let ours = simulator.key(json!({ "name": "ours" })).await;
    simulator.spend(&ours, "2");
    let guardrail = simulator.guardrail(json!({ "name": "g", "allowed_models": [DEAR] })).await;
    let other = simulator.provider.another_account(OTHER).unwrap();
    let theirs = other.add_foreign_key("theirs", None, other.now()).unwrap();
    let get = async |key: &str, path: &str| simulator.call(key, Method::GET, path, None).await;
    let seen = async |key: &str| {
        let (_, keys) = get(key, "/keys").await;
        let credits = get(key, "/credits").await.1["data"]["total_usage"].clone();
        let workspaces = get(key, "/workspaces").await.1["data"][0]["id"].clone();
        let guardrails = get(key, "/guardrails").await.1["total_count"].clone();
        (names(&keys).join(" "), credits, workspaces, guardrails)
    };
    let (one, two) = (seen(MANAGEMENT).await, seen(OTHER).await);
    assert_eq!((one.0.as_str(), &one.1, &one.3), ("ours", &json!(2), &json!(1)));
    assert_eq!((two.0.as_str(), &two.1, &two.3), ("theirs", &json!(0), &json!(0)));
    assert_ne!(one.2, two.2);
    for path in [format!("/keys/{}", ours.hash), format!("/guardrails/{guardrail}")] {
        let (status, body) = get(OTHER, &path).await;
        assert_eq!((status, message(&body)), (404, "Resource not found"));
    }
    assert_eq!(get(MANAGEMENT, &format!("/keys/{}", theirs.hash)).await.0, 404);
    assert_eq!(get(&theirs.plaintext, "/key").await.1["data"]["is_management_key"], false);
    assert_eq!(simulator.chat(&theirs.plaintext, FREE, 1).await.0, 200);
    assert_eq!((other.keys()[0].models.len(), simulator.provider.keys()[0].models.len()), (1, 1));

    hand_over(&simulator.provider, &other);
    assert_eq!(seen(MANAGEMENT).await, two);
    assert_eq!(get(MANAGEMENT, &format!("/keys/{}", ours.hash)).await.0, 404);
    let (status, made) = simulator.post("/keys", json!({ "name": "made there" })).await;
    assert_eq!((status, other.keys().len(), simulator.provider.keys().len()), (201, 2, 1), "{made}");
    hand_over(&other, &simulator.provider);
    assert_eq!(seen(MANAGEMENT).await, one);
}

#[tokio::test]
async fn an_account_may_list_no_workspace_and_no_key() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_quirks(|quirks| (quirks.workspaces_listed, quirks.keys_listed) = (false, false));
    assert_eq!(simulator.get("/workspaces").await.1, json!({ "data": [], "total_count": 0 }));
    assert_eq!(simulator.get("/keys?include_disabled=true&include_expired=true").await.1, json!({ "data": [] }));
    assert_eq!(simulator.get(&format!("/keys/{}", key.hash)).await.0, 200);
}

#[tokio::test]
async fn a_correction_makes_every_counter_smaller_and_none_less_than_nothing() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10, "include_byok_in_limit": true })).await;
    let (provider, now) = (&simulator.provider, simulator.provider.now());
    provider.spend(&key.hash, Nano::usd(2), now - 48.hours(), MODEL).unwrap();
    provider.spend(&key.hash, Nano::usd(1), now, MODEL).unwrap();
    provider.spend_byok(&key.hash, Nano::usd(3), now, MODEL).unwrap();
    provider.refund(&key.hash, Nano::micros(1_500_000), Nano::usd(1), MODEL).unwrap();
    let read = simulator.read(&key).await;
    let told = ["usage", "usage_daily", "byok_usage", "byok_usage_daily", "limit_remaining"].map(|name| &read[name]);
    assert_eq!(told, [&json!(1.5), &json!(0), &json!(2), &json!(2), &json!(6.5)]);
    assert_eq!(simulator.credits_used().await, 1.5);
    let (status, report) = simulator.post("/analytics/query", super::analytics::whole()).await;
    let sum = |metric: &str| {
        let rows = report["data"]["data"].as_array().unwrap();
        rows.iter().map(|row| row[metric].as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!((status, sum("credits_usage"), sum("byok_usage")), (200, 1.5, 2.0), "{report}");
}

#[tokio::test]
async fn what_was_used_beyond_a_limit_or_charged_too_late_is_known_and_so_is_what_answers_said() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10 })).await;
    let of = |simulator: &Simulator| simulator.provider.keys().remove(0);
    simulator.spend(&key, "9");
    // The limit falls below the usage; only usage from then on is beyond it.
    let path = format!("/keys/{}", key.hash);
    assert_eq!(simulator.patch(&path, json!({ "limit": 5 })).await.0, 200);
    assert_eq!(of(&simulator).overshot, Nano::ZERO);
    simulator.spend(&key, "1");
    assert_eq!((of(&simulator).overshot, of(&simulator).settled_late), (Nano::usd(1), Nano::ZERO));

    // A change by hand is no request.
    simulator.provider.change_by_hand(&key.hash, &json!({ "limit": 500 })).unwrap();
    simulator.spend(&key, "2");
    assert_eq!((of(&simulator).limit, of(&simulator).asked_limit), (Some(Nano::usd(500)), Some(Nano::usd(5))));
    assert_eq!(of(&simulator).overshot, Nano::usd(3));
    assert_eq!(simulator.patch(&path, json!({ "limit": 20, "disabled": true })).await.0, 200);
    simulator.provider.change_by_hand(&key.hash, &json!({ "disabled": false })).unwrap();
    assert_eq!((of(&simulator).disabled, of(&simulator).asked_disabled), (false, true));
    assert_eq!(of(&simulator).asked_limit, Some(Nano::usd(20)));
    assert!(simulator.provider.change_by_hand(&key.hash, &json!({ "limit": -1 })).is_err());

    // Usage settles for a quarter of an hour; anything charged after that is late, whatever instant it is
    // booked as of.
    simulator.patch(&path, json!({ "disabled": true })).await;
    simulator.pass(900);
    simulator.spend(&key, "1");
    assert_eq!(of(&simulator).settled_late, Nano::ZERO);
    simulator.pass(1);
    simulator.spend(&key, "2");
    simulator.provider.spend(&key.hash, Nano::usd(1), simulator.provider.now() - 2.hours(), MODEL).unwrap();
    assert_eq!((of(&simulator).overshot, of(&simulator).settled_late), (Nano::usd(3), Nano::usd(3)));

    simulator.provider.set_quirks(|quirks| quirks.lag.key = SignedDuration::from_secs(60));
    simulator.spend(&key, "1");
    simulator.read(&key).await;
    let told = simulator.provider.told(&key.hash);
    assert_eq!(told.last().unwrap().1, Nano::usd(12), "a minute ago nothing of the last five was used");
    assert!(told.is_sorted(), "{told:?}");
}

#[test]
fn a_seed_draws_the_same_quirks_again_and_each_of_them_is_drawn() {
    let drawn: Vec<DrawnQuirks> = (0..200).map(|seed| DrawnQuirks::draw(&mut Rng::with_seed(seed))).collect();
    for (seed, quirks) in drawn.iter().enumerate() {
        assert_eq!(DrawnQuirks::draw(&mut Rng::with_seed(seed as u64)), *quirks);
    }
    let all = drawn.iter().map(|quirks| format!("{quirks:?}")).collect::<Vec<_>>().join(" ");
    for name in ["Some(Down)", "Some(Up)", "Some(Micro)", "Some(Tail)", "retry_after: true", "retry_after: false"] {
        assert!(all.contains(name), "{name}");
    }
    for name in ["key", "listing", "credits", "found_after"] {
        let sound = drawn.iter().filter(|quirks| format!("{quirks:?}").contains(&format!("{name}: 0s"))).count();
        assert!((1..200).contains(&sound), "{name}: {sound}");
    }
    assert!(drawn.iter().any(DrawnQuirks::is_empty));
}
