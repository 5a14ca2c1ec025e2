//! Recorded keys that the provider does not find: since when, an item each. The sync decides what follows.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::values::key::KeyHash;
use crate::store::ForeignKey;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::{StoreError, Table};

/// How long a record is kept: long after the last run that looked, nothing follows from it.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(60 * 24);

/// A recorded key that the provider did not find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingKey {
    pub key: KeyHash,
    /// When it was not found for the first time.
    #[serde(with = "millisecond::required")]
    pub missing_since: Timestamp,
    /// When the last run began that did not find it. A key that was listed later was not missing all the
    /// time.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
}

stored! {
    "missing-key" MissingKey |it| (hash: &KeyHash = &it.key) => key(ForeignKey::key_of(hash).item.pk, format!("MISSING#{hash}"));
    expires it.as_of + KEPT_FOR
}

impl Table {
    /// Since when a key is missing, unless a listing found it that began after the last run that did not.
    pub async fn missing_since(
        &self,
        key: &KeyHash,
        listed_at: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let known: Option<MissingKey> = self.get(MissingKey::key_of(key)).await?;
        let known = known.filter(|known| listed_at.is_none_or(|listed_at| known.as_of >= listed_at));
        Ok(known.map(|known| known.missing_since))
    }
}
