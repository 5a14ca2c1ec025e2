//! A provider key as we know it: its hash, its plaintext for the length of one request, and patterns of the names that people
//! choose by the hundred. The other attributes of a key belong to [`provider`](crate::provider).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::values::id::DeploymentId;
use crate::domain::values::token::sha256_hex;

/// A fingerprint that tells one management key of a deployment from another. It does not reveal the key, and
/// differs between deployments for one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// The key itself, as it is shown once. It cannot be stored, printed or logged, only revealed on purpose.
pub struct PlaintextKey(SecretString);

impl PlaintextKey {
    /// Accepts the provider's answer if it can be a key: visible ASCII, not empty.
    pub fn new(text: String) -> Option<PlaintextKey> {
        let is_key = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| PlaintextKey(text.into()))
    }

    /// The plaintext, for the one page that shows it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

masked!(PlaintextKey);

impl Fingerprint {
    pub(crate) fn digest(deployment: &DeploymentId, management_key: &str) -> Fingerprint {
        Fingerprint(sha256_hex(&["management key", deployment.as_str(), management_key]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A prefix that is long enough to tell a deployment's few management keys apart.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// What people put between the parts of a key's name.
const SEPARATORS: [char; 6] = ['/', '-', '_', ':', '.', ' '];

/// Whether a name matches a pattern in which `*` stands for any text. The text between two stars is matched
/// at its first place, so that no pattern takes long.
pub fn name_matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_prefix(head).and_then(|name| name.strip_suffix(tail)) else { return false };
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    true
}

/// The first part of a name with the separator behind it, so that the prefix and a star match these keys.
pub fn name_prefix(name: &str) -> &str {
    match name.char_indices().find(|(index, letter)| *index > 0 && SEPARATORS.contains(letter)) {
        Some((index, separator)) => &name[..index + separator.len_utf8()],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::values::id::KeyHash;

    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_hash_is_64_lower_case_hex_digits_and_travels_as_text() {
        let hash: KeyHash = HASH.parse().unwrap();
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(KeyHash::of_bytes(&hash.to_bytes()), hash);
        assert_eq!(json, format!("\"{HASH}\""));
        assert_eq!(serde_json::from_str::<KeyHash>(&json).unwrap(), hash);
        assert_eq!(hash.to_string(), HASH);
        for wrong in [&HASH[1..], &HASH.to_uppercase(), "", "/../keys", &format!("{HASH}0")] {
            assert!(wrong.parse::<KeyHash>().is_err(), "{wrong}");
        }
    }

    /// A plaintext key has a masked debug output, and text that cannot be a key gives none.
    #[test]
    fn a_plaintext_key_is_masked() {
        let key = PlaintextKey::new("sk-or-v1-secret".to_owned()).unwrap();
        assert_eq!(format!("{key:?}"), "PlaintextKey(…)");
        assert_eq!(key.reveal(), "sk-or-v1-secret");
        for text in ["", " ", "sk-or v1", "sk-or-v1\n", "sk-or-…"] {
            assert!(PlaintextKey::new(text.to_owned()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("*", "x"), ("*2026", "cs 2026"), ("a*b*c", "a-b-b-c"), ("*ab*ab*", "abab"), ("**é", "né"), ("", "")]
        {
            assert!(name_matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*2026", "2026 cs"), ("a*b*c", "a-c-b"), ("a*a", "a"), ("*ab*ab*", "aba"), ("x", "xx")]
        {
            assert!(!name_matches(pattern, name), "{pattern} {name}");
        }
        assert!(!name_matches(&"*a".repeat(40), &"a".repeat(39)), "one star asks for one letter each");
        assert!(!name_matches(&format!("{}b", "*a".repeat(40)), &"a".repeat(5_000)), "it ends soon");
    }

    #[test]
    fn a_prefix_ends_with_the_first_separator() {
        for (name, expected) in [
            ("course/anna", "course/"),
            ("cs-2026-anna", "cs-"),
            ("été_1", "été_"),
            ("anna", ""),
            ("-a-b", "-a-"),
            ("", ""),
        ] {
            assert_eq!(name_prefix(name), expected, "{name}");
        }
    }
}
