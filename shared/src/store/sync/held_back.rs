//! What a run of the sync would have done on its own and held back, because it was too much. A person sees it
//! and may release it. Each key has a mark, because the release is for those keys only.

use std::collections::BTreeSet;

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::values::id::PersonId;
use crate::domain::values::key::KeyHash;
use crate::store::items::stored;
use crate::store::keys::{begin, key};
use crate::store::sync::state::{HeldAct, HeldBack, SyncState};
use crate::store::table::write::Round;
use crate::store::table::{StoreError, Table};

/// How many marks lie in one item, which has at most 400 KB.
const MARKS_IN_A_PART: usize = 10_000;
/// The bytes of a mark: the act and a hash.
const MARK: usize = 33;
/// How long marks are kept. Each run that needs them writes them again.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The mark of one thing that a run held back, by which a later run recognises it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldMark {
    pub act: HeldAct,
    pub key: KeyHash,
}

/// One part of a set of marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMarks {
    pub(crate) marks: Ulid,
    pub(crate) part: u32,
    #[serde(with = "millisecond::required")]
    pub(crate) as_of: Timestamp,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
}

stored! {
    "held-marks" HeldMarks |it| (marks: Ulid = it.marks, part: u32 = it.part) => key(format!("HELD#{marks}"), format!("P#{part:05}"));
    list of(marks: Ulid) => begin(format!("HELD#{marks}"), "P#");
    expires it.as_of + KEPT_FOR
}

impl Table {
    /// Saves the marks of what was held back, or released and not done yet, under this name.
    pub async fn keep_marks(
        &self,
        name: Ulid,
        marks: &BTreeSet<HeldMark>,
        as_of: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let marks: Vec<&HeldMark> = marks.iter().collect();
        for (some, part) in marks.chunks(MARKS_IN_A_PART).zip(0..) {
            let bytes = some.iter().flat_map(|mark| mark.to_bytes()).collect();
            self.put_later(&HeldMarks { marks: name, part, as_of, bytes }, as_of, deadline).await?;
        }
        Ok(())
    }

    /// The marks under this name.
    pub async fn marks(&self, name: Ulid) -> Result<BTreeSet<HeldMark>, StoreError> {
        let parts = self.list(HeldMarks::of(name)).await?;
        let marks = parts.iter().flat_map(|part| part.bytes.as_chunks::<MARK>().0);
        Ok(marks.filter_map(HeldMark::of_bytes).collect())
    }

    /// Releases what was held back at this instant for the next run, and nothing that was held back since; `false`
    /// when there is only that.
    pub async fn release_held_back(
        &self,
        shown: Timestamp,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.carry_through(deadline, || async {
            let state = self.sync_state().await?;
            let is_shown = |held: &&HeldBack| held.at.as_millisecond() == shown.as_millisecond();
            let Some(held) = state.held_back.as_ref().filter(is_shown) else {
                // The next run may have done it already; then the release is in the audit.
                let entries = self.list(Entry::of_account()).await?;
                let told = Some(shown.to_string());
                let is_done = |entry: &Entry| entry.what.act == Act::GuardReleased && entry.what.from == told;
                return Ok(Round::Over(entries.iter().any(is_done)));
            };
            if held.released_by.is_some() {
                return Ok(Round::Over(true));
            }
            let what = AuditDetail::new(Act::GuardReleased).changing(held.at, "released").noting(held.words());
            let entry = Entry::on_account(&Actor::Person(by.clone()), now, what);
            let held_back = Some(HeldBack { released_by: Some(by.clone()), ..held.clone() });
            let released = SyncState { held_back, ..state }.next();
            let transaction = self.transaction().replace(&released, released.version - 1)?.told_by(&[entry])?;
            Ok(Round::Write(transaction, true))
        })
        .await
    }
}

impl HeldMark {
    fn to_bytes(&self) -> [u8; MARK] {
        let mut bytes = [0; MARK];
        let (act, key) = bytes.split_at_mut(1);
        act.fill(match self.act {
            HeldAct::Recovery => b'r',
            HeldAct::Stop => b's',
            HeldAct::Sweep => b'o',
        });
        key.copy_from_slice(&self.key.to_bytes());
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
    /// The text that describes what was held back.
    pub fn words(&self) -> String {
        let keys = |count: u32| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
        let live = |count: u32| if count == 1 { "1 live key".to_owned() } else { format!("{count} live keys") };
        let words = [
            (self.sweeps > 0).then(|| format!("{} that nobody was shown", keys(self.sweeps))),
            (self.recoveries > 0)
                .then(|| format!("{} that were found again and that newer ones replace", keys(self.recoveries))),
            (self.stops > 0).then(|| format!("{} missing or disabled at the provider", live(self.stops))),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => keys(0),
        }
    }

    /// The number of keys.
    pub fn count(&self) -> u32 {
        self.sweeps.saturating_add(self.recoveries).saturating_add(self.stops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_from_their_bytes_and_many_fit_into_an_item() {
        for act in [HeldAct::Recovery, HeldAct::Stop, HeldAct::Sweep] {
            let mark = HeldMark { act, key: "5a".repeat(32).parse().unwrap() };
            assert_eq!(HeldMark::of_bytes(&mark.to_bytes()), Some(mark));
        }
        const { assert!(MARKS_IN_A_PART * MARK < 390_000) };
    }
}
