//! The terms of a programme that students accept, identified by the hash of their text. The text itself is
//! the programme's.

use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::prelude::*;

/// The SHA-256 of the text alone, so that anybody who has the text can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsHash([u8; 32]);

/// The error for a text that is no hash of 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no hash of 64 hex digits")]
pub struct NotAHash;

impl TermsHash {
    pub fn of(text: &str) -> TermsHash {
        TermsHash(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for TermsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for TermsHash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<TermsHash, NotAHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotAHash)?;
        bytes.try_into().map(TermsHash).map_err(|_| NotAHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_any_tool_says_of_the_text_and_comes_back_as_it_was_sent() {
        let hash = TermsHash::of("Be kind.");
        assert_eq!(hash.to_string(), "5499befb38dbf3fcc08107141cb2a9e7f42a6aae403361dc3601b8296d7967ea");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_ne!(TermsHash::of("Be kind. "), hash);
        for text in ["", "00", &format!("{hash}0"), &hash.to_string().to_uppercase(), &"zz".repeat(32)] {
            assert_eq!(text.parse::<TermsHash>(), Err(NotAHash), "{text}");
        }
    }
}
