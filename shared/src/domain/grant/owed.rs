//! What the live key of a grant is to hold by now: its limit, in whole cents and rounded down, and
//! its guardrail; and what the provider is still to be told of a grant's keys, or asked. None of it
//! is stored: it follows from the grant, the settings and what the keys used, and from what the
//! provider may hold of each key ([`Held`]). Who tells it is [`crate::settle`], on behalf of the
//! request that changed something, the work of each minute, and the sync.
//!
//! Disables go first, then limits and guardrails, and a key is enabled only once these are
//! confirmed. What failed is due later.
//!
//! A value is noted before it is sent, so whatever becomes of the call, what the key may hold is on
//! record.
//!
//! That the provider does not know a key may be wrong, so it is asked again an hour later
//! ([`drift`]).

use super::*;
use crate::domain::audit::{Act, Actor};
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use crate::schema::Queue;

/// A call that the provider is to get for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyCall {
    pub epoch: Epoch,
    pub key: KeyHash,
    pub tell: Tell,
    pub due: Moment,
}

/// The answer to a call: when that was noted and sent, and whether it said what the key used, which
/// is recorded by now.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub noted: Moment,
    pub sent: Moment,
    pub is_read: bool,
}

/// What a key is to be told, in the order in which it is; the last only asks what it used, once
/// that is final.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tell {
    Off,
    Limit(Usd),
    /// That it is under this guardrail; `None` while it is not made.
    Guardrail(Option<KeyGuardrail>),
    On,
    Read,
}

crate::named! {
    pub enum Urgency: as_str {
        /// Somebody else has the key, or its grant was revoked.
        Leak = "settle-leak",
        Disable = "settle-disable",
        /// Limits, guardrails and enables.
        Limit = "settle-limit",
        Read = "settle-read",
    }
}

impl Urgency {
    pub fn queue(self) -> Queue {
        Queue(self.as_str())
    }
}

/// The last reading of a key that is off; until it is made, the key may have used all that it
/// could. It is made a quarter of an hour after an answer that said that it is off and what it used
/// until then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalReading {
    /// Once the provider answers that the key is off; what it used by then is asked for at once.
    OnceOff,
    Due(Moment),
}

pub const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_hours(1);

/// That the last calls failed, and until when no other is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    pub tries: u32,
    pub until: Moment,
}

/// What the provider shows of a key, in a listing or in an answer about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenKey {
    pub enabled: bool,
    pub limit: ListedLimit,
    pub asked_at: Moment,
    /// Whether it said what the key used, which is recorded by now.
    pub is_read: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ListedLimit {
    Unlimited,
    Limit(Usd),
    /// A limit that is counted in another window than the programme's, or that treats BYOK use
    /// differently.
    CountedOtherwise,
}

impl Grant {
    /// How urgent what is due is.
    pub fn urgency(&self) -> Urgency {
        let is_leak = matches!(
            self.state,
            GrantState::Revoked
                | GrantState::Stopped {
                    why: Stopped::Leaked
                }
        );
        match self.has_key_to_end() {
            true if is_leak => Urgency::Leak,
            true => Urgency::Disable,
            false if self.provider_agrees => Urgency::Read,
            false => Urgency::Limit,
        }
    }

    /// Whether a key is to be off of which the provider has not confirmed that.
    pub fn has_key_to_end(&self) -> bool {
        let in_use = self.usable();
        let mut to_end = self
            .keys
            .iter()
            .filter(|key| key.gone.is_none() && Some(*key) != in_use);
        to_end.any(|key| !key.enabled.is(&false))
    }

    /// The live key, unless the grant is held.
    pub fn usable(&self) -> Option<&GrantKey> {
        self.live().filter(|_| self.holds.is_empty())
    }
}

impl GrantKey {
    fn call(&self, tell: Tell, due: Option<Moment>) -> Option<KeyCall> {
        Some(KeyCall {
            epoch: self.epoch,
            key: self.hash.clone(),
            tell,
            due: due?,
        })
    }

    /// Notes that the provider answered that the key is off, and what it used.
    fn is_found_off(&mut self, now: Moment) {
        if self.final_reading == Some(FinalReading::OnceOff) {
            self.final_reading = Some(FinalReading::Due(now + SETTLING));
        }
    }

    /// The largest limit that the provider may hold.
    pub(super) fn largest_limit(&self) -> Usd {
        self.limit.possible().copied().max().unwrap_or_default()
    }
}

impl View {
    /// What the provider is to be told, now or later, in the order in which it is.
    pub fn calls(&self, now: Moment) -> Vec<KeyCall> {
        let mut calls: Vec<KeyCall> = self
            .grant
            .keys
            .iter()
            .flat_map(|key| self.calls_of(key, now))
            .collect();
        calls.sort_by(|a, b| (&a.tell, a.epoch).cmp(&(&b.tell, b.epoch)));
        calls
    }

    fn calls_of(&self, key: &GrantKey, now: Moment) -> Vec<KeyCall> {
        if key.gone.is_some() {
            return Vec::new();
        }
        if self.grant.usable() != Some(key) {
            let off = key.call(Tell::Off, key.enabled.due(&false));
            let read = match key.final_reading.filter(|_| off.is_none()) {
                None => None,
                Some(FinalReading::OnceOff) => key.call(Tell::Read, Some(now)),
                Some(FinalReading::Due(due_at)) => key.call(Tell::Read, Some(due_at)),
            };
            return off.into_iter().chain(read).collect();
        }
        let limit = self.limit_wanted(now);
        let limit = key.call(Tell::Limit(limit), key.limit.due(&limit));
        let guardrail =
            self.guardrail_wanted()
                .and_then(|owner| match self.key_guardrail(&owner) {
                    Some(guardrail) => key.call(
                        Tell::Guardrail(Some(guardrail.clone())),
                        key.guardrail.due(&guardrail),
                    ),
                    None => key.call(Tell::Guardrail(None), Some(now)),
                });
        let mut calls: Vec<KeyCall> = limit.into_iter().chain(guardrail).collect();
        if calls.is_empty() {
            calls.extend(key.call(Tell::On, key.enabled.due(&true)));
        }
        calls
    }

    /// When something of the grant is due next: a call, or the turn of the window, if what other
    /// keys used makes the limit smaller.
    pub fn next_due(&self, now: Moment) -> Option<Moment> {
        let calls = self.calls(now).into_iter().map(|call| call.due);
        let is_smaller = self.grant.usable().is_some()
            && self.limit_wanted(now) < self.grant.cap(&self.programme.settings);
        let turn = self
            .programme
            .settings
            .basis
            .reset
            .resets_at(now)
            .filter(|_| is_smaller && !self.programme.is_over(now));
        let due = calls.chain(turn).min()?;
        Some(
            self.grant
                .backoff
                .map_or(due, |backoff| due.max(backoff.until)),
        )
    }

    /// Notes what is about to be sent. Returns `Unchanged` if that is not due any more, or another
    /// sends it.
    pub fn with_note(&self, call: &KeyCall, now: Moment) -> Result<Change, Unchanged> {
        if !self
            .calls(now)
            .iter()
            .any(|due| due.key == call.key && due.tell == call.tell && due.due <= now)
        {
            return Err(Unchanged);
        }
        // The budget counts the limit that is wanted under these settings.
        let key = self.grant.key_with(&call.key);
        let raises = key.is_some_and(
            |key| matches!(call.tell, Tell::Limit(limit) if limit > key.largest_limit()),
        );
        let mut change = self.change(
            &Actor::Sync,
            if raises {
                DependsOn::Settings
            } else {
                DependsOn::GrantAlone
            },
        );
        let key = change.key_not_gone(&call.key).ok_or(Unchanged)?;
        match &call.tell {
            Tell::Off => {
                _ = key.enabled.note(&false, now);
                key.final_reading = key.shown_at.map(|_| FinalReading::OnceOff);
            }
            Tell::On => _ = key.enabled.note(&true, now),
            Tell::Limit(limit) => _ = key.limit.note(limit, now),
            Tell::Guardrail(Some(under)) => _ = key.guardrail.note(under, now),
            Tell::Guardrail(None) | Tell::Read => return Err(Unchanged),
        }
        Ok(change.marked())
    }

    /// Takes in the answer to a call. Returns `Unchanged` if it says nothing new.
    pub fn answered(
        &self,
        call: &KeyCall,
        answer: Answered,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        let Answered {
            noted,
            sent,
            is_read,
        } = answer;
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change.grant.backoff = None;
        let key = change.key_not_gone(&call.key).ok_or(Unchanged)?;
        key.missing_since = None;
        match &call.tell {
            Tell::Off => {
                key.enabled.take_in(&false, sent, Some(noted), now);
                if is_read {
                    key.is_found_off(now);
                }
            }
            Tell::On => key.enabled.take_in(&true, sent, Some(noted), now),
            Tell::Limit(limit) => key.limit.take_in(limit, sent, Some(noted), now),
            Tell::Guardrail(Some(under)) => key.guardrail.take_in(under, sent, Some(noted), now),
            Tell::Guardrail(None) => {}
            Tell::Read => key.is_read(sent),
        }
        change.reject_same()
    }

    /// Puts off what the provider is to be told, longer each time; leaks never for longer than a
    /// minute.
    pub fn put_off(&self, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let tries = self
            .grant
            .backoff
            .map_or(0, |backoff| backoff.tries)
            .saturating_add(1);
        let minutes = if self.grant.urgency() == Urgency::Leak {
            1
        } else {
            1 << (tries - 1).min(6)
        };
        let wait = SignedDuration::from_mins(minutes).min(LONGEST_BACKOFF);
        change.grant.backoff = Some(Backoff {
            tries,
            until: now + wait,
        });
        Ok(change.marked())
    }

    /// Sets anew when the grant is due, since what it is to be may be other by now. Returns
    /// `Unchanged` if nothing follows from that.
    pub fn refresh_due(&self, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change.set_due(self, now);
        change.reject_same()
    }

    /// Takes in what an answer about one key shows of it. Another hand is not for this to find: the
    /// sync judges it, within its safety limit.
    pub fn shown(&self, key: &KeyHash, shows: &SeenKey, now: Moment) -> Result<Change, Unchanged> {
        self.seen(key, shows, now)
            .ok()
            .filter(|change| change.audit().is_none())
            .ok_or(Unchanged)
    }

    /// Takes in what the provider shows of a recorded key. What nobody here sent is another hand's:
    /// a limit is set again, and a live key that is off is looked at by itself
    /// ([`View::record_disabled`]). Returns `Unchanged` if it shows nothing new.
    pub fn seen(&self, key: &KeyHash, shows: &SeenKey, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let asked_at = shows.asked_at;
        let recorded = change.key_mut(key).ok_or(Unchanged)?;
        recorded.missing_since = None;
        if shows.enabled {
            recorded.gone = None;
        }
        if shows.enabled || recorded.enabled.may_be(&false) {
            recorded
                .enabled
                .take_in(&shows.enabled, asked_at, None, now);
        }
        if !shows.enabled && shows.is_read {
            recorded.is_found_off(now);
            recorded.is_read(asked_at);
        }
        let was = recorded.limit.known().copied();
        // A smaller limit counts once it is known what the key used under the larger one.
        let found_limit = if shows.is_read {
            recorded.take_in_limit(shows.limit, asked_at, now)
        } else {
            None
        };
        match (found_limit, was) {
            (Some(limit), Some(was))
                if self.grant.usable().is_some_and(|live| live.hash == *key) =>
            {
                Ok(change.with_entry_from(Act::LimitFound, was, limit))
            }
            _ => change.reject_same(),
        }
    }
}

impl GrantKey {
    /// Clears the final reading, if the key was asked for it late enough.
    fn is_read(&mut self, asked_at: Moment) {
        if let Some(FinalReading::Due(due_at)) = self.final_reading
            && asked_at >= due_at
        {
            self.final_reading = None;
        }
    }

    /// Takes in a listed limit; less than a cent away is the same limit. Returns in words what only
    /// another hand can have set.
    fn take_in_limit(
        &mut self,
        listed: ListedLimit,
        asked_at: Moment,
        now: Moment,
    ) -> Option<String> {
        let held = match listed {
            ListedLimit::Limit(limit) => self
                .limit
                .possible()
                .copied()
                .find(|held| held.is_about(limit)),
            ListedLimit::Unlimited | ListedLimit::CountedOtherwise => None,
        };
        if let Some(held) = held {
            self.limit.take_in(&held, asked_at, None, now);
            return None;
        }
        if !self.limit.is_quiet(asked_at) || self.limit.is_doubted() {
            return None;
        }
        self.limit.doubt();
        Some(match listed {
            ListedLimit::Limit(limit) => limit.to_string(),
            ListedLimit::Unlimited => "none".to_owned(),
            ListedLimit::CountedOtherwise => "counted otherwise".to_owned(),
        })
    }
}

impl DraftChange<'_> {
    /// The change as a mark, unless it leaves the grant as it was.
    pub(super) fn reject_same(self) -> Result<Change, Unchanged> {
        let as_it_was = Grant {
            version: self.grant.version,
            ..self.logged.clone()
        };
        if self.grant == as_it_was {
            Err(Unchanged)
        } else {
            Ok(self.marked())
        }
    }
}

impl<L> Change<L> {
    /// Sets when the grant is due next. What is due already keeps its place, and where nothing is,
    /// nothing is put off. A key that is live from now on is looked at in any case: settings may
    /// have been edited while it was made.
    pub(super) fn set_due(&mut self, view: &View, now: Moment) {
        let was = self.grant.due_at;
        let is_new = self
            .grant
            .live()
            .is_some_and(|live| view.grant.key_with(&live.hash).is_none());
        self.grant.ends_since = if self.grant.has_key_to_end() {
            self.grant.ends_since.or(Some(now))
        } else {
            None
        };
        let mut after = View {
            grant: self.grant.clone(),
            ..view.clone()
        };
        let calls = after.calls(now);
        self.grant.provider_agrees = !is_new && calls.iter().all(|call| call.tell == Tell::Read);
        if calls.iter().all(|call| call.due > now) {
            (after.grant.backoff, self.grant.backoff) = (None, None);
        }
        self.grant.due_at = match after.next_due(now).filter(|_| !is_new) {
            Some(due) if due <= now => Some(was.filter(|was| *was <= now).unwrap_or(now)),
            None if is_new => Some(now),
            due => due,
        };
    }
}

impl Grant {
    /// Whether one of its keys is, or is to be, under a guardrail.
    pub fn may_need_guardrail(&self, settings: &Settings) -> bool {
        let mut keys = self.keys.iter();
        !settings.rules.restrict_nobody()
            || keys.any(|key| key.guardrail.possible().next().is_some())
    }
}

impl View {
    /// The limit that the newest key is to have, held or not. It is never below a cent, since it is
    /// not documented what a limit of nothing does.
    pub fn limit_wanted(&self, now: Moment) -> Usd {
        compute_limit(
            self.grant.cap(&self.programme.settings),
            &self.spending(now),
        )
        .unwrap_or(Usd::CENT)
    }

    /// The guardrail that the live key is to be under; `None` if no key is live, or it may call
    /// everything and was never under one. No key is taken from under a guardrail: it is put under
    /// another, which may allow everything.
    pub fn guardrail_wanted(&self) -> Option<GuardrailOwner> {
        let live = self.grant.live()?;
        let mut under = live.guardrail.possible();
        match under.next() {
            // A group that lost its own rules keeps its guardrail, with the programme's.
            Some(under) if under.group == self.grant.group => Some(self.owner(under.group.clone())),
            Some(_) => Some(self.guardrail_of_group()),
            None => self.guardrail_of_next_key(),
        }
    }

    pub fn guardrail(&self, owner: &GuardrailOwner) -> Option<&Guardrail> {
        self.guardrails
            .iter()
            .find(|guardrail| guardrail.owner == *owner)
    }

    /// A guardrail as the provider has it, once it is made.
    fn key_guardrail(&self, owner: &GuardrailOwner) -> Option<KeyGuardrail> {
        let remote = self.guardrail(owner)?.remote.as_ref()?;
        Some(KeyGuardrail {
            group: owner.group.clone(),
            id: remote.id.clone(),
        })
    }

    /// The group's, if it has rules of its own, else the programme's.
    pub(super) fn guardrail_of_group(&self) -> GuardrailOwner {
        let with_rules = &self.programme.settings.rules.group_models;
        self.owner(
            self.grant
                .group
                .clone()
                .filter(|group| with_rules.contains_key(group)),
        )
    }

    fn owner(&self, group: Option<String>) -> GuardrailOwner {
        GuardrailOwner {
            programme: self.programme.id.clone(),
            group,
        }
    }

    /// Doubts that the live key is under its guardrail, since the provider does not list it there.
    /// Returns `Unchanged` if a call about it may still come, or it is doubted already.
    pub fn not_under(&self, key: &KeyHash, asked_at: Moment) -> Result<Change, Unchanged> {
        let live = self
            .grant
            .usable()
            .filter(|live| live.hash == *key)
            .ok_or(Unchanged)?;
        if !live.guardrail.is_quiet(asked_at) || live.guardrail.is_doubted() {
            return Err(Unchanged);
        }
        let was = live
            .guardrail
            .known()
            .map(|under| under.id.clone())
            .unwrap_or_default();
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change.key_mut(key).ok_or(Unchanged)?.guardrail.doubt();
        Ok(change.with_entry_from(Act::GuardrailLost, was, "none"))
    }
}
