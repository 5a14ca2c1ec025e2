//! All rows of a run, packed by shard. A checkpoint saves what was added since the one before.

use bursar_core::domain::usage::models::ModelRow;
use serde::de::DeserializeOwned;

use super::row::ForeignRow;
use crate::prelude::*;

/// The shard of a row: its programme's number in this run, and the first digit of its grant's id. For foreign
/// keys it is the first digit of their hashes.
pub(crate) type ShardIndex = (u16, u8);

/// The number in place of a programme's, for keys without a grant's name.
const FOREIGN: u16 = u16::MAX;
/// The number in place of a programme's, for keys whose name is that of an unknown programme or grant.
const ORPHANS: u16 = u16::MAX - 1;

/// The shard of model use.
const MODELS: ShardIndex = (u16::MAX - 2, 0);

/// The rows of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    shards: BTreeMap<ShardIndex, PackedRows>,
}

#[derive(Debug, Default)]
struct PackedRows {
    /// Whole rows, one after another. A chunk never grows: a vector that does is in memory twice for a
    /// moment, and too large afterwards.
    chunks: Vec<Vec<u8>>,
    /// The saved part: so many chunks, and so many bytes of the next.
    saved: (usize, usize),
}

/// The bytes of a chunk. Each programme has sixteen shards, of which the last chunk is half empty on average.
const CHUNK: usize = 1024;

impl Rows {
    pub(crate) fn add(&mut self, programme: u16, row: &KeyRow) -> Result<()> {
        self.append((programme, row.shard()), row)
    }

    pub(crate) fn add_foreign(&mut self, row: &ForeignRow) -> Result<()> {
        self.append((FOREIGN, row.shard()), row)
    }

    pub(crate) fn add_orphan(&mut self, row: &ForeignRow) -> Result<()> {
        self.append((ORPHANS, row.shard()), row)
    }

    /// Adds a row of model use. There may be thousands, and all of them wait until every grant is scanned.
    pub(crate) fn add_model(&mut self, row: &ModelRow) -> Result<()> {
        self.append(MODELS, row)
    }

    pub(crate) fn models(&self) -> Result<Vec<ModelRow>> {
        self.of(MODELS)
    }

    pub(crate) fn foreign(&self, digit: u8) -> Result<Vec<ForeignRow>> {
        self.of((FOREIGN, digit))
    }

    pub(crate) fn orphans(&self, digit: u8) -> Result<Vec<ForeignRow>> {
        self.of((ORPHANS, digit))
    }

    pub(crate) fn keys(&self, shard: ShardIndex) -> Result<Vec<KeyRow>> {
        self.of(shard)
    }

    /// The rows of one shard, in the order of the listing.
    fn of<T: DeserializeOwned>(&self, shard: ShardIndex) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for chunk in self.shards.get(&shard).map_or(&[][..], |packed| packed.chunks.as_slice()) {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let (row, after) = postcard::take_from_bytes(rest).context("a packed row cannot be read")?;
                rows.push(row);
                rest = after;
            }
        }
        Ok(rows)
    }

    /// The bytes of each shard's rows.
    pub(crate) fn weights(&self) -> HashMap<ShardIndex, usize> {
        let weight = |packed: &PackedRows| packed.chunks.iter().map(Vec::len).sum();
        self.shards.iter().map(|(shard, packed)| (*shard, weight(packed))).collect()
    }

    /// The hashes of all listed keys.
    pub(crate) fn hashes(&self) -> Result<Vec<[u8; 32]>> {
        let mut hashes = Vec::new();
        for shard in self.shards.keys().copied().filter(|shard| *shard != MODELS) {
            if shard.0 >= ORPHANS {
                hashes.extend(self.of::<ForeignRow>(shard)?.iter().map(|row| *row.hash()));
            } else {
                hashes.extend(self.of::<KeyRow>(shard)?.iter().map(|row| *row.hash()));
            }
        }
        Ok(hashes)
    }

    /// The hashes of the keys without a known grant's name.
    pub(crate) fn hashes_elsewhere(&self) -> Result<HashSet<[u8; 32]>> {
        let mut hashes = HashSet::new();
        for shard in self.shards.keys().copied().filter(|shard| shard.0 >= ORPHANS) {
            hashes.extend(self.of::<ForeignRow>(shard)?.iter().map(|row| *row.hash()));
        }
        Ok(hashes)
    }

    /// Rows that no checkpoint has yet: at least `enough` bytes if there are as many, and little more.
    pub(crate) fn unsaved(&mut self, enough: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (shard, packed) in &mut self.shards {
            while let Some(rest) = packed.unsaved() {
                if bytes.len() >= enough {
                    return Ok(bytes);
                }
                bytes = postcard::to_extend(&(shard, rest), bytes)?;
                packed.one_is_saved();
            }
        }
        Ok(bytes)
    }

    /// Restores what checkpoints saved, in their order. Returns the remainder, if that is only a part of an
    /// entry.
    pub(crate) fn restore<'k>(&mut self, mut kept: &'k [u8]) -> &'k [u8] {
        while let Ok(((shard, bytes), after)) = postcard::take_from_bytes::<(ShardIndex, &[u8])>(kept) {
            let packed = self.shards.entry(shard).or_default();
            packed.add(bytes);
            packed.all_is_saved();
            kept = after;
        }
        kept
    }

    fn append(&mut self, shard: ShardIndex, row: &impl Serialize) -> Result<()> {
        let bytes = postcard::to_allocvec(row)?;
        self.shards.entry(shard).or_default().add(&bytes);
        Ok(())
    }
}

impl PackedRows {
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

    /// The unsaved rest of the first chunk that has one.
    fn unsaved(&self) -> Option<&[u8]> {
        let (chunk, bytes) = self.saved;
        let this = self.chunks.get(chunk)?.get(bytes..).filter(|rest| !rest.is_empty());
        this.or_else(|| self.chunks.get(chunk + 1).map(Vec::as_slice))
    }

    /// Records that this rest is saved.
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

    fn bytes_of(rows: &Rows, shard: ShardIndex) -> Vec<u32> {
        rows.of::<u32>(shard).unwrap()
    }

    #[test]
    fn what_is_kept_in_pieces_and_cut_anywhere_is_taken_in_again_and_only_once() {
        let (mut rows, mut kept) = (Rows::default(), Vec::new());
        let shards: [ShardIndex; 3] = [(0, 0), (0, 7), (FOREIGN, 15)];
        let mut number = 1_000_000_u32;
        for round in 0..5 {
            for _ in 0..700 * round {
                number += 1;
                rows.append(shards[(number % 3) as usize], &number).unwrap();
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
            for shard in shards {
                assert_eq!(bytes_of(&again, shard), bytes_of(&rows, shard), "{round}");
            }
            // The next invocation adds to what was restored.
            rows = again;
        }
    }
}
