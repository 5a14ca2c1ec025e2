//! The mark of an address that mail must not go to any more. `outcomes.rs` sets and removes it.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::mail::class::MailClass;
pub use crate::domain::mail::failure::UnreachableReason;
use crate::domain::values::address::MatchedAddress;
use crate::store::items::stored;
use crate::store::keys::{address_partition, key};
use crate::store::table::items::Queue;

/// The reason recorded for a mail that is not sent to such an address, where nobody need be notified.
pub const NOT_WANTED: &str = "mail to this address comes back or is not wanted";

/// The mark of an address from which mail bounced or somebody complained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    pub address: MatchedAddress,
    pub why: UnreachableReason,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

stored! {
    "undeliverable" Undeliverable |it| (address: &MatchedAddress = &it.address) => key(address_partition(address), "UNDELIVERABLE");
    expires it.until();
    waits it.waits()
}

/// How long a mark of a suppressed address holds: as long as the mail server suppresses it.
const SUPPRESSED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Undeliverable {
    /// Whether no mail of this class goes to the address. Somebody who complained gets no bulk mail. Links
    /// that they ask for, and mail about their key or money, still reach them.
    pub fn keeps_back(&self, class: MailClass) -> bool {
        self.why != UnreachableReason::Complained || class != MailClass::Urgent
    }

    pub(crate) fn waits(&self) -> Option<(Queue, Timestamp)> {
        Some(match self.why {
            UnreachableReason::Suppressed => (Queue::UnreachableUntil, self.at + SUPPRESSED_FOR),
            UnreachableReason::Bounced => (Queue::Unreachable, self.at),
            UnreachableReason::Complained => (Queue::Unwanted, self.at),
        })
    }

    /// The end of the mark; `None` if only a person can take it off.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        (self.why == UnreachableReason::Suppressed).then(|| self.at + SUPPRESSED_FOR)
    }

    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.until().is_none_or(|until| now < until)
    }
}
