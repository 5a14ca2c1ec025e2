//! Keys of the account and of the sync. Items that are large or many are spread over partitions of their own.

use jiff::Timestamp;
use jiff::civil::Date;
use ulid::Ulid;

use super::{AUDIT, DIGESTS, ItemKey, due, key};
use crate::domain::mail::kind::MailKind;
use crate::domain::values::key::KeyHash;

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

/// The checkpoint of the scan of every cap.
pub fn cap_scan() -> ItemKey {
    key(ACCOUNT, "CAP-SCAN")
}

pub fn sync_state() -> ItemKey {
    key(ACCOUNT, "SYNC")
}

/// The checkpoint of the run of the sync under way.
pub fn checkpoint() -> ItemKey {
    key(ACCOUNT, "CHECKPOINT")
}

/// The name of a part of a run's rows, saved under a lease with this fence.
pub fn rows_part(fence: u64, number: u32) -> String {
    format!("R#{fence:012}#{number:06}")
}

/// The name of a part of a run's progress, for the checkpoint of this number, under a lease with this fence.
pub fn progress_part(fence: u64, checkpoint: u32, number: u32) -> String {
    format!("P#{fence:012}#{checkpoint:06}#{number:06}")
}

/// A part of a run's rows or progress. They are large, and one partition takes a megabyte a second, so they
/// are spread over ten by their last digit.
pub fn run_part(run: Ulid, part: &str) -> ItemKey {
    let digit = part.chars().last().unwrap_or_default();
    key(format!("CP#{run}#{digit}"), part)
}

pub fn account() -> ItemKey {
    key(ACCOUNT, "NOW")
}

/// A part of each grant's use by model on a day.
pub fn model_rows(day: Date, part: u32) -> ItemKey {
    key(format!("MODELS#{day}"), format!("{MODEL_ROWS}{part:05}"))
}

pub fn account_day(day: Date) -> ItemKey {
    key(ACCOUNT, format!("{ACCOUNT_DAYS}{day}"))
}

pub fn cut(as_of: Timestamp) -> ItemKey {
    key(ACCOUNT, format!("{CUTS}{}", due(as_of)))
}

/// The last act of an admin on a foreign key.
pub fn foreign_act(hash: &KeyHash) -> ItemKey {
    key(ACCOUNT, format!("{FOREIGN_ACTS}{hash}"))
}

/// A part of the foreign keys of a shard that were used between a cut and the one before.
pub fn cut_keys(as_of: Timestamp, shard: char, part: u32) -> ItemKey {
    key("CUT-KEYS", format!("{}#{shard}#{part:010}", due(as_of)))
}

/// An alarm, by day first, so that the newest are together.
pub fn alarm(day: Date, name: &str) -> ItemKey {
    key(ACCOUNT, format!("{ALARMS}{day}#{name}"))
}

/// The counts of a day's mail of one kind.
pub fn mail_day(day: Date, mail: MailKind) -> ItemKey {
    key(ACCOUNT, format!("{}{mail}", mail_days(day)))
}

/// The prefix of the sort keys of the counts of a day's mail.
pub fn mail_days(day: Date) -> String {
    format!("{MAIL_DAYS}{day}#")
}

/// The last stop of bulk mail of one kind.
pub fn bulk_stop(mail: MailKind) -> ItemKey {
    key(ACCOUNT, format!("{BULK_STOPS}{mail}"))
}

/// The sending limits and state of the mail server.
pub fn mail_server() -> ItemKey {
    key(ACCOUNT, "MAIL-SERVER")
}

/// The refusals of mail for one reason.
pub fn mail_refusal(code: &str) -> ItemKey {
    key(ACCOUNT, format!("{MAIL_REFUSALS}{code}"))
}

/// The statement of a month as it was mailed. There is one key, so it is mailed once.
pub fn mailed_statement(month: Date) -> ItemKey {
    key(ACCOUNT, format!("{MAILED_STATEMENTS}{month}"))
}

/// The digest of the account for one calendar week, by its Monday. There is one key, so there is one digest.
pub fn account_digest(week: Date) -> ItemKey {
    key(ACCOUNT, format!("{DIGESTS}{week}"))
}

pub fn account_audit(entry: Ulid) -> ItemKey {
    key(ACCOUNT, format!("{AUDIT}{entry}"))
}

/// A shard of the foreign keys, by the first digit of their hashes.
pub fn foreign_partition(shard: char) -> String {
    format!("F#{shard}")
}

pub fn foreign_key(hash: &KeyHash) -> ItemKey {
    let shard = hash.as_str().chars().next().unwrap_or('0');
    key(foreign_partition(shard), format!("{FOREIGN_KEYS}{hash}"))
}

/// The owner of a foreign key.
pub fn key_owner(hash: &KeyHash) -> ItemKey {
    key(foreign_key(hash).pk, format!("{KEY_OWNERS}{hash}"))
}

/// A recorded key that the provider does not find.
pub fn missing_key(hash: &KeyHash) -> ItemKey {
    key(foreign_key(hash).pk, format!("MISSING#{hash}"))
}

/// A part of the marks of what a run held back.
pub fn held_marks(marks: Ulid, part: u32) -> ItemKey {
    key(format!("HELD#{marks}"), format!("{HELD_MARKS}{part:05}"))
}

pub fn run(run: Ulid) -> ItemKey {
    key(RUNS, run.to_string())
}
