//! A provider key as we know it: its hash, its plaintext for the length of one request, and
//! patterns of the names that people choose by the hundred. The other attributes of a key belong to
//! [`provider`](crate::provider).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::values::id::DeploymentId;
use crate::domain::values::token::sha256_hex;

/// A fingerprint that tells one management key of a deployment from another. It does not reveal the
/// key, and differs between deployments for one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// The key itself, as it is shown once. It cannot be stored, printed or logged, only revealed on
/// purpose.
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
as_str!(Fingerprint, KeyLabel);

impl Fingerprint {
    pub(crate) fn digest(deployment: &DeploymentId, management_key: &str) -> Fingerprint {
        Fingerprint(sha256_hex([
            "management key",
            deployment.as_str(),
            management_key,
        ]))
    }

    /// A prefix that is long enough to tell a deployment's few management keys apart.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// The two ends of a key, masked as the provider shows it: `sk-or-v1-0e6...1c96`. Whatever it is
/// made from, there is no more of a key in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyLabel(Box<str>);

impl KeyLabel {
    /// Of a key, or of a label of one; `None` for a text that is neither.
    pub fn parse(text: &str) -> Option<KeyLabel> {
        let mask = ['.', '…', '*'];
        let text = text.trim();
        let mut ends = text.split(mask).filter(|end| !end.is_empty());
        let head = ends.next()?;
        let tail = match ends.next() {
            Some(tail) => tail,
            None if head.len() >= 24 => head,
            None => return None,
        };
        let mut letters = head.bytes().chain(tail.bytes());
        let are_all = ends.next().is_none()
            && letters.all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter));
        let head = head
            .get(..12)
            .filter(|head| are_all && head.starts_with("sk-"))?;
        let tail = tail
            .get(tail.len().saturating_sub(4)..)
            .filter(|tail| tail.len() >= 3)?;
        Some(KeyLabel(format!("{head}...{tail}").into()))
    }

    /// Whether both may be of one key. Some labels end with three of its characters, some with
    /// four.
    pub fn may_be(&self, label: &KeyLabel) -> bool {
        let [ends, label_ends] =
            [&self.0, &label.0].map(|text| (text.get(..12), text.get(text.len() - 3..)));
        ends == label_ends
    }
}

/// What people put between the parts of a key's name.
const SEPARATORS: [char; 6] = ['/', '-', '_', ':', '.', ' '];

/// Whether a name matches a pattern in which `*` stands for any text. The text between two stars is
/// matched at its first place, so that no pattern takes long.
pub fn name_matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name
        .strip_prefix(head)
        .and_then(|name| name.strip_suffix(tail))
    else {
        return false;
    };
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else {
            return false;
        };
        name = after;
    }
    true
}

/// The first part of a name with the separator behind it, so that the prefix and a star match these
/// keys.
pub fn name_prefix(name: &str) -> &str {
    match name
        .char_indices()
        .find(|(index, letter)| *index > 0 && SEPARATORS.contains(letter))
    {
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
        for wrong in [
            &HASH[1..],
            &HASH.to_uppercase(),
            "",
            "/../keys",
            &format!("{HASH}0"),
        ] {
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

    /// A key, the label that the provider makes of it, and one with other ends lead to one another;
    /// no other text is a label.
    #[test]
    fn a_label_has_the_ends_alone() {
        let key = format!("sk-or-v1-0e6{}1c96", "7".repeat(57));
        let label = KeyLabel::parse(&format!(" {key}\n")).unwrap();
        assert_eq!(label.as_str(), "sk-or-v1-0e6...1c96");
        for text in [
            "sk-or-v1-0e6...1c96",
            "sk-or-v1-0e6…c96",
            "sk-or-v1-0e677****71c96",
        ] {
            let other = KeyLabel::parse(text).unwrap();
            assert!(other.may_be(&label) && label.may_be(&other), "{text}");
        }
        for text in ["sk-or-v1-0e6...1c97", "sk-or-v1-0f6...1c96"] {
            assert!(!KeyLabel::parse(text).unwrap().may_be(&label), "{text}");
        }
        for text in [
            "",
            "...",
            "sk-or-v1-0e6...",
            "...1c96",
            "sk-or-v1-...1c96",
            "sk-or-v1-0e6...96",
            "sk-or-v1-0e6",
            &key[1..],
        ] {
            assert!(KeyLabel::parse(text).is_none(), "{text}");
        }
        for text in [
            "sk-or-v1-0e6 or 1c96",
            "sk-or-v1-0e6.x.1c96",
            &format!("{key} {key}"),
            &format!("é{key}"),
        ] {
            assert!(KeyLabel::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("*", "x"),
            ("*2026", "cs 2026"),
            ("a*b*c", "a-b-b-c"),
            ("*ab*ab*", "abab"),
            ("**é", "né"),
            ("", ""),
        ] {
            assert!(name_matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*2026", "2026 cs"),
            ("a*b*c", "a-c-b"),
            ("a*a", "a"),
            ("*ab*ab*", "aba"),
            ("x", "xx"),
        ] {
            assert!(!name_matches(pattern, name), "{pattern} {name}");
        }
        assert!(
            !name_matches(&"*a".repeat(40), &"a".repeat(39)),
            "one star asks for one letter each"
        );
        assert!(
            !name_matches(&format!("{}b", "*a".repeat(40)), &"a".repeat(5_000)),
            "it ends soon"
        );
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
