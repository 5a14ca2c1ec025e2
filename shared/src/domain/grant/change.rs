//! What an act reads and what it writes. The store turns a change into one conditional transaction.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, Grant, Reading};
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::grant::Spending;
use crate::domain::programme::{Pot, Programme};
use crate::domain::usage::reading::{KeyUseContext, Shortfall, UnusableReport, UsageReport};
use crate::domain::values::id::Epoch;
use crate::domain::values::money::Usd;

/// A grant with everything that its acts decide on, as read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub programme: Programme,
    pub pot: Pot,
    pub grant: Grant,
    pub readings: Vec<Reading>,
}

/// Everything that one act writes, on condition that the grant was not written since it was read. Only a rule
/// of this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub(super) grant: Grant,
    pub(super) pot: PotChange,
    pub(super) by: Actor,
    pub(super) audit: Option<AuditDetail>,
    pub(super) notice: Option<Notice>,
    pub(super) reading: Option<Reading>,
}

/// The error of an act without anything to change: it is done already, or no longer possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchanged;

/// The effect of an act on what the pot has reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PotChange {
    None,
    /// Reserves more, if there is room.
    Take(Usd),
    /// Reserves more, whether there is room or not: what can be spent already can only be counted.
    TakeAnyway(Usd),
    GiveBack(Usd),
}

/// The notices about a key that an act sends a student by mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    KeyShown,
    KeyLeaked,
    /// The key is held in a week, unless it is used.
    UnusedSoon,
    /// The key is held, since it was not used.
    Unused,
    /// The key is too old in a week.
    TooOldSoon,
    /// The key has ended, since it had become too old.
    TooOld,
    /// The term ends within a week, and every key with it.
    TermEndSoon,
}

impl View {
    pub fn spending(&self, now: Timestamp) -> Spending {
        Spending::of(&self.grant, &self.readings, &self.programme.settings, now)
    }

    /// The reading of a key of this grant, if there is one.
    pub fn reading(&self, epoch: Epoch) -> Option<&Reading> {
        self.readings.iter().find(|reading| reading.epoch == epoch)
    }

    /// The reading of an attempt's key after a usage report of the provider; see [`Reading::after`].
    pub fn reading_after(
        &self,
        attempt: &Attempt,
        told: &UsageReport,
        asked: Timestamp,
        listed_at: Option<Timestamp>,
    ) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
        let settings = &self.programme.settings;
        let of = KeyUseContext {
            programme: &self.programme.id,
            grant: &self.grant.id,
            epoch: attempt.epoch,
            reset: settings.reset,
            byok: settings.byok,
            made_at: attempt.begun_at,
        };
        Reading::after(self.reading(attempt.epoch), of, told, asked, listed_at)
    }

    /// A change that writes the grant back as it is, for an act to build on.
    pub(super) fn change(&self, by: &Actor) -> Change {
        let grant = Grant { version: self.grant.version + 1, ..self.grant.clone() };
        Change { grant, pot: PotChange::None, by: by.clone(), audit: None, notice: None, reading: None }
    }
}

impl Change {
    /// The grant as the act leaves it.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    pub fn pot(&self) -> PotChange {
        self.pot
    }

    pub fn by(&self) -> &Actor {
        &self.by
    }

    /// The audit entry's detail; `None` for marks that change no state, right or limit.
    pub fn audit(&self) -> Option<&AuditDetail> {
        self.audit.as_ref()
    }

    /// The notice that the student is mailed.
    pub fn notice(&self) -> Option<Notice> {
        self.notice
    }

    /// A reading that is written together with what follows from it.
    pub fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// Adds the audit detail of what the grant was and what it becomes.
    pub(super) fn audited(mut self, act: Act, before: &Grant, note: Option<String>) -> Change {
        let mut what = AuditDetail::new(act).changing(before, &self.grant);
        what.note = note;
        self.audit = Some(what);
        self
    }

    /// The attempt whose key is the live one.
    pub(super) fn live_mut(&mut self) -> Option<&mut Attempt> {
        let epoch = self.grant.live()?.epoch;
        self.grant.attempts.iter_mut().find(|attempt| attempt.epoch == epoch)
    }

    /// Orders a disable for every key of the grant that is not disabled yet, and drops their other orders.
    pub(super) fn ordering_all_off(mut self, now: Timestamp) -> Change {
        for attempt in &mut self.grant.attempts {
            attempt.order_off(now);
            (attempt.limit_ordered, attempt.rules_ordered) = (None, None);
        }
        self
    }

    /// Orders the final readings of the grant's keys, for a person who waits for the rest of the place.
    pub(super) fn ordering_readings(mut self, now: Timestamp) -> Change {
        self.grant.attempts.iter_mut().for_each(|attempt| attempt.order_reading(now));
        self
    }
}
