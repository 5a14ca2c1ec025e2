//! Holds: what keeps a grant from having a live key for now. While there is one, no key is to be
//! on; without the last, the live one is again, once its limit is the wanted one.

use super::*;
use crate::domain::audit::{Act, Actor};
use crate::domain::programme::role::Role;

/// The holds of a grant: why it may not have a live key now, beside its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Holds {
    pub paused: Option<Pause>,
    /// The time since which the roster does not name the person.
    pub dropped: Option<Moment>,
    /// The import that dropped them, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_by: Option<Ulid>,
    pub unused: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub by: Actor,
    /// The role in which the person paused it; a lower role cannot release the pause.
    pub role: Role,
    pub why: Option<String>,
    /// Whether it was put on by an act on many, and the student was not paused before.
    #[serde(default)]
    pub with_many: bool,
}

/// The kinds of hold, each at most once on a grant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HoldKind {
    Paused,
    Dropped,
    Unused,
}

/// A hold to be put on or released; a pause carries the role of the person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hold {
    Paused {
        role: Role,
        /// Whether it is an act on many that pauses.
        with_many: bool,
    },
    /// By an import, if it is one that drops them.
    Dropped(Option<Ulid>),
    Unused,
}

impl Holds {
    pub fn is_empty(&self) -> bool {
        *self == Holds::default()
    }

    /// The hold that is shown, if there are several.
    pub fn first(&self) -> Option<HoldKind> {
        [HoldKind::Paused, HoldKind::Dropped, HoldKind::Unused]
            .into_iter()
            .find(|kind| self.has(*kind))
    }

    /// Whether somebody paused this student alone, not by an act on many.
    pub fn is_paused_singly(&self) -> bool {
        self.paused.as_ref().is_some_and(|pause| !pause.with_many)
    }

    pub fn has(&self, kind: HoldKind) -> bool {
        match kind {
            HoldKind::Paused => self.paused.is_some(),
            HoldKind::Dropped => self.dropped.is_some(),
            HoldKind::Unused => self.unused,
        }
    }
}

crate::named! {
    /// Why a grant is not held, released, given another cap or another line of the roster, or
    /// mailed.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum ChangeRefused: to_words {
        /// What its key is to be told may still be pending, so pressing again does no harm.
        Unchanged = "nothing had to be changed",
        Over = "removed or ended",
        /// For the higher cap, or for a reservation that was given back.
        BudgetExhausted = "the budget has no room for it",
        /// No live key that could be unused. A key that is being made needs its reservation in the
        /// budget.
        NoKey = "there is no key",
        PausedByAnother = "a person with another role paused it",
        AddressTaken = "another student has this address",
        AddressChanged = "the address was changed meanwhile",
        ChangedSince = "left as it is: a key was claimed, or something else was changed, after the file was compared",
        NotMailed = "no mail: none may be sent to this address, or one was just now",
    }
}

impl From<Unchanged> for ChangeRefused {
    fn from(_: Unchanged) -> ChangeRefused {
        ChangeRefused::Unchanged
    }
}

impl Hold {
    pub fn kind(self) -> HoldKind {
        match self {
            Hold::Paused { .. } => HoldKind::Paused,
            Hold::Dropped(_) => HoldKind::Dropped,
            Hold::Unused => HoldKind::Unused,
        }
    }
}

/// A pause without a named role is taken for the faculty's.
impl From<HoldKind> for Hold {
    fn from(kind: HoldKind) -> Hold {
        match kind {
            HoldKind::Paused => Hold::Paused {
                role: Role::Faculty,
                with_many: false,
            },
            HoldKind::Dropped => Hold::Dropped(None),
            HoldKind::Unused => Hold::Unused,
        }
    }
}

impl View {
    /// Holds the grant; a pause in a higher role replaces one in a lower role. A live key stays
    /// recorded. The reservation in the budget stays with a pause, and for a week with a drop;
    /// disuse gives it up.
    pub fn hold(
        &self,
        hold: impl Into<Hold>,
        actor: &Actor,
        why: Option<&str>,
        now: Moment,
    ) -> Result<Change, ChangeRefused> {
        let hold = hold.into();
        if self.grant.is_over() {
            return Err(ChangeRefused::Over);
        }
        let is_lesser = match (hold, &self.grant.holds.paused) {
            (Hold::Paused { role, .. }, Some(pause)) => pause.role < role,
            _ => false,
        };
        if self.grant.holds.has(hold.kind()) && !is_lesser {
            return Err(ChangeRefused::Unchanged);
        }
        if hold == Hold::Unused && !matches!(self.grant.state, GrantState::Live { .. }) {
            return Err(ChangeRefused::NoKey);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        match hold {
            Hold::Paused { role, with_many } => {
                let with_many = with_many && !self.grant.holds.is_paused_singly();
                let why = why.map(str::to_owned);
                change.grant.holds.paused = Some(Pause {
                    by: actor.clone(),
                    role,
                    why,
                    with_many,
                });
            }
            Hold::Dropped(import) => {
                (change.grant.holds.dropped, change.grant.holds.dropped_by) = (Some(now), import);
            }
            Hold::Unused => {
                (change.grant.holds.unused, change.grant.has_reservation) = (true, false);
            }
        }
        change.notice = (hold == Hold::Unused).then_some(StudentNotice::Unused);
        Ok(match hold {
            Hold::Paused { .. } => change.with_entry_because(Act::Held, why),
            Hold::Dropped(_) | Hold::Unused => change.with_entry(Act::Held, why),
        })
    }

    /// Releases a hold; a pause can be released only in the role that put it on or a higher one.
    /// Disuse takes the reservation again. Who comes back to the roster after it was given up takes
    /// another with the next key.
    pub fn release(
        &self,
        hold: impl Into<Hold>,
        actor: &Actor,
        now: Moment,
    ) -> Result<Change, ChangeRefused> {
        let hold = hold.into();
        if self.grant.is_over() {
            return Err(ChangeRefused::Over);
        }
        if !self.grant.holds.has(hold.kind()) {
            return Err(ChangeRefused::Unchanged);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        match hold {
            Hold::Paused { role, .. }
                if self
                    .grant
                    .holds
                    .paused
                    .as_ref()
                    .is_some_and(|pause| role < pause.role) =>
            {
                return Err(ChangeRefused::PausedByAnother);
            }
            Hold::Paused { .. } => change.grant.holds.paused = None,
            Hold::Dropped(_) => {
                (change.grant.holds.dropped, change.grant.holds.dropped_by) = (None, None);
            }
            Hold::Unused => {
                (change.grant.holds.unused, change.grant.has_reservation) = (false, true);
            }
        }
        if change.grant.holds.is_empty()
            && let GrantState::Live { key } = change.grant.state.clone()
            && let Some(live) = change.key_mut(&key)
        {
            live.resumed_at = Some(now);
        }
        let change = change
            .with_room(self, now)
            .ok_or(ChangeRefused::BudgetExhausted)?;
        Ok(change.with_entry(Act::Released, None))
    }
}
