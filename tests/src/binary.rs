//! A function's binary as Lambda starts it: with its variables or without, and with a Runtime API
//! that has one event.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bursar_local::wiring::create_table;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::aws;
use crate::stack::{self, Setup};

/// Started with nothing set, it ends and names all that is missing.
pub async fn refuses_to_start_without_variables(program: &str) {
    let ended = Command::new(program).env_clear().output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    for name in [
        "TABLE",
        "ORIGIN",
        "MAIL_FROM",
        "ADMINS",
        "MANAGEMENT_KEY_SECRET",
        "INSTITUTION",
    ] {
        assert!(
            !ended.status.success() && said.contains(&format!("BURSAR_{name}")),
            "{said}"
        );
    }
}

/// The event of API Gateway for a page.
pub fn page(path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "bursar.example.edu"},
        "requestContext": {
            "routeKey": "$default",
            "stage": "$default",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
        },
        "isBase64Encoded": false,
    })
}

/// What a function answers to an event where its table is empty.
pub async fn answer(program: &str, event: Value) -> Value {
    let stack = stack::of(Setup::default()).await;
    let ready = &stack.ready;
    let table = aws::http()
        .post(&ready.dynamodb)
        .header("x-amz-target", "DynamoDB_20120810.CreateTable");
    let made = table
        .body(create_table("empty").to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200);

    let (ended, mut ends) = mpsc::unbounded_channel();
    let events = Arc::new(Mutex::new(vec![event.to_string()]));
    let next = move || {
        let event = events.lock().unwrap().pop();
        async move {
            match event {
                Some(event) => invocation(event),
                None => std::future::pending().await,
            }
        }
    };
    let end = async move |Path((_, how)): Path<(String, String)>, body: String| {
        drop(ended.send((how, body)));
    };
    let routes = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{how}", post(end));
    let api = aws::serve(routes).await;

    let mut process = Command::new(program)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", api.trim_start_matches("http://")),
            ("AWS_LAMBDA_FUNCTION_NAME", "function"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_REGION", &ready.region),
            ("AWS_ACCESS_KEY_ID", "any"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("AWS_ENDPOINT_URL", &ready.dynamodb),
            ("OPENROUTER_BASE_URL", &ready.provider),
            ("BURSAR_TABLE", "empty"),
            ("BURSAR_ORIGIN", "https://bursar.example.edu"),
            ("BURSAR_MAIL_FROM", "bursar@example.edu"),
            ("BURSAR_ADMINS", "admin@example.edu"),
            ("BURSAR_MANAGEMENT_KEY_SECRET", &ready.secret),
            ("BURSAR_INSTITUTION", "Example University"),
        ])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (how, body) = tokio::select! {
        end = ends.recv() => end.unwrap(),
        status = process.wait() => panic!("it ended: {status:?}"),
    };
    assert_eq!(how, "response", "{body}");
    process.kill().await.unwrap();
    stack.finish().await;
    serde_json::from_str(&body).unwrap()
}

fn invocation(event: String) -> Response {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let headers = [
        ("lambda-runtime-aws-request-id", "1".to_owned()),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:000000000000:function:f".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-00000000-000000000000000000000000".to_owned(),
        ),
    ];
    (headers, event).into_response()
}
