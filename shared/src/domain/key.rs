//! A provider key as we know it: by its hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The provider's name for a key: 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash(String);

/// The text is not a key's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no key's hash: it has 64 lower-case hex digits")]
pub struct NotAKeyHash;

impl KeyHash {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyHash {
    type Err = NotAKeyHash;
    fn from_str(text: &str) -> Result<KeyHash, NotAKeyHash> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() == 64 && is_hex { Ok(KeyHash(text.to_owned())) } else { Err(NotAKeyHash) }
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyHash {
    type Error = NotAKeyHash;
    fn try_from(text: String) -> Result<KeyHash, NotAKeyHash> {
        text.parse()
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> String {
        hash.0
    }
}
