//! A mail as SES accepted it: its envelope and its exact bytes. Parsing them is left to `inbox::Contents`.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An accepted mail.
#[derive(Clone, Deserialize, Serialize)]
pub struct Mail {
    /// The message id in the answer of SES.
    pub id: String,
    /// The time of acceptance by the product's clock.
    pub at: Timestamp,
    /// The envelope's sender, without a display name.
    pub from: String,
    /// The envelope's recipients, without display names.
    pub to: Vec<String>,
    /// The message (RFC 822), byte for byte.
    #[serde(with = "text_or_base64")]
    pub raw: Bytes,
    pub configuration_set: Option<String>,
    pub tags: BTreeMap<String, String>,
}

// A mail may contain a link that signs somebody in, so its bytes stay out of logs.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("at", &self.at).finish_non_exhaustive()
    }
}

/// The stored form of a mail: text where it is ASCII, as nearly every mail is, and base64 elsewhere.
mod text_or_base64 {
    use bytes::Bytes;
    use data_encoding::BASE64;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Written {
        Text(String),
        Base64(String),
    }

    pub(super) fn serialize<S: Serializer>(raw: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(raw) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Base64(BASE64.encode(raw)),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into(),
            Written::Base64(text) => BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?.into(),
        })
    }
}
