//! The mark of an address that mail must not go to any more. Who sets and removes it is `mail_outcomes.rs`.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::items::{Queue, Stored};
use super::keys::{self, Key};
use crate::domain::address::MatchedAddress;

/// That mail to an address comes back, or is not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    pub address: MatchedAddress,
    pub why: Why,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// Why mail to an address is not sent, the weightier the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    Bounced,
    /// The mail server has it on a list of its own, and sends nothing there until somebody takes it off.
    Suppressed,
    Complained,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Bounced => "bounced",
            Why::Suppressed => "suppressed",
            Why::Complained => "complained",
        }
    }
}

impl Stored for Undeliverable {
    const KIND: &'static str = "undeliverable";
    fn key(&self) -> Key {
        keys::undeliverable(&self.address)
    }
    fn due(&self) -> Option<(Queue, Timestamp)> {
        Some((Queue::Unreachable, self.at))
    }
}
