//! Real binaries: they start as in Lambda, and refuse to start without what they need.

use super::super::invocation::test_settings;
use super::*;
use crate::gate::{Keep, Upstreams};
use bursar_core::clock::Clock;
use serde_json::json;

#[tokio::test]
async fn a_real_binary_answers_through_the_runtime_api_and_its_process_is_used_again() {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let to = Upstreams { dynamodb: nowhere(), ses: nowhere(), secretsmanager: nowhere(), provider: nowhere() };
    let gate = Gate::open(to, Keep::All, Clock::system()).await.unwrap();
    let binaries = Binaries::new(gate, test_settings(), &build_binaries().await.unwrap());
    let page = json!({
        "version": "2.0", "routeKey": "GET /health", "rawPath": "/health", "rawQueryString": "", "headers": {},
        "isBase64Encoded": false,
        "requestContext": {
            "accountId": "0", "apiId": "a", "domainName": "d", "domainPrefix": "d", "requestId": "r", "stage": "$default",
            "routeKey": "GET /health", "time": "18/Nov/2026:12:00:00 +0000", "timeEpoch": 0,
            "http": { "method": "GET", "path": "/health", "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "" },
        },
    });
    for turn in 1..=2 {
        let answer = binaries.invoke(FunctionName::Claim, page.clone()).await.unwrap();
        assert!(answer["statusCode"].is_number(), "{turn}: {answer}");
        assert_eq!(binaries.0.idle()[&FunctionName::Claim][0].instance.number(), 1);
    }
    let failed = binaries.invoke(FunctionName::Claim, json!({ "no": "event of anybody" })).await;
    assert!(matches!(failed, Err(InvokeError::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn a_binary_names_every_variable_that_is_missing_or_wrong() {
    let mut variables = variables_of(&test_settings().config);
    variables.remove("BURSAR_TABLE");
    variables.remove("BURSAR_INSTITUTION");
    variables.insert("BURSAR_ORIGIN".to_owned(), "gopher://bursar".to_owned());
    let mut claim = Command::new(build_binaries().await.unwrap().join("claim"));
    let ended = claim.env_clear().envs(variables).output().await.unwrap();
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(!ended.status.success(), "{said}");
    for name in ["BURSAR_TABLE", "BURSAR_INSTITUTION", "BURSAR_ORIGIN"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains("BURSAR_ADMINS"), "{said}");
}

#[test]
fn the_variables_of_a_configuration_are_read_back_as_the_same() {
    let mut config = test_settings().config;
    config.privacy_url = Some("https://example.edu/privacy".to_owned());
    let variables = variables_of(&config);
    let again = Config::read(|name| variables.get(name).cloned(), config.aws.clone()).unwrap();
    assert_eq!(variables_of(&again), variables);
    assert_eq!((again.admins.len(), again.support), (2, config.support));
}
