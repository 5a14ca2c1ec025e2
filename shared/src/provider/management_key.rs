//! Whether a key is a management key, and whose account it is of. An ordinary key looks alike, and
//! may be answered as if the account were empty. A key of another account works, and answers 404
//! for every key of ours.
//!
//! So the deployment's own item keeps a fingerprint of the management key of the last complete
//! sync, and three hashes that it listed. A key of another fingerprint must find one of them:
//! before a key or a guardrail is made, at the start of a sync, at a rotation, and from then on
//! wherever it is read in the place of a refused one. And where a 404 of a recorded key is
//! believed, one of the three is found right after it. If the account was changed on purpose, an
//! admin says so on the account page, and the next complete sync names others. Before the first
//! complete sync any key passes.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::deadline::Deadline;
use crate::domain::values::id::{DeploymentId, KeyHash};
use crate::domain::values::key::Fingerprint;
use crate::provider::Provider;
use crate::provider::wire::calls::{CallRequest, GET_KEY, LIST_WORKSPACES, OWN_KEY};
use crate::provider::wire::error::{FailureKind, ProviderError, Result, Trouble};

use crate::provider::wire::{error, json};
use crate::secrets::ManagementKey;
use crate::start::locked;
use crate::store::KnownAccount;

#[derive(Debug, Deserialize)]
struct OwnKey {
    #[serde(default, deserialize_with = "json::or_default")]
    label: String,
    is_management_key: Option<bool>,
    /// The older name of the field.
    is_provisioning_key: Option<bool>,
}

impl OwnKey {
    fn is_management(&self) -> Option<bool> {
        self.is_management_key.or(self.is_provisioning_key)
    }
}

impl Provider {
    /// Checks that the configured key is a management key. An ordinary key is named in the error by
    /// its label, which the provider's pages show.
    pub async fn check_management_key(&self, deadline: Deadline) -> Result<()> {
        let request = OWN_KEY.request();
        let own_key = self.ask(request, deadline, json::data::<OwnKey>).await?;
        match own_key.is_management() {
            Some(true) => Ok(()),
            Some(false) => Err(ordinary(&own_key.label)),
            // The field was renamed once already, so a call that needs a management key decides as
            // well.
            None => {
                let probe = CallRequest {
                    query: &[("limit", "1")],
                    ..LIST_WORKSPACES.request()
                };
                self.ask(probe, deadline, |_| Ok(())).await
            }
        }
    }

    /// The meaning of a refused call. A single 401 or 403, or the page of a proxy, does not
    /// discredit a key that is still a management key.
    pub(super) async fn doubt_key(
        &self,
        refused: ProviderError,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> ProviderError {
        if refused.kind != FailureKind::ManagementKey {
            return refused;
        }
        let request = OWN_KEY.request();
        match self
            .send(&request, key, deadline, &json::data::<OwnKey>)
            .await
        {
            Ok(own_key) if own_key.is_management() == Some(false) => ordinary(&own_key.label),
            Ok(own_key) if own_key.is_management().is_none() => refused,
            Err(error) if error.is_of_the_key() => refused,
            Ok(_) => ProviderError {
                kind: FailureKind::Later,
                ..refused
            },
            // Nothing says whether the key or the request was refused.
            Err(_) => {
                let trouble = Trouble {
                    status: None,
                    ..refused.trouble
                };
                ProviderError {
                    kind: FailureKind::Unknown(None),
                    trouble,
                    after: None,
                }
            }
        }
    }
}

fn ordinary(label: &str) -> ProviderError {
    // The label is masked, and is the only thing that identifies the key among others of the
    // account.
    let label: String = label.chars().filter(|c| !c.is_control()).take(30).collect();
    let masked = if label.contains("...") || label.contains('…') {
        label
    } else {
        error::harmless(&label)
    };
    let message = format!(
        "“{masked}” is an ordinary key, and only a management key can make keys for others"
    );
    ProviderError::unsent(FailureKind::ManagementKey, &OWN_KEY, message)
}

pub(super) type KnownTo = Arc<Mutex<Option<(DeploymentId, KnownAccount)>>>;

impl Provider {
    /// Checks that the management key is of this deployment's account, and from then on each that
    /// is read in its place.
    pub async fn check_account(
        &self,
        deployment: &DeploymentId,
        account: Option<&KnownAccount>,
        deadline: Deadline,
    ) -> Result<()> {
        let account = account.filter(|account| !account.listed.is_empty());
        *locked(&self.account) = account.map(|account| (deployment.clone(), account.clone()));
        let key = self.key(&GET_KEY, deadline, self.keys.current()).await?;
        let Err(error) = self.check_key(&key, deadline).await else {
            return Ok(());
        };
        // The right key may have been put back, or a rotation has ended this one.
        match deadline.wait_for(self.keys.refresh(&key)).await {
            Ok(Ok(fresh)) if fresh != key && error.is_of_the_key() => {
                self.check_key(&fresh, deadline).await
            }
            _ => Err(error),
        }
    }

    /// Checks one key. It asks with that key, so it is boxed.
    pub(super) fn check_key<'a>(
        &'a self,
        key: &'a ManagementKey,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let known_account = locked(&self.account).clone();
            let Some((deployment, account)) = known_account else {
                return Ok(());
            };
            let management_key = key.fingerprint(&deployment);
            if management_key == account.management_key
                || self
                    .with_management_key(key.clone())
                    .finds_one_of(&account, deadline)
                    .await?
            {
                return Ok(());
            }
            Err(another_account(&account, management_key))
        })
    }

    /// Whether a 404 of one of the account's keys can be believed: another is found, or none is
    /// left and the management key is that of before.
    pub async fn may_believe_a_404(
        &self,
        key: &KeyHash,
        deployment: &DeploymentId,
        account: &KnownAccount,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut rest = account.clone();
        rest.listed.retain(|hash| hash != key);
        if !rest.listed.is_empty() {
            return self.finds_one_of(&rest, deadline).await;
        }
        let current = self.key(&GET_KEY, deadline, self.keys.current()).await?;
        Ok(current.fingerprint(deployment) == account.management_key)
    }

    /// Whether a key that the last complete sync listed is found now.
    async fn finds_one_of(&self, account: &KnownAccount, deadline: Deadline) -> Result<bool> {
        for hash in &account.listed {
            match self.get_key(hash, deadline).await {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                // It is there, in a workspace that this management key may not open.
                Err(error) if error.is_forbidden() => return Ok(true),
                Err(error) if error.kind == FailureKind::ManagementKey => return Err(error),
                // What is neither a key nor the provider's own 404 proves nothing.
                Err(error) => {
                    return Err(ProviderError {
                        kind: FailureKind::Later,
                        ..error
                    });
                }
            }
        }
        Ok(false)
    }
}

fn another_account(account: &KnownAccount, management_key: Fingerprint) -> ProviderError {
    let message = format!(
        "none of the keys that the last complete sync listed is found with it ({} were asked for), and nothing more was asked. Put the \
         right key into the secret; if this is the account from now on, an admin says so on the account page",
        account.listed.len()
    );
    ProviderError::unsent(
        FailureKind::AnotherAccount(management_key),
        &GET_KEY,
        message,
    )
}
