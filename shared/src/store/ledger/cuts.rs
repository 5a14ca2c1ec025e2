//! Cuts through the books, and beside each the foreign keys that were used since the cut before. Both are kept for ever.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::ledger::cut::{AccountCut, KeyChange, LifetimeUse};
use crate::domain::ledger::statement::{Statement, StatementDays};
use crate::domain::programme::Programme;
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::store::items::stored;
use crate::store::keys::{Range, due, key};
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table};

/// How many keys one item names: each takes about fifty bytes, and an item has at most 400 KB.
const KEYS_TOGETHER: usize = 4_000;

/// Foreign keys of one shard that were used between two cuts. A run writes them before its cut; where it was not
/// complete, there is no such cut, and they mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutKeys {
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub shard: char,
    pub part: u32,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

stored! {
    "cut-keys" CutKeys |it| (as_of: Timestamp = it.as_of, shard: char = it.shard, part: u32 = it.part) => key("CUT-KEYS", format!("{}#{shard}#{part:010}", due(as_of)))
}

/// A key as it is packed: its hash, then credits and BYOK in micro-dollars, before and after.
type PackedKey = ([u8; 32], [i64; 4]);

impl CutKeys {
    /// The items of a shard's keys.
    pub fn of(as_of: Timestamp, shard: char, changes: &[KeyChange]) -> Vec<CutKeys> {
        let parts = changes.chunks(KEYS_TOGETHER).zip(0..);
        let part = |(changes, part): (&[KeyChange], u32)| {
            let packed: Vec<PackedKey> = changes.iter().map(packed).collect();
            // Numbers can always be written.
            CutKeys { as_of, shard, part, bytes: postcard::to_allocvec(&packed).unwrap_or_default() }
        };
        parts.map(part).collect()
    }

    pub fn changes(&self) -> Result<Vec<KeyChange>, StoreError> {
        let packed: Vec<PackedKey> = postcard::from_bytes(&self.bytes)
            .map_err(|error| StoreError::corrupt(&self.key(), CutKeys::KIND, &error))?;
        Ok(packed.iter().map(unpacked).collect())
    }
}

fn packed(change: &KeyChange) -> PackedKey {
    let amounts = [change.before.credits, change.before.byok, change.after.credits, change.after.byok];
    (change.key.to_bytes(), amounts.map(Usd::micros))
}

fn unpacked((key, amounts): &PackedKey) -> KeyChange {
    let [before, before_byok, after, after_byok] = amounts.map(Usd::from_micros);
    KeyChange {
        key: KeyHash::of_bytes(key),
        before: LifetimeUse { credits: before, byok: before_byok },
        after: LifetimeUse { credits: after, byok: after_byok },
    }
}

impl Table {
    /// The statement of some days, with the programmes by whose cost codes of today it is made. `None` before the first complete sync.
    pub async fn statement(&self, days: StatementDays) -> Result<(Option<Statement>, Vec<Programme>), StoreError> {
        let (first, cuts, programmes, shares) = tokio::try_join!(
            self.oldest(AccountCut::all()),
            self.cuts_since(days.begin()),
            Box::pin(self.list(Programme::all())),
            Box::pin(self.key_shares())
        )?;
        let Some(first) = first else { return Ok((None, programmes)) };
        let cuts = days.cuts(&cuts);
        let changes = self.key_changes(cuts).await?;
        Ok((Statement::of(days, cuts, &changes, &shares, first.as_of, &programmes), programmes))
    }

    /// The cuts since an instant, oldest first; where there is none, the newest.
    async fn cuts_since(&self, from: Timestamp) -> Result<Vec<AccountCut>, StoreError> {
        let since = Range::between(AccountCut::key_of(from), AccountCut::key_of(Timestamp::MAX));
        let since = self.list(since).await?;
        if since.is_empty() { self.newest(AccountCut::all(), 1).await } else { Ok(since) }
    }

    /// What the foreign keys used from cut to cut after the first of these, up to the last, oldest first.
    async fn key_changes(&self, cuts: &[AccountCut]) -> Result<Vec<KeyChange>, StoreError> {
        let (Some(first), Some(last)) = (cuts.get(1), cuts.last()) else { return Ok(Vec::new()) };
        let (first, last) = (CutKeys::key_of(first.as_of, '0', 0), CutKeys::key_of(last.as_of, 'f', u32::MAX));
        let parts = self.list(Range::between(first, last)).await?;
        let complete: HashSet<Timestamp> = cuts.iter().map(|cut| cut.as_of).collect();
        let mut changes = Vec::new();
        for part in parts.iter().filter(|part| complete.contains(&part.as_of)) {
            changes.extend(part.changes()?);
        }
        Ok(changes)
    }
}
