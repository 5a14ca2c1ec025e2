//! What an act reads and what it writes. The store turns a change into one conditional transaction.

use std::fmt::Display;
use std::sync::Arc;

use super::*;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::programme::counts::Counts;
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::{Budget, Programme};
use crate::domain::usage::reading::{Shortfall, UnusableReport, UsageReport};
use crate::domain::values::id::{PersonId, new_ulid};

/// A grant with everything that its acts decide on, as read at one moment. What is the programme's
/// is shared by the views of its grants.
#[derive(Debug, Clone)]
pub struct View {
    pub programme: Arc<Programme>,
    pub budget: Arc<Budget>,
    pub grant: Grant,
    pub readings: Vec<Reading>,
    /// The guardrails of its programme, where any may matter to the grant.
    pub guardrails: Arc<Vec<Guardrail>>,
}

/// Everything that one act writes, on condition that the grant was not written since it was read.
/// Only a rule of this module makes one. It begins as a draft, which nobody can write and which has
/// the grant as it was: an act must say by which entry it is told, or that it leaves a mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<L = Logged> {
    pub grant: Grant,
    pub budget: BudgetChange,
    pub actor: Actor,
    pub depends_on: DependsOn,
    pub(crate) logged: L,
    pub notice: Option<StudentNotice>,
    /// The people who are mailed that the student asks for more.
    pub asks: Vec<PersonId>,
    /// Whether somebody typed it, who waits for its mails.
    pub is_typed: bool,
}

pub(super) type DraftChange<'a> = Change<&'a Grant>;

/// What a change rests on and must be as it was read when it is written; the budget is a matter of
/// its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DependsOn {
    GrantAlone,
    /// An edit of what costs rest on makes it be decided again: of caps, groups, the term or the
    /// reset.
    Settings,
}

/// What tells of a change later.
#[derive(Debug, Clone, PartialEq)]
pub enum Logged {
    /// Its audit entry, in the same transaction.
    Entry(AuditDetail),
    /// Nothing: it changes no state, right or limit, and deciding again finds it done.
    Mark,
}

/// The error of an act without anything to change: it is done already, or no longer possible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unchanged;

/// What a change reserves more in the budget. Nothing is given back but by the next count of the
/// whole budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BudgetChange {
    None,
    /// If there is room.
    Take(Usd),
    /// Whether there is room or not: what can be spent already can only be counted.
    TakeAnyway(Usd),
}

crate::named! {
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum StudentNotice: to_words {
        KeyShown = "notice of a new key",
        KeyLeaked = "notice of a leaked key",
        /// Somebody gave the student another cap.
        CapChanged = "notice of another cap",
        /// The key is held in a week, unless it is used.
        UnusedSoon = "notice of a key that a rule will end",
        Unused = "notice of a key that a rule ended",
        /// The key is too old in a week.
        TooOldSoon = "notice of a key that a rule will end",
        /// The key was too old, or ended with a term that was extended since.
        KeyEnded = "notice of an ended key",
        /// The term ends within a week, and every key with it.
        TermEndSoon = "notice of the term's end",
        /// The student does not get more.
        MoreDeclined = "answer to a request for more",
        /// Somebody reminds the student of a key.
        NeverUsed = "reminder of an unused key",
        /// The student was removed, and the key with them.
        Removed = "notice of a removal",
    }
}

impl View {
    pub fn spending(&self, now: Moment) -> Spending {
        Spending::sum(&self.grant, &self.readings, &self.programme.settings, now)
    }

    pub fn reading(&self, epoch: Epoch) -> Option<&Reading> {
        self.readings.iter().find(|reading| reading.epoch == epoch)
    }

    /// The reading of a key after a usage report of the provider; see [`Reading::after`].
    pub fn reading_after(
        &self,
        key: &GrantKey,
        report: &UsageReport,
        asked_at: Moment,
        listed_at: Option<Moment>,
    ) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
        let before = self.reading(key.epoch).cloned().unwrap_or_else(|| {
            Reading::new(&self.programme.id, &self.grant.id, key.epoch, key.made_at)
        });
        before.after(
            report,
            asked_at,
            listed_at,
            self.programme.settings.basis.reset,
        )
    }

    /// A change that writes the grant back as it is, for an act to build on.
    pub(super) fn change(&self, actor: &Actor, depends_on: DependsOn) -> DraftChange<'_> {
        let grant = Grant {
            version: self.grant.version + 1,
            ..self.grant.clone()
        };
        Change {
            grant,
            budget: BudgetChange::None,
            actor: actor.clone(),
            depends_on,
            logged: &self.grant,
            notice: None,
            asks: Vec::new(),
            is_typed: false,
        }
    }
}

impl Change {
    /// The change as that of a job, unless it is a mark.
    #[must_use]
    pub fn of_job(mut self, job: Ulid) -> Change {
        if self.audit().is_some() {
            self.grant.job = Some(JobMark {
                job,
                entries: self.grant.entries,
            });
        }
        self
    }

    /// The audit entry's detail; `None` for marks.
    pub fn audit(&self) -> Option<&AuditDetail> {
        match &self.logged {
            Logged::Entry(what) => Some(what),
            Logged::Mark => None,
        }
    }
}

impl DraftChange<'_> {
    /// The change, told by an entry of what the grant was and what it becomes.
    pub(super) fn with_entry(self, act: Act, note: Option<&str>) -> Change {
        let what = AuditDetail::new(act).with_change(self.logged, &self.grant);
        self.with_entries(AuditDetail {
            note: note.map(str::to_owned),
            ..what
        })
    }

    /// The same, with the reason that a person typed.
    pub(super) fn with_entry_because(self, act: Act, reason: Option<&str>) -> Change {
        let what = AuditDetail::new(act).with_change(self.logged, &self.grant);
        self.with_entries(AuditDetail {
            reason: reason.map(str::to_owned),
            ..what
        })
    }

    /// The change, told by an entry of a value that it changes.
    pub(super) fn with_entry_from(
        self,
        act: Act,
        before: impl Display,
        after: impl Display,
    ) -> Change {
        self.with_entries(AuditDetail::new(act).with_change(before, after))
    }

    /// The change that ends the key for this reason.
    pub(super) fn with_stop(mut self, why: Stopped) -> Change {
        self.grant.state = GrantState::Stopped { why };
        self.with_entry(Act::Stopped, Some(why.as_str()))
    }

    pub(super) fn with_entries(self, what: AuditDetail) -> Change {
        self.with_log(Logged::Entry(what))
    }

    pub(super) fn marked(self) -> Change {
        self.with_log(Logged::Mark)
    }

    fn with_log(self, logged: Logged) -> Change {
        let Change {
            mut grant,
            budget,
            actor,
            depends_on,
            logged: _,
            notice,
            asks,
            is_typed,
        } = self;
        if matches!(logged, Logged::Entry(_)) {
            grant.backoff = None;
            grant.entries += 1;
        }
        // Nobody can spend with such a key any more, and one that is enabled by itself is found as
        // an orphan.
        grant
            .keys
            .retain(|key| key.shown_at.is_some() || key.gone.is_none() && !key.enabled.is(&false));
        Change {
            grant,
            budget,
            actor,
            depends_on,
            logged,
            notice,
            asks,
            is_typed,
        }
    }
}

impl<L> Change<L> {
    pub(super) fn key_mut(&mut self, hash: &KeyHash) -> Option<&mut GrantKey> {
        self.grant.keys.iter_mut().find(|key| key.hash == *hash)
    }

    pub(super) fn key_not_gone(&mut self, hash: &KeyHash) -> Option<&mut GrantKey> {
        self.key_mut(hash).filter(|key| key.gone.is_none())
    }
}

impl Grant {
    /// The audit entry of an act that led to this state of the grant. Several acts may share a
    /// millisecond, so their entries sort by the version that they led to.
    pub fn entry(&self, actor: Actor, what: AuditDetail, now: Moment) -> AuditEntry {
        let id = in_order(new_ulid(now), self.version);
        AuditEntry {
            programme: Some(self.programme.clone()),
            grant: Some(self.id.clone()),
            entry: id,
            recorded_at: now,
            actor,
            what,
        }
    }
}

fn in_order(ulid: Ulid, version: u64) -> Ulid {
    const BELOW: u32 = 64;
    let within = u128::from(version & 0xffff) << BELOW | ulid.random() & u128::from(u64::MAX);
    Ulid::from_parts(ulid.timestamp_ms(), within)
}

impl<L> Change<L> {
    /// Takes the grant's added cost out of the budget. `None` if the budget has no room.
    pub(super) fn with_room(mut self, view: &View, now: Moment) -> Option<Change<L>> {
        let increase = self.cost_change(view, now).or_zero();
        if !increase.is_zero() {
            self.budget = BudgetChange::Take(increase);
        }
        (increase.is_zero() || view.budget.has_room_for(increase)).then_some(self)
    }

    /// Takes the grant's added cost, for acts that do not ask for room. What can be spent
    /// already is counted whether there is room or not; use beyond a limit is counted by the sync.
    ///
    /// An act that decides under which cap the grant has its reservation writes the budget in any
    /// case. So it cannot pass an edit of caps that was reckoned on the grant as it was. When the
    /// grant is due follows as well.
    #[must_use]
    pub fn counted(mut self, view: &View, now: Moment) -> Change<L> {
        let increase = self.cost_change(view, now).or_zero();
        if self.budget == BudgetChange::None && !increase.is_zero() {
            self.budget = BudgetChange::TakeAnyway(increase);
        }
        let before = &view.grant;
        let is_under_other_cap =
            self.grant.own_cap != before.own_cap || self.grant.group != before.group;
        let decides_the_cap =
            self.grant.has_reservation && (is_under_other_cap || !before.has_reservation);
        if self.budget == BudgetChange::None && decides_the_cap {
            self.budget = BudgetChange::TakeAnyway(Usd::ZERO);
        }
        if self.budget != BudgetChange::None {
            self.depends_on = DependsOn::Settings;
        }
        if self.grant.state != before.state {
            self.grant.state_since = Some(now);
        }
        self.set_due(view, now);
        self
    }

    /// What the change moves in the counts of the roster.
    pub fn moves(&self, view: &View, now: Moment) -> Counts {
        let freed = (Usd::ZERO - self.cost_change(view, now)).or_zero();
        let mut moves = Counts {
            freed,
            ..Counts::default()
        };
        moves.add(&view.grant, -1);
        moves.add(&self.grant, 1);
        moves
    }

    /// How much more the grant costs. A reservation is worth less each time a window turns, so what
    /// was counted for a later instant is not reckoned as of an earlier one.
    fn cost_change(&self, view: &View, now: Moment) -> Usd {
        let counted_at = view.budget.counted_at;
        let as_of = counted_at.map_or(now, |counted| counted.max(now));
        let after = Reservation {
            grant: &self.grant,
            ..view.reservation()
        };
        after.cost(as_of) - view.reservation().cost(as_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_millisecond_sort_as_the_acts_that_wrote_them() {
        let now = "2026-01-02T08:00:00Z".parse().unwrap();
        let entries: Vec<Ulid> = (1..300)
            .map(|version| in_order(new_ulid(now), version))
            .collect();
        assert!(entries.is_sorted());
        assert_ne!(in_order(new_ulid(now), 7), in_order(new_ulid(now), 7));
        assert!(entries[298] < new_ulid(now + jiff::SignedDuration::from_millis(1)));
    }
}
