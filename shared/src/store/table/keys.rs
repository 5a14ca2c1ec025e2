//! Partitions and prefixes that several kinds of item share; each kind says its own key beside its fields. A
//! programme's grants are spread over sixteen partitions by the first digit of their ids, so that a night's
//! readings do not meet in one.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::store::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    pub pk: String,
    pub sk: String,
}

pub struct Key<T> {
    pub item: ItemKey,
    of: PhantomData<fn() -> T>,
}

impl<T> From<ItemKey> for Key<T> {
    fn from(item: ItemKey) -> Key<T> {
        Key { item, of: PhantomData }
    }
}

impl<T> Deref for Key<T> {
    type Target = ItemKey;
    fn deref(&self) -> &ItemKey {
        &self.item
    }
}

/// The items of one type in a partition, from one sort key to another, both included.
pub struct Range<T> {
    pub(crate) pk: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) of: PhantomData<fn() -> T>,
}

impl<T> Range<T> {
    pub fn between(first: Key<T>, last: Key<T>) -> Range<T> {
        Range { pk: first.item.pk, first: first.item.sk, last: last.item.sk, of: PhantomData }
    }
}

pub(crate) fn begin<T>(pk: impl Into<String>, sk: &str) -> Range<T> {
    // A sort key is not empty, and none begins with less than a blank.
    let first = if sk.is_empty() { " " } else { sk };
    Range { pk: pk.into(), first: first.to_owned(), last: format!("{sk}\u{10ffff}"), of: PhantomData }
}

/// The sixteen shards of a programme's grants, and of the foreign keys.
pub const SHARDS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

pub(crate) const ACCOUNT: &str = "ACCOUNT";
/// The prefix of audit entries' sort keys. In a shard of grants they come last, after the grants and their
/// readings.
pub(crate) const AUDIT: &str = "Z#";

pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> ItemKey {
    ItemKey { pk: pk.into(), sk: sk.into() }
}

pub fn grant_of(key: &ItemKey) -> Option<(ProgrammeId, GrantId)> {
    let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
    Some((programme.parse().ok()?, key.sk.strip_prefix("G#")?.parse().ok()?))
}

pub fn mails_of(grant: &GrantId) -> String {
    format!("V#{grant}#")
}

/// The prefix of the sort keys of a grant's mails that were written in one millisecond.
pub fn mails_written_at(grant: &GrantId, at: Moment) -> String {
    const TIME: usize = 10;
    let first = Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or_default(), 0).to_string();
    let time: String = first.chars().take(TIME).collect();
    format!("{}{time}", mails_of(grant))
}

pub fn address_partition(address: &MatchedAddress) -> String {
    format!("A#{}", address.as_str())
}

pub fn undeliverable_address_of(key: &ItemKey) -> Option<MatchedAddress> {
    let address = key.pk.strip_prefix("A#").filter(|_| key.sk == "UNDELIVERABLE")?;
    EmailAddress::parse(address).ok().map(|address| address.matched().clone())
}

/// The partition of everything about one programme but its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
}

/// The sort key of what the overview of a programme shows: one query reads all of it.
pub(crate) fn overview(sk: &str) -> String {
    format!("OVERVIEW#{sk}")
}

pub fn job_of(key: &ItemKey) -> Option<ProgrammeId> {
    let programme = key.pk.strip_prefix("P#").filter(|_| key.sk.starts_with(&overview("JOB#")))?;
    programme.parse().ok()
}

pub fn outbox_row_of(key: &ItemKey) -> Option<Ulid> {
    key.pk.strip_prefix("O#")?.parse().ok()
}

pub fn grant_partition(programme: &ProgrammeId, shard: char) -> String {
    format!("G#{programme}#{shard}")
}

pub(crate) fn grant_partition_of(programme: &ProgrammeId, grant: &GrantId) -> String {
    grant_partition(programme, grant.as_str().chars().next().unwrap_or('0'))
}

/// A due time as the index sorts it: the same number of digits for every instant.
pub fn due(at: Moment) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub fn foreign_partition(shard: char) -> String {
    format!("F#{shard}")
}
