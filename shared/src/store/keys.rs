//! The only place that spells keys of the table. A programme's grants are spread over sixteen partitions by the first digit of
//! their ids, so that a night's readings do not meet in one.

use jiff::Timestamp;
use ulid::Ulid;

use crate::domain::address::MatchedAddress;
use crate::domain::id::{Epoch, GrantId, ProgrammeId};

/// The primary key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

/// The sixteen partitions of a programme's grants.
pub const SHARDS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// What sort keys of a grant partition begin with.
pub const GRANTS: &str = "G#";
/// All programmes lie in one partition: there are few, and an admin lists them all.
pub const PROGRAMMES: &str = "PROGRAMMES";

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

pub fn meta() -> Key {
    key("META", "META")
}

pub fn lease(name: &str) -> Key {
    key("LEASE", name)
}

pub fn programme(id: &ProgrammeId) -> Key {
    key(PROGRAMMES, id.as_str())
}

pub fn pot(programme: &ProgrammeId) -> Key {
    key(format!("P#{programme}"), "POT")
}

pub fn programme_audit(programme: &ProgrammeId, entry: Ulid) -> Key {
    key(format!("P#{programme}"), format!("Z#{entry}"))
}

pub fn grant(programme: &ProgrammeId, grant: &GrantId) -> Key {
    key(grant_partition_of(programme, grant), format!("{GRANTS}{grant}"))
}

/// Which grant this is the key of.
pub fn grant_of(key: &Key) -> Option<(ProgrammeId, GrantId)> {
    let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
    Some((programme.parse().ok()?, key.sk.strip_prefix(GRANTS)?.parse().ok()?))
}

pub fn reading(programme: &ProgrammeId, grant: &GrantId, epoch: Epoch) -> Key {
    key(grant_partition_of(programme, grant), format!("{}{:05}", readings_of(grant), epoch.number()))
}

pub fn grant_audit(programme: &ProgrammeId, grant: &GrantId, entry: Ulid) -> Key {
    key(grant_partition_of(programme, grant), format!("{}{entry}", audit_of(grant)))
}

/// Which grant a person has in a programme.
pub fn enrolment(address: &MatchedAddress, programme: &ProgrammeId) -> Key {
    key(format!("A#{}", address.as_str()), format!("G#{programme}"))
}

pub fn outbox(row: Ulid) -> Key {
    key(format!("O#{row}"), "O")
}

/// What the sort keys of a grant's readings begin with.
pub fn readings_of(grant: &GrantId) -> String {
    format!("R#{grant}#")
}

/// What the sort keys of a grant's audit entries begin with.
pub fn audit_of(grant: &GrantId) -> String {
    format!("Z#{grant}#")
}

pub fn grant_partition(programme: &ProgrammeId, shard: char) -> String {
    format!("G#{programme}#{shard}")
}

fn grant_partition_of(programme: &ProgrammeId, grant: &GrantId) -> String {
    grant_partition(programme, grant.as_str().chars().next().unwrap_or('0'))
}

/// A due time as the index sorts it: as many digits for every instant.
pub fn due(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
