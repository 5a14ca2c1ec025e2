//! The results of each verdict for a plain HTTP client, and the requests that the gate passes on.

use reqwest::StatusCode;

use super::*;
use crate::base::function::FunctionName;

struct Way {
    gate: Gate,
    stub: Stub,
    instance: Instance,
    client: reqwest::Client,
}

impl Way {
    async fn new() -> Way {
        let stub = Stub::new();
        let gate = gate_before(&stub).await;
        let instance = gate.instance(FunctionName::Claim);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Way { gate, stub, instance, client }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.instance.url(Service::Provider))
    }

    async fn post(&self) -> Result<(StatusCode, String), reqwest::Error> {
        let response = self.client.post(self.url("/keys")).body("{\"name\":\"k\"}").send().await?;
        Ok((response.status(), response.text().await?))
    }
}

#[tokio::test]
async fn calls_are_numbered_by_name_by_function_and_by_instance() {
    let way = Way::new().await;
    let (again, mail) = (way.gate.instance(FunctionName::Claim), way.gate.instance(FunctionName::Mail));
    for instance in [&way.instance, &again, &again, &mail] {
        let url = format!("{}/keys", instance.url(Service::Provider));
        way.client.get(url).send().await.unwrap();
    }
    let numbers: Vec<_> = way
        .gate
        .calls()
        .into_iter()
        .map(|Recorded { call, .. }| (call.number, call.instance, call.nth, call.nth_of_function, call.nth_of_instance))
        .collect();
    assert_eq!(numbers, [(1, 1, 1, 1, 1), (2, 2, 2, 2, 1), (3, 2, 3, 3, 2), (4, 1, 4, 1, 1)]);
}

#[tokio::test]
async fn connections_that_close_before_or_after_the_effect_give_no_answer() {
    let way = Way::new().await;
    for (text, reached) in [("fail-before", 0), ("lose-answer", 1)] {
        way.gate.at("provider:POST /keys", verdict(text));
        let error = way.post().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(way.stub.seen().len(), reached, "{text}");
    }
}

#[tokio::test]
async fn errors_have_the_providers_shape_and_say_when_to_come_back() {
    let way = Way::new().await;
    for (text, code, after) in [
        ("status-429", 429, None),
        ("status-429-retry-7", 429, Some("7")),
        ("status-401", 401, None),
        ("status-500", 500, None),
        ("status-503-retry-1", 503, Some("1")),
    ] {
        way.gate.at("provider:*", verdict(text));
        let response = way.client.get(way.url("/keys")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), code);
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(retry_after.as_deref(), after, "{text}");
        let body: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code);
        assert!(body["error"]["message"].is_string());
    }
    assert_eq!(way.stub.seen(), [""; 0]);
    way.gate.at("provider:*", verdict("status-500-after"));
    assert_eq!(way.post().await.unwrap().0, 500);
    assert_eq!(way.stub.seen().len(), 1);
}

#[tokio::test]
async fn a_late_call_is_executed_when_it_is_said_or_before_the_named_call() {
    let way = Way::new().await;
    way.gate.at("provider:POST /keys", verdict("late-lost"));
    way.post().await.unwrap_err();
    way.gate.at("provider:PATCH /keys/{hash}", verdict("late-502@provider:GET /keys"));
    let patched = way.client.patch(way.url("/keys/0a")).body("p").send().await.unwrap();
    assert_eq!(patched.status(), 502);
    way.client.get(way.url("/credits")).send().await.unwrap();
    assert_eq!(way.stub.seen(), ["GET /api/v1/credits"]);

    way.client.get(way.url("/keys?offset=0")).send().await.unwrap();
    assert_eq!(way.stub.seen()[1..], ["PATCH /api/v1/keys/0a p".to_owned(), "GET /api/v1/keys?offset=0".to_owned()]);
    let executed = way.gate.run_late().await;
    assert_eq!(executed.len(), 1);
    assert_eq!((executed[0].0.number, executed[0].1), (1, Some(200)));
    assert_eq!(way.stub.seen()[3], "POST /api/v1/keys {\"name\":\"k\"}");
    assert_eq!(way.gate.calls()[0].effect, Some(200));
    assert_eq!(way.gate.run_late().await, []);
}

#[tokio::test]
async fn a_rule_meets_the_calls_it_means_and_says_when_it_met_none() {
    let way = Way::new().await;
    way.gate.at(Matcher::call("provider:POST /keys").nth(2), verdict("status-500"));
    way.gate.at(Matcher::call("provider:*").of(FunctionName::Mail), verdict("status-500"));
    way.gate.at("ses:*", verdict("conflict"));
    let lifted = way.gate.at(Matcher::call("provider:POST /keys").every(), verdict("status-503"));
    assert_eq!(way.post().await.unwrap().0, 503);
    assert_eq!(way.post().await.unwrap().0, 500);
    way.gate.lift(lifted);
    assert_eq!(way.post().await.unwrap().0, 200);
    way.gate.lift(way.gate.at("secretsmanager:*", verdict("status-500")));
    let unfired = [
        "secretsmanager:*, the next -> status-500",
        "mail provider:*, the next -> status-500",
        "ses:*, the next -> conflict",
    ];
    assert_eq!(way.gate.unfired(), unfired);
}
