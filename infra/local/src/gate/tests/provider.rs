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
        let stub = Stub::content().await;
        let gate = gate_before(&stub.origin).await;
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
async fn a_call_that_passes_arrives_whole_and_so_does_its_answer() {
    let stub = Stub::answering(|_| {
        http::Response::builder()
            .status(201)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-own", "kept")
            .body("created".to_owned())
            .unwrap()
    })
    .await;
    let gate = gate_before(&stub.origin).await;
    let instance = gate.instance(FunctionName::Claim);
    let response = reqwest::Client::new()
        .patch(format!("{}/keys/0a?x=%2F&y", instance.url(Service::Provider)))
        .header("authorization", "Bearer of good news")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "for this connection only")
        .header("x-own", "kept")
        .body("body")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.headers()["x-own"], "kept");
    assert_eq!(response.text().await.unwrap(), "created");

    assert_eq!(stub.seen(), ["PATCH /api/v1/keys/0a?x=%2F&y"]);
    let (parts, body) = stub.requests().remove(0);
    assert_eq!(parts.headers["authorization"], "Bearer of good news");
    assert_eq!(parts.headers["x-own"], "kept");
    assert!(!parts.headers.contains_key("x-hop"));
    assert_eq!(format!("http://{}", parts.headers["host"].to_str().unwrap()), stub.origin);
    assert_eq!(body, "body");
    let calls = gate.calls();
    assert_eq!(calls[0].to_string(), "1. claim/1 provider:PATCH /keys/{hash}#1 -> pass (201)");
    assert_eq!(calls[0].call.shape.bytes, 4);
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
async fn a_truncated_answer_begins_and_breaks_off() {
    let way = Way::new().await;
    way.gate.at("provider:POST /keys", verdict("truncated"));
    let mut response = way.client.post(way.url("/keys")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.content_length().unwrap() > 20);
    let mut got = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            Ok(None) => panic!("the body came to its end"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(got.starts_with(b"{\"data\":\"a body"), "{got:?}");
    assert_eq!(way.stub.seen().len(), 1);
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
async fn a_page_of_somebody_in_between_is_no_json() {
    let way = Way::new().await;
    for (text, code, reached) in [("html-502", 502, 0), ("html-502-after", 502, 1), ("html-200-after", 200, 2)] {
        way.gate.at("provider:POST /keys", verdict(text));
        let (status, body) = way.post().await.unwrap();
        assert_eq!(status.as_u16(), code);
        assert!(body.starts_with("<!DOCTYPE html>"), "{body}");
        assert_eq!(way.stub.seen().len(), reached, "{text}");
    }
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
    assert_eq!(way.stub.seen()[1..], ["PATCH /api/v1/keys/0a".to_owned(), "GET /api/v1/keys?offset=0".to_owned()]);
    let executed = way.gate.run_late().await;
    assert_eq!(executed.len(), 1);
    assert_eq!((executed[0].0.number, executed[0].1), (1, Some(200)));
    assert_eq!(way.stub.requests()[3].1, "{\"name\":\"k\"}");
    assert_eq!(way.gate.calls()[0].effect, Some(200));
    assert_eq!(way.gate.run_late().await, []);
}

#[tokio::test]
async fn a_post_that_is_executed_twice_has_one_answer_the_second() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let stub = Stub::answering(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        http::Response::builder().status(201).body(format!("key {number}")).unwrap()
    })
    .await;
    let gate = gate_before(&stub.origin).await;
    let instance = gate.instance(FunctionName::Claim);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    gate.at("provider:*", verdict("twice"));
    client.get(format!("{}/keys", instance.url(Service::Provider))).send().await.unwrap();
    let posted = client.post(format!("{}/keys", instance.url(Service::Provider))).body("once").send().await.unwrap();
    assert_eq!((posted.status().as_u16(), posted.text().await.unwrap().as_str()), (201, "key 2"));
    assert_eq!(stub.seen(), ["GET /api/v1/keys", "POST /api/v1/keys", "POST /api/v1/keys"]);
    assert_eq!(stub.requests()[1].1, stub.requests()[2].1);
    assert_eq!(gate.calls().len(), 2, "it is one call");
}

#[tokio::test]
async fn a_late_call_waits_for_the_clock_and_is_seen_while_it_is_pending() {
    let (stub, noon) = (Stub::content().await, "2026-11-18T12:00:00Z".parse::<jiff::Timestamp>().unwrap());
    let passed = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let told = passed.clone();
    let clock =
        Clock::reading(move || noon + jiff::SignedDuration::from_secs(told.load(std::sync::atomic::Ordering::SeqCst)));
    let to = |service: &str| format!("{}/{service}", stub.origin);
    let to = Upstreams { dynamodb: to("table"), ses: to("ses"), secretsmanager: to("secrets"), provider: to("api") };
    let gate = Gate::open(to, Keep::All, clock).await.unwrap();
    let instance = gate.instance(FunctionName::Claim);
    let (way, client) = (instance.url(Service::Provider), reqwest::Client::builder().no_proxy().build().unwrap());
    let patch = || client.patch(format!("{way}/keys/0a")).body(r#"{"limit":50}"#).send();
    let pass = |seconds| passed.fetch_add(seconds, std::sync::atomic::Ordering::SeqCst);
    let pending = || gate.pending().into_iter().map(|it| format!("{} {}", it.path, it.body)).collect::<Vec<_>>();

    gate.at("provider:PATCH /keys/{hash}", verdict("late-lost+300s"));
    patch().await.unwrap_err();
    assert_eq!(pending(), [r#"/keys/0a {"limit":50}"#]);
    pass(299);
    client.get(format!("{way}/keys")).send().await.unwrap();
    assert_eq!(pending().len(), 1);
    pass(1);
    client.get(format!("{way}/credits")).send().await.unwrap();
    assert_eq!(stub.seen(), ["GET /api/keys", "PATCH /api/keys/0a", "GET /api/credits"]);
    assert_eq!(pending(), [""; 0]);

    gate.at("provider:PATCH /keys/{hash}", verdict("late-502+60s"));
    assert_eq!(patch().await.unwrap().status(), 502);
    pass(60);
    client.get(format!("{way}/credits")).send().await.unwrap();
    assert_eq!(stub.seen()[3..], ["PATCH /api/keys/0a", "GET /api/credits"]);

    // A held call is pending too, until it has had its effect.
    let held = gate.hold("provider:PATCH /keys/{hash}");
    let released = async {
        held.arrived().await;
        let seen = pending();
        held.release(Verdict::Pass).unwrap();
        seen
    };
    let (answered, seen) = tokio::join!(patch(), released);
    assert_eq!((answered.unwrap().status().as_u16(), seen.len(), pending().len()), (200, 1, 0));
}

#[tokio::test]
async fn a_delay_passes_in_the_end() {
    let way = Way::new().await;
    way.gate.at("provider:POST /keys", verdict("delay-30ms"));
    let begun = std::time::Instant::now();
    way.post().await.unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(30));
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

#[tokio::test]
async fn mail_and_secrets_fail_in_their_own_shapes() {
    let way = Way::new().await;
    way.gate.at(Matcher::call("ses:SendRawEmail").next(1), verdict("throttle-rate"));
    let ses = way.client.post(way.instance.url(Service::Ses)).body("Action=SendRawEmail&Source=a");
    let response = ses.send().await.unwrap();
    assert_eq!(response.status(), 400);
    let body = response.text().await.unwrap();
    assert!(body.contains("<Code>Throttling</Code>") && body.contains("<RequestId>GATE"), "{body}");

    let aws = bursar_core::aws::AwsAccess::under(&way.instance.base(), "test-shapes", plain_http());
    way.gate.at(Matcher::call("secretsmanager:GetSecretValue").next(3), verdict("status-500"));
    let error = aws.secretsmanager().get_secret_value().secret_id("s").send().await.unwrap_err();
    assert!(error.into_service_error().is_internal_service_error());
    way.gate.at(Matcher::call("ses:GetSendQuota"), verdict("status-503"));
    let error = aws.ses().get_send_quota().send().await.unwrap_err();
    assert_eq!(aws_sdk_dynamodb::error::ProvideErrorMetadata::code(&error), Some("ServiceUnavailable"));
}

#[tokio::test]
async fn only_so_many_calls_are_remembered_and_the_counts_go_on() {
    let stub = Stub::content().await;
    let to = Upstreams {
        dynamodb: stub.origin.clone(),
        ses: stub.origin.clone(),
        secretsmanager: stub.origin.clone(),
        provider: stub.origin.clone(),
    };
    let gate = Gate::open(to, Keep::Last(2), Clock::system()).await.unwrap();
    let instance = gate.instance(FunctionName::Claim);
    for _ in 0..5 {
        reqwest::get(format!("{}/keys", instance.url(Service::Provider))).await.unwrap();
    }
    let numbers: Vec<u64> = gate.calls().iter().map(|recorded| recorded.call.number).collect();
    assert_eq!((numbers, gate.count()), (vec![4, 5], 5));
    assert!(gate.calls().iter().all(|recorded| recorded.told == Some(200)));
}

#[tokio::test]
async fn a_service_that_is_not_there_gives_no_answer_and_an_unknown_instance_an_error() {
    let gate = gate_before("http://127.0.0.1:1").await;
    let instance = gate.instance(FunctionName::Claim);
    assert!(reqwest::get(instance.url(Service::Provider)).await.unwrap_err().is_request());
    assert_eq!(gate.calls()[0].told, None);
    let (origin, _) = gate.base().rsplit_once('/').unwrap();
    let behind_the_pass =
        ["claim/2/provider/keys", "clam/1/provider", "claim/1/s3/x", ""].map(|path| format!("{}/{path}", gate.base()));
    for url in behind_the_pass.into_iter().chain([format!("{origin}/claim/1/provider/keys")]) {
        let response = reqwest::get(&url).await.unwrap();
        assert_eq!(response.status(), 404, "{url}");
    }
    assert_eq!(gate.count(), 1);
}

#[tokio::test]
async fn a_provider_on_https_is_spoken_to_in_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stub = Stub::content().await;
    let to = Upstreams {
        dynamodb: stub.origin.clone(),
        ses: stub.origin.clone(),
        secretsmanager: stub.origin.clone(),
        provider: format!("https://{}/api/v1", listener.local_addr().unwrap()),
    };
    let gate = Gate::open(to, Keep::All, Clock::system()).await.unwrap();
    let instance = gate.instance(FunctionName::Claim);
    let asked = tokio::spawn(reqwest::get(format!("{}/keys", instance.url(Service::Provider))));
    let (mut stream, _) = listener.accept().await.unwrap();
    let hello = tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
    assert_eq!(hello, 22, "a handshake");
    drop((stream, listener));
    assert!(asked.await.unwrap().is_err());
    reqwest::get(instance.url(Service::Ses)).await.unwrap();
}

#[tokio::test]
async fn the_fault_layer_ends_with_its_last_handle() {
    let way = Way::new().await;
    let Way { gate, instance, client, .. } = way;
    let url = instance.url(Service::Provider);
    client.get(&url).send().await.unwrap();
    drop((gate, instance));
    // The listener closes within the runtime's next turns.
    while client.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}
