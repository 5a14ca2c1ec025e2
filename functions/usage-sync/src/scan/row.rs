//! A listed key, packed from the listing until its grant is scanned: there can be very many.

use bursar_core::domain::grant::{ListedLimit, RecoveredKey};
use bursar_core::domain::programme::{Basis, Byok};
use bursar_core::domain::usage::reading::UsageReport;
use bursar_core::domain::values::id::{DeploymentId, Nonce};
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::key::ProviderKey;

use crate::prelude::*;

/// A key whose name is a grant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    hash: [u8; 32],
    grant: [u8; 8],
    nonce: [u8; 8],
    epoch: u32,
    pub(crate) state: KeyState,
}

/// A key whose name is not a grant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignRow {
    hash: [u8; 32],
    pub(crate) name: String,
    pub(crate) state: KeyState,
}

/// The state of a key when it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyState {
    pub(crate) enabled: bool,
    pub(crate) limit: Option<Usd>,
    /// Whether the limit is counted on its programme's basis.
    counts: bool,
    /// The reported use; `None` when the provider reports none.
    pub(crate) report: Option<UsageReport>,
    pub(crate) created_at: Option<Moment>,
    pub(crate) asked: Moment,
}

impl KeyRow {
    pub(crate) fn of(key: &ProviderKey, name: &KeyName, basis: Basis, asked: Moment) -> KeyRow {
        KeyRow {
            hash: key.hash.to_bytes(),
            grant: name.grant.to_bytes(),
            nonce: name.nonce.to_bytes(),
            epoch: name.epoch.number(),
            state: KeyState::of(key, basis.reset, covers(basis, key), asked),
        }
    }

    pub(crate) fn key(&self) -> KeyHash {
        KeyHash::of_bytes(&self.hash)
    }

    pub(crate) fn grant(&self) -> GrantId {
        GrantId::of_bytes(&self.grant)
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::of_bytes(&self.nonce)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch)
    }

    pub(crate) fn is(&self, key: &KeyHash) -> bool {
        self.hash == key.to_bytes()
    }

    pub(super) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The name that Bursar gave the key.
    pub(crate) fn name(&self, deployment: &DeploymentId, programme: &ProgrammeId) -> KeyName {
        KeyName {
            deployment: deployment.clone(),
            programme: programme.clone(),
            grant: self.grant(),
            epoch: self.epoch(),
            nonce: self.nonce(),
        }
    }

    /// The row under another name of its grant.
    pub(crate) fn named(&self, epoch: Epoch, nonce: &Nonce) -> KeyRow {
        KeyRow { epoch: epoch.number(), nonce: nonce.to_bytes(), ..self.clone() }
    }

    /// The key for a recovery, which has no attempt recorded.
    pub(crate) fn found(&self) -> RecoveredKey {
        RecoveredKey {
            epoch: self.epoch(),
            nonce: Nonce::of_bytes(&self.nonce),
            key: self.key(),
            enabled: self.state.enabled,
            limit: self.state.limit,
            made_at: self.state.created_at.unwrap_or(self.state.asked),
        }
    }

    pub(crate) fn shard(&self) -> u8 {
        self.grant[0] >> 4
    }
}

impl ForeignRow {
    pub(crate) fn of(key: &ProviderKey, asked: Moment) -> ForeignRow {
        ForeignRow {
            hash: key.hash.to_bytes(),
            name: key.name.clone(),
            state: KeyState::of(key, Reset::None, true, asked),
        }
    }

    /// The row of a key that only bears a grant's name.
    pub(crate) fn with_name(row: &KeyRow, name: String) -> ForeignRow {
        ForeignRow { hash: row.hash, name, state: row.state.clone() }
    }

    pub(super) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    pub(crate) fn key(&self) -> KeyHash {
        KeyHash::of_bytes(&self.hash)
    }

    pub(crate) fn shard(&self) -> u8 {
        self.hash[0] >> 4
    }
}

impl KeyState {
    fn of(key: &ProviderKey, reset: Reset, counts: bool, asked: Moment) -> KeyState {
        KeyState {
            enabled: !key.disabled,
            limit: key.limit,
            counts,
            report: key.usage_report(reset),
            created_at: key.created_at,
            asked,
        }
    }

    pub(crate) fn listed(&self) -> ListedLimit {
        listed(self.limit, self.counts)
    }
}

/// The limit of a key, as the provider states it, where it counts on this basis.
pub(crate) fn limit_on(basis: Basis, key: &ProviderKey) -> ListedLimit {
    listed(key.limit, covers(basis, key))
}

fn covers(basis: Basis, key: &ProviderKey) -> bool {
    key.counts_in(basis.reset, basis.byok == Byok::Inside)
}

fn listed(limit: Option<Usd>, counts: bool) -> ListedLimit {
    match limit {
        _ if !counts => ListedLimit::CountedOtherwise,
        limit => limit.map_or(ListedLimit::Unlimited, ListedLimit::Limit),
    }
}
