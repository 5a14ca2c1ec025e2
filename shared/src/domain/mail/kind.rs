//! The kinds of mail, the lines in which mail waits, what became of mails, and how much of a day's
//! may come back.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::schema::Queue;

crate::named! {
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum MailKind: as_str, to_words {
        Link = "link", "links to sign in";
        Roster = "roster", "invitations";
        KeyShown = "key-shown", "notices of a new key";
        KeyLeaked = "key-leaked", "notices of a leaked key";
        Alert = "alert", "alerts";
        Account = "account", "mails to admins about the account";
        Digest = "digest", "digests";
        /// Notices to a student about their cap, and about the rules of a programme.
        Student = "student", "notices to students about caps and rules";
        Request = "request", "requests to faculty and admins";
        /// What became of a registrar's file.
        Import = "import", "mails about a registrar's file";
        /// That a model ends or is gone.
        Model = "model", "mails about a model that ends";
        /// The statement of a month, to the finance addresses of programmes.
        Statement = "statement", "statements to finance";
        /// An alert that its reader asked for, to see one.
        Test = "test", "test alerts";
        /// That a sign-on was connected to an address.
        SignOn = "sign-on", "notices of a sign-on";
    }
}

impl MailKind {
    /// The class in whose queue it waits, unless it was sent by hand.
    pub fn class(self) -> MailClass {
        match self {
            MailKind::Roster => MailClass::Roster,
            MailKind::Digest => MailClass::Digest,
            MailKind::Statement => MailClass::Statement,
            MailKind::Student => MailClass::Student,
            MailKind::Link
            | MailKind::KeyShown
            | MailKind::KeyLeaked
            | MailKind::Alert
            | MailKind::Account
            | MailKind::Request
            | MailKind::Import
            | MailKind::Model
            | MailKind::Test
            | MailKind::SignOn => MailClass::Urgent,
        }
    }

    /// Whether it goes to the staff of a programme, whose page of alerts lists it.
    pub fn is_for_staff(self) -> bool {
        match self {
            MailKind::Alert
            | MailKind::Digest
            | MailKind::Request
            | MailKind::Import
            | MailKind::Model
            | MailKind::Test => true,
            MailKind::Link
            | MailKind::Roster
            | MailKind::KeyShown
            | MailKind::KeyLeaked
            | MailKind::Account
            | MailKind::Student
            | MailKind::Statement
            | MailKind::SignOn => false,
        }
    }
}

crate::named! {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum MailClass: as_str {
        /// Mail that the stream wakes, sent at once.
        Urgent = "mail-urgent",
        /// Mail that a person asked for by hand, and would otherwise wait behind thousands.
        ByHand = "mail-by-hand",
        Digest = "mail-digest",
        Statement = "mail-statement",
        Student = "mail-student",
        /// Mail sent behind everything else, since thousands are queued at once.
        Roster = "mail-roster",
    }
}

/// How long an outbox row is kept: past every retry and every event that may still come for it.
pub const OUTBOX_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl MailClass {
    pub fn queue(self) -> Queue {
        Queue(self.as_str())
    }

    /// Whether it waits while too much mail comes back. Mail that a person waits for, or that tells
    /// of money in time, never does.
    pub fn is_bulk(self) -> bool {
        match self {
            MailClass::Urgent | MailClass::ByHand => false,
            MailClass::Digest | MailClass::Statement | MailClass::Student | MailClass::Roster => {
                true
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum OptionalMail {
    /// The weekly digest of a programme.
    Digest,
    /// Reminders of the used part of a cap, and of the term's end.
    Reminder,
}

/// Counts of mails. Each mail counts once, by the worst report on it, so that the order of reports
/// does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MailCounts {
    pub sent: u64,
    pub delivered: u64,
    /// Temporary bounces: a full mailbox, an automatic answer, the mail server's own suppression
    /// list.
    pub returned: u64,
    pub bounced: u64,
    pub complained: u64,
}

#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    Sent,
    Delivered,
    Returned,
    Bounced,
    Complained,
}

impl MailCounts {
    pub fn count(&mut self, fared: Delivery) {
        self.sent += 1;
        match fared {
            Delivery::Sent => {}
            Delivery::Delivered => self.delivered += 1,
            Delivery::Returned => self.returned += 1,
            Delivery::Bounced => self.bounced += 1,
            Delivery::Complained => self.complained += 1,
        }
    }
}

/// What the mail server said at a moment of the mail of its UTC day: of the whole account, so of
/// other senders' as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SendFigures {
    pub as_of: Moment,
    pub sent: u64,
    /// Those that came back for good.
    pub bounced: u64,
    pub complained: u64,
}

/// The largest share of permanent bounces: two per cent.
const MOST_BOUNCED: (u64, u64) = (2, 100);
/// The largest share of complaints: one in a thousand, at which AWS looks at an account.
const MOST_COMPLAINED: (u64, u64) = (1, 1_000);
/// The least number of bounces that stops anything, whatever their share. Some mistyped addresses
/// of one class are no reason to stop all other mail, and the mail server does not judge so few
/// either.
const LEAST_BOUNCED: u64 = 10;
/// The least number of complaints that stops anything. On a small day a single one, perhaps a slip,
/// is above the allowed share.
const LEAST_COMPLAINED: u64 = 2;

impl SendFigures {
    /// Whether more came back, or was complained about, than the bounds allow.
    pub fn is_above(&self) -> bool {
        self.is_more_than(MOST_BOUNCED, self.bounced, LEAST_BOUNCED)
            || self.is_more_than(MOST_COMPLAINED, self.complained, LEAST_COMPLAINED)
    }

    /// Whether a count is above this share of all that were sent, and not a few.
    fn is_more_than(&self, (share, whole): (u64, u64), count: u64, least: u64) -> bool {
        count >= least
            && u128::from(count) * u128::from(whole) > u128::from(self.sent) * u128::from(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_stored_under_the_name_that_its_header_says() {
        for kind in MailKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    /// A share of bounces or complaints above its limit is too much, unless they are only a few.
    #[test]
    fn failure_rates_have_limits() {
        for (counts, is_too_much) in [
            // A class with mistyped addresses; then two per cent and no more.
            ((10, 9, 0), false),
            ((500, 10, 0), false),
            ((499, 10, 0), true),
            ((5_000, 100, 0), false),
            ((5_000, 101, 0), true),
            // One complaint in a thousand, unless it is the only one.
            ((10, 0, 1), false),
            ((10, 0, 2), true),
            ((2_000, 0, 2), false),
            ((1_999, 0, 2), true),
        ] {
            let (sent, bounced, complained) = counts;
            let figures = SendFigures {
                as_of: Moment::UNIX_EPOCH,
                sent,
                bounced,
                complained,
            };
            assert_eq!(figures.is_above(), is_too_much, "{counts:?}");
        }
    }
}
