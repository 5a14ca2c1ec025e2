//! The simulator as a client sees it: over HTTP, with a clock that the test moves.

mod keeping;
mod limits;
mod worse;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bursar_core::clock::Clock;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Nano, Provider};
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
        Simulator::over(StateFile::in_memory().unwrap()).await
    }

    async fn over(kept: StateFile) -> Simulator {
        let noon: Timestamp = "2026-11-18T12:00:00Z".parse().unwrap();
        let now = Arc::new(AtomicI64::new(noon.as_second()));
        let told = Arc::clone(&now);
        let clock = Clock::reading(move || Timestamp::from_second(told.load(Ordering::SeqCst)).unwrap());
        let provider = Provider::new(kept, clock, MANAGEMENT).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let router = provider.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Simulator { provider, base, http, now }
    }

    fn at(&self, instant: &str) {
        self.now.store(instant.parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    }

    async fn send(&self, key: Option<&str>, method: Method, path: &str, body: Option<String>) -> (u16, String) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = request.body(body.unwrap_or_default()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn call(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = self.send(Some(key), method, path, body.map(|body| body.to_string())).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(MANAGEMENT, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(MANAGEMENT, Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(MANAGEMENT, Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(MANAGEMENT, Method::DELETE, path, None).await
    }

    async fn key(&self, body: Value) -> Held {
        let (status, made) = self.post("/keys", body).await;
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Held { plaintext: text(&made["key"]), hash: text(&made["data"]["hash"]) }
    }

    async fn read(&self, key: &Held) -> Value {
        let (status, read) = self.get(&format!("/keys/{}", key.hash)).await;
        assert_eq!(status, 200, "{read}");
        read["data"].clone()
    }

    async fn own(&self, key: &Held) -> Value {
        let (status, read) = self.call(&key.plaintext, Method::GET, "/key", None).await;
        assert_eq!(status, 200, "{read}");
        read["data"].clone()
    }

    async fn chat(&self, key: &str, model: &str, max_tokens: u64) -> (u16, Value) {
        let messages = json!([{ "role": "user", "content": "Hello" }]);
        let body = json!({ "model": model, "messages": messages, "max_tokens": max_tokens });
        self.call(key, Method::POST, "/chat/completions", Some(body)).await
    }

    fn spend(&self, key: &Held, usd: &str) {
        let amount = Nano::parse(usd).unwrap();
        self.provider.spend(&key.hash, amount, self.provider.now(), "openai/gpt-4o-mini").unwrap();
    }

    fn workspace(&self, name: &str) -> String {
        self.provider.add_workspace(name).unwrap()
    }

    async fn guardrail(&self, body: Value) -> String {
        let (status, made) = self.post("/guardrails", body).await;
        assert_eq!(status, 201, "{made}");
        made["data"]["id"].as_str().unwrap().to_owned()
    }

    async fn assign(&self, guardrail: &str, key: &Held) {
        let path = format!("/guardrails/{guardrail}/assignments/keys");
        let (status, assigned) = self.post(&path, json!({ "key_hashes": [key.hash] })).await;
        assert_eq!((status, &assigned["assigned_count"]), (200, &json!(1)), "{assigned}");
    }
}

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap()
}
