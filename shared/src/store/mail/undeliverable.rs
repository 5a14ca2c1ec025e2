//! The mark of an address that mail must not go to any more. Who sets and removes it is `mail_outcomes.rs`.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::mail::class::MailClass;
use crate::domain::values::address::MatchedAddress;
use crate::store::table::items::Queue;

pub use crate::domain::mail::failure::UnreachableReason;

/// Why a mail that nobody need know of is not sent to such an address.
pub const NOT_WANTED: &str = "mail to this address comes back or is not wanted";

/// That mail to an address comes back, or is not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    pub address: MatchedAddress,
    pub why: UnreachableReason,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// The mail server forgets such an address after as long.
const SUPPRESSED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Undeliverable {
    /// Whether nothing of this class is sent to the address. Whoever complained does not want what is written to many; a link that
    /// they ask for, and what tells of their key or their money, they still get.
    pub fn keeps_back(&self, class: MailClass) -> bool {
        self.why != UnreachableReason::Complained || class != MailClass::Urgent
    }

    pub(in crate::store) fn waits(&self) -> Option<(Queue, Timestamp)> {
        Some(match self.why {
            UnreachableReason::Suppressed => (Queue::UnreachableUntil, self.at + SUPPRESSED_FOR),
            UnreachableReason::Bounced => (Queue::Unreachable, self.at),
            UnreachableReason::Complained => (Queue::Unwanted, self.at),
        })
    }

    /// Until when it holds; without end if nobody takes it off.
    pub(in crate::store) fn until(&self) -> Option<Timestamp> {
        (self.why == UnreachableReason::Suppressed).then(|| self.at + SUPPRESSED_FOR)
    }

    pub(in crate::store) fn holds(&self, now: Timestamp) -> bool {
        self.until().is_none_or(|until| now < until)
    }
}
