//! The management key: read from Secrets Manager, cached for minutes, and read again when the provider
//! refuses it. At a rotation the pending key replaces it. `provider::management_key` decides whether a key is
//! valid; nothing here writes a key.

use std::sync::{Arc, OnceLock};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::aws::AwsAccess;
use crate::config::Config;
use crate::domain::values::key::Fingerprint;
use crate::prelude::*;
use crate::sdk_error::{SdkFailure, reduce};

/// The time for which a key that was read is used without another read.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The key that may make, change and delete keys. It cannot be stored, printed or logged.
#[derive(Clone)]
pub struct ManagementKey(Arc<SecretString>);

/// The reason that a text is not a management key. It does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not hold a key: a key is one word of visible ASCII characters, alone")]
pub struct NotAKey;

/// The reason that there is no management key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    #[error("the secret of the management key cannot be used: {0}")]
    Unanswered(#[from] SdkFailure),
    #[error("the secret of the management key is wrong: {0}")]
    NotAKey(#[from] NotAKey),
}

impl SecretError {
    /// Whether the failure may be temporary.
    pub fn may_pass(&self) -> bool {
        matches!(self, SecretError::Unanswered(failure) if failure.retryable)
    }
}

/// The source of the management key for calls to the provider. Clones share the cached key.
#[derive(Clone)]
pub struct ManagementKeys(Source);

/// A key that waits to become the current one.
#[derive(Debug, Clone)]
pub struct PendingKey {
    pub key: ManagementKey,
    version: String,
}

#[derive(Clone)]
enum Source {
    Fixed(ManagementKey),
    Stored(Arc<SecretStore>),
}

struct SecretStore {
    access: AwsAccess,
    client: OnceLock<Client>,
    secret: String,
    kept: Mutex<Option<CachedKey>>,
}

struct CachedKey {
    key: ManagementKey,
    read_at: Instant,
}

impl ManagementKeys {
    /// The source for a deployment. Nothing is read before a call needs the key.
    pub fn of(config: &Config) -> ManagementKeys {
        ManagementKeys(Source::Stored(Arc::new(SecretStore {
            access: config.aws.clone(),
            client: OnceLock::new(),
            secret: config.management_key_secret.clone(),
            kept: Mutex::new(None),
        })))
    }

    /// A source with a key that was given by hand and never changes.
    pub fn fixed(key: ManagementKey) -> ManagementKeys {
        ManagementKeys(Source::Fixed(key))
    }

    /// The key to use now.
    pub async fn current(&self) -> Result<ManagementKey, SecretError> {
        let stored = match &self.0 {
            Source::Fixed(key) => return Ok(key.clone()),
            Source::Stored(stored) => stored,
        };
        let mut kept = stored.kept.lock().await;
        match &*kept {
            Some(known) if known.read_at.elapsed() < KEPT_FOR => Ok(known.key.clone()),
            _ => stored.read_into(&mut kept).await,
        }
    }

    /// The key to use after the provider refused `refused`: one fresh read of the secret, unless another call has
    /// had it read since. If it returns an equal key, there is no other.
    pub async fn refresh(&self, refused: &ManagementKey) -> Result<ManagementKey, SecretError> {
        let stored = match &self.0 {
            Source::Fixed(key) => return Ok(key.clone()),
            Source::Stored(stored) => stored,
        };
        let mut kept = stored.kept.lock().await;
        match &*kept {
            Some(known) if known.key != *refused => Ok(known.key.clone()),
            _ => stored.read_into(&mut kept).await,
        }
    }

    /// The key that the secret holds now, read afresh and not cached.
    pub async fn in_secret(&self) -> Result<ManagementKey, SecretError> {
        match &self.0 {
            Source::Fixed(key) => Ok(key.clone()),
            Source::Stored(stored) => Ok(stored.version(CURRENT).await?.ok_or(NotAKey)?.0),
        }
    }

    /// The key that a person stored as the pending version, unless it has been promoted already.
    pub async fn pending(&self) -> Result<Option<PendingKey>, SecretError> {
        let Source::Stored(stored) = &self.0 else {
            return Ok(None);
        };
        let Some((key, version)) = stored.version(PENDING).await? else {
            return Ok(None);
        };
        let is_current = stored.version_id(CURRENT).await? == Some(version.clone());
        Ok((!is_current).then_some(PendingKey { key, version }))
    }

    /// Makes a pending key the current one. Promoting it again changes nothing.
    pub async fn promote(&self, pending: &PendingKey) -> Result<(), SecretError> {
        let Source::Stored(stored) = &self.0 else { return Ok(()) };
        let current = stored.version_id(CURRENT).await?;
        if current.as_ref() != Some(&pending.version) {
            let promoted = stored
                .client()
                .update_secret_version_stage()
                .secret_id(&stored.secret)
                .version_stage(CURRENT)
                .set_remove_from_version_id(current)
                .move_to_version_id(&pending.version)
                .send()
                .await;
            if let Err(error) = promoted {
                // If the answer of a first try was lost, the second is refused, so the version that has the
                // stage decides.
                let failure = reduce(&error);
                let is_there = stored.version_id(CURRENT).await.ok().flatten().as_ref() == Some(&pending.version);
                if !is_there {
                    return Err(failure.into());
                }
            }
        }
        *stored.kept.lock().await = Some(CachedKey::now(pending.key.clone()));
        Ok(())
    }
}

impl SecretStore {
    fn client(&self) -> &Client {
        self.client.get_or_init(|| self.access.secretsmanager())
    }

    async fn read_into(&self, kept: &mut Option<CachedKey>) -> Result<ManagementKey, SecretError> {
        let text = self.text(CURRENT).await?.map(|(text, _)| text).unwrap_or_default();
        let key = ManagementKey::parse(text.expose_secret())?;
        *kept = Some(CachedKey::now(key.clone()));
        Ok(key)
    }

    async fn version(&self, stage: &str) -> Result<Option<(ManagementKey, String)>, SecretError> {
        match self.text(stage).await {
            Ok(Some((text, version))) => Ok(Some((ManagementKey::parse(text.expose_secret())?, version))),
            Ok(None) => Ok(None),
            // Secrets Manager answers a stage without a version like a missing secret.
            Err(failure) if failure.code == "ResourceNotFoundException" => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn version_id(&self, stage: &str) -> Result<Option<String>, SecretError> {
        Ok(self.text(stage).await?.map(|(_, version)| version))
    }

    /// The text and the id of the version that has a stage.
    async fn text(&self, stage: &str) -> Result<Option<(SecretString, String)>, SdkFailure> {
        let asked = self.client().get_secret_value().secret_id(&self.secret).version_stage(stage);
        let answer = asked.send().await.map_err(|error| reduce::<GetSecretValueError>(&error))?;
        let version = answer.version_id.unwrap_or_default();
        Ok(answer.secret_string.map(|text| (text.into(), version)))
    }
}

impl CachedKey {
    fn now(key: ManagementKey) -> CachedKey {
        CachedKey { key, read_at: Instant::now() }
    }
}

impl ManagementKey {
    /// Parses a key, ignoring space and line ends around it.
    pub fn parse(text: &str) -> Result<ManagementKey, NotAKey> {
        let text = text.trim();
        let is_key = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| ManagementKey(Arc::new(text.into()))).ok_or(NotAKey)
    }

    /// The fingerprint by which the table knows the key: a hash of this deployment's own.
    pub fn fingerprint(&self, deployment: &DeploymentId) -> Fingerprint {
        Fingerprint::of(deployment, self.reveal())
    }

    /// The plain key, for the one header that carries it.
    pub(crate) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for ManagementKey {
    fn eq(&self, other: &ManagementKey) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for ManagementKey {}

impl fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManagementKey(…)")
    }
}

impl fmt::Debug for ManagementKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManagementKeys(…)")
    }
}

#[cfg(test)]
mod tests;
