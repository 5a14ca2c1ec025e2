//! One person's right to one live key in one programme: what a grant and its keys can be. What can
//! be done to them stands beside it: each act a pure function from what was read to what is to be
//! written.
//!
//! The states of a grant are drawn in `ARCHITECTURE.md`. `store/grants/act.rs` writes what an act
//! decides. What a grant can still cost is [`reservation`]; what its key is to hold, and what the
//! provider is still to be told of it, [`owed`].

#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod change;
mod claim;
mod close;
mod drift;
mod hold;
mod lifecycle;
mod more;
mod owed;
mod reservation;
mod spending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use change::DraftChange;
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::held::Held;
use crate::domain::programme::Settings;
use crate::domain::programme::counts::Stage;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::{Epoch, GrantId, KeyHash, Nonce, ProgrammeId};
use crate::domain::values::key::KeyLabel;
use crate::domain::values::masked;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::{grant_partition, grant_partition_of};
use crate::schema::{ItemKey, begin, key, stored};

pub use action::{GrantAct, GrantAction};
pub use change::{BudgetChange, Change, DependsOn, Logged, StudentNotice, Unchanged, View};
pub use claim::{
    BeginRefused, KeyRequest, KeyRequestKind, MintedKey, NextGuardrail, OpenClaim, RecordRefused,
};
pub use close::{ADDRESS_PASSED, AddressChange, LeakRefused, PersonChange};
pub use drift::RecoveredKey;
pub use hold::{ChangeRefused, Hold, HoldKind, Holds, Pause};
pub use lifecycle::{AnnouncedEnd, NoticeDelivery, Rule};
pub use more::{MORE_REQUEST_LASTS, MoreListing, MoreRefused, MoreRequest};
pub use owed::{
    Answered, Backoff, FinalReading, KeyCall, LONGEST_BACKOFF, ListedLimit, SeenKey, Tell, Urgency,
};
pub use reservation::{DROPPED_KEPT, EditEffect, Reservation};
pub use spending::{CapUse, Spending, compute_limit};

pub use crate::domain::usage::reading::{Reading, SETTLING};

/// The time for which an invocation owns a claim: longer than a function may run.
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// The age by which a key that is made is on record, if it ever is.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);
/// The time after a reveal or a counted replacement in which the first replacement is free, for a
/// phone that lost its network.
pub const FREE_REPLACEMENT: SignedDuration = SignedDuration::from_mins(15);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    pub programme: ProgrammeId,
    #[serde(rename = "grant")]
    pub id: GrantId,
    #[serde(flatten)]
    pub person: Person,
    pub group: Option<String>,
    /// This person's own cap, which overrides the group's and the programme's.
    pub own_cap: Option<Usd>,
    #[serde(flatten)]
    pub state: GrantState,
    /// Since when it is in this state; `None` before the first change.
    pub state_since: Option<Moment>,
    pub holds: Holds,
    /// The claim that is or was under way. A key that it makes is recorded on condition of this.
    pub lease: Option<ClaimLease>,
    /// The number of the last claim that was begun, and when that was.
    pub epoch: Epoch,
    pub begun_at: Option<Moment>,
    /// Whether the grant's cap is part of what the budget has reserved.
    pub has_reservation: bool,
    /// The furthest that its person has come. Of one that is noted late a step may be missing,
    /// until the next.
    pub stage: Stage,
    pub replacements: u32,
    /// The number of replacements that faculty allowed beyond the programme's.
    pub allowed: u32,
    /// Every key that was shown, and others until they are off, in the order of their epochs. They
    /// are part of the grant's item, so that whatever an act decides on was read at one moment.
    pub keys: Vec<GrantKey>,
    /// The time of the last reveal or counted replacement, until it has given one free replacement.
    pub counted_at: Option<Moment>,
    /// Hashes of the addresses that passed to somebody else.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<String>,
    pub job: Option<JobMark>,
    /// How many entries its timeline has of what changed it.
    pub entries: u64,
    /// The last request of the student for a larger cap.
    pub more_request: Option<MoreRequest>,
    /// The earliest instant at which there is something to tell the provider, or to ask it.
    pub due_at: Option<Moment>,
    /// Whether the provider holds by now what the keys are to hold: what is due then is a reading,
    /// or the turn of a window.
    pub provider_agrees: bool,
    /// Since when a key is to be off of which the provider has not confirmed that.
    pub ends_since: Option<Moment>,
    pub backoff: Option<Backoff>,
    pub version: u64,
}

stored! {
    Grant |it| (programme: &ProgrammeId, grant: &GrantId = &it.id) => key(grant_partition_of(programme, grant), format!("G#{grant}"));
    list of_shard(programme: &ProgrammeId, shard: char) => begin(grant_partition(programme, shard), "G#");
    waits |it| it.due_at.map(|due| (it.urgency().queue(), due))
}

/// The person a grant is for. Together with the person's own items this is the only home of names
/// and addresses.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub address: EmailAddress,
    pub name: Option<String>,
    /// The `id` column of the roster.
    pub roster_id: Option<String>,
}

impl Person {
    /// The name, or the address where none is known.
    pub fn known_as(&self) -> &str {
        self.name.as_deref().unwrap_or(self.address.as_written())
    }
}

masked!(Person, PersonChange, MoreRequest);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum GrantState {
    Invited,
    Live {
        key: KeyHash,
    },
    /// A key was shown and has ended, or is to; the student may press again.
    Stopped {
        why: Stopped,
    },
    Revoked,
    Ended,
}

/// The job that changed a grant last, and how long the timeline was then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JobMark {
    pub job: Ulid,
    pub entries: u64,
}

/// The job for which a grant is changed.
#[derive(Debug, Clone, Copy)]
pub struct OfJob {
    pub job: Ulid,
    /// How long the timeline was when the file was compared that it applies: whoever something else
    /// was done to since is left as they are.
    pub compared: Option<u64>,
}

/// The right to record the key of the newest claim, and until when nobody else may begin one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimLease {
    pub nonce: Nonce,
    pub until: Moment,
}

crate::named! {
    /// A state with the holds beside it, as attributes, files and URLs spell it. Any hold counts as
    /// paused.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ShownState: as_str {
        Invited = "invited",
        Minting = "minting",
        Live = "live",
        Paused = "paused",
        Stopped = "stopped",
        Revoked = "revoked",
        Ended = "ended",
    }
}

crate::named! {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Stopped: as_str, sentence {
        Leaked = "leaked", "{who} reported the key of {whom} as leaked, and it was ended";
        TooOld = "too-old", "The key of {whom} was ended because it was too old";
        /// The key ended with the term as it was when the key was made, and the programme goes on.
        TermEnded = "term-ended", "The key of {whom} ended when the term did, before it was extended";
        /// The student handed the key back, together with the reservation.
        Returned = "returned", "{whom} handed the key back";
        /// The person came back to the roster after the reservation had been given back.
        OffRoster = "off-roster", "{whom} came back to the roster without a key: what was promised had gone back to the budget";
        /// A replacement was begun, and no key of it is shown yet.
        Replacing = "replacing", "The key of {whom} was ended for a new one";
        GoneAtProvider = "gone-at-provider", "OpenRouter has the key of {whom} no more";
    }
}

/// A key that this grant's claims made, or that is taken for one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantKey {
    /// The number of the claim that made it.
    pub epoch: Epoch,
    pub hash: KeyHash,
    /// By what somebody who comes across it finds whose it is, where its plaintext or its label was
    /// known.
    pub label: Option<KeyLabel>,
    pub made_at: Moment,
    /// The time at which it expires, which cannot be changed at the provider.
    pub expires_at: Option<Moment>,
    /// Whether it is enabled.
    pub enabled: Held<bool>,
    pub limit: Held<Usd>,
    pub guardrail: Held<KeyGuardrail>,
    /// When it was shown. One that nobody was shown is to be off, and is forgotten then.
    pub shown_at: Option<Moment>,
    /// The time at which it was last enabled again after a hold.
    pub resumed_at: Option<Moment>,
    pub announced: BTreeMap<StudentNotice, AnnouncedEnd>,
    /// What is still to be read of a key that was shown and is off, or is to be.
    pub final_reading: Option<FinalReading>,
    /// When the provider first answered that it does not know the key, unless it knew it since.
    pub missing_since: Option<Moment>,
    /// The reason that the provider does not have the key any more; it is not asked for this key
    /// again.
    pub gone: Option<KeyAbsence>,
}

/// The guardrail that a key is under: the programme's, or that of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyGuardrail {
    pub group: Option<String>,
    pub id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAbsence {
    Missing,
    /// The sync deleted the key after it had long been of no use.
    Purged,
}

impl Grant {
    /// The ids of the grant of this key, if it is one's.
    pub fn named(key: &ItemKey) -> Option<(ProgrammeId, GrantId)> {
        let (programme, _) = key.pk.strip_prefix("G#")?.rsplit_once('#')?;
        Some((
            programme.parse().ok()?,
            key.sk.strip_prefix("G#")?.parse().ok()?,
        ))
    }

    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Whether its person counts among the students: neither revoked nor dropped from the roster.
    pub fn is_student(&self) -> bool {
        self.state != GrantState::Revoked && self.holds.dropped.is_none()
    }

    pub fn display_state(&self, now: Moment) -> ShownState {
        self.state
            .without_holds()
            .with(!self.holds.is_empty(), self.lease.as_ref(), now)
    }

    /// Whether a claim may be under way.
    pub fn is_being_made(&self, now: Moment) -> bool {
        self.lease.as_ref().is_some_and(|lease| now < lease.until)
    }

    /// How many replacements its student may still make, those that count alone.
    pub fn replacements_left(&self, settings: &Settings) -> u32 {
        settings
            .claims
            .replacements
            .saturating_add(self.allowed)
            .saturating_sub(self.replacements)
    }

    /// The cap that applies: the grant's own, else the group's, else the programme's.
    pub fn cap(&self, settings: &Settings) -> Usd {
        self.own_cap
            .unwrap_or_else(|| settings.allowance.cap_of(self.group.as_deref()))
    }

    pub fn invited(
        programme: ProgrammeId,
        id: GrantId,
        person: Person,
        group: Option<String>,
    ) -> Grant {
        Grant {
            programme,
            id,
            person,
            group,
            own_cap: None,
            state: GrantState::Invited,
            state_since: None,
            holds: Holds::default(),
            lease: None,
            epoch: Epoch::BEFORE_THE_FIRST,
            begun_at: None,
            has_reservation: false,
            stage: Stage::Invited,
            replacements: 0,
            allowed: 0,
            keys: Vec::new(),
            counted_at: None,
            lost: BTreeSet::new(),
            job: None,
            entries: 0,
            more_request: None,
            due_at: None,
            ends_since: None,
            provider_agrees: true,
            backoff: None,
            version: 1,
        }
    }

    /// Refuses a job that has done its act here already. One that applies a file plans anew what it
    /// says, and is refused where something else was done since that was compared.
    pub fn lets_act(&self, of: OfJob) -> Result<(), ChangeRefused> {
        let done = self
            .job
            .filter(|mark| mark.job == of.job)
            .map(|mark| mark.entries);
        match of.compared {
            Some(compared) if self.entries != compared && done != Some(self.entries) => {
                Err(ChangeRefused::ChangedSince)
            }
            None if done.is_some() => Err(ChangeRefused::Unchanged),
            Some(_) | None => Ok(()),
        }
    }

    /// The same of the step that gives an address: from whom the job took theirs gets the other in
    /// any case.
    pub fn lets_readdress(&self, of: OfJob) -> Result<(), ChangeRefused> {
        let has_lost =
            self.person.address.is_none() && self.job.is_some_and(|mark| mark.job == of.job);
        if has_lost { Ok(()) } else { self.lets_act(of) }
    }

    pub fn key_with(&self, hash: &KeyHash) -> Option<&GrantKey> {
        self.keys.iter().find(|key| key.hash == *hash)
    }

    pub(super) fn put_key(&mut self, key: GrantKey) {
        let place = self.keys.partition_point(|known| known.epoch <= key.epoch);
        self.keys.insert(place, key);
    }

    /// The key of this number that was shown: of one claim at most one is.
    pub fn shown(&self, epoch: Epoch) -> Option<&GrantKey> {
        self.keys
            .iter()
            .find(|key| key.epoch == epoch && key.shown_at.is_some())
    }

    pub fn live(&self) -> Option<&GrantKey> {
        let GrantState::Live { key } = &self.state else {
            return None;
        };
        self.key_with(key)
    }

    /// The newest key that anybody was shown.
    pub fn newest_shown(&self) -> Option<&GrantKey> {
        self.keys.iter().rev().find(|key| key.shown_at.is_some())
    }

    /// When the first key was shown.
    pub fn first_shown_at(&self) -> Option<Moment> {
        self.keys.iter().find_map(|key| key.shown_at)
    }

    /// Whether a key works that was shown before somebody looked at what keys used.
    pub fn had_a_key_by(&self, looked_at: Moment) -> bool {
        self.usable().is_some()
            && self
                .first_shown_at()
                .is_some_and(|shown_at| shown_at < looked_at)
    }

    pub fn last_shown(&self) -> Epoch {
        self.newest_shown()
            .map_or(Epoch::BEFORE_THE_FIRST, |newest| newest.epoch)
    }
}

impl GrantKey {
    /// A key as the call that made it answered, which nobody was shown yet.
    pub fn made(epoch: Epoch, hash: KeyHash, made_at: Moment) -> GrantKey {
        GrantKey {
            epoch,
            hash,
            label: None,
            made_at,
            expires_at: None,
            enabled: Held::confirmed(true, made_at),
            limit: Held::default(),
            guardrail: Held::default(),
            shown_at: None,
            resumed_at: None,
            announced: BTreeMap::new(),
            final_reading: None,
            missing_since: None,
            gone: None,
        }
    }

    /// The time at which it expires: as it was made, or by the settings where that is not known.
    pub fn expires(&self, settings: &Settings) -> Moment {
        self.expires_at.unwrap_or_else(|| settings.keys_expire_at())
    }

    pub fn has_expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Stopped {
    /// Whether a leak, the provider or the term took the key, so that another does not count as a
    /// replacement.
    fn is_loss(self) -> bool {
        match self {
            Stopped::Leaked | Stopped::GoneAtProvider | Stopped::TermEnded => true,
            Stopped::TooOld | Stopped::Returned | Stopped::OffRoster | Stopped::Replacing => false,
        }
    }
}

impl GrantState {
    fn stopped(&self) -> Option<Stopped> {
        if let GrantState::Stopped { why } = self {
            Some(*why)
        } else {
            None
        }
    }

    pub fn is_over(&self) -> bool {
        self.without_holds().is_over()
    }

    pub fn without_holds(&self) -> ShownState {
        match self {
            GrantState::Invited => ShownState::Invited,
            GrantState::Live { .. } => ShownState::Live,
            GrantState::Stopped { .. } => ShownState::Stopped,
            GrantState::Revoked => ShownState::Revoked,
            GrantState::Ended => ShownState::Ended,
        }
    }

    pub fn as_str(&self) -> &'static str {
        self.without_holds().as_str()
    }
}

impl ShownState {
    pub const USED_UP: &str = "used up";
    pub const OFF_ROSTER: &str = "off the roster";

    pub fn is_over(self) -> bool {
        matches!(self, ShownState::Revoked | ShownState::Ended)
    }

    /// The state with holds, or a claim, beside it.
    #[must_use]
    pub fn with(self, is_held: bool, lease: Option<&ClaimLease>, now: Moment) -> ShownState {
        if self.is_over() {
            self
        } else if is_held {
            ShownState::Paused
        } else if lease.is_some_and(|lease| now < lease.until) {
            ShownState::Minting
        } else {
            self
        }
    }

    /// The state for people, with what is left of the cap where that is known.
    pub fn to_words(self, left: Option<Usd>, holds: &Holds) -> &'static str {
        match self {
            ShownState::Invited => "not claimed yet",
            ShownState::Minting => "being made",
            ShownState::Live if left.is_some_and(|left| left < Usd::CENT) => ShownState::USED_UP,
            ShownState::Live => "working",
            ShownState::Paused if holds.dropped.is_some() => ShownState::OFF_ROSTER,
            ShownState::Paused => "paused",
            ShownState::Stopped => "no key now",
            ShownState::Revoked => "removed",
            ShownState::Ended => "ended",
        }
    }
}

/// The state and the holds, as an audit entry spells them: `live, paused`.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        for (kind, word) in [
            (HoldKind::Paused, "paused"),
            (HoldKind::Dropped, "dropped"),
            (HoldKind::Unused, "unused"),
        ] {
            if self.holds.has(kind) {
                write!(f, ", {word}")?;
            }
        }
        Ok(())
    }
}
