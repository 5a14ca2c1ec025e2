//! AWS clients for a running stack, whose engine and stand-ins accept any credentials.

use aws_smithy_http_client::Builder as HttpClients;
use bursar_local::stack::Ready;

/// A client of the table, straight at the engine and past the fault layer.
pub fn dynamodb(ready: &Ready) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(ready.region.clone()))
        .credentials_provider(Credentials::new("any", "any", None, None, "a test"))
        .http_client(HttpClients::new().build_http())
        .endpoint_url(&ready.dynamodb);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

/// Serves a stand-in on a free port while the test runs, and returns its origin.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(bursar_local::base::serve::serve(listener, router, std::future::pending()));
    origin
}

/// A client for what a test asks past the functions. It reads no certificates, which takes longer than what it is for.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
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
