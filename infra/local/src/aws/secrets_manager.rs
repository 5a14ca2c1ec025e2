//! The stand-in for Secrets Manager: three operations over the AWS JSON protocol of
//! `aws-sdk-secretsmanager`. As the secret store it keeps values in plain text, in a folder that
//! only its owner may open. No value is in an error, and nothing that holds one has `Debug`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Result;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::lock;
use crate::base::state_file::StateFile;

const SECRETS: &str = "secrets";
const CURRENT: &str = "AWSCURRENT";

/// A handle to the stand-in. Clones share its secrets.
#[derive(Clone)]
pub struct SecretsManager {
    kept: StateFile,
    secrets: Arc<Mutex<BTreeMap<String, Secret>>>,
}

/// The version at each stage. A version without a stage is forgotten.
#[derive(Default, Deserialize, Serialize)]
struct Secret(BTreeMap<String, Version>);

#[derive(Clone, Deserialize, Serialize)]
struct Version {
    id: String,
    value: String,
}

/// The fields of all operations; each operation reads its own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    secret_id: String,
    secret_string: Option<String>,
    client_request_token: Option<String>,
    #[serde(default = "current")]
    version_stage: String,
    version_stages: Option<Vec<String>>,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

fn current() -> String {
    CURRENT.to_owned()
}

/// A refusal: the exception of the service, and a message without any value.
struct Refusal(&'static str, &'static str);

const NO_SECRET: Refusal = Refusal(
    "ResourceNotFoundException",
    "Secrets Manager can't find the specified secret.",
);
const NO_VERSION: Refusal = Refusal(
    "ResourceNotFoundException",
    "Secrets Manager can't find the specified secret value.",
);

impl SecretsManager {
    /// The stand-in with the secrets of earlier runs.
    pub fn new(kept: StateFile) -> Result<SecretsManager> {
        let secrets = Arc::new(Mutex::new(kept.list(SECRETS)?.into_iter().collect()));
        Ok(SecretsManager { kept, secrets })
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(answer))
            .with_state((self.clone(), true))
    }

    /// The router for other processes when the key is a real account's: every operation works, but
    /// no value leaves it.
    pub fn router_without_values(&self) -> Router {
        Router::new()
            .route("/", post(answer))
            .with_state((self.clone(), false))
    }

    /// Makes `value` the current one of the secret `name`, which is created if it does not exist.
    /// An unchanged value makes no new version.
    pub fn put(&self, name: &str, value: &str) -> Result<()> {
        let mut secrets = self.secrets();
        let secret = secrets.entry(name.to_owned()).or_default();
        if secret
            .0
            .get(CURRENT)
            .is_none_or(|current| current.value != value)
        {
            let version = Version {
                id: Uuid::new_v4().to_string(),
                value: value.to_owned(),
            };
            secret.0.insert(CURRENT.to_owned(), version);
            self.kept.put(SECRETS, name, secret)?;
        }
        Ok(())
    }

    /// The current text of a secret, if there is one.
    pub fn current(&self, name: &str) -> Option<String> {
        Some(self.secrets().get(name)?.0.get(CURRENT)?.value.clone())
    }

    fn answer(&self, operation: &str, request: &Request) -> Result<Value, Refusal> {
        let name = &request.secret_id;
        let mut secrets = self.secrets();
        let secret = secrets.get_mut(name).ok_or(NO_SECRET)?;
        let answer = match operation {
            "GetSecretValue" => return secret.get(request),
            "PutSecretValue" => secret.put(request)?,
            "UpdateSecretVersionStage" => secret.move_stage(request)?,
            _ => {
                return Err(Refusal(
                    "UnknownOperationException",
                    "This operation is not known here.",
                ));
            }
        };
        self.kept.put(SECRETS, name, secret).map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "a secret could not be kept");
            Refusal(
                "InternalServiceError",
                "An error occurred on the server side.",
            )
        })?;
        Ok(answer)
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        lock(&self.secrets)
    }
}

impl Secret {
    fn get(&self, request: &Request) -> Result<Value, Refusal> {
        let Version { id, value } = self.0.get(&request.version_stage).ok_or(NO_VERSION)?;
        Ok(json!({"VersionId": id, "SecretString": value}))
    }

    /// Adds a version at the stages of the request.
    fn put(&mut self, request: &Request) -> Result<Value, Refusal> {
        let value = request.secret_string.clone();
        let value = value.ok_or(Refusal(
            "InvalidRequestException",
            "You must provide SecretString.",
        ))?;
        let id = request
            .client_request_token
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let version = Version { id, value };
        for stage in request
            .version_stages
            .clone()
            .unwrap_or_else(|| vec![current()])
        {
            self.0.insert(stage, version.clone());
        }
        Ok(json!({"VersionId": version.id}))
    }

    /// Moves a stage to another version. The request must name the version that has it.
    fn move_stage(&mut self, request: &Request) -> Result<Value, Refusal> {
        let holder = self
            .0
            .get(&request.version_stage)
            .map(|version| &version.id);
        if holder != request.move_to_version_id.as_ref() {
            if holder != request.remove_from_version_id.as_ref() {
                let why = "RemoveFromVersionId must name the version that has the staging label.";
                return Err(Refusal("InvalidParameterException", why));
            }
            let mut versions = self.0.values();
            let target =
                versions.find(|version| Some(&version.id) == request.move_to_version_id.as_ref());
            let target = target.ok_or(NO_VERSION)?.clone();
            self.0.insert(request.version_stage.clone(), target);
        }
        Ok(json!({}))
    }
}

async fn answer(
    State((secrets, hands_out)): State<(SecretsManager, bool)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let operation = target.trim_start_matches("secretsmanager.");
    let answered = match serde_json::from_slice(&body) {
        Ok(_) if operation == "GetSecretValue" && !hands_out => Err(Refusal(
            "AccessDeniedException",
            "The key of a real account is handed to nobody.",
        )),
        Ok(request) => secrets.answer(operation, &request),
        // serde's own message may quote a value.
        Err(_) => Err(Refusal(
            "SerializationException",
            "The request is not the JSON of this operation.",
        )),
    };
    match answered {
        Ok(answer) => Json(answer).into_response(),
        Err(Refusal(kind, message)) => {
            let status = match kind {
                "InternalServiceError" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, Json(json!({"__type": kind, "message": message}))).into_response()
        }
    }
}
