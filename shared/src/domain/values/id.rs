//! Identifiers, and the names of keys at the provider. None of them holds personal data.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use ulid::Ulid;
use unicode_normalization::UnicodeNormalization;

use crate::clock::Moment;
use crate::domain::values::format::Joined;
use crate::domain::values::token::{random_hex, random_u128, sha256_hex};

/// A programme's id: a lower-case ASCII slug of its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProgrammeId(String);

/// The bytes of a grant's id, where there may be very many.
pub type GrantBytes = [u8; 8];

/// The number of a grant's claim and of its key, from 1; 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u32);

/// The error for a text that is no such identifier, with the form that one has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("this is no {0}")]
pub struct NotAnId(&'static str);

/// A key's name at the provider: `bursar/<deployment>/<programme>/<grant>/<epoch>-<nonce>`.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyName {
    pub deployment: DeploymentId,
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub epoch: Epoch,
    pub nonce: Nonce,
}

const SLUG_MAX: usize = 60;

impl ProgrammeId {
    /// The slug of a programme's name. A name without a letter or digit of the Latin alphabet gets
    /// `programme`.
    pub fn from_name(name: &str) -> ProgrammeId {
        let plain = name
            .nfkd()
            .filter(|c| c.is_ascii() || !unicode_normalization::char::is_combining_mark(*c));
        let dashed: String = plain
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        let words = dashed
            .split('-')
            .filter(|word| !word.is_empty())
            .joined("-");
        let slug: String = words.chars().take(SLUG_MAX).collect();
        match slug.trim_end_matches('-') {
            "" => ProgrammeId("programme".to_owned()),
            "new" => ProgrammeId("new-2".to_owned()),
            slug => ProgrammeId(slug.to_owned()),
        }
    }

    /// The `count`-th programme of the same name: `cs-pilot-2`.
    pub fn numbered(&self, count: u32) -> ProgrammeId {
        ProgrammeId(format!("{}-{count}", self.0))
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

impl FromStr for ProgrammeId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<ProgrammeId, NotAnId> {
        let fits = text.len() <= SLUG_MAX + 11 && text != "new" && text.split('-').all(is_word);
        if fits {
            Ok(ProgrammeId(text.to_owned()))
        } else {
            Err(NotAnId("programme"))
        }
    }
}

impl Epoch {
    pub const BEFORE_THE_FIRST: Epoch = Epoch(0);

    pub const fn new(number: u32) -> Epoch {
        Epoch(number)
    }

    pub const fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }

    pub const fn number(self) -> u32 {
        self.0
    }
}

impl KeyName {
    /// Whether the key of this name is taken for one that Bursar made, in whatever deployment,
    /// version and form.
    pub fn is_bursars(name: &str) -> bool {
        name.starts_with("bursar/")
    }

    /// The name without what is drawn for each key, by which people know a key on record.
    pub fn name_without_nonce(
        deployment: &DeploymentId,
        programme: &ProgrammeId,
        grant: &GrantId,
        epoch: Epoch,
    ) -> String {
        format!("bursar/{deployment}/{programme}/{grant}/{}", epoch.0)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyName {
            deployment,
            programme,
            grant,
            epoch,
            nonce,
        } = self;
        write!(
            f,
            "bursar/{deployment}/{programme}/{grant}/{}-{nonce}",
            epoch.0
        )
    }
}

impl FromStr for KeyName {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<KeyName, NotAnId> {
        let foreign = NotAnId("name of a key of ours");
        let parts: Vec<&str> = text.split('/').collect();
        let ["bursar", deployment, programme, grant, key] = parts[..] else {
            return Err(foreign);
        };
        let (epoch, nonce) = key.split_once('-').ok_or(foreign)?;
        let name = KeyName {
            deployment: deployment.parse()?,
            programme: programme.parse()?,
            grant: grant.parse()?,
            epoch: Epoch(epoch.parse().map_err(|_| foreign)?),
            nonce: nonce.parse()?,
        };
        // Only the canonical spelling is ours; `+1`, `01` and the like are foreign.
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(foreign)
        }
    }
}

/// Implements what all textual identifiers share.
macro_rules! as_text {
    ($name:ident) => {
        as_str!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<$name, NotAnId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }
    };
}

as_text!(ProgrammeId);

/// Defines identifiers of a fixed number of hex digits. The sync keeps several for each key, hence
/// no capacity.
macro_rules! hex_digits {
    ($($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        as_text!($name);

        impl $name {
            pub fn random() -> $name {
                $name(random_hex::<$bytes>().into())
            }

            /// The digits as bytes, for large collections.
            pub fn to_bytes(&self) -> [u8; $bytes] {
                let mut bytes = [0; $bytes];
                // The type guarantees this number of digits.
                let _ = HEXLOWER.decode_mut(self.0.as_bytes(), &mut bytes);
                bytes
            }

            pub fn of_bytes(bytes: &[u8; $bytes]) -> $name {
                $name(HEXLOWER.encode(bytes).into())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<$name, NotAnId> {
                let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                if text.len() == 2 * $bytes && is_hex { Ok($name(text.into())) } else { Err(NotAnId($what)) }
            }
        }
    )*};
}

hex_digits! {
    /// A grant's id: sixteen random hex digits.
    GrantId, 8, "grant";
    /// A person with a role, for audit entries and other places without addresses: sixteen random
    /// hex digits.
    PersonId, 8, "person";
    /// The id of this deployment, used in the names of its keys: made once and kept in the table.
    DeploymentId, 5, "deployment";
    /// The invocation that owns a claim: sixteen random hex digits.
    Nonce, 8, "nonce";
    /// The provider's identifier of a key: 64 lower-case hex digits.
    KeyHash, 32, "key's hash";
}

impl GrantId {
    /// The grant of whoever an import adds from a line: the same, however often that is begun.
    pub fn from_line(import: Ulid, line: u64) -> GrantId {
        let hash = sha256_hex([import.to_string(), line.to_string()]);
        GrantId(hash.chars().take(16).collect())
    }
}

/// The identifier of what comes of something for this text, as old as that.
pub fn ulid_for(source: Ulid, text: &str) -> Ulid {
    let hash = sha256_hex([&*source.to_string(), text]);
    let random = hash
        .get(..20)
        .and_then(|digits| u128::from_str_radix(digits, 16).ok());
    Ulid::from_parts(source.timestamp_ms(), random.unwrap_or_default())
}

/// An identifier that sorts by the product's clock.
pub fn new_ulid(now: Moment) -> Ulid {
    let random = random_u128();
    Ulid::from_parts(now.as_millisecond() as u64, random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_programme_is_called_by_a_slug_of_its_name() {
        for (name, slug) in [
            ("CS pilot 2026/27", "cs-pilot-2026-27"),
            ("  Größe & Maß ", "gro-e-ma"),
            ("Économie", "economie"),
            ("new", "new-2"),
            ("数学", "programme"),
        ] {
            assert_eq!(ProgrammeId::from_name(name).as_str(), slug, "{name}");
        }
        assert_eq!(
            ProgrammeId::from_name("CS pilot").numbered(2).as_str(),
            "cs-pilot-2"
        );
        assert!("new".parse::<ProgrammeId>().is_err() && "CS".parse::<ProgrammeId>().is_err());
    }

    #[test]
    fn a_name_of_somebody_elses_key_is_not_ours() {
        let ours = "bursar/0123456789/cs/0123456789abcdef/1-0123456789abcdef";
        assert!(ours.parse::<KeyName>().is_ok());
        let forged = [
            ("1-0123456789abcdef", "1"),
            ("/1-", "/01-"),
            ("/1-", "/+1-"),
            ("cs", "CS"),
        ];
        let forged = forged.map(|(of, by)| ours.replace(of, by));
        for text in forged
            .into_iter()
            .chain(["", "My key", "bursar/", &format!("{ours}/x")].map(str::to_owned))
        {
            assert!(text.parse::<KeyName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_id_of_any_name_is_an_id_and_so_is_a_numbered_one(name in "\\PC{0,100}", count in 2_u32..) {
            let id = ProgrammeId::from_name(&name);
            prop_assert_eq!(id.as_str().parse::<ProgrammeId>(), Ok(id.clone()));
            let numbered = id.numbered(count);
            prop_assert_eq!(numbered.as_str().parse::<ProgrammeId>(), Ok(numbered.clone()));
        }

        #[test]
        fn a_keys_name_reads_back(name in "[a-z]{1,20}", epoch in 1_u32..) {
            let name = KeyName {
                deployment: DeploymentId::random(),
                programme: ProgrammeId::from_name(&name),
                grant: GrantId::random(),
                epoch: Epoch::new(epoch),
                nonce: Nonce::random(),
            };
            prop_assert_eq!(name.to_string().parse::<KeyName>(), Ok(name.clone()));
        }
    }
}
