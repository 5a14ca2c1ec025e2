//! The stand-in for Secrets Manager: reading, writing and rotating secrets over the AWS JSON protocol of
//! `aws-sdk-secretsmanager`. As the secret store it keeps values in plain text, in a folder that only its
//! owner may open.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use jiff::Timestamp;
use uuid::Uuid;

use crate::base::state_file::StateFile;

mod protocol;
mod refusal;
mod secret;

use protocol::SecretValues;
use refusal::Refusal;
use secret::{CURRENT, Secret, Value};

const SECRETS: &str = "secrets";

/// A handle to the stand-in. Clones share its secrets.
#[derive(Clone)]
pub struct SecretsManager(Arc<Inner>);

struct Inner {
    kept: StateFile,
    secrets: Mutex<BTreeMap<String, Secret>>,
}

impl SecretsManager {
    /// The stand-in with the secrets of earlier runs.
    pub fn new(kept: StateFile) -> Result<SecretsManager> {
        let secrets = Mutex::new(kept.all(SECRETS)?.into_iter().collect());
        Ok(SecretsManager(Arc::new(Inner { kept, secrets })))
    }

    /// The router at the SDK's endpoint.
    pub fn router(&self) -> Router {
        protocol::router(self.clone(), SecretValues::Values)
    }

    /// The router for other processes when the key is a real account's: every operation works, but no value
    /// leaves it.
    pub fn router_without_values(&self) -> Router {
        protocol::router(self.clone(), SecretValues::Nothing)
    }

    /// Makes `value` the current one of the secret `name`, which is created if it does not exist. An
    /// unchanged value makes no new version.
    pub fn put(&self, name: &str, value: &str) -> Result<()> {
        let value = Value(value.to_owned());
        let mut secrets = self.secrets();
        let mut secret = secrets.get(name).cloned().unwrap_or_else(|| Secret::named(name, Timestamp::now()));
        if secret.version_at(CURRENT).is_some_and(|(_, version)| version.value == value) {
            return Ok(());
        }
        let added = secret.add(&Uuid::new_v4().to_string(), value, &[], Timestamp::now());
        added.map_err(|refusal| anyhow::anyhow!("the secret {name} cannot be kept: {refusal}"))?;
        self.keep(&mut secrets, secret)
    }

    /// The current text of a secret, if there is one.
    pub fn current(&self, name: &str) -> Option<String> {
        let secrets = self.secrets();
        let (_, version) = secrets.get(name)?.version_at(CURRENT)?;
        Some(version.value.0.clone())
    }

    /// Changes an existing secret; a refused change leaves no trace.
    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Secret) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut secrets = self.secrets();
        let mut secret = find(&secrets, id)?.clone();
        let changed = change(&mut secret)?;
        self.keep(&mut secrets, secret).map_err(|error| Refusal::failed(&error))?;
        Ok(changed)
    }

    fn read<T>(&self, id: &str, read: impl FnOnce(&Secret) -> Result<T, Refusal>) -> Result<T, Refusal> {
        read(find(&self.secrets(), id)?)
    }

    fn keep(&self, secrets: &mut BTreeMap<String, Secret>, secret: Secret) -> Result<()> {
        self.0.kept.put(SECRETS, &secret.name, &secret)?;
        secrets.insert(secret.name.clone(), secret);
        Ok(())
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SecretsManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.secrets().keys()).finish()
    }
}

/// The secret with this name, or with this ARN with or without its random end.
fn find<'a>(secrets: &'a BTreeMap<String, Secret>, id: &str) -> Result<&'a Secret, Refusal> {
    let by_arn = || secrets.values().find(|secret| secret.arn == id || secret.arn_without_end() == id);
    secrets
        .get(id)
        .or_else(by_arn)
        .ok_or_else(|| Refusal::not_found("Secrets Manager can't find the specified secret."))
}
