//! The management key: read from Secrets Manager, cached for minutes, and read again when the
//! provider refuses it. At a rotation the pending key replaces it.
//! [`management_key`](crate::provider::management_key) decides whether a key is valid; nothing here
//! writes a key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::aws::{AwsAccess, SdkFailure, reduce};
use crate::config::Config;
use crate::domain::values::id::DeploymentId;
use crate::domain::values::key::Fingerprint;
use crate::domain::values::masked;

/// The time for which a key that was read is used without another read.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The key that may make, change and delete keys. It cannot be stored, printed or logged.
#[derive(Clone)]
pub struct ManagementKey(Arc<SecretString>);

/// A text is not a management key; it is not quoted.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it does not hold a key: a key is one word of visible ASCII characters, alone")]
pub struct NotAKey;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the secret of the management key cannot be used: {0}")]
    Unanswered(#[from] SdkFailure),
    #[error("the secret of the management key is wrong: {0}")]
    NotAKey(#[from] NotAKey),
}

impl SecretError {
    pub fn may_pass(&self) -> bool {
        matches!(self, SecretError::Unanswered(failure) if failure.retryable)
    }
}

/// The source of the management key for calls to the provider. Clones share the cached key.
#[derive(Clone)]
pub struct ManagementKeys(Source);

/// A key that waits to become the current one.
#[derive(Debug)]
pub struct PendingKey {
    pub key: ManagementKey,
    version: String,
}

#[derive(Clone)]
enum Source {
    Fixed(ManagementKey),
    Stored(Arc<SecretStore>),
}

/// The secret by which the sign-on provider knows this deployment. It is read anew for each
/// sign-on.
pub struct ClientSecret(Arc<SecretStore>);

struct SecretStore {
    client: Client,
    secret: String,
    kept: Mutex<Option<CachedKey>>,
}

struct CachedKey {
    key: ManagementKey,
    read_at: Instant,
}

impl ManagementKeys {
    pub fn from_config(config: &Config) -> ManagementKeys {
        ManagementKeys(Source::Stored(Arc::new(SecretStore::new(
            &config.management_key_secret,
            &config.aws,
        ))))
    }

    pub fn with_fixed_key(key: ManagementKey) -> ManagementKeys {
        ManagementKeys(Source::Fixed(key))
    }

    pub async fn current(&self) -> Result<ManagementKey, SecretError> {
        self.read_if(|kept| kept.read_at.elapsed() < KEPT_FOR).await
    }

    /// The key to use after the provider refused `refused`: one fresh read of the secret, unless
    /// another call has had it read since. If it returns an equal key, there is no other.
    pub async fn refresh(&self, refused: &ManagementKey) -> Result<ManagementKey, SecretError> {
        self.read_if(|kept| kept.key != *refused).await
    }

    async fn read_if(
        &self,
        is_good: impl Fn(&CachedKey) -> bool,
    ) -> Result<ManagementKey, SecretError> {
        let stored = match &self.0 {
            Source::Fixed(key) => return Ok(key.clone()),
            Source::Stored(stored) => stored,
        };
        let mut kept = stored.kept.lock().await;
        match &*kept {
            Some(cached_key) if is_good(cached_key) => Ok(cached_key.key.clone()),
            _ => stored.read_into(&mut kept).await,
        }
    }

    /// The key that the secret holds now, read afresh and not cached.
    pub async fn read_secret(&self) -> Result<ManagementKey, SecretError> {
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
        let Source::Stored(stored) = &self.0 else {
            return Ok(());
        };
        let current = stored.version_id(CURRENT).await?;
        if current.as_ref() != Some(&pending.version) {
            let promoted = stored
                .client
                .update_secret_version_stage()
                .secret_id(&stored.secret)
                .version_stage(CURRENT)
                .set_remove_from_version_id(current)
                .move_to_version_id(&pending.version)
                .send()
                .await;
            // If the answer of a first try was lost, the second is refused, so the version that has
            // the stage decides.
            if let Err(error) = promoted
                && stored.version_id(CURRENT).await.ok().flatten().as_ref()
                    != Some(&pending.version)
            {
                return Err(reduce(&error).into());
            }
        }
        *stored.kept.lock().await = Some(CachedKey::now(pending.key.clone()));
        Ok(())
    }
}

impl ClientSecret {
    pub fn new(secret: &str, access: &AwsAccess) -> ClientSecret {
        ClientSecret(Arc::new(SecretStore::new(secret, access)))
    }

    pub async fn read(&self) -> Result<SecretString, SecretError> {
        let text = self
            .0
            .text(CURRENT)
            .await?
            .map(|(text, _)| text)
            .unwrap_or_default();
        // As of a file, without the end of the line.
        Ok(text.expose_secret().trim().into())
    }
}

impl SecretStore {
    fn new(secret: &str, access: &AwsAccess) -> SecretStore {
        SecretStore {
            client: access.secretsmanager(),
            secret: secret.to_owned(),
            kept: Mutex::new(None),
        }
    }

    async fn read_into(&self, kept: &mut Option<CachedKey>) -> Result<ManagementKey, SecretError> {
        let text = self
            .text(CURRENT)
            .await?
            .map(|(text, _)| text)
            .unwrap_or_default();
        let key = ManagementKey::parse(text.expose_secret())?;
        *kept = Some(CachedKey::now(key.clone()));
        Ok(key)
    }

    async fn version(&self, stage: &str) -> Result<Option<(ManagementKey, String)>, SecretError> {
        match self.text(stage).await {
            Ok(Some((text, version))) => {
                Ok(Some((ManagementKey::parse(text.expose_secret())?, version)))
            }
            Ok(None) => Ok(None),
            // Secrets Manager answers a stage without a version like a missing secret.
            Err(failure) if failure.code == "ResourceNotFoundException" => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn version_id(&self, stage: &str) -> Result<Option<String>, SecretError> {
        Ok(self.text(stage).await?.map(|(_, version)| version))
    }

    async fn text(&self, stage: &str) -> Result<Option<(SecretString, String)>, SdkFailure> {
        let request = self
            .client
            .get_secret_value()
            .secret_id(&self.secret)
            .version_stage(stage);
        let answer = Box::pin(request.send())
            .await
            .map_err(|error| reduce::<GetSecretValueError>(&error))?;
        let version = answer.version_id.unwrap_or_default();
        Ok(answer.secret_string.map(|text| (text.into(), version)))
    }
}

impl CachedKey {
    fn now(key: ManagementKey) -> CachedKey {
        CachedKey {
            key,
            read_at: Instant::now(),
        }
    }
}

impl ManagementKey {
    /// Parses a key, ignoring space and line ends around it.
    pub fn parse(text: &str) -> Result<ManagementKey, NotAKey> {
        let text = text.trim();
        let is_key = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key
            .then(|| ManagementKey(Arc::new(text.into())))
            .ok_or(NotAKey)
    }

    /// The fingerprint by which the table knows the key: a hash of this deployment's own.
    pub fn fingerprint(&self, deployment: &DeploymentId) -> Fingerprint {
        Fingerprint::digest(deployment, self.reveal())
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

masked!(ManagementKey, ManagementKeys, ClientSecret);

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;

    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::tests::scripted::{Scripted, answer};

    /// A Secrets Manager of one secret, whose text the test changes under way.
    type SecretText = Arc<Lock<Option<&'static str>>>;

    async fn start(text: Option<&'static str>) -> (Scripted, ManagementKeys, SecretText) {
        let text = SecretText::new(Lock::new(text));
        let told = Arc::clone(&text);
        let server = Scripted::start(move |request, _| {
            assert_eq!(request.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
            assert!(request.body.contains("bursar/management-key"));
            match *told.lock().unwrap() {
                Some(text) => answer(200, &json!({"SecretString": text, "VersionId": "v", "Name": "s"}).to_string()),
                None => {
                    let body = json!({"__type": "ResourceNotFoundException", "message": "the key is sk-or-v1-secret"});
                    answer(400, &body.to_string()).with("content-type", "application/x-amz-json-1.1")
                }
            }
        })
        .await;
        let keys =
            ManagementKeys::from_config(&config::of_variables(&server.origin(), &[]).unwrap());
        (server, keys, text)
    }

    fn key(text: &str) -> ManagementKey {
        ManagementKey::parse(text).unwrap()
    }

    /// The current key is read once in five minutes, and its trailing newline is ignored.
    #[tokio::test]
    async fn a_key_is_kept_five_minutes() {
        let (server, keys, text) = start(Some("sk-or-v1-first\n")).await;
        assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
        *text.lock().unwrap() = Some("sk-or-v1-second");
        advance(KEPT_FOR - Duration::from_secs(1)).await;
        assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-first"));
        assert_eq!(server.seen().len(), 1);
        advance(Duration::from_secs(1)).await;
        assert_eq!(keys.current().await.unwrap(), key("sk-or-v1-second"));
        assert_eq!(server.seen().len(), 2);
    }

    /// Moves the monotonic clock; sockets are used only while it runs by itself.
    async fn advance(by: Duration) {
        tokio::time::pause();
        tokio::time::advance(by).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn all_who_were_refused_share_one_fresh_read() {
        let (server, keys, text) = start(Some("sk-or-v1-first")).await;
        let first = keys.current().await.unwrap();
        *text.lock().unwrap() = Some("sk-or-v1-second");
        let fresh = futures_util::future::join_all((0..8).map(|_| keys.refresh(&first))).await;
        assert!(
            fresh
                .into_iter()
                .all(|fresh| fresh.unwrap() == key("sk-or-v1-second"))
        );
        assert_eq!(server.seen().len(), 2);
    }

    /// A secret that is missing or holds no key is reported without its text.
    #[tokio::test]
    async fn a_wrong_secret_is_not_quoted() {
        let (_server, keys, text) = start(None).await;
        let missing = keys.current().await.unwrap_err();
        assert!(
            matches!(&missing, SecretError::Unanswered(failure) if failure.code == "ResourceNotFoundException")
        );
        assert!(
            !format!("{missing} {missing:?}").contains("sk-or"),
            "{missing:?}"
        );
        for wrong in ["sk-or-v1-secret and a note", " \n"] {
            *text.lock().unwrap() = Some(wrong);
            let error = keys.current().await.unwrap_err();
            assert!(matches!(error, SecretError::NotAKey(_)));
            assert!(!format!("{error} {error:?}").contains("sk-or"), "{error:?}");
        }
    }

    #[test]
    fn a_management_key_is_masked_wherever_it_is_printed() {
        let keys = ManagementKeys::with_fixed_key(key("sk-or-v1-secret"));
        let pending = PendingKey {
            key: key("sk-or-v1-secret"),
            version: "v1".to_owned(),
        };
        let printed = format!("{keys:?} {pending:?} {:?}", key("sk-or-v1-secret"));
        assert!(!printed.contains("sk-or"), "{printed}");
    }
}
