//! Attributes that are one run of bytes: a version, and then the value by position. Numbers take
//! few bytes there, and no expression of the table can look into it.

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn packed(version: u8, value: &impl Serialize) -> Vec<u8> {
    // Numbers, texts and lists of them can always be written.
    postcard::to_extend(value, vec![version]).unwrap_or_default()
}

/// The value of bytes of this version. Another version would be read as a wrong value.
pub(crate) fn unpack<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, NotPacked> {
    let value = bytes.strip_prefix(&[version]).ok_or(NotPacked)?;
    postcard::from_bytes(value).map_err(|_| NotPacked)
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("these bytes are of no form that is known")]
pub struct NotPacked;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_not_read() {
        let bytes = packed(1, &(7_u32, "a"));
        assert_eq!(unpack(1, &bytes), Ok((7_u32, "a".to_owned())));
        assert_eq!(unpack::<(u32, String)>(2, &bytes), Err(NotPacked));
        assert_eq!(unpack::<(u32, String)>(1, &[]), Err(NotPacked));
    }
}
