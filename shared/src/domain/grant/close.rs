//! What ends a key or a grant, and what a person may change on one: stop, revoke, end, sweep, cap, allowance.

use jiff::Timestamp;

use super::{AttemptState, Change, GRACE, Notice, PotChange, State, Stopped, View};
use crate::domain::audit::{Act, Actor};
use crate::domain::id::Epoch;
use crate::domain::key::KeyHash;
use crate::domain::money::Usd;

/// What the sweeper finds about an enabled key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// Marked, and owed a disable.
    Marked,
    /// It was marked before; the disable may still be owed.
    Already,
    /// Its attempt was shown: never the sweeper's to end.
    Shown,
    /// Its attempt is younger than the grace: somebody may be at it.
    TooYoung,
    /// The attempt made another key: this one only bears its name.
    NotItsKey,
    /// There is no such attempt: the table went back to an earlier moment.
    NoAttempt,
}

/// Why a cap is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapRefused {
    Unchanged,
    Over,
    PotExhausted,
}

impl View {
    /// Ends the live key; the student may press again. None when no key is live.
    pub fn stop(&self, why: Stopped, by: &Actor, now: Timestamp) -> Option<Change> {
        if !matches!(self.grant.state, State::Live { .. }) {
            return None;
        }
        let mut change = self.change(by).disabling_all(now);
        change.grant.state = State::Stopped { why };
        change.notice = match why {
            Stopped::Leaked => Some(Notice::KeyLeaked),
            Stopped::TooOld => Some(Notice::TooOld),
            _ => None,
        };
        Some(change.audited(Act::Stopped, &self.grant, Some(why.as_str().to_owned())))
    }

    /// Ends the live key because somebody else has it. A page that is older than the key shows another one, which has ended: then
    /// this one is not meant, and there is nothing to end.
    pub fn report_leaked(&self, epoch: Epoch, now: Timestamp) -> Option<Change> {
        let meant = self.grant.live().filter(|live| live.epoch <= epoch);
        meant.and_then(|_| self.stop(Stopped::Leaked, &Actor::Student, now))
    }

    /// Ends the grant for good. None when it is revoked already.
    pub fn revoke(&self, by: &Actor, why: Option<&str>, now: Timestamp) -> Option<Change> {
        if self.grant.state == State::Revoked {
            return None;
        }
        let mut change = self.change(by).disabling_all(now).giving_back_place(self, now);
        change.grant.state = State::Revoked;
        Some(change.audited(Act::Revoked, &self.grant, why.map(str::to_owned)))
    }

    /// Ends the grant with its programme. None when it is over already, or while the programme goes on.
    pub fn end(&self, by: &Actor, now: Timestamp) -> Option<Change> {
        if self.is_terminal() || !self.programme.is_over(now) {
            return None;
        }
        let mut change = self.change(by).disabling_all(now).giving_back_place(self, now);
        change.grant.state = State::Ended;
        Some(change.audited(Act::Ended, &self.grant, None))
    }

    /// Undoes the end of a grant whose term was extended after it had run out. Its keys stay ended and its place is given up; its
    /// student presses again. None when the programme is over still, or the grant did not end with it.
    pub fn reopen(&self, by: &Actor, now: Timestamp) -> Option<Change> {
        if self.grant.state != State::Ended || self.programme.is_over(now) {
            return None;
        }
        let mut change = self.change(by);
        for lapsed in change.grant.attempts.iter_mut().filter(|attempt| attempt.state == AttemptState::Open) {
            lapsed.state = AttemptState::Superseded;
        }
        let was_shown = self.grant.ever_shown;
        change.grant.state = if was_shown { State::Stopped { why: Stopped::TermEnded } } else { State::Invited };
        Some(change.audited(Act::Reopened, &self.grant, None))
    }

    /// Gives up a place that nobody uses: of somebody who never claimed before the claim window closed, or whose key is held for
    /// disuse and disabled. None while it may still be spent from, or when there is no place.
    pub fn give_back_place(&self, now: Timestamp) -> Option<Change> {
        let never_claimed = self.grant.state == State::Invited && now >= self.programme.settings.claim_closes_at();
        let disused = self.grant.holds.unused && self.grant.owed_disables().next().is_none();
        if !self.grant.has_place || !(never_claimed || disused) {
            return None;
        }
        let change = self.change(&Actor::Rule).giving_back_place(self, now);
        Some(change.audited(Act::PlaceGivenBack, &self.grant, None))
    }

    /// Marks an attempt whose key the provider lists as enabled although nobody was shown it.
    pub fn sweep(&self, epoch: Epoch, key: &KeyHash, now: Timestamp) -> Result<Change, Swept> {
        let mut change = self.change(&Actor::Sync);
        let attempt =
            change.grant.attempts.iter_mut().find(|attempt| attempt.epoch == epoch).ok_or(Swept::NoAttempt)?;
        if attempt.state == AttemptState::Shown {
            return Err(Swept::Shown);
        }
        if now < attempt.begun_at + GRACE {
            return Err(Swept::TooYoung);
        }
        if attempt.key.as_ref().is_some_and(|known| known != key) {
            return Err(Swept::NotItsKey);
        }
        // Whether its key was enabled since is another finding.
        if attempt.state == AttemptState::Swept {
            return Err(Swept::Already);
        }
        attempt.state = AttemptState::Swept;
        attempt.key = Some(key.clone());
        attempt.owe_disable_again(now);
        if self.grant.is_minting_with(&attempt.nonce) {
            change.grant.state = self.grant.state_after_failure();
        }
        Ok(change.audited(Act::Swept, &self.grant, Some(format!("attempt {}", epoch.number()))))
    }

    /// Gives the grant a cap of its own, or takes it away again. A place in the pot grows or shrinks with it.
    pub fn set_cap(
        &self,
        cap: Option<Usd>,
        by: &Actor,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<Change, CapRefused> {
        if self.is_terminal() {
            return Err(CapRefused::Over);
        }
        if self.grant.own_cap == cap {
            return Err(CapRefused::Unchanged);
        }
        let mut change = self.change(by);
        change.grant.own_cap = cap;
        let change = change.with_cost_of_place(self, now);
        if matches!(change.pot, PotChange::Take(more) if !self.pot.has_room_for(more)) {
            return Err(CapRefused::PotExhausted);
        }
        let settings = &self.programme.settings;
        let mut change = change.audited(Act::CapChanged, &self.grant, why.map(str::to_owned));
        change.audit = change.audit.map(|what| what.changing(self.grant.cap(settings), change.grant.cap(settings)));
        Ok(change)
    }

    /// Allows one replacement beyond the programme's number. None when the grant is over.
    pub fn allow(&self, by: &Actor) -> Option<Change> {
        if self.is_terminal() {
            return None;
        }
        let mut change = self.change(by);
        change.grant.allowed += 1;
        let mut change = change.audited(Act::ReplacementAllowed, &self.grant, None);
        change.audit = change.audit.map(|what| what.changing(self.grant.allowed, change.grant.allowed));
        Some(change)
    }
}
