//! What a test asks of the stand-ins past the functions.

use bursar_core::tls;
use bursar_local::stack::Ready;

/// Serves a stand-in on a free port while the test runs, and returns its origin.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(bursar_local::base::serve::serve(
        listener,
        router,
        std::future::pending(),
    ));
    origin
}

/// A client for what a test asks past the functions.
pub fn http() -> reqwest::Client {
    tls::loopback().build().unwrap()
}

/// The management key, read from the secret as the functions read it.
pub async fn management_key(ready: &Ready) -> String {
    let answer = http()
        .post(&ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.GetSecretValue")
        .header("content-type", "application/x-amz-json-1.1")
        .body(serde_json::json!({"SecretId": ready.secret}).to_string());
    let answer: serde_json::Value = answer.send().await.unwrap().json().await.unwrap();
    answer["SecretString"].as_str().unwrap().to_owned()
}
