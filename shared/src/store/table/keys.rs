//! The only place that spells keys of the table; `keys/account.rs` has those of the account and the sync. A
//! programme's grants are spread over sixteen partitions by the first digit of their ids, so that a night's
//! readings do not meet in one.

mod account;
mod credit;

use jiff::Timestamp;
use jiff::civil::Date;
use ulid::Ulid;

use crate::domain::audit::Entry;
use crate::domain::programme::guardrail::GuardrailOwner;
use crate::domain::usage::crossing::Scope;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::{Epoch, GrantId, PersonId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::token::{LinkTokenHash, SessionTokenHash};
use crate::domain::values::window::Window;
use crate::store::programmes::guardrails::RulesSource;

pub use self::account::{
    ACCOUNT, ACCOUNT_DAYS, ALARMS, BULK_STOPS, CUTS, FOREIGN_ACTS, FOREIGN_KEYS, HELD_MARKS, KEY_OWNERS, MAIL_DAYS,
    MAIL_REFUSALS, MAILED_STATEMENTS, MODEL_ROWS, RUNS, account, account_audit, account_day, account_digest, alarm,
    bulk_stop, cap_scan, checkpoint, cut, cut_keys, foreign_act, foreign_key, foreign_partition, held_marks, key_owner,
    mail_day, mail_days, mail_refusal, mail_server, mailed_statement, missing_key, model_rows, progress_part,
    rows_part, run, run_part, sync_state, unattributed_day,
};
pub use self::credit::balance_notice;

/// The primary key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    pub pk: String,
    pub sk: String,
}

/// The sixteen shards of a programme's grants, and of the foreign keys.
pub const SHARDS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// The range of sort keys that holds exactly a shard's grants and their readings.
pub const GRANTS_AND_READINGS: (&str, &str) = ("G#", "R#~");
/// The prefix of grants' sort keys.
pub const GRANTS: &str = "G#";
/// The partition of the list of programmes: an immutable row each. There are few, and an admin sees them all.
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
const DIGESTS: &str = "DIGEST#";
/// The prefix of the sort keys of a person's enrolments.
pub const ENROLMENTS: &str = "G#";
/// The prefix of the sort keys of a person's roles.
pub const ROLES: &str = "R#";
/// The prefix of audit entries' sort keys. In a shard of grants they come last, after the grants and their
/// readings.
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

/// A programme's settings, in a partition of its own, so that a rush on one programme does not slow down
/// another.
pub fn programme(id: &ProgrammeId) -> ItemKey {
    key(programme_partition(id), "P")
}

pub fn listed_programme(id: &ProgrammeId) -> ItemKey {
    key(PROGRAMMES, id.as_str())
}

/// A guardrail, beside its programme.
pub fn guardrail(of: &GuardrailOwner) -> ItemKey {
    key(programme_partition(&of.programme), format!("{GUARDRAILS}{}", of.group.as_deref().unwrap_or_default()))
}

pub fn rules_due(of: &RulesSource) -> ItemKey {
    match of {
        RulesSource::Programme(id) => key("RULES", format!("P#{id}")),
        RulesSource::Tier(name) => key("RULES", format!("T#{name}")),
    }
}

pub fn tier(name: &str) -> ItemKey {
    key(TIERS, name)
}

pub fn pot(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "POT")
}

/// An audit entry, in the partition of its subject.
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

/// The programme and the grant of a grant's key.
pub fn grant_of(key: &ItemKey) -> Option<(ProgrammeId, GrantId)> {
    let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
    Some((programme.parse().ok()?, key.sk.strip_prefix(GRANTS)?.parse().ok()?))
}

pub fn reading(programme: &ProgrammeId, grant: &GrantId, epoch: Epoch) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("{}{:05}", readings_of(grant), epoch.number()))
}

/// The last time that a grant's roster mail was sent again.
pub fn resent(programme: &ProgrammeId, grant: &GrantId) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("W#{grant}"))
}

/// The link from a grant to a mail about it.
pub fn grant_mail(programme: &ProgrammeId, grant: &GrantId, row: Ulid) -> ItemKey {
    key(grant_partition_of(programme, grant), format!("{}{row}", mails_of(grant)))
}

/// The prefix of the sort keys of a grant's mails.
pub fn mails_of(grant: &GrantId) -> String {
    format!("V#{grant}#")
}

/// The prefix of the sort keys of a grant's mails that were written in one millisecond.
pub fn mails_written_at(grant: &GrantId, at: Timestamp) -> String {
    /// The number of characters at the head of a ULID that hold its time.
    const TIME: usize = 10;
    let first = Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or_default(), 0).to_string();
    let time: String = first.chars().take(TIME).collect();
    format!("{}{time}", mails_of(grant))
}

/// A person's grant in a programme.
pub fn enrolment(address: &MatchedAddress, programme: &ProgrammeId) -> ItemKey {
    key(address_partition(address), format!("{ENROLMENTS}{programme}"))
}

/// A person's roles in the settings of a programme.
pub fn roles(address: &MatchedAddress, programme: &ProgrammeId) -> ItemKey {
    key(address_partition(address), format!("{ROLES}{programme}"))
}

/// The partition of everything stored under an address.
pub fn address_partition(address: &MatchedAddress) -> String {
    format!("A#{}", address.as_str())
}

/// The person's id of an address with a role.
pub fn person_of_address(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "ME")
}

pub fn sign_in(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "SIGN-IN")
}

pub fn undeliverable(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "UNDELIVERABLE")
}

/// A person's choice of the optional mails.
pub fn mail_choice(address: &MatchedAddress) -> ItemKey {
    key(address_partition(address), "MAILS")
}

/// The address of the key of its mark.
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

/// The prefix of the sort keys of an address's sessions.
pub const SESSIONS: &str = "SESSION#";

pub fn address_session(address: &MatchedAddress, session: &SessionTokenHash) -> ItemKey {
    key(address_partition(address), format!("{SESSIONS}{}", session.as_str()))
}

pub fn ask(ask: Ulid) -> ItemKey {
    key(format!("ASK#{ask}"), "ASK")
}

pub fn session(session: &SessionTokenHash) -> ItemKey {
    key(format!("S#{}", session.as_str()), "S")
}

/// A rate limit's count of the interval that begins then.
pub fn rate_count(what: &str, begins_at: Timestamp) -> ItemKey {
    key(format!("RATE#{what}"), format!("{:012}", begins_at.as_second()))
}

/// A claim to ask the provider about a grant's key.
pub fn refresh(grant: &GrantId) -> ItemKey {
    key(format!("REFRESH#{grant}"), "REFRESH")
}

/// The partition of everything about one programme but its grants.
pub fn programme_partition(programme: &ProgrammeId) -> String {
    format!("P#{programme}")
}

pub fn totals(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "TOTALS")
}

/// The use of the foreign keys that a programme owns.
pub fn assigned_use(programme: &ProgrammeId) -> ItemKey {
    key(programme_partition(programme), "ASSIGNED")
}

/// The totals of one group of many. Its name is at most two hundred characters long.
pub fn group_totals(programme: &ProgrammeId, group: &str) -> ItemKey {
    key(programme_partition(programme), format!("{GROUP_TOTALS}{group}"))
}

/// A crossing. A student's crossings lie beside the grant: in a programme's own partition they would crowd
/// out all else.
pub fn crossing(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd, threshold: u8) -> ItemKey {
    let ItemKey { pk, sk } = crossings_of(programme, scope, window, limit);
    key(pk, format!("{sk}{threshold:03}"))
}

/// The partition of the crossings of one limit in one window, and the prefix of their sort keys.
pub fn crossings_of(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd) -> ItemKey {
    let ItemKey { pk, sk } = all_crossings_of(programme, scope);
    key(pk, format!("{sk}{window}#{}#", limit.micros()))
}

/// The partition of a scope's crossings of all limits in all windows, and the prefix of their sort keys.
pub fn all_crossings_of(programme: &ProgrammeId, scope: &Scope) -> ItemKey {
    let (partition, whose) = match scope {
        Scope::Pot => (programme_partition(programme), "pot"),
        Scope::Reserved => (programme_partition(programme), "reserved"),
        Scope::Cap(grant) => (grant_partition_of(programme, grant), grant.as_str()),
    };
    key(partition, format!("{CROSSINGS}{whose}#"))
}

/// The prefix of the sort keys of a programme's jobs.
pub const JOBS: &str = "JOB#";

/// A programme's running or last job of a kind. There is one key, so there is one such job at a time.
pub fn job(programme: &ProgrammeId, kind: &str) -> ItemKey {
    key(programme_partition(programme), format!("{JOBS}{kind}"))
}

/// The programme of a job's key.
pub fn job_of(key: &ItemKey) -> Option<ProgrammeId> {
    let programme = key.pk.strip_prefix("P#").filter(|_| key.sk.starts_with(JOBS))?;
    programme.parse().ok()
}

/// A form that was sent.
pub fn used_form(form: Ulid) -> ItemKey {
    key(format!("FORM#{form}"), "FORM")
}

pub fn import(import: Ulid) -> ItemKey {
    key(format!("I#{import}"), "I")
}

/// A part of an import, small enough for one item.
pub fn import_chunk(import: Ulid, number: u32) -> ItemKey {
    key(format!("I#{import}"), format!("C#{number:05}"))
}

/// A programme's use by model on a day.
pub fn model_day(programme: &ProgrammeId, day: Date) -> ItemKey {
    key(programme_partition(programme), format!("{MODEL_DAYS}{day}"))
}

/// The row of a mail, by its message id at the mail server.
pub fn sent_as(message: &str) -> ItemKey {
    key(format!("SENT#{message}"), "SENT")
}

/// The digest of a programme for one calendar week, by its Monday. There is one key, so there is one digest.
pub fn digest(programme: &ProgrammeId, week: Date) -> ItemKey {
    key(programme_partition(programme), format!("{DIGESTS}{week}"))
}

pub fn outbox(row: Ulid) -> ItemKey {
    key(format!("O#{row}"), "O")
}

/// The prefix of the sort keys of a grant's readings.
pub fn readings_of(grant: &GrantId) -> String {
    format!("R#{grant}#")
}

/// The row of the key of an outbox item.
pub fn outbox_row_of(key: &ItemKey) -> Option<Ulid> {
    key.pk.strip_prefix("O#")?.parse().ok()
}

/// The prefix of the sort keys of a programme's own audit entries.
pub fn audit_of_programme() -> &'static str {
    AUDIT
}

/// The prefix of the sort keys of a grant's audit entries.
pub fn audit_of(grant: &GrantId) -> String {
    format!("{AUDIT}{grant}#")
}

pub fn grant_partition(programme: &ProgrammeId, shard: char) -> String {
    format!("G#{programme}#{shard}")
}

fn grant_partition_of(programme: &ProgrammeId, grant: &GrantId) -> String {
    grant_partition(programme, grant.as_str().chars().next().unwrap_or('0'))
}

/// A due time as the index sorts it: the same number of digits for every instant.
pub fn due(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
