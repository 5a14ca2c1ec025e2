//! The answers to the calls on keys: a created key with its plaintext, and a key that was asked about. What
//! follows from them is the matter of `keys`.

use http::StatusCode;
use serde_json::value::RawValue;

use crate::domain::values::key::PlaintextKey;
use crate::prelude::*;
use crate::provider::key::ProviderKey;
use crate::provider::wire::calls::CREATE_KEY;
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::{self, Envelope, Unreadable};

/// A key that was made, with the only copy of its plaintext.
#[derive(Debug)]
pub struct CreatedKey {
    pub hash: KeyHash,
    pub plaintext: PlaintextKey,
}

/// The answer to a creation, read with as few demands as possible: a key that was made must not be lost over
/// a field.
#[derive(Deserialize)]
pub(super) struct CreateAnswer {
    key: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct CreatedHash {
    hash: KeyHash,
}

#[derive(Deserialize)]
struct InnerKey {
    key: String,
}

#[derive(Deserialize)]
struct CreatedLimit {
    limit: Box<RawValue>,
}

impl CreateAnswer {
    /// The created key. Its plaintext is the top-level `key`; some answers were seen with `data.key`.
    pub(super) fn take(self, limit: Usd) -> Result<CreatedKey, ProviderError> {
        let data = self.data.as_deref().map_or("null", RawValue::get);
        let hash = serde_json::from_str(data).ok().map(|CreatedHash { hash }| hash);
        let top_level = self.key.and_then(|key| serde_json::from_str::<String>(key.get()).ok());
        let inner = || serde_json::from_str(data).ok().map(|InnerKey { key }| key);
        let plaintext = top_level.and_then(PlaintextKey::new).or_else(|| inner().and_then(PlaintextKey::new));
        let is_capped =
            serde_json::from_str(data).map_or(true, |CreatedLimit { limit: listed }| is_within(&listed, limit));
        match (hash, plaintext) {
            (Some(hash), Some(plaintext)) if is_capped => Ok(CreatedKey { hash, plaintext }),
            (Some(hash), Some(_)) => Err(lost("a key was made without the limit that was asked for", Some(hash))),
            (Some(hash), None) => Err(lost("a key was made, but its plaintext is not in the answer", Some(hash))),
            (None, _) => Err(lost("the answer names no key by its hash", None)),
        }
    }
}

fn lost(why: &str, made: Option<KeyHash>) -> ProviderError {
    ProviderError::Unknown {
        trouble: Trouble { status: Some(StatusCode::CREATED.as_u16()), ..Trouble::unsent(&CREATE_KEY, why.to_owned()) },
        after: None,
        made,
    }
}

/// Whether a listed limit exists and is not above the one that was asked for.
fn is_within(listed: &RawValue, asked: Usd) -> bool {
    Usd::parse_floor(listed.get()).is_ok_and(|listed| listed.is_about(asked) || listed <= asked)
}

/// The key of an answer, which must be the one that was asked about.
pub(in crate::provider) fn one(body: &str, hash: &KeyHash) -> Result<Box<ProviderKey>, Unreadable> {
    let Envelope { data } = json::read::<Envelope<Box<ProviderKey>>>(body)?;
    if data.hash == *hash { Ok(data) } else { Err(Unreadable("the answer is about another key".to_owned())) }
}
