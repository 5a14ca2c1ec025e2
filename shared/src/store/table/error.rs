//! Faults between the code and the table. Outcomes that a caller chooses between are enums of the acts.

use super::keys::ItemKey;
use crate::sdk_error::SdkFailure;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not do it, or did not say whether it did.
    #[error("the table: {0}")]
    Service(SdkFailure),
    /// An item does not fit its key or type. It is never taken for absent.
    #[error("an item of the kind {kind} is corrupt ({shape}): {why}")]
    Corrupt { kind: &'static str, shape: String, why: String },
    /// Conflicts with other writers went on until the time was up.
    #[error("the same items were changed by others until the time was up")]
    Contended,
}

impl StoreError {
    /// Whether a later try may succeed.
    pub fn may_pass(&self) -> bool {
        match self {
            StoreError::Service(failure) => failure.retryable,
            StoreError::Contended => true,
            StoreError::Corrupt { .. } => false,
        }
    }

    /// A corrupt item's error, with only the prefixes of its key: keys can hold addresses.
    pub(crate) fn corrupt(key: &ItemKey, kind: &'static str, why: &dyn std::fmt::Display) -> StoreError {
        let begins = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
        StoreError::Corrupt { kind, shape: format!("{}/{}", begins(&key.pk), begins(&key.sk)), why: why.to_string() }
    }
}
