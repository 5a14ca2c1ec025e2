//! A finding: something to be done about a grant, if it still holds by then.

use std::collections::HashSet;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::ListedLimit;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce};
use bursar_core::domain::values::money::Usd;
use serde::{Deserialize, Serialize};

use super::row::KeyRow;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) programme: u16,
    pub(crate) grant: GrantId,
    pub(crate) kind: FindingKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FindingKind {
    /// An enabled key that nobody was shown.
    Sweep { row: KeyRow },
    /// An enabled key whose attempt records another one, so nobody was shown it.
    Second { row: KeyRow },
    /// Keys of ours that a restored table does not know, with the others of the grant. A recovery would
    /// disable `ends`; the use of `unread` is in no reading yet.
    Recover { rows: Vec<KeyRow>, ends: Vec<KeyHash>, unread: Vec<Epoch> },
    /// A key that was enabled when it was listed and must not be.
    EnabledAgain { epoch: Epoch, key: KeyHash, seen_at: Moment },
    /// A live key that was listed as disabled. `summed` of its use is in this run's sums.
    LiveIsDisabled { epoch: Epoch, nonce: Nonce, key: KeyHash, stops: bool, summed: Usd },
    /// A recorded key that was not listed under its name. If it does not exist, its grant is stopped; a held
    /// back one is only queried.
    /// `summed` of its use is in this run's sums.
    NotListed { epoch: Epoch, nonce: Nonce, key: KeyHash, stops: bool, is_held: bool, summed: Usd },
    /// A limit other than the wanted one or on another basis, or a key with nothing left.
    Limit { listed: ListedLimit },
    /// A live key that must be under a guardrail, and is not or is not known to be.
    NotRestricted { epoch: Epoch, key: KeyHash, was_recorded: bool },
    /// The grant's programme is over.
    End,
    /// A reservation in the budget that is not used.
    GiveBack,
    /// Orders that are still to be carried out.
    Ordered,
    /// A limit that was sent without an answer, and did not take effect.
    LimitSeen { epoch: Epoch, listed: ListedLimit, asked: Moment },
    /// An attempt too old to be under way, although its grant is still in the state of minting.
    Forsaken,
    /// The rest of a gone key, which the account's sums by now show to be unused, or told as a residual.
    GiveBackRest,
    /// One of the programme's rules is due.
    Rule { last_used_at: Option<Moment> },
    /// A key that may be deleted at the provider.
    Purge { epoch: Epoch, key: KeyHash },
}

impl Finding {
    /// The key or grant that it is about, for the report.
    pub(crate) fn subject(&self) -> String {
        let key = match &self.kind {
            FindingKind::Sweep { row } | FindingKind::Second { row } => return format!("the key {}", row.key()),
            FindingKind::EnabledAgain { key, .. }
            | FindingKind::LiveIsDisabled { key, .. }
            | FindingKind::NotListed { key, .. }
            | FindingKind::NotRestricted { key, .. }
            | FindingKind::Purge { key, .. } => Some(key),
            _ => None,
        };
        key.map_or_else(|| format!("the grant {}", self.grant), |key| format!("the key {key}"))
    }
}

/// The recorded keys that may be listed under other names.
pub(crate) fn renamed<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> HashSet<KeyHash> {
    let not_listed = findings.into_iter().filter_map(|finding| match &finding.kind {
        FindingKind::NotListed { key, .. } => Some(key.clone()),
        _ => None,
    });
    not_listed.collect()
}
