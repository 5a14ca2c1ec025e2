//! Listed keys, as they are kept until their grants are compared.

use std::collections::{BTreeMap, HashSet};

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, ListedLimit, RecoveredKey, SeenKey};
use bursar_core::domain::programme::Basis;
use bursar_core::domain::usage::reading::UsageReport;
use bursar_core::domain::values::id::{DeploymentId, Epoch, GrantId, KeyHash, KeyName, Nonce, ProgrammeId};
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::key::ProviderKey;

/// A key whose name is a grant's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyRow {
    pub(crate) key: KeyHash,
    pub(crate) grant: GrantId,
    nonce: Nonce,
    pub(crate) epoch: Epoch,
    pub(crate) state: KeyState,
}

/// A key whose name is not a grant's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForeignRow {
    pub(crate) key: KeyHash,
    pub(crate) name: String,
    pub(crate) state: KeyState,
}

/// The state of a key when it was listed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyState {
    pub(crate) label: Option<KeyLabel>,
    pub(crate) enabled: bool,
    pub(crate) limit: Option<Usd>,
    /// Whether the limit is counted on its programme's basis.
    counts: bool,
    /// The reported use; `None` when the provider reports none.
    pub(crate) report: Option<UsageReport>,
    pub(crate) created_at: Option<Moment>,
    pub(crate) asked_at: Moment,
}

impl KeyRow {
    pub(crate) fn new(key: &ProviderKey, name: &KeyName, basis: Basis, asked_at: Moment) -> KeyRow {
        KeyRow {
            key: key.hash.clone(),
            grant: name.grant.clone(),
            nonce: name.nonce.clone(),
            epoch: name.epoch,
            state: KeyState::new(key, basis.reset, key.limit_on(basis) != ListedLimit::CountedOtherwise, asked_at),
        }
    }

    /// The name that Bursar gave the key.
    pub(crate) fn name(&self, deployment: &DeploymentId, programme: &ProgrammeId) -> KeyName {
        KeyName {
            deployment: deployment.clone(),
            programme: programme.clone(),
            grant: self.grant.clone(),
            epoch: self.epoch,
            nonce: self.nonce.clone(),
        }
    }

    /// When it was made, by the provider's own time; where it does not say so, not before the last claim that its grant began.
    pub(crate) fn made_at(&self, grant: &Grant) -> Moment {
        self.state.created_at.or(grant.begun_at).unwrap_or(self.state.asked_at)
    }

    /// The row of a key that only bears a grant's name.
    pub(crate) fn to_foreign(&self, deployment: &DeploymentId, programme: &ProgrammeId) -> ForeignRow {
        let name = self.name(deployment, programme).to_string();
        ForeignRow { key: self.key.clone(), name, state: self.state.clone() }
    }

    /// The key as a recovery records it.
    pub(crate) fn to_recovered(&self) -> RecoveredKey {
        RecoveredKey {
            epoch: self.epoch,
            hash: self.key.clone(),
            label: self.state.label.clone(),
            enabled: self.state.enabled,
            limit: self.state.limit,
            made_at: self.state.created_at.unwrap_or(self.state.asked_at),
        }
    }
}

impl ForeignRow {
    pub(crate) fn new(key: &ProviderKey, asked_at: Moment) -> ForeignRow {
        ForeignRow {
            key: key.hash.clone(),
            name: key.name.clone(),
            state: KeyState::new(key, Reset::None, true, asked_at),
        }
    }
}

impl KeyState {
    fn new(key: &ProviderKey, reset: Reset, counts: bool, asked_at: Moment) -> KeyState {
        KeyState {
            label: KeyLabel::parse(&key.label),
            enabled: !key.disabled,
            limit: key.limit,
            counts,
            report: key.usage_report(reset),
            created_at: key.created_at,
            asked_at,
        }
    }

    /// Whether it was used, as far as it says.
    pub(crate) fn is_used(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.lifetime + report.byok.unwrap_or_default() > Usd::ZERO)
    }

    pub(crate) fn seen(&self, is_read: bool) -> SeenKey {
        let limit = match self.limit {
            _ if !self.counts => ListedLimit::CountedOtherwise,
            limit => limit.map_or(ListedLimit::Unlimited, ListedLimit::Limit),
        };
        SeenKey { enabled: self.enabled, limit, asked_at: self.asked_at, is_read }
    }
}

/// The live keys on record as under a guardrail, by its programme and its id.
pub(crate) type Restricted = BTreeMap<(ProgrammeId, String), Vec<RestrictedKey>>;

#[derive(Debug)]
pub(crate) struct RestrictedKey {
    pub(crate) grant: GrantId,
    pub(crate) key: KeyHash,
}

/// Something to be done about a grant, if it still holds by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) programme: ProgrammeId,
    pub(crate) grant: GrantId,
    pub(crate) kind: FindingKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FindingKind {
    Grant(GrantFinding),
    Key(KeyFinding),
    /// One of the programme's rules is due.
    Rule {
        last_used_at: Option<Moment>,
    },
}

/// What is decided on the grant as it is by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GrantFinding {
    /// An enabled key that nobody was shown.
    Orphan {
        row: Box<KeyRow>,
        /// Whether its grant was shown a later key, so that nobody can have been shown this one.
        is_outdated: bool,
    },
    /// Keys of ours that a restored table does not know, with the others of the grant. A recovery would
    /// disable `ends`; the use of `unread` is in no reading yet.
    Recover { rows: Vec<KeyRow>, ends: Vec<KeyHash>, unread: Vec<Epoch> },
    /// A recorded key that is listed otherwise than it is on record.
    Seen { key: KeyHash, seen: SeenKey },
    /// A live key that is not listed under its guardrail.
    NotUnder { key: KeyHash, asked_at: Moment },
    /// The grant's programme is over.
    End,
    /// A reservation in the budget that is not used.
    UnusedReservation,
    /// What a key is to hold and the provider is to be told.
    Due,
}

/// A recorded key about which the provider is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyFinding {
    pub(crate) key: KeyHash,
    pub(crate) epoch: Epoch,
    pub(crate) doubt: KeyDoubt,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyDoubt {
    /// A live key that was listed as disabled, though nobody here disables it.
    IsDisabled,
    /// A live key that was listed with a limit that nobody here sent.
    LimitIsOther,
    /// It was not listed under its name. If it does not exist, its grant is stopped; one that is held back, or whose row could not be
    /// read, is only queried.
    NotListed { stops: bool, is_held: bool },
    /// It may be deleted at the provider.
    MayGo,
}

impl Finding {
    /// The key or grant that it is about, for the report.
    pub(crate) fn subject(&self) -> String {
        match &self.kind {
            FindingKind::Grant(GrantFinding::Orphan { row, .. }) => format!("the key {}", row.key),
            FindingKind::Key(KeyFinding { key, .. })
            | FindingKind::Grant(GrantFinding::Seen { key, .. } | GrantFinding::NotUnder { key, .. }) => {
                format!("the key {key}")
            }
            FindingKind::Rule { .. }
            | FindingKind::Grant(
                GrantFinding::Recover { .. } | GrantFinding::End | GrantFinding::UnusedReservation | GrantFinding::Due,
            ) => format!("the grant {}", self.grant),
        }
    }

    /// The key that its repair deletes at the provider.
    pub(crate) fn purged(&self) -> Option<&KeyHash> {
        match &self.kind {
            FindingKind::Key(finding) => Some(&finding.key).filter(|_| finding.doubt == KeyDoubt::MayGo),
            FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
        }
    }

    /// The key that its repair reads, since the listing did not.
    pub(crate) fn reads(&self) -> Option<Epoch> {
        match &self.kind {
            FindingKind::Key(finding) => (finding.doubt != KeyDoubt::MayGo).then_some(finding.epoch),
            FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
        }
    }
}

/// The recorded keys that may be listed under other names.
pub(crate) fn renamed<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> HashSet<KeyHash> {
    let not_listed = findings.into_iter().filter_map(|finding| match &finding.kind {
        FindingKind::Key(KeyFinding { key, doubt: KeyDoubt::NotListed { .. }, .. }) => Some(key.clone()),
        FindingKind::Key(_) | FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
    });
    not_listed.collect()
}
