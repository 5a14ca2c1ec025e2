//! The lines in which mail waits, which of them are stopped when too much comes back, and which mails their readers can choose.

use serde::{Deserialize, Serialize};

use crate::domain::mail::kind::MailKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailClass {
    /// Sent at once, woken by the stream.
    Urgent,
    /// What somebody asked for by hand, and what would else wait behind thousands.
    ByHand,
    Digest,
    Student,
    /// Sent behind everything else: thousands are owed at once, and stand in nobody's way.
    Roster,
}

impl MailClass {
    /// The lines in which mail waits, what goes first first.
    pub const ALL: [MailClass; 5] =
        [MailClass::Urgent, MailClass::ByHand, MailClass::Digest, MailClass::Student, MailClass::Roster];

    /// The kind of mail that is stopped when too much of it comes back. What is urgent, or was asked for by hand, is not.
    pub fn stops_with(self) -> Option<MailKind> {
        match self {
            MailClass::Urgent | MailClass::ByHand => None,
            MailClass::Digest => Some(MailKind::Digest),
            MailClass::Student => Some(MailKind::Student),
            MailClass::Roster => Some(MailKind::Roster),
        }
    }
}

/// A kind of mail that its reader can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalMail {
    /// Each week, of a programme or of the account.
    Digest,
    /// How much of a cap is used, and that the term will end.
    Reminder,
}
