//! Listed keys, packed: all of them are kept from the listing until their grants are looked at, and there can be very many.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bursar_core::domain::grant::Found;
use bursar_core::domain::id::{Epoch, GrantId, KeyName, Nonce};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::Told;
use bursar_core::domain::window::Reset;
use bursar_core::provider::key::Key;
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A key with a name of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    hash: [u8; 32],
    grant: [u8; 8],
    nonce: [u8; 8],
    epoch: u32,
    pub(crate) said: Said,
}

/// A key that bears no name of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignRow {
    hash: [u8; 32],
    pub(crate) name: String,
    pub(crate) said: Said,
}

/// What was said of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) enabled: bool,
    pub(crate) limit: Option<Usd>,
    /// None when it does not say what was used.
    pub(crate) told: Option<Told>,
    #[serde(with = "millisecond::optional")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub(crate) answered: Timestamp,
}

/// Where rows lie: by programme, in the order in which the run knows them, and by the first digit of the grant's id; keys that are
/// nobody's by the first digit of their hashes.
pub(crate) type Place = (u16, u8);

/// Stands for the keys that bear no name of ours.
pub(crate) const FOREIGN: u16 = u16::MAX;
/// Stands for those that bear one, and their programme or grant was not found.
pub(crate) const STRANGERS: u16 = u16::MAX - 1;

/// All rows so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    places: BTreeMap<Place, Packed>,
}

#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// So many of them are in a checkpoint.
    saved: usize,
}

impl Row {
    pub(crate) fn of(key: &Key, name: &KeyName, reset: Reset, answered: Timestamp) -> Row {
        Row {
            hash: key.hash.to_bytes(),
            grant: name.grant.to_bytes(),
            nonce: name.nonce.to_bytes(),
            epoch: name.epoch.number(),
            said: Said::of(key, reset, answered),
        }
    }

    pub(crate) fn key(&self) -> KeyHash {
        KeyHash::of_bytes(&self.hash)
    }

    pub(crate) fn grant(&self) -> GrantId {
        GrantId::of_bytes(self.grant)
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::of_bytes(self.nonce)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch)
    }

    /// As what it is found where no attempt is on record.
    pub(crate) fn found(&self) -> Found {
        Found {
            epoch: self.epoch(),
            nonce: Nonce::of_bytes(self.nonce),
            key: self.key(),
            enabled: self.said.enabled,
            limit: self.said.limit,
            made_at: self.said.created_at.unwrap_or(self.said.answered),
        }
    }

    pub(crate) fn shard(&self) -> u8 {
        self.grant[0] >> 4
    }
}

impl ForeignRow {
    pub(crate) fn of(key: &Key, answered: Timestamp) -> ForeignRow {
        ForeignRow { hash: key.hash.to_bytes(), name: key.name.clone(), said: Said::of(key, Reset::None, answered) }
    }

    /// A key that only bears a name of ours.
    pub(crate) fn with_name(row: &Row, name: String) -> ForeignRow {
        ForeignRow { hash: row.hash, name, said: row.said.clone() }
    }

    pub(crate) fn key(&self) -> KeyHash {
        KeyHash::of_bytes(&self.hash)
    }

    pub(crate) fn shard(&self) -> u8 {
        self.hash[0] >> 4
    }
}

impl Said {
    fn of(key: &Key, reset: Reset, answered: Timestamp) -> Said {
        Said { enabled: !key.disabled, limit: key.limit, told: key.told(reset), created_at: key.created_at, answered }
    }
}

impl Rows {
    pub(crate) fn add(&mut self, programme: u16, row: &Row) -> Result<()> {
        self.append((programme, row.shard()), row)
    }

    pub(crate) fn add_foreign(&mut self, row: &ForeignRow) -> Result<()> {
        self.append((FOREIGN, row.shard()), row)
    }

    pub(crate) fn add_stranger(&mut self, row: &ForeignRow) -> Result<()> {
        self.append((STRANGERS, row.shard()), row)
    }

    /// The rows of one place, in the order in which they were listed.
    pub(crate) fn of<T: DeserializeOwned>(&self, place: Place) -> Result<Vec<T>> {
        let mut rest = self.places.get(&place).map_or(&[][..], |packed| packed.bytes.as_slice());
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let (row, after) = postcard::take_from_bytes(rest).context("a packed row cannot be read")?;
            rows.push(row);
            rest = after;
        }
        Ok(rows)
    }

    /// The hashes of all of them.
    pub(crate) fn hashes(&self) -> Result<Vec<[u8; 32]>> {
        let mut hashes = Vec::new();
        for place in self.places.keys().copied() {
            if place.0 >= STRANGERS {
                hashes.extend(self.of::<ForeignRow>(place)?.iter().map(|row| row.hash));
            } else {
                hashes.extend(self.of::<Row>(place)?.iter().map(|row| row.hash));
            }
        }
        Ok(hashes)
    }

    /// What was added since the last time, to be kept.
    pub(crate) fn unsaved(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (place, packed) in &mut self.places {
            if packed.saved < packed.bytes.len() {
                bytes = postcard::to_extend(&(place, packed.bytes.split_at(packed.saved).1), bytes)?;
                packed.saved = packed.bytes.len();
            }
        }
        Ok(bytes)
    }

    /// Takes in what was kept, in the order in which it was.
    pub(crate) fn restore(&mut self, mut kept: &[u8]) -> Result<()> {
        while !kept.is_empty() {
            let ((place, bytes), after): ((Place, &[u8]), _) =
                postcard::take_from_bytes(kept).context("kept rows cannot be read")?;
            let packed = self.places.entry(place).or_default();
            packed.bytes.extend_from_slice(bytes);
            packed.saved = packed.bytes.len();
            kept = after;
        }
        Ok(())
    }

    fn append(&mut self, place: Place, row: &impl Serialize) -> Result<()> {
        let packed = self.places.entry(place).or_default();
        packed.bytes = postcard::to_extend(row, std::mem::take(&mut packed.bytes))?;
        Ok(())
    }
}
