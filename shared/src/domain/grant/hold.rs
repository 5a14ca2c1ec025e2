//! Holds: what keeps a grant from having a live key for now. Putting one on disables first what it must; taking one off enables
//! last.

use jiff::Timestamp;

use super::{Attempt, Change, Disable, GRACE, HoldKind, Notice, Pause, PotChange, State, View};
use crate::domain::audit::{Act, Actor};
use crate::domain::key::KeyHash;

/// Why no hold is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldRefused {
    /// It has this hold. The disable of its key may still be owed, so pressing again does no harm.
    AlreadyHeld,
    /// Revoked or ended: there is nothing left to hold.
    Over,
    /// No key is live that could be out of use. One that is being made needs its place in the pot.
    NoKey,
}

/// Why no hold is taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseRefused {
    /// It has no such hold. A key that was resumed just now is named, so that pressing again repeats an enable that failed.
    NotHeld {
        enable: Option<KeyHash>,
    },
    Over,
    /// Its place was given back, and the pot has no room for it now.
    PotExhausted,
}

impl View {
    /// Holds the grant. A live key stays recorded and is owed a disable. A place in the pot stays too: after disuse it is given back
    /// once the key is disabled and was read for the last time (`give_back_place`).
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
        let mut change = self.change(by).disabling_all(now);
        match kind {
            HoldKind::Paused => {
                change.grant.holds.paused = Some(Pause { by: by.clone(), why: why.map(str::to_owned) });
            }
            HoldKind::Dropped => change.grant.holds.dropped = true,
            HoldKind::Unused => change.grant.holds.unused = true,
        }
        change.notice = (kind == HoldKind::Unused).then_some(Notice::Unused);
        Ok(change.audited(Act::Held, &self.grant, why.map(str::to_owned)))
    }

    /// Takes a hold off and, with the last one, the place in the pot again. The key that is then to be enabled comes with it:
    /// it is enabled after the change is written, never before.
    pub fn release(
        &self,
        kind: HoldKind,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Change, Option<KeyHash>), ReleaseRefused> {
        if self.is_terminal() {
            return Err(ReleaseRefused::Over);
        }
        if !self.grant.holds.has(kind) {
            let enable = if self.has_just_resumed(now) { self.live_key() } else { None };
            return Err(ReleaseRefused::NotHeld { enable });
        }
        let mut change = self.change(by);
        match kind {
            HoldKind::Paused => change.grant.holds.paused = None,
            HoldKind::Dropped => change.grant.holds.dropped = false,
            HoldKind::Unused => change.grant.holds.unused = false,
        }
        let mut enable = None;
        if change.grant.holds.is_empty() {
            if self.grant.ever_shown && !self.grant.has_place {
                let place = self.promised(now);
                if !self.pot.has_room_for(place) {
                    return Err(ReleaseRefused::PotExhausted);
                }
                change.grant.has_place = true;
                change.pot = PotChange::Take(place);
            }
            enable = self.live_key();
            let is_live = |attempt: &&mut Attempt| enable.is_some() && attempt.key == enable;
            if let Some(live) = change.grant.attempts.iter_mut().find(is_live) {
                live.disable = Disable::No;
                live.resumed_at = Some(now);
            }
        }
        Ok((change.audited(Act::Released, &self.grant, None), enable))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.grant.state, State::Revoked | State::Ended)
    }

    /// Whether a hold was taken off so lately that the enable may have failed. Later, a key that is disabled was disabled by somebody
    /// at the provider, and stays so.
    fn has_just_resumed(&self, now: Timestamp) -> bool {
        let resumed_at = self.usable().and_then(|live| live.resumed_at);
        resumed_at.is_some_and(|resumed| now < resumed + GRACE)
    }

    fn live_key(&self) -> Option<KeyHash> {
        self.grant.live()?.key.clone()
    }
}
