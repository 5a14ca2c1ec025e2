//! The partitions that ids name and several kinds of item share.

use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::schema::{ItemKey, Range, begin, key, overview};

/// The partition of everything about one programme but its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
}

/// The key of something that the overview of a programme shows: one query reads all of it.
pub(crate) fn overview_key(programme: &ProgrammeId, name: &str) -> ItemKey {
    key(programme_partition(programme), overview(name))
}

pub(crate) fn overview_range<T>(programme: &ProgrammeId, name: &str) -> Range<T> {
    begin(programme_partition(programme), &overview(name))
}

pub fn grant_partition(programme: &ProgrammeId, shard: char) -> String {
    format!("G#{programme}#{shard}")
}

pub fn grant_partition_of(programme: &ProgrammeId, grant: &GrantId) -> String {
    grant_partition(programme, shard_of(grant))
}

/// The first digit of a grant's id, which is its shard.
pub fn shard_of(grant: &GrantId) -> char {
    grant.as_str().chars().next().unwrap_or('0')
}

pub fn address_partition(address: &MatchedAddress) -> String {
    format!("A#{}", address.as_str())
}
