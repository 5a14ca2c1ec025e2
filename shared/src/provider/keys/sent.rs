//! The bodies of the calls on keys: a new key and a patch, as the JSON that the provider reads. Sending them is
//! the matter of `keys`.

use serde::Serializer;

use crate::prelude::*;
use crate::provider::key::ProviderKey;
use crate::provider::wire::calls::Call;
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::send::refused_here;

/// A key to be made. It always has a limit, since a key without one could spend the whole account.
#[derive(Debug, Clone, Serialize)]
pub struct NewKey<'a> {
    pub name: &'a str,
    #[serde(serialize_with = "plain_number")]
    pub limit: Usd,
    #[serde(rename = "limit_reset", serialize_with = "reset_or_null")]
    pub reset: Reset,
    pub include_byok_in_limit: bool,
    /// The expiry, which cannot be changed later.
    #[serde(serialize_with = "utc_with_seconds", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// The workspace of the key; the account's default one if `None`.
    #[serde(rename = "workspace_id", skip_serializing_if = "Option::is_none")]
    pub workspace: Option<&'a str>,
}

/// The changes to a key, at least one. Fields that are not set stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeyPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    /// The new limit; the inner `None` is the provider's `null`, which removes the limit.
    #[serde(serialize_with = "number_or_null", skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<Option<Usd>>,
    #[serde(rename = "limit_reset", serialize_with = "named_reset_or_null", skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_byok_in_limit: Option<bool>,
}

impl KeyPatch {
    pub fn disabled(disabled: bool) -> KeyPatch {
        KeyPatch { disabled: Some(disabled), ..KeyPatch::default() }
    }

    /// Sets the limit itself, not an increment; `None` removes it.
    pub fn limit(limit: Option<Usd>) -> KeyPatch {
        KeyPatch { limit: Some(limit), ..KeyPatch::default() }
    }

    /// Also sets the window in which the limit counts, and whether it includes BYOK use.
    #[must_use]
    pub fn counting(self, reset: Reset, include_byok_in_limit: bool) -> KeyPatch {
        KeyPatch { reset: Some(reset), include_byok_in_limit: Some(include_byok_in_limit), ..self }
    }

    /// The first change that an answered key lacks, if it lacks any.
    pub(super) fn lacking_in(&self, key: &ProviderKey) -> Option<String> {
        if self.disabled.is_some_and(|wanted| key.disabled != wanted) {
            return Some(format!("disabled is {}", key.disabled));
        }
        if let Some(wanted) = self.limit
            && !is_held(wanted, key.limit)
        {
            return Some("its limit is another".to_owned());
        }
        match (self.reset, self.include_byok_in_limit) {
            (Some(reset), Some(byok)) if !key.counts_in(reset, byok) => {
                Some("its limit is counted otherwise".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether a key has the limit that was sent.
fn is_held(sent: Option<Usd>, limit: Option<Usd>) -> bool {
    match (sent, limit) {
        (Some(sent), Some(limit)) => limit.is_about(sent),
        (sent, limit) => sent == limit,
    }
}

/// Refuses limits below a cent. It is not documented whether a limit of zero blocks a key or leaves it
/// unlimited, so none is sent.
pub(super) fn at_least_a_cent(call: &Call, limit: Usd) -> Result<(), ProviderError> {
    if limit >= Usd::CENT {
        return Ok(());
    }
    Err(refused_here(call, format!("a limit of ${limit} is below one cent")))
}

fn plain_number<S: Serializer>(amount: &Usd, to: S) -> Result<S::Ok, S::Error> {
    amount.to_json().serialize(to)
}

fn number_or_null<S: Serializer>(amount: &Option<Option<Usd>>, to: S) -> Result<S::Ok, S::Error> {
    amount.flatten().map(Usd::to_json).serialize(to)
}

fn reset_or_null<S: Serializer>(reset: &Reset, to: S) -> Result<S::Ok, S::Error> {
    match reset {
        Reset::None => to.serialize_none(),
        named => named.serialize(to),
    }
}

fn named_reset_or_null<S: Serializer>(reset: &Option<Reset>, to: S) -> Result<S::Ok, S::Error> {
    reset_or_null(&reset.unwrap_or(Reset::None), to)
}

/// Writes `2027-02-21T00:00:00Z`, since the provider refuses other offsets and times without seconds.
fn utc_with_seconds<S: Serializer>(time: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).serialize(to)
}

#[cfg(test)]
mod tests {
    use serde_json::to_string;

    use super::*;
    use crate::provider::tests::new_key;

    #[test]
    fn a_new_key_always_says_its_limit_its_reset_and_whether_byok_counts() {
        let key = NewKey { limit: Usd::from_micros(19_999_999), ..new_key() };
        let least = r#"{"name":"bursar/d/p/g/1-n","limit":19.999999,"limit_reset":null,"include_byok_in_limit":true}"#;
        assert_eq!(to_string(&key).unwrap(), least);
        let expires_at = Some("2027-02-21T01:00:00.123+01:00".parse().unwrap());
        let key =
            NewKey { reset: Reset::Weekly, include_byok_in_limit: false, expires_at, workspace: Some("w-1"), ..key };
        let body: serde_json::Value = serde_json::from_str(&to_string(&key).unwrap()).unwrap();
        assert_eq!((&body["limit_reset"], &body["include_byok_in_limit"]), (&"weekly".into(), &false.into()));
        assert_eq!((&body["expires_at"], &body["workspace_id"]), (&"2027-02-21T00:00:00Z".into(), &"w-1".into()));
    }

    #[test]
    fn a_patch_tells_left_out_from_null() {
        for (patch, sent) in [
            (KeyPatch::disabled(true), r#"{"disabled":true}"#),
            (KeyPatch::limit(Some(Usd::from_dollars(20))), r#"{"limit":20}"#),
            (KeyPatch::limit(None), r#"{"limit":null}"#),
            (
                KeyPatch::limit(Some(Usd::CENT)).counting(Reset::None, false),
                r#"{"limit":0.01,"limit_reset":null,"include_byok_in_limit":false}"#,
            ),
            (
                KeyPatch::limit(Some(Usd::CENT)).counting(Reset::Weekly, true),
                r#"{"limit":0.01,"limit_reset":"weekly","include_byok_in_limit":true}"#,
            ),
        ] {
            assert_eq!(to_string(&patch).unwrap(), sent);
        }
    }
}
