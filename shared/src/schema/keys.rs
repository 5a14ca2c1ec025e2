//! Keys and ranges of the table, and the names in them that several kinds of item share; each kind
//! says its own key beside its fields.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::clock::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    pub pk: String,
    pub sk: String,
}

pub struct TableKey<T> {
    pub item_key: ItemKey,
    marker: PhantomData<fn() -> T>,
}

impl<T> From<ItemKey> for TableKey<T> {
    fn from(item_key: ItemKey) -> TableKey<T> {
        TableKey {
            item_key,
            marker: PhantomData,
        }
    }
}

impl<T> Deref for TableKey<T> {
    type Target = ItemKey;
    fn deref(&self) -> &ItemKey {
        &self.item_key
    }
}

/// The items of one type in a partition, from one sort key to another, both included.
pub struct Range<T> {
    pub(crate) pk: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) marker: PhantomData<fn() -> T>,
}

impl<T> Range<T> {
    pub fn between(first: TableKey<T>, last: TableKey<T>) -> Range<T> {
        Range {
            pk: first.item_key.pk,
            first: first.item_key.sk,
            last: last.item_key.sk,
            marker: PhantomData,
        }
    }
}

pub(crate) fn begin<T>(pk: impl Into<String>, sk: &str) -> Range<T> {
    // A sort key is not empty, and none begins with less than a blank.
    let first = if sk.is_empty() { " " } else { sk };
    Range {
        pk: pk.into(),
        first: first.to_owned(),
        last: format!("{sk}\u{10ffff}"),
        marker: PhantomData,
    }
}

/// The sixteen shards of a programme's grants, by the first digit of their ids, and of the foreign
/// keys, so that a night's readings do not meet in one partition.
pub const SHARDS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
];

pub(crate) const ACCOUNT: &str = "ACCOUNT";
/// The prefix of audit entries' sort keys. In a shard of grants they come last, after the grants
/// and their readings.
pub(crate) const AUDIT: &str = "Z#";

pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> ItemKey {
    ItemKey {
        pk: pk.into(),
        sk: sk.into(),
    }
}

/// The sort key of what the overview of a programme shows.
pub(crate) fn overview(sk: &str) -> String {
    format!("OVERVIEW#{sk}")
}

/// A due time as the index sorts it: the same number of digits for every instant.
pub(crate) fn due(due_at: Moment) -> String {
    due_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub fn foreign_partition(shard: char) -> String {
    format!("F#{shard}")
}
