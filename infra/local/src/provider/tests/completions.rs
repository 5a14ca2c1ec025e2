//! Spending money on a key.

use super::*;

fn asking(content: &str) -> Value {
    json!({ "model": "openai/gpt-4o-mini", "messages": [{ "role": "user", "content": content }] })
}

#[tokio::test]
async fn a_completion_costs_what_its_tokens_cost_and_the_key_is_charged() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let (status, answer) = simulator.chat(&key.plaintext, DEAR, 1_000).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("chat.completion"), &json!("anthropic/claude-4.5-opus-20251124"))
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let usage = &answer["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(5), &json!(1000), &json!(1005))
    );
    assert_eq!((&usage["cost"], &usage["is_byok"]), (&json!(0.025_025), &json!(false)));
    assert_eq!(simulator.read(&key).await["usage"], 0.025_025);
    assert_eq!(simulator.get("/credits").await.1["data"]["total_usage"], 0.025_025);
    let used = &simulator.provider.keys()[0].models[0];
    assert_eq!((used.0.as_str(), used.1.requests, used.1.spent), (DEAR, 1, Nano::micros(25_025)));
}

#[tokio::test]
async fn the_same_request_costs_the_same_and_has_an_id_of_its_own() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let ask = async |content: &str| {
        simulator.call(&key.plaintext, Method::POST, "/chat/completions", Some(asking(content))).await.1
    };
    let (first, again, other) = (ask("Hello").await, ask("Hello").await, ask("Hello, world").await);
    assert_eq!(first["usage"], again["usage"]);
    assert_eq!(first["choices"], again["choices"]);
    assert_ne!(first["id"], again["id"]);
    assert_ne!(first["usage"], other["usage"]);
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn free_models_cost_nothing() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    assert_eq!(simulator.chat(&key.plaintext, FREE, 100).await.1["usage"]["cost"], 0);
}

#[tokio::test]
async fn all_keys_share_the_days_free_requests_until_midnight_utc() {
    let simulator = Simulator::start().await;
    let (one, other) = (simulator.key(json!({ "name": "a" })).await, simulator.key(json!({ "name": "b" })).await);
    let own = async |key: &Held| {
        simulator.call(&key.plaintext, Method::GET, "/key", None).await.1["data"]["free_model_daily_requests"].clone()
    };
    assert_eq!(own(&one).await, json!({ "used": 0, "limit": 1000, "remaining": 1000 }));
    assert_eq!(simulator.chat(&one.plaintext, FREE, 1).await.0, 200);
    assert_eq!(own(&other).await, json!({ "used": 1, "limit": 1000, "remaining": 999 }));
    simulator.provider.set_free_requests(1, 2);
    assert_eq!(simulator.chat(&one.plaintext, FREE, 1).await.0, 200);
    assert_eq!(simulator.chat(&other.plaintext, FREE, 1).await.0, 429);
    assert_eq!(simulator.chat(&other.plaintext, DEAR, 1).await.0, 200, "what costs money goes on");
    assert_eq!(own(&other).await, json!({ "used": 2, "limit": 2, "remaining": 0 }));
    simulator.at("2026-11-19T00:00:00Z");
    assert_eq!(simulator.chat(&other.plaintext, FREE, 1).await.0, 200);
    simulator.provider.set_credits(Nano::usd(9)).unwrap();
    assert_eq!(own(&one).await["limit"], 2, "what a test set stays");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_and_cost_nothing() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    for body in [
        json!({}),
        json!({ "model": DEAR }),
        json!({ "messages": hello }),
        json!({ "model": DEAR, "messages": [] }),
        json!({ "model": DEAR, "messages": [{ "content": "Hello" }] }),
        json!({ "model": DEAR, "messages": hello, "max_tokens": 0 }),
        json!({ "model": DEAR, "messages": hello, "stream": "yes" }),
        json!({ "model": "openai/gpt-99", "messages": hello }),
    ] {
        let (status, refused) =
            simulator.call(&key.plaintext, Method::POST, "/chat/completions", Some(body.clone())).await;
        assert_eq!(status, 400, "{body}");
        assert!(refused["user_id"].is_string());
    }
    assert_eq!(simulator.read(&key).await["usage"], 0);
}

#[tokio::test]
async fn a_stream_carries_the_answer_in_chunks_and_the_usage_at_its_end() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let mut body = asking("Hello");
    body["stream"] = true.into();
    body["max_tokens"] = 1_000.into();
    let (status, text) =
        simulator.send(Some(&key.plaintext), Method::POST, "/chat/completions", Some(body.to_string())).await;
    assert_eq!(status, 200);
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let content: String =
        chunks.iter().map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(content, "A simulated answer of 1000 tokens.");
    assert_eq!(chunks.last().unwrap()["usage"]["cost"], 0.000_600_75);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert_eq!(simulator.read(&key).await["usage"], 0.000_600_75);
}

#[tokio::test]
async fn many_at_once_are_all_charged() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    let asks = (0..40).map(|_| simulator.chat(&key.plaintext, DEAR, 1_000));
    for (status, _) in futures_util::future::join_all(asks).await {
        assert_eq!(status, 200);
    }
    assert_eq!(simulator.read(&key).await["usage"], 1.001);
}
