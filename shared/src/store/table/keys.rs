//! The only place that spells keys of the table. A programme's grants are spread over sixteen partitions by the first digit of
//! their ids, so that a night's readings do not meet in one.

use jiff::Timestamp;
use jiff::civil::Date;
use ulid::Ulid;

use crate::domain::audit::Entry;
use crate::domain::mail::kind::MailKind;
use crate::domain::usage::crossing::Scope;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::{Epoch, GrantId, PersonId, ProgrammeId};
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::domain::values::token::{LinkTokenHash, SessionTokenHash};
use crate::domain::values::window::Window;

/// The primary key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    pub pk: String,
    pub sk: String,
}

/// The sixteen partitions of a programme's grants.
pub const SHARDS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// Between these lie the grants of a partition and their readings, and nothing else.
pub const GRANTS_AND_READINGS: (&str, &str) = ("G#", "R#~");
/// What sort keys of a grant partition begin with.
pub const GRANTS: &str = "G#";
/// What lists the programmes: a row for each, which never changes. There are few, and an admin sees them all.
pub const PROGRAMMES: &str = "PROGRAMMES";
/// What is kept of the account as a whole.
pub const ACCOUNT: &str = "ACCOUNT";
/// What the sort keys of the account's days begin with.
pub const ACCOUNT_DAYS: &str = "D#";
/// What the sort keys of cuts through the books begin with.
pub const CUTS: &str = "CUT#";
/// What the sort keys of what an admin was told of the account begin with.
pub const ALARMS: &str = "ALARM#";
/// What the sort keys of the days of mail begin with.
pub const MAIL_DAYS: &str = "MAIL#";
pub const BULK_STOPS: &str = "BULK-STOP#";
/// What the sort keys of the reasons begin with for which mail is refused.
pub const MAIL_REFUSALS: &str = "MAIL-REFUSED#";
/// What the sort keys of days by model begin with, of a programme and of the account.
pub const MODEL_DAYS: &str = "M#";
/// What the sort keys of rows of model use begin with.
pub const MODEL_ROWS: &str = "R#";
/// What the sort keys of keys that nobody here made begin with.
pub const FOREIGN_KEYS: &str = "F#";
/// What the sort keys of marks of what was held back begin with.
pub const HELD_MARKS: &str = "P#";
/// All runs of the sync, newest last.
pub const RUNS: &str = "RUNS";
/// What the sort keys of sums of groups begin with.
pub const GROUP_TOTALS: &str = "GT#";
/// What the sort keys of crossings begin with.
pub const CROSSINGS: &str = "X#";
/// What the sort keys of what was asked of the admins begin with.
pub const REQUESTS: &str = "Q#";
/// What the sort keys of digests begin with, of a programme and of the account.
const DIGESTS: &str = "DIGEST#";
/// What the sort keys of a person's enrolments begin with.
pub const ENROLMENTS: &str = "G#";
/// What the sort keys of a person's roles begin with.
pub const ROLES: &str = "R#";
/// What the sort keys of audit entries begin with. In a grant partition they come last, behind the grants and their readings.
pub const AUDIT: &str = "Z#";

fn key(pk: impl Into<String>, sk: impl Into<String>) -> ItemKey {
    ItemKey { pk: pk.into(), sk: sk.into() }
}

pub fn meta() -> ItemKey {
    key("META", "META")
}

pub fn lease(name: &str) -> ItemKey {
    key("LEASE", name)
}

/// In a partition of its own, so that a rush on one programme slows down no other.
pub fn programme(id: &ProgrammeId) -> ItemKey {
    key(programme_partition(id), "P")
}

/// Which programme this is the key of.
pub fn programme_of(key: &ItemKey) -> Option<ProgrammeId> {
    key.pk.strip_prefix("P#").filter(|_| key.sk == "P")?.parse().ok()
}

pub fn listed_programme(id: &ProgrammeId) -> ItemKey {
    key(PROGRAMMES, id.as_str())
}

pub fn pot(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "POT")
}

/// An audit entry lies beside what it is about.
pub fn entry(entry: &Entry) -> ItemKey {
    let Entry { programme, grant, entry, .. } = entry;
    match grant {
        Some(grant) => key(grant_partition_of(programme, grant), format!("{}{entry}", audit_of(grant))),
        None => key(programme_partition(programme), format!("{}{entry}", audit_of_programme())),
    }
}

pub fn grant(programme: &ProgrammeId, grant: &GrantId) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("{GRANTS}{grant}"))
}

/// Which grant this is the key of.
pub fn grant_of(key: &ItemKey) -> Option<(ProgrammeId, GrantId)> {
    let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
    Some((programme.parse().ok()?, key.sk.strip_prefix(GRANTS)?.parse().ok()?))
}

pub fn reading(programme: &ProgrammeId, grant: &GrantId, epoch: Epoch) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("{}{:05}", readings_of(grant), epoch.number()))
}

/// When a grant's roster mail was last sent again.
pub fn resent(programme: &ProgrammeId, grant: &GrantId) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("W#{grant}"))
}

/// That a mail was owed because of a grant.
pub fn mail_of(programme: &ProgrammeId, grant: &GrantId, row: Ulid) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("{}{row}", mails_of(grant)))
}

/// What the sort keys of a grant's mails begin with.
pub fn mails_of(grant: &GrantId) -> String {
    format!("V#{grant}#")
}

/// What the sort keys of those of a grant's mails begin with that were written in one millisecond.
pub fn mails_written_at(grant: &GrantId, at: Timestamp) -> String {
    /// The first characters of a ULID are its time.
    const TIME: usize = 10;
    let first = Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or_default(), 0).to_string();
    let time: String = first.chars().take(TIME).collect();
    format!("{}{time}", mails_of(grant))
}

/// Which grant a person has in a programme.
pub fn enrolment(address: &MatchedAddress, programme: &ProgrammeId) -> ItemKey {
    key(address_partition(address), format!("{ENROLMENTS}{programme}"))
}

/// As what a programme's settings name a person.
pub fn roles(address: &MatchedAddress, programme: &ProgrammeId) -> ItemKey {
    key(address_partition(address), format!("{ROLES}{programme}"))
}

/// All that is kept under an address.
pub fn address_partition(address: &MatchedAddress) -> String {
    format!("A#{}", address.as_str())
}

/// Which person with a role an address is.
pub fn person_of(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "ME")
}

pub fn sign_in(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "SIGN-IN")
}

pub fn undeliverable(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "UNDELIVERABLE")
}

/// Which of the mails that they can choose a person wants.
pub fn mail_choice(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "MAILS")
}

/// Of which address this is the key of the mark.
pub fn undeliverable_address_of(key: &ItemKey) -> Option<MatchedAddress> {
    let address = key.pk.strip_prefix("A#").filter(|_| key.sk == "UNDELIVERABLE")?;
    EmailAddress::parse(address).ok().map(|address| address.matched().clone())
}

pub fn person(person: &PersonId) -> ItemKey {
    key(format!("N#{person}"), "N")
}

pub fn link(link: &LinkTokenHash) -> ItemKey {
    key(format!("L#{}", link.as_str()), "L")
}

/// What the sort keys of an address's sessions begin with.
pub const SESSIONS: &str = "SESSION#";

pub fn session_of(address: &MatchedAddress, session: &SessionTokenHash) -> ItemKey {
    key(address_partition(address), format!("{SESSIONS}{}", session.as_str()))
}

pub fn ask(ask: Ulid) -> ItemKey {
    key(format!("ASK#{ask}"), "ASK")
}

pub fn session(session: &SessionTokenHash) -> ItemKey {
    key(format!("S#{}", session.as_str()), "S")
}

/// How often something was done from then on, for a while.
pub fn tally(what: &str, begins_at: Timestamp) -> ItemKey {
    key(format!("TALLY#{what}"), format!("{:012}", begins_at.as_second()))
}

/// When the provider may be asked for a grant's key again.
pub fn refreshed(grant: &GrantId) -> ItemKey {
    key(format!("REFRESHED#{grant}"), "REFRESHED")
}

/// What is kept of one programme beside its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
}

pub fn totals(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "TOTALS")
}

/// What one of many groups used. Its name is at most two hundred characters long.
pub fn group_totals(programme: &ProgrammeId, group: &str) -> ItemKey {
    key(programme_partition(programme), format!("{GROUP_TOTALS}{group}"))
}

/// A student's crossings lie beside the grant: in a programme's own partition they would crowd out all else.
pub fn crossing(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd, threshold: u8) -> ItemKey {
    let ItemKey { pk, sk } = crossings_of(programme, scope, window, limit);
    key(pk, format!("{sk}{threshold:03}"))
}

/// Where the crossings of one limit in one window lie, and what their sort keys begin with.
pub fn crossings_of(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd) -> ItemKey {
    let ItemKey { pk, sk } = all_crossings_of(programme, scope);
    key(pk, format!("{sk}{window}#{}#", limit.micros()))
}

/// The same of all limits in all windows.
pub fn all_crossings_of(programme: &ProgrammeId, scope: &Scope) -> ItemKey {
    let (partition, whose) = match scope {
        Scope::Pot => (programme_partition(programme), "pot"),
        Scope::Reserved => (programme_partition(programme), "reserved"),
        Scope::Cap(grant) => (grant_partition_of(programme, grant), grant.as_str()),
    };
    key(partition, format!("{CROSSINGS}{whose}#"))
}

/// By day first, so that the newest are together.
pub fn request(programme: &ProgrammeId, day: Date, request: &str) -> ItemKey {
    key(programme_partition(programme), format!("{REQUESTS}{day}#{request}"))
}

/// The job of a programme that runs, or the last that did. There is one key, so there is one job at a time.
pub fn job(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "JOB")
}

/// Whose job this is the key of.
pub fn job_of(key: &ItemKey) -> Option<ProgrammeId> {
    let programme = key.pk.strip_prefix("P#").filter(|_| key.sk == "JOB")?;
    programme.parse().ok()
}

pub fn import(import: Ulid) -> ItemKey {
    key(format!("I#{import}"), "I")
}

/// A part of an import, small enough for one item.
pub fn import_chunk(import: Ulid, number: u32) -> ItemKey {
    key(format!("I#{import}"), format!("C#{number:05}"))
}

/// How far the look at every cap came.
pub fn caps_look() -> ItemKey {
    key(ACCOUNT, "CAPS")
}

pub fn sync_state() -> ItemKey {
    key(ACCOUNT, "SYNC")
}

/// How far the run of the sync that goes on came.
pub fn checkpoint() -> ItemKey {
    key(ACCOUNT, "CHECKPOINT")
}

/// A part of the rows that a run has seen, as they were kept under a lease with this fence.
pub fn rows_part(fence: u64, number: u32) -> String {
    format!("R#{fence:012}#{number:06}")
}

/// A part of how far a run came, of the checkpoint of this number, under a lease with this fence.
pub fn progress_part(fence: u64, checkpoint: u32, number: u32) -> String {
    format!("P#{fence:012}#{checkpoint:06}#{number:06}")
}

/// A part of what a run has seen. Many are large, and one partition takes a megabyte a second: by their last digits they lie in ten.
pub fn run_part(run: Ulid, part: &str) -> ItemKey {
    let digit = part.chars().last().unwrap_or_default();
    key(format!("CP#{run}#{digit}"), part)
}

pub fn account() -> ItemKey {
    key(ACCOUNT, "NOW")
}

/// What a programme used by model on a day.
pub fn model_day(programme: &ProgrammeId, day: Date) -> ItemKey {
    key(programme_partition(programme), format!("{MODEL_DAYS}{day}"))
}

/// What was used by model on a day and is no programme's.
pub fn unattributed_day(day: Date) -> ItemKey {
    key(ACCOUNT, format!("{MODEL_DAYS}{day}"))
}

/// Some of what each grant used by model on a day.
pub fn model_rows(day: Date, part: u32) -> ItemKey {
    key(format!("MODELS#{day}"), format!("{MODEL_ROWS}{part:05}"))
}

pub fn account_day(day: Date) -> ItemKey {
    key(ACCOUNT, format!("{ACCOUNT_DAYS}{day}"))
}

pub fn cut(as_of: Timestamp) -> ItemKey {
    key(ACCOUNT, format!("{CUTS}{}", due(as_of)))
}

/// By day first, so that the newest are together.
pub fn alarm(day: Date, name: &str) -> ItemKey {
    key(ACCOUNT, format!("{ALARMS}{day}#{name}"))
}

/// How the mail of a kind fared on a day.
pub fn mail_day(day: Date, mail: MailKind) -> ItemKey {
    key(ACCOUNT, format!("{}{mail}", mail_days(day)))
}

/// What the keys of a day's kinds of mail begin with.
pub fn mail_days(day: Date) -> String {
    format!("{MAIL_DAYS}{day}#")
}

/// That mail of a kind was stopped.
pub fn bulk_stop(mail: MailKind) -> ItemKey {
    key(ACCOUNT, format!("{BULK_STOPS}{mail}"))
}

/// What the mail server said of itself.
pub fn mail_server() -> ItemKey {
    key(ACCOUNT, "MAIL-SERVER")
}

/// As what the mail server knows a mail.
pub fn sent_as(message: &str) -> ItemKey {
    key(format!("SENT#{message}"), "SENT")
}

/// That the mail server takes no mail, for this reason.
pub fn mail_refusal(code: &str) -> ItemKey {
    key(ACCOUNT, format!("{MAIL_REFUSALS}{code}"))
}

/// The shortfall of the balance that was told last.
pub fn shortage() -> ItemKey {
    key(ACCOUNT, "SHORTAGE".to_owned())
}

/// The digest of a programme for one calendar week, by its Monday. There is one key, so there is one digest.
pub fn digest(programme: &ProgrammeId, week: Date) -> ItemKey {
    key(programme_partition(programme), format!("{DIGESTS}{week}"))
}

/// The same of the account.
pub fn account_digest(week: Date) -> ItemKey {
    key(ACCOUNT, format!("{DIGESTS}{week}"))
}

pub fn account_audit(entry: Ulid) -> ItemKey {
    key(ACCOUNT, format!("{AUDIT}{entry}"))
}

/// Keys that nobody here made, spread over sixteen partitions by the first digit of their hashes.
pub fn foreign_partition(shard: char) -> String {
    format!("F#{shard}")
}

pub fn foreign_key(hash: &KeyHash) -> ItemKey {
    let shard = hash.as_str().chars().next().unwrap_or('0');
    key(foreign_partition(shard), format!("{FOREIGN_KEYS}{hash}"))
}

/// That the provider does not find a recorded key.
pub fn missing_key(hash: &KeyHash) -> ItemKey {
    key(foreign_key(hash).pk, format!("MISSING#{hash}"))
}

/// Some marks of what a run held back.
pub fn held_marks(marks: Ulid, part: u32) -> ItemKey {
    key(format!("HELD#{marks}"), format!("{HELD_MARKS}{part:05}"))
}

pub fn run(run: Ulid) -> ItemKey {
    key(RUNS, run.to_string())
}

pub fn outbox(row: Ulid) -> ItemKey {
    key(format!("O#{row}"), "O")
}

/// What the sort keys of a grant's readings begin with.
pub fn readings_of(grant: &GrantId) -> String {
    format!("R#{grant}#")
}

/// Which row of the outbox this is the key of.
pub fn outbox_row_of(key: &ItemKey) -> Option<Ulid> {
    key.pk.strip_prefix("O#")?.parse().ok()
}

/// What the sort keys of a programme's own audit entries begin with.
pub fn audit_of_programme() -> &'static str {
    AUDIT
}

/// What the sort keys of a grant's audit entries begin with.
pub fn audit_of(grant: &GrantId) -> String {
    format!("{AUDIT}{grant}#")
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
