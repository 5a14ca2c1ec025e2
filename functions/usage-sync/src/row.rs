//! Listed keys, packed: all of them are kept from the listing until their grants are looked at, and there can be very many.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result};
use bursar_core::domain::grant::{Found, Listed};
use bursar_core::domain::id::{Epoch, GrantId, KeyName, Nonce};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::models::ModelRow;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Byok, Settings};
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
    /// Whether the limit is counted as its programme says.
    counts: bool,
    /// None when it does not say what was used.
    pub(crate) told: Option<Told>,
    #[serde(with = "millisecond::optional")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub(crate) asked: Timestamp,
}

/// How the limits of a programme's keys are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    reset: Reset,
    byok: Byok,
}

/// Where rows lie: by programme, in the order in which the run knows them, and by the first digit of the grant's id; keys that are
/// nobody's by the first digit of their hashes.
pub(crate) type Place = (u16, u8);

/// Stands for the keys that bear no name of ours.
pub(crate) const FOREIGN: u16 = u16::MAX;
/// Stands for those that bear one, and their programme or grant was not found.
pub(crate) const STRANGERS: u16 = u16::MAX - 1;

/// Stands for what was told of models.
const MODELS: Place = (u16::MAX - 2, 0);

/// All rows so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    places: BTreeMap<Place, Packed>,
}

#[derive(Debug, Default)]
struct Packed {
    /// Whole rows, one after another. No chunk ever grows: what grows has a second self for a moment, and room to spare afterwards.
    chunks: Vec<Vec<u8>>,
    /// What is in a checkpoint: so many chunks, and so many bytes of the next.
    saved: (usize, usize),
}

/// There are sixteen places in each programme, and at the end of each half a chunk that nobody uses.
const CHUNK: usize = 1024;

impl Row {
    pub(crate) fn of(key: &Key, name: &KeyName, terms: Terms, asked: Timestamp) -> Row {
        Row {
            hash: key.hash.to_bytes(),
            grant: name.grant.to_bytes(),
            nonce: name.nonce.to_bytes(),
            epoch: name.epoch.number(),
            said: Said::of(key, terms.reset, terms.are_of(key), asked),
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

    pub(crate) fn is(&self, key: &KeyHash) -> bool {
        self.hash == key.to_bytes()
    }

    /// This row under another name of its grant.
    pub(crate) fn named(&self, epoch: Epoch, nonce: &Nonce) -> Row {
        Row { epoch: epoch.number(), nonce: nonce.to_bytes(), ..self.clone() }
    }

    /// As what it is found where no attempt is on record.
    pub(crate) fn found(&self) -> Found {
        Found {
            epoch: self.epoch(),
            nonce: Nonce::of_bytes(self.nonce),
            key: self.key(),
            enabled: self.said.enabled,
            limit: self.said.limit,
            made_at: self.said.created_at.unwrap_or(self.said.asked),
        }
    }

    pub(crate) fn shard(&self) -> u8 {
        self.grant[0] >> 4
    }
}

impl ForeignRow {
    pub(crate) fn of(key: &Key, asked: Timestamp) -> ForeignRow {
        ForeignRow { hash: key.hash.to_bytes(), name: key.name.clone(), said: Said::of(key, Reset::None, true, asked) }
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
    fn of(key: &Key, reset: Reset, counts: bool, asked: Timestamp) -> Said {
        Said {
            enabled: !key.disabled,
            limit: key.limit,
            counts,
            told: key.told(reset),
            created_at: key.created_at,
            asked,
        }
    }

    pub(crate) fn listed(&self) -> Listed {
        listed(self.limit, self.counts)
    }
}

impl Terms {
    pub(crate) fn of(settings: &Settings) -> Terms {
        Terms { reset: settings.reset, byok: settings.byok }
    }

    /// What the provider says of a key's limit, held against these.
    pub(crate) fn listed(self, key: &Key) -> Listed {
        listed(key.limit, self.are_of(key))
    }

    fn are_of(self, key: &Key) -> bool {
        key.counts_in(self.reset, self.byok == Byok::Inside)
    }
}

fn listed(limit: Option<Usd>, counts: bool) -> Listed {
    match limit {
        _ if !counts => Listed::CountedOtherwise,
        limit => limit.map_or(Listed::Unlimited, Listed::Limit),
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

    /// What was told of models. Of it there may be thousands, and all of them wait until every grant was looked at.
    pub(crate) fn add_model(&mut self, row: &ModelRow) -> Result<()> {
        self.append(MODELS, row)
    }

    pub(crate) fn models(&self) -> Result<Vec<ModelRow>> {
        self.of(MODELS)
    }

    /// The rows of one place, in the order in which they were listed.
    pub(crate) fn of<T: DeserializeOwned>(&self, place: Place) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for chunk in self.places.get(&place).map_or(&[][..], |packed| packed.chunks.as_slice()) {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let (row, after) = postcard::take_from_bytes(rest).context("a packed row cannot be read")?;
                rows.push(row);
                rest = after;
            }
        }
        Ok(rows)
    }

    /// How many bytes the rows of each place take.
    pub(crate) fn weights(&self) -> HashMap<Place, usize> {
        let weight = |packed: &Packed| packed.chunks.iter().map(Vec::len).sum();
        self.places.iter().map(|(place, packed)| (*place, weight(packed))).collect()
    }

    /// The hashes of all of them.
    pub(crate) fn hashes(&self) -> Result<Vec<[u8; 32]>> {
        let mut hashes = Vec::new();
        for place in self.places.keys().copied().filter(|place| *place != MODELS) {
            if place.0 >= STRANGERS {
                hashes.extend(self.of::<ForeignRow>(place)?.iter().map(|row| row.hash));
            } else {
                hashes.extend(self.of::<Row>(place)?.iter().map(|row| row.hash));
            }
        }
        Ok(hashes)
    }

    /// The hashes of those that bear names of no grant here.
    pub(crate) fn hashes_elsewhere(&self) -> Result<HashSet<[u8; 32]>> {
        let mut hashes = HashSet::new();
        for place in self.places.keys().copied().filter(|place| place.0 >= STRANGERS) {
            hashes.extend(self.of::<ForeignRow>(place)?.iter().map(|row| row.hash));
        }
        Ok(hashes)
    }

    /// What was added since the last time, to be kept: at least so many bytes of it as long as there are, and little more.
    pub(crate) fn unsaved(&mut self, enough: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (place, packed) in &mut self.places {
            while let Some(rest) = packed.unsaved() {
                if bytes.len() >= enough {
                    return Ok(bytes);
                }
                bytes = postcard::to_extend(&(place, rest), bytes)?;
                packed.one_is_saved();
            }
        }
        Ok(bytes)
    }

    /// Takes in what was kept, in the order in which it was. Answers its end, if that is only a part of something.
    pub(crate) fn restore<'k>(&mut self, mut kept: &'k [u8]) -> &'k [u8] {
        while let Ok(((place, bytes), after)) = postcard::take_from_bytes::<(Place, &[u8])>(kept) {
            let packed = self.places.entry(place).or_default();
            packed.add(bytes);
            packed.all_is_saved();
            kept = after;
        }
        kept
    }

    fn append(&mut self, place: Place, row: &impl Serialize) -> Result<()> {
        let bytes = postcard::to_allocvec(row)?;
        self.places.entry(place).or_default().add(&bytes);
        Ok(())
    }
}

impl Packed {
    fn add(&mut self, rows: &[u8]) {
        match self.chunks.last_mut() {
            Some(last) if last.len() + rows.len() <= last.capacity() => last.extend_from_slice(rows),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK.max(rows.len()));
                chunk.extend_from_slice(rows);
                self.chunks.push(chunk);
            }
        }
    }

    /// The rest of the first chunk that is not in a checkpoint.
    fn unsaved(&self) -> Option<&[u8]> {
        let (chunk, bytes) = self.saved;
        let this = self.chunks.get(chunk)?.get(bytes..).filter(|rest| !rest.is_empty());
        this.or_else(|| self.chunks.get(chunk + 1).map(Vec::as_slice))
    }

    /// That rest is in one now.
    fn one_is_saved(&mut self) {
        let (chunk, bytes) = self.saved;
        let is_this = self.chunks.get(chunk).is_some_and(|this| bytes < this.len());
        let chunk = if is_this { chunk } else { chunk + 1 };
        self.saved = (chunk, self.chunks.get(chunk).map_or(0, Vec::len));
    }

    fn all_is_saved(&mut self) {
        let last = self.chunks.len().saturating_sub(1);
        self.saved = (last, self.chunks.get(last).map_or(0, Vec::len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(rows: &Rows, place: Place) -> Vec<u32> {
        rows.of::<u32>(place).unwrap()
    }

    #[test]
    fn what_is_kept_in_pieces_and_cut_anywhere_is_taken_in_again_and_only_once() {
        let (mut rows, mut kept) = (Rows::default(), Vec::new());
        let places: [Place; 3] = [(0, 0), (0, 7), (FOREIGN, 15)];
        let mut number = 1_000_000_u32;
        for round in 0..5 {
            for _ in 0..700 * round {
                number += 1;
                rows.append(places[(number % 3) as usize], &number).unwrap();
            }
            loop {
                let more = rows.unsaved(1_500).unwrap();
                if more.is_empty() {
                    break;
                }
                assert!(more.len() < 1_500 + 2 * CHUNK);
                kept.extend(more);
            }
            let (mut again, mut rest) = (Rows::default(), Vec::new());
            for part in kept.chunks(997) {
                rest.extend_from_slice(part);
                let left = again.restore(&rest).len();
                rest.drain(..rest.len() - left);
            }
            assert!(rest.is_empty());
            assert!(again.unsaved(1).unwrap().is_empty());
            for place in places {
                assert_eq!(bytes_of(&again, place), bytes_of(&rows, place), "{round}");
            }
            // Whoever goes on adds to what was taken in.
            rows = again;
        }
    }
}
