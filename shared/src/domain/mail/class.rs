//! The lines in which mail waits, which of them stop when too much comes back, and which mails their readers
//! can switch on and off.

use crate::domain::mail::kind::MailKind;
use crate::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailClass {
    /// Mail that the stream wakes, sent at once.
    Urgent,
    /// Mail that a person asked for by hand, and would otherwise wait behind thousands.
    ByHand,
    Digest,
    Statement,
    Student,
    /// Mail sent behind everything else, since thousands are queued at once.
    Roster,
}

impl MailClass {
    /// The lines in which mail waits, the most urgent first.
    pub const ALL: [MailClass; 6] = [
        MailClass::Urgent,
        MailClass::ByHand,
        MailClass::Digest,
        MailClass::Statement,
        MailClass::Student,
        MailClass::Roster,
    ];

    /// The kind of mail with which this line stops when too much comes back. Urgent mail, and mail asked for
    /// by hand, never stops.
    pub fn stops_with(self) -> Option<MailKind> {
        match self {
            MailClass::Urgent | MailClass::ByHand => None,
            MailClass::Digest => Some(MailKind::Digest),
            MailClass::Statement => Some(MailKind::Statement),
            MailClass::Student => Some(MailKind::Student),
            MailClass::Roster => Some(MailKind::Roster),
        }
    }
}

/// A kind of mail that its reader can switch on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalMail {
    /// The weekly digest of a programme or of the account.
    Digest,
    /// Reminders of the used part of a cap, and of the term's end.
    Reminder,
}
