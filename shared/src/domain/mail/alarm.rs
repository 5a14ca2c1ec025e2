//! What an admin must be told of the account. An alarm is known by its day and by what is the matter, so that one cause is told once
//! however many runs meet it, and again on another day if it is still so or has come back. Who raises one is the functions' matter.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::mail::day::MailDay;
use crate::domain::mail::kind::MailKind;
use crate::domain::usage::balance::BalanceNeed;
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::domain::values::key::Fingerprint;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;

/// Something that is the matter with the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The UTC day that it is told for: when it began, or which day's sum it is about.
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub found_at: Timestamp,
    #[serde(flatten)]
    pub cause: Cause,
    /// How often it has come back on its day, after it was told that it is over.
    #[serde(default)]
    pub again: u32,
    /// Who is told; the store knows them, and how many of them have a mail owed.
    #[serde(default)]
    pub recipients: Vec<PersonId>,
    #[serde(default)]
    pub told: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// More than a run does on its own judgement: so many attempts to sweep, keys that a recovery would disable, and live grants to
    /// stop because their keys are gone or disabled. The first are named.
    HeldBack {
        sweeps: u32,
        recoveries: u32,
        stops: u32,
        bound: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<String>,
    },
    /// The account spent more or less than all keys together: by so much in all, and so much of it the admins do not know of.
    Residual { residual: Usd, news: Usd, tolerance: Usd },
    /// The provider does not take the management key.
    ManagementKey,
    /// The management key is of an account that has none of the keys which the last complete sync listed.
    AnotherAccount { management_key: Fingerprint },
    /// A run did not come to its end, or not with everything: how many problems it had, and the first.
    Incomplete { problems: u32, first: String },
    /// No run was complete for so long that somebody must look; none ever was without a time.
    Silent {
        #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
        last: Option<Timestamp>,
    },
    /// The account has less than it needs soon; told at this time, and anew when that has become worse or was over.
    Balance {
        balance: Usd,
        need: BalanceNeed,
        #[serde(with = "millisecond::required")]
        told_at: Timestamp,
    },
    /// The mail server refuses mail because of the account, so that mail waits.
    MailRefused {
        code: String,
        #[serde(with = "millisecond::required")]
        since: Timestamp,
    },
    /// Mail waits that should long have been sent: so many, the oldest since then, urgent or not.
    MailWaits {
        urgent: bool,
        mails: u64,
        #[serde(with = "millisecond::required")]
        since: Timestamp,
    },
    /// So many mails were sent on a day, and nothing was heard of any of them.
    NothingHeard { of: Date, sent: u64 },
    /// Mails of a kind were given up or came back, why, and which was the first; without a kind, mails that cannot be read.
    Unsent {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mail: Option<MailKind>,
        code: String,
        first: Ulid,
    },
    /// So much of a day's mail came back, or was complained about, that no more of its kind is sent. It is the stop of this number.
    BulkStopped { mail_day: MailDay, stop: u64 },
    /// Somebody let the rest of the day's mail go on after the stop of this number.
    BulkLetGo { mail_day: MailDay, stop: u64, by: PersonId },
    /// The provider refuses what the keys of a programme may call, in its words.
    RulesRefused {
        programme: ProgrammeId,
        #[serde(with = "millisecond::required")]
        since: Timestamp,
        why: String,
    },
    /// A job of a programme that nobody carries on.
    Stuck {
        programme: ProgrammeId,
        #[serde(with = "millisecond::required")]
        since: Timestamp,
    },
    /// What was told by the alarm of this name is over. Where a moment shows that, it is the one.
    Over {
        alarm: String,
        #[serde(with = "millisecond::required")]
        told_at: Timestamp,
        #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
        shown_at: Option<Timestamp>,
        ended: Box<Cause>,
    },
}

impl Alarm {
    /// What was found now and is told for this day.
    pub fn on(day: Date, cause: Cause, found_at: Timestamp) -> Alarm {
        Alarm { day, found_at, cause, again: 0, recipients: Vec::new(), told: 0 }
    }

    /// What was found now and began now.
    pub fn now(cause: Cause, found_at: Timestamp) -> Alarm {
        Alarm::on(utc_date(found_at), cause, found_at)
    }

    /// By what it is told apart from others of its day.
    pub fn name(&self) -> String {
        match self.again {
            0 => self.cause.name(),
            again => format!("{}-again-{again}", self.cause.name()),
        }
    }

    /// What the alarm is called that tells that this one is over.
    pub fn over(&self) -> String {
        over(&self.name())
    }
}

impl Cause {
    /// What is held back is told anew when it is something else; the rest is the same cause whatever its numbers.
    fn name(&self) -> String {
        match self {
            Cause::HeldBack { sweeps, recoveries, stops, .. } => {
                format!("held-back-{sweeps}-{recoveries}-{stops}")
            }
            Cause::Residual { .. } => "residual".to_owned(),
            Cause::ManagementKey => "management-key".to_owned(),
            Cause::AnotherAccount { management_key } => format!("another-account-{}", management_key.short()),
            Cause::Incomplete { .. } => "incomplete".to_owned(),
            Cause::Silent { .. } => "silent".to_owned(),
            Cause::Balance { told_at, .. } => format!("balance-{}", told_at.as_second()),
            Cause::MailRefused { code, since } => format!("mail-refused-{code}-{}", since.as_second()),
            Cause::MailWaits { urgent: true, .. } => "urgent-mail-waits".to_owned(),
            Cause::MailWaits { urgent: false, .. } => "mail-waits".to_owned(),
            Cause::NothingHeard { .. } => "nothing-heard".to_owned(),
            Cause::Unsent { mail, code, .. } => {
                format!("unsent-{}-{code}", mail.map_or("unreadable", MailKind::as_str))
            }
            Cause::BulkStopped { mail_day, stop } => format!("bulk-stopped-{}-{stop}", mail_day.mail),
            Cause::BulkLetGo { mail_day, stop, .. } => format!("bulk-let-go-{}-{stop}", mail_day.mail),
            Cause::RulesRefused { programme, .. } => format!("rules-refused-{programme}"),
            Cause::Stuck { programme, .. } => format!("stuck-{programme}"),
            Cause::Over { alarm, .. } => over(alarm),
        }
    }

    /// What it is about, whatever the day on which it is told. Only of what has this it can be said that it is over.
    pub fn matter(&self) -> Option<String> {
        match self {
            Cause::ManagementKey
            | Cause::Silent { .. }
            | Cause::MailWaits { .. }
            | Cause::NothingHeard { .. }
            | Cause::Stuck { .. } => Some(self.name()),
            Cause::Balance { .. } => Some("balance".to_owned()),
            Cause::MailRefused { code, .. } => Some(format!("mail-refused-{code}")),
            Cause::BulkStopped { mail_day, .. } => Some(format!("bulk-stopped-{}", mail_day.mail)),
            Cause::HeldBack { .. }
            | Cause::Residual { .. }
            | Cause::AnotherAccount { .. }
            | Cause::Incomplete { .. }
            | Cause::Unsent { .. }
            | Cause::BulkLetGo { .. }
            | Cause::RulesRefused { .. }
            | Cause::Over { .. } => None,
        }
    }

    /// Who did it, and need not be told.
    pub fn done_by(&self) -> Option<&PersonId> {
        match self {
            Cause::BulkLetGo { by, .. } => Some(by),
            _ => None,
        }
    }
}

fn over(name: &str) -> String {
    format!("over-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_has_one_name_on_its_day_and_what_is_held_back_has_another_when_it_is_something_else() {
        let at = "2026-11-20T23:59:59Z".parse().unwrap();
        let held =
            |sweeps| Alarm::now(Cause::HeldBack { sweeps, recoveries: 0, stops: 0, bound: 5, keys: Vec::new() }, at);
        assert_eq!((held(30).day.to_string(), held(30).name()), ("2026-11-20".to_owned(), held(30).name()));
        assert_ne!(held(30).name(), held(31).name());
        let usd = |dollars| Usd::from_dollars(dollars);
        let residual = |dollars| {
            let (residual, news) = (usd(dollars), usd(dollars));
            Alarm::now(Cause::Residual { residual, news, tolerance: Usd::CENT }, at)
        };
        assert_eq!(residual(1).name(), residual(2).name());
        assert_ne!(residual(1).name(), Alarm::now(Cause::ManagementKey, at).name());
    }

    #[test]
    fn what_comes_back_on_its_day_has_another_name_and_so_has_its_end() {
        let at = "2026-11-20T10:00:00Z".parse().unwrap();
        let first = Alarm::now(Cause::ManagementKey, at);
        let again = Alarm { again: 1, ..first.clone() };
        assert_eq!(
            (first.over(), again.name()),
            ("over-management-key".to_owned(), "management-key-again-1".to_owned())
        );
        let ended = Box::new(again.cause.clone());
        let over = Cause::Over { alarm: again.name(), told_at: at, shown_at: None, ended };
        assert_eq!(over.matter(), None, "that something is over is never over");
        assert_eq!(Alarm::now(over, at).name(), again.over());
    }
}
