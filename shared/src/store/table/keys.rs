//! Partitions and prefixes that several kinds of item share; each kind says its own key beside its fields. A
//! programme's grants are spread over sixteen partitions by the first digit of their ids, so that a night's
//! readings do not meet in one.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::clock::Moment;
use jiff::civil::Date;
use ulid::Ulid;

use crate::domain::usage::crossing::Scope;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::window::Window;

/// The primary key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    pub pk: String,
    pub sk: String,
}

/// The primary key of an item of this type.
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

/// The sixteen shards of a programme's grants, and of the foreign keys.
pub const SHARDS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// The range of sort keys that holds exactly a shard's grants and their readings.
pub const GRANTS_AND_READINGS: (&str, &str) = ("G#", "R#~");
/// The prefix of grants' sort keys.
pub const GRANTS: &str = "G#";
/// The partition of the programmes' settings. There are few, and an admin sees them all.
pub const PROGRAMMES: &str = "PROGRAMMES";
/// The prefix of the sort keys of a programme's guardrails.
pub const GUARDRAILS: &str = "RULES#";
/// The partition of the tiers that were edited.
pub const TIERS: &str = "TIERS";
/// The prefix of the sort keys of days by model, of a programme and of the account.
pub const MODEL_DAYS: &str = "M#";
/// The prefix of the sort keys of totals of groups.
pub const GROUP_TOTALS: &str = "GT#";
/// The prefix of the sort keys of crossings.
pub const CROSSINGS: &str = "X#";
/// The prefix of the sort keys of digests, of a programme and of the account.
pub(crate) const DIGESTS: &str = "DIGEST#";
/// The prefix of the sort keys of a person's enrolments.
pub const ENROLMENTS: &str = "G#";
/// The prefix of the sort keys of a person's roles.
pub const ROLES: &str = "R#";
/// The partition of the account as a whole.
pub const ACCOUNT: &str = "ACCOUNT";
/// The prefix of the sort keys of the account's books of a day.
pub const ACCOUNT_DAYS: &str = "D#";
/// The prefix of the sort keys of cuts through the books.
pub const CUTS: &str = "CUT#";
/// The prefix of the sort keys of statements as they were mailed.
pub const MAILED_STATEMENTS: &str = "STATEMENT#";
/// The prefix of the sort keys of alarms.
pub const ALARMS: &str = "ALARM#";
/// The prefix of the sort keys of counts of mail.
pub const MAIL_DAYS: &str = "MAIL#";
/// The prefix of the sort keys of stops of bulk mail.
pub const BULK_STOPS: &str = "BULK-STOP#";
/// The prefix of the sort keys of refusals by the mail server.
pub const MAIL_REFUSALS: &str = "MAIL-REFUSED#";
/// The prefix of the sort keys of rows of model use.
pub const MODEL_ROWS: &str = "R#";
/// The prefix of the sort keys of foreign keys.
pub const FOREIGN_KEYS: &str = "F#";
/// The prefix of the sort keys of owners of foreign keys.
pub const KEY_OWNERS: &str = "OWNER#";
/// The prefix of the sort keys of admins' acts on foreign keys.
pub const FOREIGN_ACTS: &str = "KEY-ACT#";
/// The prefix of the sort keys of marks of what was held back.
pub const HELD_MARKS: &str = "P#";
/// The partition of all runs of the sync, newest last.
pub const RUNS: &str = "RUNS";
/// The prefix of audit entries' sort keys. In a shard of grants they come last, after the grants and their
/// readings.
pub const AUDIT: &str = "Z#";

pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> ItemKey {
    ItemKey { pk: pk.into(), sk: sk.into() }
}

/// The programme and the grant of a grant's key.
pub fn grant_of(key: &ItemKey) -> Option<(ProgrammeId, GrantId)> {
    let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
    Some((programme.parse().ok()?, key.sk.strip_prefix(GRANTS)?.parse().ok()?))
}

/// The prefix of the sort keys of a grant's mails.
pub fn mails_of(grant: &GrantId) -> String {
    format!("V#{grant}#")
}

/// The prefix of the sort keys of a grant's mails that were written in one millisecond.
pub fn mails_written_at(grant: &GrantId, at: Moment) -> String {
    /// The number of characters at the head of a ULID that hold its time.
    const TIME: usize = 10;
    let first = Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or_default(), 0).to_string();
    let time: String = first.chars().take(TIME).collect();
    format!("{}{time}", mails_of(grant))
}

/// The partition of everything stored under an address.
pub fn address_partition(address: &MatchedAddress) -> String {
    format!("A#{}", address.as_str())
}

/// The address of the key of its mark.
pub fn undeliverable_address_of(key: &ItemKey) -> Option<MatchedAddress> {
    let address = key.pk.strip_prefix("A#").filter(|_| key.sk == "UNDELIVERABLE")?;
    EmailAddress::parse(address).ok().map(|address| address.matched().clone())
}

/// The prefix of the sort keys of an address's sessions.
pub const SESSIONS: &str = "SESSION#";

/// The partition of everything about one programme but its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
}

/// The partition of the crossings of one limit in one window, and the prefix of their sort keys.
pub fn crossings_of(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd) -> ItemKey {
    let ItemKey { pk, sk } = all_crossings_of(programme, scope);
    key(pk, format!("{sk}{window}#{}#", limit.micros()))
}

/// The partition of a scope's crossings of all limits in all windows, and the prefix of their sort keys.
pub fn all_crossings_of(programme: &ProgrammeId, scope: &Scope) -> ItemKey {
    let (partition, whose) = match scope {
        Scope::Budget => (programme_partition(programme), "budget"),
        Scope::Reserved => (programme_partition(programme), "reserved"),
        Scope::Cap(grant) => (grant_partition_of(programme, grant), grant.as_str()),
    };
    key(partition, format!("{CROSSINGS}{whose}#"))
}

/// The prefix of the sort keys of a programme's jobs.
pub const JOBS: &str = "JOB#";

/// The programme of a job's key.
pub fn job_of(key: &ItemKey) -> Option<ProgrammeId> {
    let programme = key.pk.strip_prefix("P#").filter(|_| key.sk.starts_with(JOBS))?;
    programme.parse().ok()
}

/// The prefix of the sort keys of a grant's readings.
pub fn readings_of(grant: &GrantId) -> String {
    format!("R#{grant}#")
}

/// The row of the key of an outbox item.
pub fn outbox_row_of(key: &ItemKey) -> Option<Ulid> {
    key.pk.strip_prefix("O#")?.parse().ok()
}

/// The prefix of the sort keys of a grant's audit entries.
pub fn audit_of(grant: &GrantId) -> String {
    format!("{AUDIT}{grant}#")
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

/// The name of a part of a run's rows, saved under a lease with this fence.
pub fn rows_part(fence: u64, number: u32) -> String {
    format!("R#{fence:012}#{number:06}")
}

/// The name of a part of a run's progress, for the checkpoint of this number, under a lease with this fence.
pub fn progress_part(fence: u64, checkpoint: u32, number: u32) -> String {
    format!("P#{fence:012}#{checkpoint:06}#{number:06}")
}

/// The prefix of the sort keys of the counts of a day's mail.
pub fn mail_days(day: Date) -> String {
    format!("{MAIL_DAYS}{day}#")
}

/// A shard of the foreign keys, by the first digit of their hashes.
pub fn foreign_partition(shard: char) -> String {
    format!("F#{shard}")
}
