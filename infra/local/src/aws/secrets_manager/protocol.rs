//! AWS JSON 1.1: the operation and fields of a request, and answers and refusals in the shapes that the SDK
//! reads. Nothing here puts a secret's value into a message or a log.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Body, json};
use uuid::Uuid;

use super::SecretsManager;
use super::refusal::Refusal;
use super::secret::{CURRENT, Secret, Value};

const SERVICE: &str = "secretsmanager.";

/// The fields of all operations; each operation reads its own.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Request {
    secret_id: String,
    secret_string: Option<String>,
    client_request_token: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
    version_stages: Vec<String>,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

/// Whether values can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretValues {
    Values,
    Nothing,
}

pub(super) fn router(secrets: SecretsManager, hands_out: SecretValues) -> Router {
    Router::new().route("/", post(answer)).with_state((secrets, hands_out))
}

async fn answer(
    State((secrets, hands_out)): State<(SecretsManager, SecretValues)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    // serde's own message may quote a value.
    let request = serde_json::from_slice(&body)
        .map_err(|_| Refusal::bad("SerializationException", "The request is not the JSON of this operation."));
    let operation = target.strip_prefix(SERVICE).unwrap_or_default();
    let done = request.and_then(|request| match operation {
        "GetSecretValue" if hands_out == SecretValues::Nothing => {
            Err(Refusal::bad("AccessDeniedException", "The key of a real account is handed to nobody."))
        }
        "GetSecretValue" => get(&secrets, &request),
        "PutSecretValue" => put(&secrets, &request),
        "UpdateSecretVersionStage" => update_stage(&secrets, &request),
        "DescribeSecret" => describe(&secrets, &request),
        _ => Err(Refusal::bad("UnknownOperationException", "This operation is not known here.")),
    });
    let mut response = match done {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = Uuid::new_v4().to_string().parse() {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn get(secrets: &SecretsManager, request: &Request) -> Result<Body, Refusal> {
    secrets.read(&request.secret_id, |secret| {
        let stage = request.version_stage.as_deref();
        let found = match &request.version_id {
            Some(id) => secret.versions.get_key_value(id).ok_or_else(|| format!("VersionId: {id}")),
            None => {
                let stage = stage.unwrap_or(CURRENT);
                secret.version_at(stage).ok_or_else(|| format!("staging label: {stage}"))
            }
        };
        let (id, version) = found.map_err(|what| {
            Refusal::not_found(&format!("Secrets Manager can't find the specified secret value for {what}"))
        })?;
        if stage.is_some_and(|stage| !version.stages.contains(stage)) {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(Refusal::bad("InvalidRequestException", message));
        }
        let mut body = naming(secret, id);
        body["SecretString"] = json!(version.value.0);
        body["VersionStages"] = json!(version.stages);
        body["CreatedDate"] = seconds(version.created);
        Ok(body)
    })
}

fn put(secrets: &SecretsManager, request: &Request) -> Result<Body, Refusal> {
    let id = request.token()?;
    let value = request.secret_string.clone().map(Value).ok_or_else(|| {
        Refusal::bad("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    })?;
    secrets.change(&request.secret_id, |secret| {
        secret.add(&id, value, &request.version_stages, Timestamp::now())?;
        let mut body = naming(secret, &id);
        body["VersionStages"] = json!(secret.versions.get(&id).map(|version| &version.stages));
        Ok(body)
    })
}

fn update_stage(secrets: &SecretsManager, request: &Request) -> Result<Body, Refusal> {
    let stage = request.version_stage.as_deref().ok_or_else(|| Refusal::parameter("VersionStage is missing."))?;
    let (from, to) = (request.remove_from_version_id.as_deref(), request.move_to_version_id.as_deref());
    secrets.change(&request.secret_id, |secret| {
        secret.move_stage(stage, from, to, Timestamp::now())?;
        Ok(json!({"ARN": secret.arn, "Name": secret.name}))
    })
}

fn describe(secrets: &SecretsManager, request: &Request) -> Result<Body, Refusal> {
    secrets.read(&request.secret_id, |secret| {
        let labelled = secret.versions.iter().filter(|(_, version)| !version.stages.is_empty());
        let stages: Body = labelled.map(|(id, version)| (id.clone(), json!(version.stages))).collect();
        Ok(json!({
            "ARN": secret.arn,
            "Name": secret.name,
            "RotationEnabled": false,
            "CreatedDate": seconds(secret.created),
            "LastChangedDate": seconds(secret.changed),
            "VersionIdsToStages": stages,
        }))
    })
}

fn naming(secret: &Secret, version: &str) -> Body {
    json!({"ARN": secret.arn, "Name": secret.name, "VersionId": version})
}

/// A time as seconds with a fraction.
fn seconds(time: Timestamp) -> Body {
    json!(time.as_duration().as_secs_f64())
}

impl Request {
    /// The id of the new version. The SDK generates one, equal for all tries of a call.
    fn token(&self) -> Result<String, Refusal> {
        match &self.client_request_token {
            None => Ok(Uuid::new_v4().to_string()),
            Some(token) if (32..=64).contains(&token.len()) => Ok(token.clone()),
            Some(_) => Err(Refusal::parameter("ClientRequestToken must be 32-64 characters long.")),
        }
    }
}
