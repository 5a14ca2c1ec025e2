//! The check that a key is a management key, made at the start and before a rotation. An ordinary key looks
//! alike, and may be answered as if the account were empty.

use crate::prelude::*;
use crate::provider::Provider;
use crate::provider::wire::calls::{LIST_WORKSPACES, OWN_KEY};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::{self, Envelope};
use crate::provider::wire::text;
use crate::secrets::ManagementKey;

/// A key's own answer about itself.
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
    /// Checks that the configured key is a management key. An ordinary key is named in the error by its label,
    /// which the provider's pages show.
    pub async fn check_management_key(&self, deadline: Deadline) -> Result<(), ProviderError> {
        let request = OWN_KEY.request();
        let Envelope { data } = self.ask(request, deadline, json::read::<Envelope<OwnKey>>).await?;
        match data.is_management() {
            Some(true) => Ok(()),
            Some(false) => Err(ordinary(&data.label)),
            // The field was renamed once already, so a call that needs a management key decides as well.
            None => self.may_manage(deadline).await,
        }
    }

    /// The meaning of a refused call. A single 401 or 403, or the page of a proxy, does not discredit a key
    /// that is still a management key. Then nothing was done, and the call may be repeated.
    pub(super) async fn doubting(
        &self,
        refused: ProviderError,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> ProviderError {
        let ProviderError::ManagementKey { trouble } = refused else { return refused };
        let request = OWN_KEY.request();
        match self.send(&request, key, deadline, &json::read::<Envelope<OwnKey>>).await {
            Ok(Envelope { data }) if data.is_management() == Some(false) => ordinary(&data.label),
            Ok(Envelope { data }) if data.is_management().is_none() => ProviderError::ManagementKey { trouble },
            Err(error) if error.is_of_the_key() => ProviderError::ManagementKey { trouble },
            Ok(_) | Err(_) => ProviderError::Later { trouble, after: None },
        }
    }

    async fn may_manage(&self, deadline: Deadline) -> Result<(), ProviderError> {
        let request = LIST_WORKSPACES.request().query(&[("limit", "1")]);
        self.ask(request, deadline, |_| Ok(())).await
    }
}

fn ordinary(label: &str) -> ProviderError {
    // The label is masked, and is the only thing that identifies the key among others of the account.
    let label: String = label.chars().filter(|c| !c.is_control()).take(30).collect();
    let masked = if label.contains("...") || label.contains('…') { label } else { text::harmless(&label) };
    let message = format!("“{masked}” is an ordinary key, and only a management key can make keys for others");
    ProviderError::ManagementKey { trouble: Trouble::unsent(&OWN_KEY, message) }
}
