//! Holds: what keeps a grant from having a live key for now. Putting one on disables first what it must; taking one off enables
//! last. What the provider is told is ordered first.

use jiff::Timestamp;

use super::{Change, HoldKind, Notice, Pause, State, View};
use crate::domain::audit::{Act, Actor};

/// Why no hold is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldRefused {
    /// It has this hold. The disable of its key may still be ordered, so pressing again does no harm.
    AlreadyHeld,
    /// Revoked or ended: there is nothing left to hold.
    Over,
    /// No key is live that could be out of use. One that is being made needs its place in the pot.
    NoKey,
}

/// Why no hold is taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseRefused {
    /// It has no such hold. The enable of its key may still be ordered, so pressing again does no harm.
    NotHeld,
    Over,
    /// Its place was given back, and the pot has no room for it now.
    PotExhausted,
}

impl View {
    /// Holds the grant. A live key stays recorded, and its disable is ordered. A place in the pot stays for now: after disuse, and a week
    /// after a drop, the rest of it goes back once the key is off and was read (`place`).
    pub fn hold(&self, kind: HoldKind, by: &Actor, why: Option<&str>, now: Timestamp) -> Result<Change, HoldRefused> {
        if self.is_terminal() {
            return Err(HoldRefused::Over);
        }
        if self.grant.holds.has(kind) {
            return Err(HoldRefused::AlreadyHeld);
        }
        if kind == HoldKind::Unused && !matches!(self.grant.state, State::Live { .. }) {
            return Err(HoldRefused::NoKey);
        }
        let mut change = self.change(by);
        change.grant.attempts.iter_mut().for_each(|attempt| attempt.order_off(now));
        match kind {
            HoldKind::Paused => {
                change.grant.holds.paused = Some(Pause { by: by.clone(), why: why.map(str::to_owned) });
            }
            HoldKind::Dropped => change.grant.holds.dropped = Some(now),
            HoldKind::Unused => change.grant.holds.unused = true,
        }
        change.notice = (kind == HoldKind::Unused).then_some(Notice::Unused);
        Ok(change.audited(Act::Held, &self.grant, why.map(str::to_owned)))
    }

    /// Takes a hold off and, with the last one, what was given back of the place. Then the limit of the live key is ordered, if it is
    /// another by now, and its enable: it is enabled after the change is written, never before.
    pub fn release(&self, kind: HoldKind, by: &Actor, now: Timestamp) -> Result<Change, ReleaseRefused> {
        if self.is_terminal() {
            return Err(ReleaseRefused::Over);
        }
        if !self.grant.holds.has(kind) {
            return Err(ReleaseRefused::NotHeld);
        }
        let mut change = self.change(by);
        match kind {
            HoldKind::Paused => change.grant.holds.paused = None,
            HoldKind::Dropped => change.grant.holds.dropped = None,
            HoldKind::Unused => change.grant.holds.unused = false,
        }
        if change.grant.holds.is_empty() {
            change = change.with_limit(self, false, now);
            let live = change.grant.live().map(|live| live.epoch);
            if let Some(live) = change.grant.attempts.iter_mut().find(|attempt| Some(attempt.epoch) == live) {
                live.order_on(now);
            }
        }
        let change = change.with_room(self, now).ok_or(ReleaseRefused::PotExhausted)?;
        Ok(change.audited(Act::Released, &self.grant, None))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.grant.state, State::Revoked | State::Ended)
    }
}
