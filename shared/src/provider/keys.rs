//! Calls that make, read, change and delete keys; what they send, and what comes back. When each
//! call may be made, and what is recorded of it, is the caller's protocol.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Provider;
use super::key::ProviderKey;
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::programme::{Basis, Byok};
use crate::domain::values::id::KeyHash;
use crate::domain::values::key::PlaintextKey;
use crate::domain::values::money::Usd;
use crate::domain::values::window::{Reset, utc_date};
use crate::provider::wire::calls::{CREATE_KEY, Call, DELETE_KEY, DISABLE_KEY, GET_KEY, PATCH_KEY};
use crate::provider::wire::error::{FailureKind, ProviderError, Result};
use crate::provider::wire::json;
use crate::provider::wire::json::Unreadable;
use crate::provider::wire::send::{refuse_here, unknown};

/// A key that was patched or read; `None` where the provider has none with this hash.
pub type FoundKey = Option<Box<ProviderKey>>;

impl Provider {
    /// Makes a key. It is sent once, and only with its whole time-out left. After an unknown
    /// outcome a key of that name may exist or appear later. The kind of the error names a key
    /// whose plaintext cannot be shown.
    pub async fn create_key(&self, key: &NewKey<'_>, deadline: Deadline) -> Result<CreatedKey> {
        require_a_cent(&CREATE_KEY, key.limit)?;
        let request = CREATE_KEY.request().json(key)?;
        let answer = self
            .ask(request, deadline, json::read::<CreateAnswer>)
            .await?;
        answer.take(key)
    }

    pub async fn get_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<FoundKey> {
        let request = GET_KEY.about(hash.as_str());
        let answer = self
            .ask(request, deadline, |body| read_key(body, hash))
            .await;
        or_gone(answer)
    }

    /// Reads a key together with the time of the request. It is read again if a UTC day turned in
    /// between, since its counters could be of either day.
    pub async fn get_key_in_a_day(
        &self,
        hash: &KeyHash,
        deadline: Deadline,
    ) -> Result<(Moment, FoundKey)> {
        loop {
            let asked_at = self.clock.now();
            let key = self.get_key(hash, deadline).await?;
            if utc_date(asked_at) == utc_date(self.clock.now()) {
                return Ok((asked_at, key));
            }
        }
    }

    /// Changes a key. What it used is left out of an answer that began on one UTC day and ended on
    /// the next, since its counters could be of either.
    pub async fn patch_key(
        &self,
        hash: &KeyHash,
        patch: KeyPatch,
        deadline: Deadline,
    ) -> Result<FoundKey> {
        let call = if patch.disabled == Some(true) {
            &DISABLE_KEY
        } else {
            &PATCH_KEY
        };
        if let Some(Some(limit)) = patch.limit {
            require_a_cent(call, limit)?;
        }
        let request = call.about(hash.as_str()).json(&patch)?;
        let asked_at = self.clock.now();
        let answer = self
            .ask(request, deadline, |body| {
                let key = read_key(body, hash)?;
                match patch.find_lacking(&key) {
                    Some(why) => Err(Unreadable(format!(
                        "the key answered is not the one asked for: {why}"
                    ))),
                    None => Ok(key),
                }
            })
            .await;
        let mut patched = or_gone(answer)?;
        if let Some(key) = &mut patched
            && utc_date(asked_at) != utc_date(self.clock.now())
        {
            key.usage = None;
        }
        Ok(patched)
    }

    /// Deletes a key for ever; `false` where it was gone already.
    pub async fn delete_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<bool> {
        #[derive(Deserialize)]
        struct DeleteAnswer {
            deleted: Option<bool>,
        }
        let request = DELETE_KEY.about(hash.as_str());
        // The status decides, unless the answer explicitly contradicts it.
        let answer = self
            .ask(request, deadline, |body| {
                match json::read::<DeleteAnswer>(body) {
                    Ok(DeleteAnswer {
                        deleted: Some(false),
                    }) => Err(Unreadable("the key was not deleted".to_owned())),
                    _ => Ok(()),
                }
            })
            .await;
        Ok(or_gone(answer)?.is_some())
    }
}

/// `None` for what the provider says is not there.
pub(super) fn or_gone<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

/// A key to be made. It always has a limit, since a key without one could spend the whole account.
#[derive(Debug, Clone, Serialize)]
pub struct NewKey<'a> {
    pub name: &'a str,
    #[serde(serialize_with = "plain_number")]
    pub limit: Usd,
    #[serde(flatten)]
    pub counting: Counting,
    /// It cannot be changed later.
    #[serde(
        serialize_with = "utc_with_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<Moment>,
}

/// The changes to a key, at least one. Fields that are not set stay as they are.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct KeyPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    /// The new limit; the inner `None` is the provider's `null`, which removes the limit.
    #[serde(
        serialize_with = "number_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    limit: Option<Option<Usd>>,
    #[serde(flatten)]
    counting: Option<Counting>,
}

/// How a limit counts, in the provider's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Counting {
    pub(super) limit_reset: Option<Reset>,
    pub(super) include_byok_in_limit: bool,
}

impl From<Basis> for Counting {
    fn from(Basis { reset, byok }: Basis) -> Counting {
        let limit_reset = Some(reset).filter(|reset| *reset != Reset::None);
        Counting {
            limit_reset,
            include_byok_in_limit: byok == Byok::Inside,
        }
    }
}

impl KeyPatch {
    pub fn disabled(disabled: bool) -> KeyPatch {
        KeyPatch {
            disabled: Some(disabled),
            ..KeyPatch::default()
        }
    }

    /// Sets the limit itself, not an increment; `None` removes it.
    pub fn limit(limit: Option<Usd>) -> KeyPatch {
        KeyPatch {
            limit: Some(limit),
            ..KeyPatch::default()
        }
    }

    /// Also sets how the limit counts.
    #[must_use]
    pub fn counting(self, basis: Basis) -> KeyPatch {
        KeyPatch {
            counting: Some(basis.into()),
            ..self
        }
    }

    fn find_lacking(&self, key: &ProviderKey) -> Option<String> {
        if self
            .disabled
            .is_some_and(|disabled| key.disabled != disabled)
        {
            return Some(format!("disabled is {}", key.disabled));
        }
        if let Some(limit) = self.limit
            && !is_held(limit, key.limit)
        {
            return Some("its limit is another".to_owned());
        }
        let is_otherwise = self
            .counting
            .is_some_and(|counting| !key.counts_as(counting));
        is_otherwise.then(|| "its limit is counted otherwise".to_owned())
    }
}

fn is_held(sent: Option<Usd>, limit: Option<Usd>) -> bool {
    match (sent, limit) {
        (Some(sent), Some(limit)) => limit.is_about(sent),
        (sent, limit) => sent == limit,
    }
}

/// Refuses limits below a cent. It is not documented whether a limit of zero blocks a key or leaves
/// it unlimited, so none is sent.
fn require_a_cent(call: &Call, limit: Usd) -> Result<()> {
    if limit >= Usd::CENT {
        return Ok(());
    }
    Err(refuse_here(
        call,
        format!("a limit of ${limit} is below one cent"),
    ))
}

fn plain_number<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    amount.to_json().serialize(serializer)
}

fn number_or_null<S: Serializer>(
    amount: &Option<Option<Usd>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    amount.flatten().map(Usd::to_json).serialize(serializer)
}

/// Writes `2027-02-21T00:00:00Z`, since the provider refuses other offsets and times without
/// seconds.
fn utc_with_seconds<S: Serializer>(
    time: &Option<Moment>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .serialize(serializer)
}

/// A key that was made, with the only copy of its plaintext.
#[derive(Debug)]
pub struct CreatedKey {
    pub hash: KeyHash,
    pub plaintext: PlaintextKey,
}

/// The answer to a creation, read with as few demands as possible: a key that was made must not be
/// lost over a field.
#[derive(Deserialize)]
struct CreateAnswer {
    key: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
}

impl CreateAnswer {
    /// The created key. Its plaintext is the top-level `key`; some answers were seen with
    /// `data.key`.
    fn take(self, new_key: &NewKey<'_>) -> Result<CreatedKey> {
        let body = self.data.as_deref().map_or("null", RawValue::get);
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(body).unwrap_or_default();
        let named = |name: &str| fields.get(name).and_then(|raw| read_text(raw));
        if named("name").is_some_and(|name| name != new_key.name) {
            return Err(lost("the answer is about another key", None));
        }
        let hash = named("hash").and_then(|hash| hash.parse::<KeyHash>().ok());
        let top_level = self.key.and_then(|key| read_text(&key));
        let plaintext = top_level
            .and_then(PlaintextKey::new)
            .or_else(|| named("key").and_then(PlaintextKey::new));
        let is_capped = fields
            .get("limit")
            .is_none_or(|listed| is_within(listed, new_key.limit));
        match (hash, plaintext) {
            (Some(hash), Some(plaintext)) if is_capped => Ok(CreatedKey { hash, plaintext }),
            (Some(hash), Some(_)) => Err(lost(
                "a key was made without the limit that was asked for",
                Some(hash),
            )),
            (Some(hash), None) => Err(lost(
                "a key was made, but its plaintext is not in the answer",
                Some(hash),
            )),
            (None, _) => Err(lost("the answer names no key by its hash", None)),
        }
    }
}

fn read_text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn lost(why: &str, made_key: Option<KeyHash>) -> ProviderError {
    let mut error = ProviderError {
        kind: FailureKind::Unknown(made_key),
        ..unknown(&CREATE_KEY, why)
    };
    error.trouble.status = Some(StatusCode::CREATED.as_u16());
    error
}

/// Whether a listed limit exists and is not above the one that was asked for.
fn is_within(listed: &RawValue, limit: Usd) -> bool {
    Usd::parse_floor(listed.get()).is_ok_and(|listed| listed.is_about(limit) || listed <= limit)
}

/// The key of an answer, which must be the one that was asked about.
fn read_key(body: &str, hash: &KeyHash) -> Result<Box<ProviderKey>, Unreadable> {
    let key: Box<ProviderKey> = json::data(body)?;
    if key.hash == *hash {
        Ok(key)
    } else {
        Err(Unreadable("the answer is about another key".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::to_string;

    use super::*;
    use crate::provider::tests::new_key;

    fn basis(reset: Reset, byok: Byok) -> Basis {
        Basis { reset, byok }
    }

    /// A request for a new key always states its limit, its reset and whether BYOK use counts.
    #[test]
    fn a_new_key_states_its_limit() {
        let key = NewKey {
            limit: Usd::from_micros(19_999_999),
            ..new_key()
        };
        let least =
            r#"{"name":"key 1","limit":19.999999,"limit_reset":null,"include_byok_in_limit":true}"#;
        assert_eq!(to_string(&key).unwrap(), least);
        let expires_at = Some("2027-02-21T01:00:00.123+01:00".parse().unwrap());
        let key = NewKey {
            counting: basis(Reset::Weekly, Byok::Outside).into(),
            expires_at,
            ..key
        };
        let body: serde_json::Value = serde_json::from_str(&to_string(&key).unwrap()).unwrap();
        assert_eq!(
            (&body["limit_reset"], &body["include_byok_in_limit"]),
            (&"weekly".into(), &false.into())
        );
        assert_eq!(body["expires_at"], "2027-02-21T00:00:00Z");
    }

    #[test]
    fn a_patch_tells_left_out_from_null() {
        for (patch, sent) in [
            (KeyPatch::disabled(true), r#"{"disabled":true}"#),
            (
                KeyPatch::limit(Some(Usd::from_dollars(20))),
                r#"{"limit":20}"#,
            ),
            (KeyPatch::limit(None), r#"{"limit":null}"#),
            (
                KeyPatch::limit(Some(Usd::CENT)).counting(basis(Reset::None, Byok::Outside)),
                r#"{"limit":0.01,"limit_reset":null,"include_byok_in_limit":false}"#,
            ),
            (
                KeyPatch::limit(Some(Usd::CENT)).counting(basis(Reset::Weekly, Byok::Inside)),
                r#"{"limit":0.01,"limit_reset":"weekly","include_byok_in_limit":true}"#,
            ),
        ] {
            assert_eq!(to_string(&patch).unwrap(), sent);
        }
    }
}
