//! The partitions that ids name and several kinds of item share.

use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{GrantId, ProgrammeId};

/// The partition of everything about one programme but its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
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
