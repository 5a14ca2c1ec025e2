//! How a call to the provider can end badly, as callers tell the ways apart: nothing was done and never will be, nothing was
//! done yet, the management key is no good, or nobody knows. An error never holds a key, a request's body or a 2xx answer's.

use std::fmt;
use std::time::Duration;

use crate::domain::mail::alarm::Cause;
use crate::domain::values::key::{Fingerprint, KeyHash};

/// A call that did not end well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// Nothing was changed, and the same request would be refused again.
    #[error("the provider refused: {trouble}")]
    Refused { trouble: Trouble, after: Option<Duration> },
    /// Nothing was changed; the same request may succeed later.
    #[error("the provider cannot do it now: {trouble}")]
    Later { trouble: Trouble, after: Option<Duration> },
    /// The management key is missing, refused or an ordinary one. It never means that there are no keys.
    #[error("the management key does not work: {trouble}")]
    ManagementKey { trouble: Trouble },
    /// The management key works, and is of an account that has none of the keys which this deployment's account had. Nothing was
    /// asked of that account but for them.
    #[error("the management key is of another account: {trouble}")]
    AnotherAccount { trouble: Trouble, management_key: Fingerprint },
    /// It may have been done, may be done yet, or never. A read simply did not come.
    #[error("the outcome is not known: {trouble}")]
    Unknown {
        trouble: Trouble,
        after: Option<Duration>,
        /// A key that was made although its plaintext cannot be shown: to be disabled.
        made: Option<KeyHash>,
    },
}

/// What is known of a failed call, fit for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub operation: &'static str,
    /// The provider's status; none when no answer came.
    pub status: Option<u16>,
    /// What the provider or the network said.
    pub message: String,
    /// By which the provider finds the call in its own logs.
    pub request_id: Option<String>,
}

impl ProviderError {
    pub fn trouble(&self) -> &Trouble {
        match self {
            ProviderError::Refused { trouble, .. }
            | ProviderError::Later { trouble, .. }
            | ProviderError::ManagementKey { trouble }
            | ProviderError::AnotherAccount { trouble, .. }
            | ProviderError::Unknown { trouble, .. } => trouble,
        }
    }

    /// How long the provider asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ProviderError::Refused { after, .. }
            | ProviderError::Later { after, .. }
            | ProviderError::Unknown { after, .. } => *after,
            ProviderError::ManagementKey { .. } | ProviderError::AnotherAccount { .. } => None,
        }
    }

    /// Whether it is certain that the request changed nothing.
    pub fn changed_nothing(&self) -> bool {
        !matches!(self, ProviderError::Unknown { .. })
    }

    /// What an admin must be told, if it is the management key's fault.
    pub fn refusal(&self) -> Option<Cause> {
        match self {
            ProviderError::ManagementKey { .. } => Some(Cause::ManagementKey),
            ProviderError::AnotherAccount { management_key, .. } => {
                Some(Cause::AnotherAccount { management_key: management_key.clone() })
            }
            _ => None,
        }
    }

    /// Whether it is the management key's fault: nothing was done, and with another the same request may be.
    pub fn is_of_the_key(&self) -> bool {
        matches!(self, ProviderError::ManagementKey { .. } | ProviderError::AnotherAccount { .. })
    }

    /// Whether the provider said that what was asked for is not there.
    pub(in crate::provider) fn is_not_found(&self) -> bool {
        matches!(self, ProviderError::Refused { trouble, .. } if trouble.status == Some(404))
    }

    /// Whether time may heal it.
    pub fn may_pass(&self) -> bool {
        matches!(self, ProviderError::Later { .. } | ProviderError::Unknown { .. })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if let Some(status) = self.status {
            write!(f, "status {status}, ")?;
        }
        f.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}
