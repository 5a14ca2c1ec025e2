//! What the provider shows of keys against what is recorded of them: a key that is enabled and must
//! not be, one that is disabled or gone and should not be. The sync disables; nothing here ever
//! enables.
//!
//! What the provider is found to say stops a grant only if its version is the one that was read
//! before the provider was asked. What was found may be due to an act since.
//!
//! A key is gone once the provider has answered twice that it does not know it, an hour apart, and
//! knows another of the account. It keeps what it was recorded to have used, and nothing else of it
//! counts; what it used since is a part of the account's residual.
//!
//! In a restored copy of the table: the provider has keys of a grant that no claim here made. They
//! are recorded as they are found; the newest that works becomes the live one. It takes its
//! reservation in the budget whether there is room or not, since it can be spent already. Its
//! student hears which key is theirs by now, since whether they were told went with the record.
//!
//! Where the newest does not work, the record of who ended it went too, so the grant is paused
//! until somebody has looked.

use super::claim::key_number;
use super::*;
use crate::domain::audit::{Act, Actor};
use crate::domain::programme::counts::Stage;
use crate::domain::programme::role::Role;
use crate::domain::values::format::Joined;

/// The time for which a revoked grant's key is kept: it has no further use, but its last requests
/// may settle late.
const REVOKED_KEPT: SignedDuration = SignedDuration::from_hours(48);
/// The time for which the keys of an ended grant are kept, since somebody may still ask about them.
const ENDED_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The time after a restore for which no key is deleted: a second restore may go further back, to
/// where a deleted key is live.
const AFTER_A_RESTORE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The least time between two answers that a key is not known before it is taken for gone.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_hours(1);
/// So soon the provider may know a key that is new.
const LAG: SignedDuration = SignedDuration::from_secs(10);

impl GrantKey {
    /// Until when that the provider does not know it may be wrong. A replica may not know a new one
    /// yet.
    pub fn search_ends_at(&self, now: Moment) -> Option<Moment> {
        let since = self.missing_since.filter(|_| self.gone.is_none())?;
        Some(if now < self.made_at + GRACE {
            now + LAG
        } else {
            since + BETWEEN_LOOKS
        })
    }

    pub fn is_missing(&self) -> bool {
        self.missing_since.is_some() && self.gone.is_none()
    }

    /// Notes that the provider does not have the key, so nothing is told of it any more.
    fn note_gone(&mut self, gone: KeyAbsence) {
        self.gone = Some(gone);
        self.missing_since = None;
    }
}

impl View {
    /// Marks that the provider answered that it does not know a key, which may be wrong. Returns
    /// `Unchanged` if that is marked.
    pub fn not_found(&self, key: &KeyHash, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change
            .key_not_gone(key)
            .ok_or(Unchanged)?
            .missing_since
            .get_or_insert(now);
        change.reject_same()
    }

    /// Stops a grant whose key the provider reports as disabled although nothing here disables it.
    /// Returns `Unchanged` if that key is not the one in use, or a call of ours may have done it.
    pub fn record_disabled(
        &self,
        read: u64,
        key: &KeyHash,
        asked_at: Moment,
        in_copy: bool,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        // What the provider said may be due to an act on the grant since it was read.
        if self.grant.version != read {
            return Err(Unchanged);
        }
        let live = self
            .grant
            .usable()
            .filter(|live| live.hash == *key)
            .ok_or(Unchanged)?;
        if live.enabled.may_be(&false) || !live.enabled.is_quiet(asked_at) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let live = change.key_mut(key).ok_or(Unchanged)?;
        live.enabled.take_in(&false, asked_at, None, now);
        live.final_reading = Some(FinalReading::Due(now + SETTLING));
        if in_copy {
            change.grant.holds.pause_after_restore();
        }
        Ok(change.with_stop(Stopped::GoneAtProvider))
    }

    /// Marks a key that the provider does not have any more, after a second answer that it does
    /// not, and stops the grant if the key was live. Returns `Unchanged` if the key is marked
    /// already, not on record, or may still be there.
    pub fn record_gone(&self, key: &KeyHash, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let gone = change.key_not_gone(key).ok_or(Unchanged)?;
        if gone.search_ends_at(now).is_none_or(|until| now < until) {
            return Err(Unchanged);
        }
        gone.note_gone(KeyAbsence::Missing);
        if self.grant.live().is_none_or(|live| live.hash != *key) {
            return Ok(change.marked());
        }
        Ok(change.with_stop(Stopped::GoneAtProvider))
    }

    /// Marks a key that was deleted at the provider because it was of no further use. Returns
    /// `Unchanged` if it is marked already, or live.
    pub fn record_purge(&self, key: &KeyHash) -> Result<Change, Unchanged> {
        if self.grant.live().is_some_and(|live| live.hash == *key) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let deleted = change.key_not_gone(key).ok_or(Unchanged)?;
        deleted.note_gone(KeyAbsence::Purged);
        let note = key_number(deleted.epoch);
        Ok(change.with_entry(Act::Purged, Some(&note)))
    }

    /// Whether a key may be deleted at the provider. A revoked grant's key may be two days after
    /// its last reading changed, any other disabled key of an ended grant after ninety. No key may
    /// be soon after a restore, and none before its final reading.
    pub fn may_purge(&self, key: &GrantKey, restored_at: Option<Moment>, now: Moment) -> bool {
        let is_read = key.gone.is_none() && key.final_reading.is_none();
        let Some(disabled_at) = key.enabled.since(&false).filter(|_| is_read) else {
            return false;
        };
        let read_at = self.reading(key.epoch).map(|reading| reading.as_of);
        let last = read_at.map_or(disabled_at, |read_at| read_at.max(disabled_at));
        let kept_until = match self.grant.state {
            GrantState::Revoked => last + REVOKED_KEPT,
            GrantState::Ended => last.max(self.programme.over_since()) + ENDED_KEPT,
            GrantState::Invited | GrantState::Live { .. } | GrantState::Stopped { .. } => {
                return false;
            }
        };
        now >= kept_until && restored_at.is_none_or(|restored| now >= restored + AFTER_A_RESTORE)
    }
}

/// A key that the provider lists under the name of this grant.
#[derive(Debug)]
pub struct RecoveredKey {
    pub epoch: Epoch,
    pub hash: KeyHash,
    pub label: Option<KeyLabel>,
    pub enabled: bool,
    pub limit: Option<Usd>,
    pub made_at: Moment,
}

impl View {
    /// Records keys that a restored table does not know, the newest enabled one as live.
    /// `candidates` may hold every listed key of the grant. A key that the student ended stays
    /// ended. Returns `Unchanged` if there is nothing to record.
    pub fn recover(&self, candidates: &[RecoveredKey], now: Moment) -> Result<Change, Unchanged> {
        let unknown = self.unknown(candidates);
        let Some(newest) = unknown.last() else {
            return Err(Unchanged);
        };
        let was_ended = match self.grant.live() {
            Some(live) => candidates
                .iter()
                .any(|candidate| candidate.hash == live.hash && !candidate.enabled),
            None => newest.epoch >= self.grant.epoch && !self.is_ended_by_student(newest),
        };
        let live = self.find_newest_enabled(&unknown);
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let grant = &mut change.grant;
        unknown
            .iter()
            .for_each(|candidate| grant.put_key(candidate.key(now)));
        grant.epoch = unknown
            .iter()
            .map(|candidate| candidate.epoch)
            .fold(grant.epoch, Epoch::max);
        grant.stage = grant.stage.after(Stage::Claimed);
        grant.lease = None;
        match (live, &self.grant.state) {
            (Some(live), _) => {
                grant.state = GrantState::Live {
                    key: live.hash.clone(),
                }
            }
            (None, GrantState::Revoked | GrantState::Ended) => {}
            (None, state) => {
                if *state == GrantState::Invited || (was_ended && self.grant.live().is_some()) {
                    grant.state = GrantState::Stopped {
                        why: Stopped::GoneAtProvider,
                    };
                }
                if was_ended {
                    grant.holds.pause_after_restore();
                }
            }
        }
        grant.has_reservation |= live.is_some();
        // The record of whether this mail was sent was lost in the restore. So the student is told
        // which key is live now, perhaps for the second time. A student whose key ends without a
        // successor is not: a person ended it.
        change.notice = live.map(|_| StudentNotice::KeyShown);
        let numbers = unknown
            .iter()
            .map(|candidate| candidate.epoch.number().to_string())
            .joined(", ");
        let which = live
            .map(|live| format!(", of which {} is live", live.epoch.number()))
            .unwrap_or_default();
        Ok(change.with_entry(Act::Recovered, Some(&format!("keys {numbers}{which}"))))
    }

    /// Whether a listed key is to be recorded in a copy as one that was shown: of one claim at most
    /// one was.
    pub fn can_recover(&self, candidate: &RecoveredKey) -> bool {
        !self
            .grant
            .keys
            .iter()
            .any(|key| key.hash == candidate.hash || key.epoch == candidate.epoch)
    }

    /// The enabled keys that a recovery would end on its own judgement; a hold, revocation or end
    /// by a person is not its own.
    pub fn find_ended_by_recovery<'f>(
        &self,
        candidates: &'f [RecoveredKey],
    ) -> Vec<&'f RecoveredKey> {
        let unknown = self.unknown(candidates);
        if unknown.is_empty() || self.grant.is_over() || !self.grant.holds.is_empty() {
            return Vec::new();
        }
        let live = self.find_newest_enabled(&unknown).map(|live| &live.hash);
        let stays = live.or(self.grant.live().map(|live| &live.hash));
        let enabled = candidates.iter().filter(|candidate| candidate.enabled);
        let in_question = enabled
            .filter(|candidate| !self.is_ended_by_student(candidate))
            .filter(|candidate| {
                let was_live = self
                    .grant
                    .live()
                    .is_some_and(|live| live.hash == candidate.hash);
                was_live || unknown.iter().any(|unknown| unknown.hash == candidate.hash)
            });
        in_question
            .filter(|candidate| Some(&candidate.hash) != stays)
            .collect()
    }

    /// The found keys that can be recorded and are not, the oldest first; of two with one number,
    /// the enabled one.
    fn unknown<'f>(&self, candidates: &'f [RecoveredKey]) -> Vec<&'f RecoveredKey> {
        let mut unknown: Vec<&RecoveredKey> = candidates
            .iter()
            .filter(|candidate| self.can_recover(candidate))
            .collect();
        unknown.sort_by_key(|candidate| (candidate.epoch, !candidate.enabled));
        unknown.dedup_by_key(|candidate| candidate.epoch);
        unknown
    }

    /// The key that becomes live: one that is no older than the grant's last claim. `None` for a
    /// grant that is over.
    fn find_newest_enabled<'f>(&self, unknown: &[&'f RecoveredKey]) -> Option<&'f RecoveredKey> {
        if self.grant.is_over() {
            return None;
        }
        let enabled = unknown
            .iter()
            .filter(|candidate| candidate.enabled && candidate.epoch >= self.grant.epoch);
        enabled
            .filter(|candidate| !self.is_ended_by_student(candidate))
            .max_by_key(|candidate| candidate.epoch)
            .copied()
    }

    /// Whether the student reported this key as leaked, or handed it back, although the copy of the
    /// table did not know it: it was made before they did that.
    fn is_ended_by_student(&self, candidate: &RecoveredKey) -> bool {
        let is_by_student = matches!(
            self.grant.state,
            GrantState::Stopped {
                why: Stopped::Leaked | Stopped::Returned
            }
        );
        is_by_student
            && self
                .grant
                .state_since
                .is_some_and(|since| candidate.made_at <= since)
    }
}

impl Holds {
    /// Who ended a key since the backup was made is not known, so a person decides before its
    /// student has another.
    fn pause_after_restore(&mut self) {
        let why = Some("the table was restored, and the key had been ended since".to_owned());
        self.paused.get_or_insert(Pause {
            by: Actor::Sync,
            role: Role::Faculty,
            why,
            with_many: false,
        });
    }
}

impl RecoveredKey {
    /// The time of its showing is lost, so it counts as shown when it was made.
    fn key(&self, now: Moment) -> GrantKey {
        GrantKey {
            label: self.label.clone(),
            limit: self
                .limit
                .map(|limit| Held::confirmed(limit, now))
                .unwrap_or_default(),
            shown_at: Some(self.made_at),
            enabled: Held::confirmed(self.enabled, now),
            ..GrantKey::made(self.epoch, self.hash.clone(), self.made_at)
        }
    }
}
