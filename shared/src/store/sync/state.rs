//! The state of the sync from one run to the next: what a run would have done on its own and held back, because it was too much, which a
//! person sees and may release; and keys that it did not find.

use crate::domain::ledger::cut::Opening;
use crate::domain::values::id::KeyName;
use crate::store::ForeignKey;
use crate::store::prelude::*;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// When the last listing of every key began. A reading that was not written after it had not changed by
    /// then.
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
    /// When the last complete run began that found no residual but the one told. What was left on keys that
    /// are gone by then is free.
    pub matched_at: Option<Moment>,
    /// When a restored table was last recovered; keys are not deleted for some time after it.
    pub restored_at: Option<Moment>,
    /// Keys that bear a grant's name where there is no such grant.
    pub orphan_names: Vec<OrphanName>,
    pub held_back: Option<HeldBack>,
    /// The marks of what was released and is not done yet.
    pub let_through: Option<Ulid>,
    pub version: u64,
}

stored! {
    SyncState |_| () => key(ACCOUNT, "SYNC")
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanName {
    pub key: KeyHash,
    pub name: String,
    pub enabled: bool,
}

impl SyncState {
    #[must_use]
    pub fn next(self) -> SyncState {
        SyncState { version: self.version + 1, ..self }
    }

    #[must_use]
    pub fn with_models_of(mut self, from: Date, until: Date) -> SyncState {
        self.models_since.get_or_insert(from);
        let last = self.models_until.unwrap_or(from);
        if let Some((first, end)) = last.tomorrow().ok().zip(from.yesterday().ok()).filter(|(first, end)| first <= end)
        {
            self.models_missed.push((first, end));
        }
        self.models_until = Some(last.max(until));
        self
    }

    pub fn knows_models_of(&self, day: Date) -> bool {
        let is_between =
            self.models_since.is_some_and(|since| since <= day) && self.models_until.is_some_and(|until| day <= until);
        is_between && !self.models_missed.iter().any(|(from, to)| *from <= day && day <= *to)
    }
}

impl OrphanName {
    pub fn of(key: &KeyHash, name: &KeyName, enabled: bool) -> OrphanName {
        OrphanName { key: key.clone(), name: name.to_string(), enabled }
    }
}

/// More acts than one run does on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    pub at: Moment,
    /// The held back acts by kind: attempts to sweep, keys for a recovery to disable, and live grants to
    /// stop.
    pub sweeps: u32,
    pub recoveries: u32,
    pub stops: u32,
    /// How many of them a run over so many keys may do.
    pub bound: u32,
    /// The keys, those first that may be in use; when there are very many, not all.
    pub keys: Vec<HeldKey>,
    pub marks: Ulid,
    pub released_by: Option<PersonId>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    pub act: HeldAct,
    pub name: String,
    pub key: KeyHash,
}

/// An act of a run on its own. Those sort first whose keys may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldAct {
    Recovery,
    /// Its grant is stopped, because the key is gone or disabled at the provider.
    Stop,
    /// The key is disabled, because nobody was shown it.
    Sweep,
}

/// How many marks lie in one item, which has at most 400 KB.
const MARKS_IN_A_PART: usize = 10_000;
const MARK: usize = 33;
/// How long marks are kept. Each run that needs them writes them again.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The mark of one thing that a run held back, by which a later run recognises it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldMark {
    pub act: HeldAct,
    pub key: KeyHash,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMarks {
    pub(crate) marks: Ulid,
    pub(crate) part: u32,
    pub(crate) as_of: Moment,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

stored! {
    HeldMarks |it| (marks: Ulid = it.marks, part: u32 = it.part) => key(format!("HELD#{marks}"), format!("P#{part:05}"));
    list of(marks: Ulid) => begin(format!("HELD#{marks}"), "P#");
    expires it.as_of + KEPT_FOR
}

impl Table {
    pub async fn sync_state(&self) -> Result<SyncState, StoreError> {
        Ok(self.get(SyncState::key_of()).await?.unwrap_or_default())
    }

    /// Saves the marks of what was held back, or released and not done yet, under this name.
    pub async fn keep_marks(
        &self,
        name: Ulid,
        marks: &BTreeSet<HeldMark>,
        as_of: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let marks: Vec<&HeldMark> = marks.iter().collect();
        for (some, part) in marks.chunks(MARKS_IN_A_PART).zip(0..) {
            let bytes = some.iter().flat_map(|mark| mark.to_bytes()).collect();
            self.put_later(&HeldMarks { marks: name, part, as_of, bytes }, as_of, deadline).await?;
        }
        Ok(())
    }

    pub async fn marks(&self, name: Ulid) -> Result<BTreeSet<HeldMark>, StoreError> {
        let parts = self.list(HeldMarks::of(name)).await?;
        let marks = parts.iter().flat_map(|part| part.bytes.as_chunks::<MARK>().0);
        Ok(marks.filter_map(HeldMark::of_bytes).collect())
    }

    /// Releases what was held back at this instant for the next run, and nothing that was held back since; `false`
    /// when there is only that.
    pub async fn release_held_back(
        &self,
        shown: Moment,
        by: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.carry_through(deadline, || async {
            let state = self.sync_state().await?;
            let is_shown = |held: &&HeldBack| held.at.as_millisecond() == shown.as_millisecond();
            let Some(held) = state.held_back.as_ref().filter(is_shown) else {
                // The next run may have done it already; then the release is in the audit.
                let entries = self.list(Entry::of_account()).await?;
                let told = Some(shown.to_string());
                let is_done = |entry: &Entry| entry.what.act == Act::SafetyLimitReleased && entry.what.from == told;
                return Ok(Round::Over(entries.iter().any(is_done)));
            };
            if held.released_by.is_some() {
                return Ok(Round::Over(true));
            }
            let what = AuditDetail::new(Act::SafetyLimitReleased).changing(held.at, "released").noting(held.words());
            let entry = Entry::on_account(&Actor::Person(by.clone()), now, what);
            let held_back = Some(HeldBack { released_by: Some(by.clone()), ..held.clone() });
            let released = SyncState { held_back, ..state }.next();
            let transaction = self.transaction().replace(&released, released.version - 1)?.told_by(&[entry])?;
            Ok(Round::Write(transaction, true))
        })
        .await
    }

    /// Since when a key is missing, unless a listing found it that began after the last run that did not.
    pub async fn missing_since(&self, key: &KeyHash, listed_at: Option<Moment>) -> Result<Option<Moment>, StoreError> {
        let known: Option<MissingKey> = self.get(MissingKey::key_of(key)).await?;
        let known = known.filter(|known| listed_at.is_none_or(|listed_at| known.as_of >= listed_at));
        Ok(known.map(|known| known.missing_since))
    }
}

impl HeldMark {
    fn to_bytes(&self) -> [u8; MARK] {
        let mut bytes = [0; MARK];
        bytes[0] = match self.act {
            HeldAct::Recovery => b'r',
            HeldAct::Stop => b's',
            HeldAct::Sweep => b'o',
        };
        bytes[1..].copy_from_slice(&self.key.to_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8; MARK]) -> Option<HeldMark> {
        let (act, key) = bytes.split_first_chunk::<1>()?;
        let act = match act {
            b"r" => HeldAct::Recovery,
            b"s" => HeldAct::Stop,
            b"o" => HeldAct::Sweep,
            _ => return None,
        };
        Some(HeldMark { act, key: KeyHash::of_bytes(key.first_chunk::<32>()?) })
    }
}

impl HeldBack {
    pub fn words(&self) -> String {
        let keys = |count: u32| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
        let live = |count: u32| if count == 1 { "1 live key".to_owned() } else { format!("{count} live keys") };
        let words = [
            (self.sweeps > 0).then(|| format!("{} that nobody was shown", keys(self.sweeps))),
            (self.recoveries > 0)
                .then(|| format!("{} that were found again and that newer ones replace", keys(self.recoveries))),
            (self.stops > 0).then(|| format!("{} missing or disabled at OpenRouter", live(self.stops))),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => keys(0),
        }
    }

    pub fn count(&self) -> u32 {
        self.sweeps.saturating_add(self.recoveries).saturating_add(self.stops)
    }
}

/// How long a record is kept: long after the last run that looked, nothing follows from it.
pub(crate) const MISSING_KEPT_FOR: SignedDuration = SignedDuration::from_hours(60 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingKey {
    pub key: KeyHash,
    pub missing_since: Moment,
    /// When the last run began that did not find it. A key that was listed later was not missing all the
    /// time.
    pub as_of: Moment,
}

stored! {
    MissingKey |it| (hash: &KeyHash = &it.key) => key(ForeignKey::key_of(hash).item.pk, format!("MISSING#{hash}"));
    expires it.as_of + MISSING_KEPT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_were_never_asked_for_are_not_known_by_model() {
        let day = |day: i8| Date::constant(2026, 11, day);
        let state = SyncState::default().with_models_of(day(2), day(5)).with_models_of(day(5), day(6));
        assert_eq!((state.models_until, state.models_missed.len()), (Some(day(6)), 0));
        let state =
            state.with_models_of(day(7), day(7)).with_models_of(day(10), day(12)).with_models_of(day(12), day(13));
        let known: Vec<i8> = (1..=15).filter(|number| state.knows_models_of(day(*number))).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 10, 11, 12, 13]);
    }
}
