//! The stand-in for Secrets Manager as the real SDK sees it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;

use super::*;
use crate::base::serve::{NoAnswer, on_a_free_port};

const NAME: &str = "bursar/management-key";

async fn client(router: Router) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(std::time::Duration::ZERO))
        .endpoint_url(on_a_free_port(router).await)
        .build();
    Client::from_conf(config)
}

async fn with_a_secret(value: &str) -> (SecretsManager, Client) {
    let secrets = SecretsManager::new(StateFile::in_memory().unwrap()).unwrap();
    secrets.put(NAME, value).unwrap();
    let client = client(secrets.router()).await;
    (secrets, client)
}

fn code<E, R>(error: &SdkError<E, R>) -> String
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    error.code().unwrap_or("no answer").to_owned()
}

/// The version at each label.
async fn stages(client: &Client) -> BTreeMap<String, String> {
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    let versions = described.version_ids_to_stages().unwrap();
    versions.iter().flat_map(|(id, stages)| stages.iter().map(|stage| (stage.clone(), id.clone()))).collect()
}

async fn value_at(client: &Client, stage: &str) -> Result<String, String> {
    let got = client.get_secret_value().secret_id(NAME).version_stage(stage).send().await;
    got.map(|got| got.secret_string().unwrap().to_owned()).map_err(|error| code(&error))
}

#[tokio::test]
async fn a_secret_is_read_by_name_and_by_arn_with_its_version_and_time() {
    let (_, client) = with_a_secret("sk-1").await;
    let got = client.get_secret_value().secret_id(NAME).send().await.unwrap();
    assert_eq!((got.secret_string(), got.name()), (Some("sk-1"), Some(NAME)));
    assert_eq!(got.version_stages(), ["AWSCURRENT"]);
    assert!(got.created_date().unwrap().secs() > 1_700_000_000);
    let whole = got.arn().unwrap();
    for id in [whole, whole.rsplit_once('-').unwrap().0] {
        let again = client.get_secret_value().secret_id(id).version_id(got.version_id().unwrap()).send().await.unwrap();
        assert_eq!(again.secret_string(), Some("sk-1"));
    }
}

#[tokio::test]
async fn a_new_value_becomes_the_current_one_and_the_old_one_the_previous() {
    let (_, client) = with_a_secret("sk-1").await;
    for (value, previous) in [("sk-2", "sk-1"), ("sk-3", "sk-2")] {
        let put = client.put_secret_value().secret_id(NAME).secret_string(value).send().await.unwrap();
        assert_eq!(put.version_stages(), ["AWSCURRENT"]);
        assert_eq!(value_at(&client, "AWSCURRENT").await.unwrap(), value);
        assert_eq!(value_at(&client, "AWSPREVIOUS").await.unwrap(), previous);
    }
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(described.version_ids_to_stages().unwrap().len(), 2, "a version without a label is not described");
}

#[tokio::test]
async fn a_pending_value_is_promoted_by_moving_the_current_label() {
    let (_, client) = with_a_secret("sk-1").await;
    let put = client.put_secret_value().secret_id(NAME).secret_string("sk-2").version_stages("AWSPENDING");
    let pending = put.send().await.unwrap().version_id().unwrap().to_owned();
    assert_eq!(value_at(&client, "AWSCURRENT").await.unwrap(), "sk-1");
    assert_eq!(value_at(&client, "AWSPENDING").await.unwrap(), "sk-2");
    let current = stages(&client).await["AWSCURRENT"].clone();

    let update = || client.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
    let unaware = update().move_to_version_id(&pending).send().await.unwrap_err();
    assert_eq!(code(&unaware), "InvalidParameterException");
    let mistaken = update().move_to_version_id(&pending).remove_from_version_id(&pending).send().await.unwrap_err();
    assert_eq!(code(&mistaken), "InvalidParameterException");
    let removed = update().remove_from_version_id(&current).send().await.unwrap_err();
    assert_eq!(code(&removed), "InvalidParameterException");
    let unknown =
        update().move_to_version_id("0".repeat(32)).remove_from_version_id(&current).send().await.unwrap_err();
    assert_eq!(code(&unknown), "ResourceNotFoundException");
    assert_eq!(value_at(&client, "AWSCURRENT").await.unwrap(), "sk-1");

    for _again in 0..2 {
        update().move_to_version_id(&pending).remove_from_version_id(&current).send().await.unwrap();
        let now = stages(&client).await;
        assert_eq!((&now["AWSCURRENT"], &now["AWSPREVIOUS"], &now["AWSPENDING"]), (&pending, &current, &pending));
    }
    let pending_off = client.update_secret_version_stage().secret_id(NAME).version_stage("AWSPENDING");
    pending_off.remove_from_version_id(&pending).send().await.unwrap();
    assert_eq!(value_at(&client, "AWSPENDING").await.unwrap_err(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_makes_one_version_when_it_is_sent_again() {
    let secrets = SecretsManager::new(StateFile::in_memory().unwrap()).unwrap();
    secrets.put(NAME, "sk-1").unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let lossy = secrets.router().layer(from_fn(move |request: Request, next: Next| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let answer = next.run(request).await;
            if first { NoAnswer.into_response() } else { answer }
        }
    }));
    let client = client(lossy).await;
    client.put_secret_value().secret_id(NAME).secret_string("sk-2").send().await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2, "the SDK sent it again");
    let values: BTreeSet<String> = stages(&client).await.into_values().collect();
    assert_eq!(values.len(), 2);
    assert_eq!(value_at(&client, "AWSPREVIOUS").await.unwrap(), "sk-1");
}

#[tokio::test]
async fn a_version_is_never_changed() {
    let (_, client) = with_a_secret("sk-1").await;
    let token = "t".repeat(32);
    let put = |value: &str| client.put_secret_value().secret_id(NAME).client_request_token(&token).secret_string(value);
    put("sk-2").send().await.unwrap();
    put("sk-2").send().await.unwrap();
    assert_eq!(code(&put("sk-3").send().await.unwrap_err()), "ResourceExistsException");
    assert_eq!(value_at(&client, "AWSCURRENT").await.unwrap(), "sk-2");
}

#[tokio::test]
async fn what_is_not_there_or_not_known_is_refused_by_name() {
    let (_, client) = with_a_secret("sk-1").await;
    let missing = client.get_secret_value().secret_id("other").send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());
    let version = client.get_secret_value().secret_id(NAME).version_id("v".repeat(32)).send().await.unwrap_err();
    assert_eq!(code(&version), "ResourceNotFoundException");
    let current = stages(&client).await["AWSCURRENT"].clone();
    let both = client.get_secret_value().secret_id(NAME).version_id(current).version_stage("AWSPENDING");
    assert_eq!(code(&both.send().await.unwrap_err()), "InvalidRequestException");
    assert_eq!(code(&client.list_secrets().send().await.unwrap_err()), "UnknownOperationException");
    let neither = client.put_secret_value().secret_id(NAME).send().await.unwrap_err();
    assert_eq!(code(&neither), "InvalidRequestException");
}

#[tokio::test]
async fn secrets_and_their_stages_are_there_again_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let secrets = SecretsManager::new(StateFile::open(&path).unwrap()).unwrap();
    secrets.put(NAME, "sk-1").unwrap();
    secrets.put(NAME, "sk-2").unwrap();
    let before = stages(&client(secrets.router()).await).await;

    let again = SecretsManager::new(StateFile::open(&path).unwrap()).unwrap();
    again.put(NAME, "sk-2").unwrap();
    let client = client(again.router()).await;
    assert_eq!(stages(&client).await, before, "the same value again changes nothing");
    assert_eq!(value_at(&client, "AWSPREVIOUS").await.unwrap(), "sk-1");
}

#[tokio::test]
async fn no_value_shows_in_debug_output_or_in_the_refusal_of_a_request_that_is_wrong() {
    let (secrets, _) = with_a_secret("sk-very-secret").await;
    let secret = secrets.secrets()[NAME].clone();
    assert!(!format!("{secrets:?} {secret:?}").contains("sk-"), "{secrets:?} {secret:?}");

    let request = reqwest::Client::new().post(on_a_free_port(secrets.router()).await);
    let request = request.header("x-amz-target", "secretsmanager.PutSecretValue");
    let refused = request.body(r#"{"SecretId":"x","VersionStages":"sk-very-secret"}"#).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let body = refused.text().await.unwrap();
    assert!(body.contains("SerializationException") && !body.contains("sk-"), "{body}");
}

#[test]
fn versions_without_a_label_are_forgotten_when_there_are_too_many() {
    let now = Timestamp::now();
    let mut secret = Secret::named(NAME, now);
    for number in 0..150 {
        let at = now + jiff::SignedDuration::from_secs(number);
        secret.add(&format!("v{number}"), Value("x".into()), &[], at).unwrap();
    }
    assert_eq!(secret.versions.len(), 102);
    assert!(!secret.versions.contains_key("v47") && secret.versions.contains_key("v48"));
}
