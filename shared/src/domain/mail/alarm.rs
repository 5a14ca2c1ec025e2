//! Alarms: what an admin must know of the account. An alarm is identified by its day and its cause,
//! so one cause is mailed once however many runs meet it. It is mailed again on another day if it
//! lasts or has come back. The functions decide when to raise one.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::credit::Purchase;
use crate::domain::mail::kind::{MailKind, SendFigures};
use crate::domain::values::id::{GrantId, PersonId, ProgrammeId};
use crate::domain::values::key::Fingerprint;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;
use crate::schema::{ACCOUNT, Range, begin, key, stored};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alarm {
    /// The UTC day of the alarm: when its cause began, or the day whose sum it is about.
    pub day: Date,
    pub found_at: Moment,
    #[serde(flatten)]
    pub cause: Cause,
    /// The recipients; the store fills them in, together with how many of them have a mail queued.
    pub recipients: Vec<PersonId>,
    pub queued: u32,
}

stored! {
    // An alarm, by day first, so that the newest are together.
    Alarm |alarm| (day: Date = alarm.day, name: &str = &alarm.name()) => key(ACCOUNT, format!("ALARM#{day}#{name}"));
    list all() => begin(ACCOUNT, "ALARM#");
    list between(first: Date, last: Date) => Range::between(Alarm::key_of(first, ""), Alarm::key_of(last, "\u{10ffff}"))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// Actions that the sync's safety limit held back. They are keys that nobody was shown, keys
    /// that a recovery would disable, and live grants to stop because their keys are gone or
    /// disabled. `keys` names the first of them.
    HeldBack {
        sweeps: u32,
        recoveries: u32,
        stops: u32,
        bound: u32,
        keys: Vec<String>,
    },
    /// A residual of the account: its size, and the part that the admins do not know of yet.
    Residual {
        residual: Usd,
        news: Usd,
        tolerance: Usd,
    },
    /// An admin made somebody else one, or removed them. `version` tells the changes of a day
    /// apart.
    AdminChanged {
        person: PersonId,
        is_admin: bool,
        actor: PersonId,
        version: u64,
    },
    /// An admin of the environment came in by a mailed link, although admins have to sign on.
    AdminByLink {
        person: PersonId,
        signed_in_at: Moment,
    },
    /// The provider does not accept the management key.
    ManagementKey,
    /// The management key is of an account that has none of the keys which the last complete sync
    /// listed.
    AnotherAccount { management_key: Fingerprint },
    /// A run stopped early or left something out: the number of its problems, and the first of
    /// them.
    Incomplete { problems: u32, first: String },
    /// The provider lists working keys with names of ours that the table does not know: how many,
    /// the first of them, and a hash of all their hashes.
    UnknownKeys {
        keys: u32,
        first: String,
        set: String,
    },
    /// No run was complete for too long; without a time, none ever was.
    Silent { last: Option<Moment> },
    /// Credit must be bought. `alerted_at` identifies the alarm, which is raised again when there
    /// is news of it, or it was over.
    Balance {
        purchase: Purchase,
        alerted_at: Moment,
    },
    /// The mail server refuses mail because of the account, so that mail waits.
    MailRefused { code: String, since: Moment },
    /// Mail waits that should have been sent long ago: how many, the age of the oldest, and whether
    /// it is urgent.
    MailWaits {
        urgent: bool,
        mails: u64,
        since: Moment,
    },
    /// No delivery event arrived of the first mails sent on this day, which were so many.
    NothingHeard { sent_on: Date, sent: u64 },
    /// Mails of a kind that were given up or came back, with the code and the first of them; of
    /// alerts those of one programme. Without a kind they are mails that cannot be read.
    Unsent {
        mail: Option<MailKind>,
        programme: Option<ProgrammeId>,
        code: String,
        first: Ulid,
    },
    /// Bulk mail waits to the end of the UTC day, since too much of the day's came back or was
    /// complained about.
    BulkStopped { figures: SendFigures },
    /// The provider refuses rules of a programme, for the reason that it gives.
    RulesRefused {
        programme: ProgrammeId,
        /// The group whose guardrail is to have them, unless it is the programme's.
        group: Option<String>,
        /// The tier that they name, if they name one.
        tier: Option<String>,
        since: Moment,
        why: String,
    },
    /// A job of a programme that makes no progress.
    Stuck {
        programme: ProgrammeId,
        since: Moment,
    },
    /// An erasure that makes no progress.
    ErasureStuck { since: Moment },
    /// Keys that are to be off, and of which the provider has not confirmed that for too long: the
    /// number of their grants, and the one that waits longest.
    OffUnconfirmed {
        grants: u32,
        since: Moment,
        programme: ProgrammeId,
        grant: GrantId,
    },
    /// The balance could not be read for too long.
    BalanceUnread { since: Moment },
    /// The public origin does not answer.
    SiteDown { why: String },
    /// What in AWS an alarm of the stack tells, where the bundle runs on one machine: its name, and
    /// the sentence about it.
    Machine { what: String, sentence: String },
}

impl Alarm {
    pub fn on(day: Date, cause: Cause, found_at: Moment) -> Alarm {
        Alarm {
            day,
            found_at,
            cause,
            recipients: Vec::new(),
            queued: 0,
        }
    }

    pub fn now(cause: Cause, found_at: Moment) -> Alarm {
        Alarm::on(utc_date(found_at), cause, found_at)
    }

    /// The name of its cause, whatever its numbers; only held-back actions have another name when
    /// their numbers change.
    pub fn name(&self) -> String {
        match &self.cause {
            Cause::HeldBack {
                sweeps,
                recoveries,
                stops,
                ..
            } => {
                format!("held-back-{sweeps}-{recoveries}-{stops}")
            }
            Cause::Residual { .. } => "residual".to_owned(),
            Cause::AdminChanged { version, .. } => format!("admins-{version}"),
            Cause::AdminByLink {
                person,
                signed_in_at,
            } => format!("by-link-{person}-{}", signed_in_at.as_second()),
            Cause::ManagementKey => "management-key".to_owned(),
            Cause::AnotherAccount { management_key } => {
                format!("another-account-{}", management_key.short())
            }
            // A check that is not complete is soon a silent one too.
            Cause::Incomplete { .. } | Cause::Silent { .. } => "sync".to_owned(),
            Cause::UnknownKeys { set, .. } => format!("unknown-keys-{set}"),
            Cause::Balance { alerted_at, .. } => format!("balance-{}", alerted_at.as_second()),
            Cause::MailRefused { code, since } => {
                format!("mail-refused-{code}-{}", since.as_second())
            }
            Cause::MailWaits { urgent: true, .. } => "urgent-mail-waits".to_owned(),
            Cause::MailWaits { urgent: false, .. } => "mail-waits".to_owned(),
            Cause::NothingHeard { .. } => "nothing-heard".to_owned(),
            Cause::Unsent {
                mail,
                programme,
                code,
                ..
            } => {
                let of_programme = programme
                    .as_ref()
                    .map(|programme| format!("-{programme}"))
                    .unwrap_or_default();
                format!(
                    "unsent-{}{of_programme}-{code}",
                    mail.map_or("unreadable", MailKind::as_str)
                )
            }
            Cause::BulkStopped { .. } => "bulk-stopped".to_owned(),
            Cause::RulesRefused {
                programme, group, ..
            } => {
                let of_group = group
                    .as_ref()
                    .map(|group| format!("/{group}"))
                    .unwrap_or_default();
                format!("rules-refused-{programme}{of_group}")
            }
            Cause::Stuck { programme, .. } => format!("stuck-{programme}"),
            Cause::ErasureStuck { .. } => "erasure-stuck".to_owned(),
            Cause::OffUnconfirmed { .. } => "off-unconfirmed".to_owned(),
            Cause::BalanceUnread { .. } => "balance-unread".to_owned(),
            Cause::SiteDown { .. } => "site-down".to_owned(),
            Cause::Machine { what, .. } => format!("machine-{what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An alarm has one name for one cause on its day, and another name when something else is held
    /// back.
    #[test]
    fn one_cause_has_one_name() {
        let at = "2026-11-20T23:59:59Z".parse().unwrap();
        let held = |sweeps| {
            Alarm::now(
                Cause::HeldBack {
                    sweeps,
                    recoveries: 0,
                    stops: 0,
                    bound: 5,
                    keys: Vec::new(),
                },
                at,
            )
        };
        assert_eq!(
            (held(30).day.to_string(), held(30).name()),
            ("2026-11-20".to_owned(), held(30).name())
        );
        assert_ne!(held(30).name(), held(31).name());
        let usd = |dollars| Usd::from_dollars(dollars);
        let residual = |dollars| {
            let residual = usd(dollars);
            let news = usd(dollars);
            Alarm::now(
                Cause::Residual {
                    residual,
                    news,
                    tolerance: Usd::CENT,
                },
                at,
            )
        };
        assert_eq!(residual(1).name(), residual(2).name());
        let refused = |since| {
            Alarm::now(
                Cause::MailRefused {
                    code: "AccountPaused".to_owned(),
                    since,
                },
                at,
            )
            .name()
        };
        assert_ne!(
            refused(at),
            refused(at - jiff::SignedDuration::from_hours(13)),
            "it began once more on its day"
        );
        assert_ne!(
            residual(1).name(),
            Alarm::now(Cause::ManagementKey, at).name()
        );
    }
}
