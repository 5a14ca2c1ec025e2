//! The cap of a grant: for a while another one, else its own, its group's or its programme's.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Grant, GrantState};
use crate::domain::programme::Settings;
use crate::domain::values::money::Usd;

/// A cap that holds until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassingCap {
    pub cap: Usd,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl Grant {
    /// The cap that applies now.
    pub fn cap(&self, settings: &Settings, now: Timestamp) -> Usd {
        let passing = self.passing_cap.filter(|passing| now < passing.until);
        passing.map_or_else(|| self.lasting_cap(settings), |passing| passing.cap)
    }

    /// The cap that applies where none is for a while: the grant's own, else the group's, else the programme's.
    pub fn lasting_cap(&self, settings: &Settings) -> Usd {
        self.own_cap.unwrap_or_else(|| settings.cap_of_group(self.group.as_deref()))
    }

    /// When a cap for a while is over, and the provider is to be told the one of before.
    pub fn passing_cap_ends_at(&self) -> Option<Timestamp> {
        let is_over = matches!(self.state, GrantState::Revoked | GrantState::Ended);
        self.passing_cap.filter(|_| !is_over).map(|passing| passing.until)
    }

    /// The cap as an audit entry spells it, with the time until which it holds.
    pub fn caps_in_words(&self, settings: &Settings, now: Timestamp) -> String {
        match self.passing_cap.filter(|passing| now < passing.until) {
            Some(PassingCap { cap, until }) => format!("{cap} until {until}"),
            None => self.lasting_cap(settings).to_string(),
        }
    }
}
