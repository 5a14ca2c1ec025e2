//! A row of the outbox: a mail that is owed, and what became of it. It names no person but the one who asks for a link; who is
//! mailed is looked up when it is sent.

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::grant::{Grant, Notice};
use crate::domain::mail::class::{MailClass, OptionalMail};
use crate::domain::mail::day::Delivery;
use crate::domain::mail::kind::MailKind;
use crate::domain::people::sign_in::ASK_LASTS;
use crate::domain::usage::crossing::Scope;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{Epoch, GrantId, Nonce, PersonId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::token::AskTokenHash;
use crate::domain::values::window::Window;
use crate::store::table::items::Queue;

/// A mail that is owed. It names no person but the one who asks for a link; who is mailed is looked up when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub row: Ulid,
    pub class: MailClass,
    #[serde(flatten)]
    pub state: MailState,
    #[serde(with = "millisecond::required")]
    pub written_at: Timestamp,
    /// How often it was tried.
    pub tries: u8,
    /// When it was owed again, after it had been given up.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
    pub version: u64,
    /// The day whose mail it is counted in, once the mail server has it: the row tells what it is counted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_on: Option<Date>,
    #[serde(flatten)]
    pub mail: QueuedMail,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum MailState {
    /// To be sent, not before then.
    Waiting {
        #[serde(with = "millisecond::required")]
        since: Timestamp,
    },
    /// Somebody is sending it. When that takes longer, it is sent by another.
    Sending {
        #[serde(with = "millisecond::required")]
        lease_until: Timestamp,
        /// Who: it tells a sender that was not answered that the mail is theirs.
        sender: Nonce,
    },
    /// The mail server took it.
    Sent {
        message: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
    Delivered {
        message: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
    Bounced {
        message: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
        #[serde(default)]
        bounce: Bounce,
    },
    Complained {
        message: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
    /// Nothing was owed after all: nobody here has the address, or too much was asked for.
    Dropped {
        why: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
    /// It could not be sent, and is not tried again.
    Failed {
        why: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
}

/// How a mail came back, the worse the later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bounce {
    /// Perhaps only a machine that says that somebody is away: a delivery outweighs it.
    Reply,
    /// Not now: a full mailbox.
    Soft,
    /// The mail server did not try.
    Suppressed,
    /// Never.
    #[default]
    Hard,
}

/// Which mail, and about whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "kebab-case")]
pub enum QueuedMail {
    /// Somebody asked for a link. Whether one is owed is decided when it is sent.
    Link { address: MatchedAddress, asked_by: AskTokenHash },
    /// You are on the roster of a programme.
    Roster { programme: ProgrammeId, grant: GrantId },
    /// What a student is told of their key.
    Notice { programme: ProgrammeId, grant: GrantId, epoch: Epoch, notice: Notice },
    /// A student has used so much of their own cap.
    CapUsed { programme: ProgrammeId, grant: GrantId, window: Window, threshold: u8, of_limit: Usd },
    /// A threshold of the pot was crossed, or all of it is promised.
    Alert {
        programme: ProgrammeId,
        #[serde(flatten)]
        scope: Scope,
        threshold: u8,
        of_limit: Usd,
        recipient: PersonId,
    },
    /// Faculty ask for what only an admin may do.
    Request { programme: ProgrammeId, day: Date, request: String, recipient: PersonId },
    /// Something is the matter with the account.
    Account { day: Date, alarm: String, recipient: PersonId },
    /// What a programme's week came to, for somebody with a role on it.
    Digest { programme: ProgrammeId, week: Date, recipient: PersonId },
    /// What the account's week came to, for an admin.
    AccountDigest { week: Date, recipient: PersonId },
}

/// That a mail was owed because of a grant, so that whoever asks about the grant finds the mail. It goes when the mail's row goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantMail {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub row: Ulid,
    #[serde(with = "millisecond::required")]
    pub written_at: Timestamp,
}

/// By the id under which the mail server knows a mail, its row: what the server says of it names nothing else for certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAs {
    pub message: String,
    pub row: Ulid,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// How long an outbox row is kept: past every retry and every event that may still come for it.
pub const OUTBOX_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl OutboxRow {
    /// An ask holds an address that may be anybody's, so it goes soon.
    pub(in crate::store) fn is_kept_for(&self) -> SignedDuration {
        if matches!(self.mail, QueuedMail::Link { .. }) { ASK_LASTS } else { OUTBOX_KEPT }
    }

    pub(in crate::store) fn waits(&self) -> Option<(Queue, Timestamp)> {
        let queue = Queue::Mail(self.class);
        match self.state {
            MailState::Waiting { since } => Some((queue, since)),
            MailState::Sending { lease_until, .. } => Some((queue, lease_until)),
            // A dead letter waits for somebody to look.
            MailState::Failed { at, .. } => Some((Queue::DeadMail, at)),
            _ => None,
        }
    }

    /// A mail that is owed from now on.
    pub fn queued(row: Ulid, mail: QueuedMail, now: Timestamp) -> OutboxRow {
        let (class, state) = (mail.class(), MailState::Waiting { since: now });
        OutboxRow { row, class, state, written_at: now, tries: 0, version: 1, again_at: None, counted_on: None, mail }
    }

    /// One that somebody asks for by hand: it does not stand behind a whole roster.
    pub fn queued_by_hand(row: Ulid, mail: QueuedMail, now: Timestamp) -> OutboxRow {
        OutboxRow { class: MailClass::ByHand, ..OutboxRow::queued(row, mail, now) }
    }

    /// The mail that an act on a grant owes its student.
    pub fn notice(row: Ulid, notice: Notice, grant: &Grant, now: Timestamp) -> OutboxRow {
        OutboxRow::queued(row, QueuedMail::notice(notice, grant), now)
    }

    /// What files it under its grant, if it is about one.
    pub fn of_grant(&self) -> Option<GrantMail> {
        match &self.mail {
            QueuedMail::Roster { programme, grant }
            | QueuedMail::Notice { programme, grant, .. }
            | QueuedMail::CapUsed { programme, grant, .. } => Some(GrantMail {
                programme: programme.clone(),
                grant: grant.clone(),
                row: self.row,
                written_at: self.written_at,
            }),
            QueuedMail::Link { .. }
            | QueuedMail::Alert { .. }
            | QueuedMail::Request { .. }
            | QueuedMail::Account { .. }
            | QueuedMail::Digest { .. }
            | QueuedMail::AccountDigest { .. } => None,
        }
    }
}

impl MailState {
    /// As what the mail is counted, once the mail server has it.
    pub fn delivery(&self) -> Option<Delivery> {
        Some(match self {
            MailState::Sent { .. } => Delivery::Sent,
            MailState::Delivered { .. } => Delivery::Delivered,
            MailState::Bounced { bounce: Bounce::Hard, .. } => Delivery::Bounced,
            MailState::Bounced { .. } => Delivery::Returned,
            MailState::Complained { .. } => Delivery::Complained,
            MailState::Waiting { .. }
            | MailState::Sending { .. }
            | MailState::Dropped { .. }
            | MailState::Failed { .. } => return None,
        })
    }
}

impl QueuedMail {
    /// Whether it is to somebody who looks after programmes or the account. Of those none may be missing without somebody's knowing.
    pub fn is_to_staff(&self) -> bool {
        match self {
            QueuedMail::Alert { .. }
            | QueuedMail::Request { .. }
            | QueuedMail::Account { .. }
            | QueuedMail::Digest { .. }
            | QueuedMail::AccountDigest { .. } => true,
            QueuedMail::Link { .. }
            | QueuedMail::Roster { .. }
            | QueuedMail::Notice { .. }
            | QueuedMail::CapUsed { .. } => false,
        }
    }

    /// As what its reader can choose not to get it. What tells of their key, or of a rule that will switch it off, everybody gets.
    pub fn of_choice(&self) -> Option<OptionalMail> {
        match self {
            QueuedMail::Digest { .. } | QueuedMail::AccountDigest { .. } => Some(OptionalMail::Digest),
            QueuedMail::CapUsed { .. } | QueuedMail::Notice { notice: Notice::TermEndSoon, .. } => {
                Some(OptionalMail::Reminder)
            }
            QueuedMail::Link { .. }
            | QueuedMail::Roster { .. }
            | QueuedMail::Notice { .. }
            | QueuedMail::Alert { .. }
            | QueuedMail::Request { .. }
            | QueuedMail::Account { .. } => None,
        }
    }

    /// The programme that it is about, if it is about one.
    pub fn programme(&self) -> Option<&ProgrammeId> {
        match self {
            QueuedMail::Roster { programme, .. }
            | QueuedMail::Notice { programme, .. }
            | QueuedMail::CapUsed { programme, .. }
            | QueuedMail::Alert { programme, .. }
            | QueuedMail::Request { programme, .. }
            | QueuedMail::Digest { programme, .. } => Some(programme),
            QueuedMail::Link { .. } | QueuedMail::Account { .. } | QueuedMail::AccountDigest { .. } => None,
        }
    }

    /// What its header `X-Bursar-Mail` says.
    pub fn kind(&self) -> MailKind {
        match self {
            QueuedMail::Link { .. } => MailKind::Link,
            QueuedMail::Roster { .. } => MailKind::Roster,
            QueuedMail::Notice { notice: Notice::KeyShown, .. } => MailKind::KeyShown,
            QueuedMail::Notice { notice: Notice::KeyLeaked, .. } => MailKind::KeyLeaked,
            QueuedMail::Notice { .. } | QueuedMail::CapUsed { .. } => MailKind::Student,
            QueuedMail::Alert { .. } => MailKind::Alert,
            QueuedMail::Request { .. } => MailKind::Request,
            QueuedMail::Account { .. } => MailKind::Account,
            QueuedMail::Digest { .. } | QueuedMail::AccountDigest { .. } => MailKind::Digest,
        }
    }

    /// What a student is told of the last key that was shown to them.
    pub fn notice(notice: Notice, grant: &Grant) -> QueuedMail {
        let (programme, epoch, grant) = (grant.programme.clone(), grant.last_shown(), grant.id.clone());
        QueuedMail::Notice { programme, grant, epoch, notice }
    }

    /// In which line it waits, unless somebody asked for it by hand.
    pub fn class(&self) -> MailClass {
        match self.kind() {
            MailKind::Roster => MailClass::Roster,
            MailKind::Digest => MailClass::Digest,
            MailKind::Student => MailClass::Student,
            MailKind::Link
            | MailKind::KeyShown
            | MailKind::KeyLeaked
            | MailKind::Alert
            | MailKind::Account
            | MailKind::Request => MailClass::Urgent,
        }
    }
}
