//! The simulator's identifiers: key plaintexts, their hashes and labels, UUIDs. Nothing here has state.

use anyhow::Result;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// A new key in the provider's format: 73 characters.
pub(crate) fn fresh_key() -> Result<String> {
    Ok(format!("sk-or-v1-{}", HEXLOWER.encode(&random::<32>()?)))
}

/// The SHA-256 of a text in hexadecimal, which is a key's hash.
pub fn sha256(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// The masked form of a key: `sk-or-v1-0e6...1c96`.
pub(crate) fn label(plaintext: &str) -> String {
    let chars: Vec<char> = plaintext.chars().collect();
    match chars.len() {
        40.. => format!(
            "{}...{}",
            chars[..12].iter().collect::<String>(),
            chars[chars.len() - 4..].iter().collect::<String>()
        ),
        _ => "sk-or-v1-...".to_owned(),
    }
}

pub(crate) fn fresh_uuid() -> Result<String> {
    Ok(uuid(random()?, 4))
}

/// An identifier that depends only on the seed.
pub(crate) fn derived_uuid(seed: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(seed)[..16]);
    uuid(bytes, 5)
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
