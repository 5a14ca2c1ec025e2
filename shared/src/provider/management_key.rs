//! Is this a management key? They look like any other, and an ordinary one may be answered as if the account were empty, so it is
//! asked at the start and before a rotation.

use serde::Deserialize;

use crate::deadline::Deadline;
use crate::provider::Provider;
use crate::provider::wire::calls::{LIST_WORKSPACES, OWN_KEY};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::{self, Envelope};
use crate::provider::wire::send::ApiRequest;
use crate::provider::wire::text;
use crate::secrets::ManagementKey;

/// What a key is told about itself.
#[derive(Debug, Deserialize)]
struct OwnKey {
    #[serde(default, deserialize_with = "json::or_default")]
    label: String,
    is_management_key: Option<bool>,
    /// What it was called before.
    is_provisioning_key: Option<bool>,
}

impl OwnKey {
    fn is_management(&self) -> Option<bool> {
        self.is_management_key.or(self.is_provisioning_key)
    }
}

impl Provider {
    /// Checks that the key we ask with is a management key. An ordinary one is refused by its name, the label that the
    /// provider's pages show.
    pub async fn check_management_key(&self, deadline: Deadline) -> Result<(), ProviderError> {
        let ask = ApiRequest { call: &OWN_KEY, path: &["key"], query: &[], body: None };
        let Envelope { data } = self.ask(ask, deadline, json::read::<Envelope<OwnKey>>).await?;
        match data.is_management() {
            Some(true) => Ok(()),
            Some(false) => Err(ordinary(&data.label)),
            // The field was renamed once already. What only a management key may do tells as well.
            None => self.may_manage(deadline).await,
        }
    }

    /// What the refusal of a call comes to. A single 401 or 403, or the page of a proxy, says nothing of a key that is a management key
    /// still; then nothing was done, and it may be asked again.
    pub(super) async fn doubting(
        &self,
        refused: ProviderError,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> ProviderError {
        let ProviderError::ManagementKey { trouble } = refused else { return refused };
        let ask = ApiRequest { call: &OWN_KEY, path: &["key"], query: &[], body: None };
        match self.send(&ask, key, deadline, &json::read::<Envelope<OwnKey>>).await {
            Ok(Envelope { data }) if data.is_management() == Some(false) => ordinary(&data.label),
            Ok(Envelope { data }) if data.is_management().is_none() => ProviderError::ManagementKey { trouble },
            Err(error) if error.is_of_the_key() => ProviderError::ManagementKey { trouble },
            Ok(_) | Err(_) => ProviderError::Later { trouble, after: None },
        }
    }

    async fn may_manage(&self, deadline: Deadline) -> Result<(), ProviderError> {
        let ask = ApiRequest { call: &LIST_WORKSPACES, path: &["workspaces"], query: &[("limit", "1")], body: None };
        self.ask(ask, deadline, |_| Ok(())).await
    }
}

fn ordinary(label: &str) -> ProviderError {
    // The label is masked, and is all that tells the key from others of the account.
    let label: String = label.chars().filter(|c| !c.is_control()).take(30).collect();
    let masked = if label.contains("...") || label.contains('…') { label } else { text::harmless(&label) };
    let message = format!("“{masked}” is an ordinary key, and only a management key can make keys for others");
    ProviderError::ManagementKey { trouble: Trouble::unsent(&OWN_KEY, message) }
}
