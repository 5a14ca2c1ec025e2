//! The state of the sync from one run to the next: what a run would have done on its own judgement
//! and held back, because it was too much, which a person sees and may release.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::ledger::cut::{AccountCut, Opening};
use crate::domain::values::id::{KeyHash, KeyName, PersonId};
use crate::domain::values::money::Usd;
use crate::domain::values::window::end_of_utc_day;
use crate::schema::{ACCOUNT, key, stored};
use crate::store::sync::runs::RUN_KEPT;
use crate::store::table::write::{Round, Unaudited, Writes};
use crate::store::{KnownAccount, Result, Table};

#[derive(Debug, Default, Serialize, Deserialize)]
#[must_use]
pub struct SyncState {
    /// When the last listing of every key began. A reading that was not written after it had not
    /// changed by then.
    pub listed_at: Option<Moment>,
    pub completed_at: Option<Moment>,
    /// The first and the last day with known use by model.
    pub models_since: Option<Date>,
    pub models_until: Option<Date>,
    /// Days between these that were never queried: pairs of first and last day, both included.
    pub models_missed: Vec<(Date, Date)>,
    /// The account's spending beyond all known keys at the first complete run.
    pub opening: Option<Opening>,
    pub residual_told: Usd,
    /// When a restored table was last recovered; keys are not deleted for some time after it.
    pub restored_at: Option<Moment>,
    /// Keys that bear a grant's name where there is no such grant.
    pub unknown_keys: Vec<UnknownKey>,
    pub held_back: Option<HeldBack>,
    /// Since when each run met keys whose use it could not read.
    pub unread_since: Option<Moment>,
    /// Disables that failed in the newest run.
    pub stubborn: Vec<StubbornDisable>,
    /// Workspaces that the management key may not open.
    pub closed_workspaces: Vec<String>,
    /// The beginning of the newest run that wrote this: one that began before it changes nothing
    /// here.
    pub run_began_at: Option<Moment>,
    pub version: u64,
}

stored! {
    SyncState () => key(ACCOUNT, "SYNC")
}

/// A disable that failed, on so many nights.
#[derive(Debug, Serialize, Deserialize)]
pub struct StubbornDisable {
    /// The key, or the grant whose keys were to be disabled.
    pub subject: String,
    pub nights: u32,
    /// The last day on which it failed.
    pub last: Date,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnknownKey {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
    /// When a run listed it first.
    pub seen_at: Moment,
}

impl SyncState {
    pub fn next(self) -> SyncState {
        SyncState {
            version: self.version + 1,
            ..self
        }
    }

    pub fn with_models_of(mut self, from: Date, until: Date) -> SyncState {
        self.models_since.get_or_insert(from);
        let last = self.models_until.unwrap_or(from);
        if let Some((first, end)) = last
            .tomorrow()
            .ok()
            .zip(from.yesterday().ok())
            .filter(|(first, end)| first <= end)
        {
            self.models_missed.push((first, end));
        }
        self.models_until = Some(last.max(until));
        self
    }

    pub fn knows_models_of(&self, day: Date) -> bool {
        let is_between = self.models_since.is_some_and(|since| since <= day)
            && self.models_until.is_some_and(|until| day <= until);
        is_between
            && !self
                .models_missed
                .iter()
                .any(|(from, until)| *from <= day && day <= *until)
    }
}

impl UnknownKey {
    pub fn new(key: &KeyHash, name: &KeyName, enabled: bool, seen_at: Moment) -> UnknownKey {
        UnknownKey {
            key: key.clone(),
            name: name.to_string(),
            enabled,
            seen_at,
        }
    }

    /// The same as one of those that were known before, if it is.
    #[must_use]
    pub fn merge_known(&self, before: &[UnknownKey]) -> UnknownKey {
        let previous = before.iter().find(|previous| previous.key == self.key);
        UnknownKey {
            seen_at: previous.map_or(self.seen_at, |previous| previous.seen_at),
            ..self.clone()
        }
    }
}

/// More acts than the runs of a day do on their own judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    pub held_at: Moment,
    /// The held back acts by kind: keys that nobody was shown, keys for a recovery to disable, and
    /// live grants to stop.
    pub sweeps: u32,
    pub recoveries: u32,
    pub stops: u32,
    /// How many of them the runs of a day over so many keys may do.
    pub bound: u32,
    /// The keys that a person may let the next run do, those first that may be in use: at most
    /// [`MOST_NAMED`].
    pub keys: BTreeSet<HeldKey>,
    pub release: Option<Release>,
}

/// The most held back keys that are named, and can be released at once.
pub const MOST_NAMED: usize = 500;

/// Who let the named keys be done, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub actor: PersonId,
    pub released_at: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    pub act: HeldAct,
    pub name: String,
    pub key: KeyHash,
}

crate::named! {
    /// An act of a run on its own, by what it would have done to which key. Those sort first whose
    /// keys may be in use.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum HeldAct: to_words {
        Recovery = "which works and which a recovery would end",
        /// Its grant is stopped.
        Stop = "which a student was shown, and which is missing or disabled at OpenRouter",
        /// The key is disabled.
        Sweep = "which nobody was shown",
    }
}

/// The keys that the runs of a UTC day end on their own judgement, each once. They are counted here
/// before the first is touched, so a day ends no more of them however often a run is begun again.
#[derive(Debug, Serialize, Deserialize)]
pub struct OwnJudgement {
    pub day: Date,
    pub keys: BTreeSet<KeyHash>,
    pub version: u64,
}

stored! {
    OwnJudgement |judgement| (day: Date = judgement.day) => key(ACCOUNT, format!("OWN#{day}"));
    expires |judgement| end_of_utc_day(judgement.day) + RUN_KEPT
}

impl Table {
    pub async fn sync_state(&self) -> Result<SyncState> {
        Ok(self.get(SyncState::key_of()).await?.unwrap_or_default())
    }

    /// Adds keys to those that the day's runs end on their own judgement, unless they are then more
    /// than `bound`. Returns whether they were added, or were there already.
    pub async fn count_own_judgement(
        &self,
        day: Date,
        keys: &BTreeSet<KeyHash>,
        bound: usize,
        deadline: Deadline,
    ) -> Result<bool> {
        self.carry_through(deadline, || async {
            let stored = self.get(OwnJudgement::key_of(day)).await?;
            let mut counted = stored.unwrap_or(OwnJudgement {
                day,
                keys: BTreeSet::new(),
                version: 0,
            });
            let before = counted.keys.len();
            counted.keys.extend(keys.iter().cloned());
            if counted.keys.len() > bound || counted.keys.len() == before {
                return Ok(Round::Over(counted.keys.len() <= bound));
            }
            counted.version += 1;
            let transaction = self.transaction().replace(&counted)?;
            Ok(Round::Write(transaction.skip_audit(Unaudited::Sync), true))
        })
        .await
    }

    /// Writes how the sync stands by the end of a run, with the run's cut and the keys by which the
    /// account is known and was before, on condition that nothing was written since it was read.
    pub async fn conclude(
        &self,
        after: &SyncState,
        cut: Option<&AccountCut>,
        account: Option<(&KnownAccount, Option<&KnownAccount>)>,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut transaction = self.transaction().replace(after)?;
        // A written cut stays.
        if let Some(cut) = cut
            && self.get(AccountCut::key_of(cut.as_of)).await?.is_none()
        {
            transaction = transaction.create(cut)?;
        }
        if let Some((account, was)) = account {
            transaction = transaction.with_account(
                was,
                Some(account).filter(|account| !account.listed.is_empty()),
            )?;
        }
        self.commit_once(transaction.skip_audit(Unaudited::Sync), deadline)
            .await
    }

    /// Notes that the use by model on these days is known.
    pub async fn note_models_of(
        &self,
        (from, until): (Date, Date),
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let state = self.sync_state().await?;
            if state
                .models_until
                .is_some_and(|models_until| until <= models_until)
            {
                return Ok(Round::Over(()));
            }
            let after = state.with_models_of(from, until).next();
            let transaction = self.transaction().replace(&after)?;
            Ok(Round::Write(transaction.skip_audit(Unaudited::Sync), ()))
        })
        .await
    }

    /// Lets the next run do what was held back at this instant, which the next quarter of an hour
    /// begins. It lets nothing be done that was held back since; `false` when there is only that.
    pub async fn release_held_back(
        &self,
        shown: Moment,
        actor: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        self.carry_through(deadline, || async {
            let state = self.sync_state().await?;
            let held = state.held_back.as_ref();
            let Some(held) =
                held.filter(|held| held.held_at.as_millisecond() == shown.as_millisecond())
            else {
                // The next run may have done it already; then the release is in the audit.
                let entries = self.list(AuditEntry::of_account()).await?;
                let shown_text = Some(shown.to_string());
                let mut releases = entries
                    .iter()
                    .filter(|audit_entry| audit_entry.what.act == Act::SafetyLimitReleased);
                return Ok(Round::Over(
                    releases.any(|release| release.what.old_value == shown_text),
                ));
            };
            if held.release.is_some() {
                return Ok(Round::Over(true));
            }
            let what = AuditDetail::new(Act::SafetyLimitReleased)
                .with_change(held.held_at, "released")
                .with_note(held.words());
            let audit_entry = AuditEntry::new_on_account(&Actor::Person(actor.clone()), now, what);
            let held_back = Some(HeldBack {
                release: Some(Release {
                    actor: actor.clone(),
                    released_at: now,
                }),
                ..held.clone()
            });
            let released = SyncState { held_back, ..state }.next();
            let transaction = self
                .transaction()
                .replace(&released)?
                .with_entries(&[audit_entry])?;
            Ok(Round::Write(transaction, true))
        })
        .await
    }
}

fn number_of(count: u32, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

impl HeldBack {
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if self.sweeps > 0 {
            words.push(format!(
                "{} that nobody was shown",
                number_of(self.sweeps, "key")
            ));
        }
        if self.recoveries > 0 {
            let keys = number_of(self.recoveries, "key");
            words.push(format!(
                "{keys} that were found again and that newer ones replace"
            ));
        }
        if self.stops > 0 {
            words.push(format!(
                "{} missing or disabled at OpenRouter",
                number_of(self.stops, "live key")
            ));
        }
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => number_of(0, "key"),
        }
    }

    pub fn count(&self) -> u32 {
        self.sweeps
            .saturating_add(self.recoveries)
            .saturating_add(self.stops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_were_never_asked_for_are_not_known_by_model() {
        let day = |day: i8| Date::constant(2026, 11, day);
        let state = SyncState::default()
            .with_models_of(day(2), day(5))
            .with_models_of(day(5), day(6));
        assert_eq!(
            (state.models_until, state.models_missed.len()),
            (Some(day(6)), 0)
        );
        let state = state
            .with_models_of(day(7), day(7))
            .with_models_of(day(10), day(12))
            .with_models_of(day(12), day(13));
        let known: Vec<i8> = (1..=15)
            .filter(|number| state.knows_models_of(day(*number)))
            .collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 10, 11, 12, 13]);
    }
}
