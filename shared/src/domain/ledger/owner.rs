//! Owners of keys that Bursar did not make: the programme that an admin gave a key, and what of the key's use counts for it. No
//! stored sum of the account depends on it, so a key can be given and taken back at any time.

use crate::domain::ledger::cut::LifetimeUse;
use crate::domain::programme::Byok;
use crate::prelude::*;
use crate::store::ForeignKey;
use crate::store::keys::foreign_partition;

/// The owner of a foreign key. Its use counts for the programme from a UTC day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOwner {
    pub key: KeyHash,
    pub owner: ProgrammeId,
    pub from: Date,
    pub at: Moment,
    pub by: Actor,
}

stored! {
    "key-owner" KeyOwner |it| (hash: &KeyHash = &it.key) => key(ForeignKey::key_of(hash).item.pk, format!("OWNER#{hash}"));
    list of_shard(shard: char) => begin(foreign_partition(shard), "OWNER#")
}

/// The part of a key's use that counts for its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedUse {
    pub counted: DailyUse,
}

/// What a statement needs of a key with an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShare {
    pub owner: ProgrammeId,
    /// The use that does not count for the owner.
    excluded: LifetimeUse,
}

/// The shares of keys with an owner; all other keys have none.
pub type KeyShares = HashMap<KeyHash, KeyShare>;

impl OwnedUse {
    /// The use that counts from a day on. The days before a key was first seen are not known, so a key that was
    /// first seen later counts with all of its use.
    pub fn of(used: &DailyUse, first_seen_at: Moment, from: Date) -> OwnedUse {
        if from < utc_date(first_seen_at) {
            return OwnedUse { counted: used.clone() };
        }
        OwnedUse { counted: DailyUse { credits: used.credits.since(from), byok: used.byok.since(from) } }
    }

    /// The part of it that was used on unknown days, before a sync saw the key for the first time.
    pub fn lump(&self, byok: Byok) -> Usd {
        self.counted.days(byok).opening()
    }
}

impl KeyShare {
    pub fn new(owner: ProgrammeId, used: &DailyUse, counted: &DailyUse) -> KeyShare {
        KeyShare { owner, excluded: LifetimeUse::of(used) - LifetimeUse::of(counted) }
    }

    /// What counted for the owner when the key had used this much in all.
    pub fn of(&self, used: LifetimeUse) -> LifetimeUse {
        (used - self.excluded).or_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::date;
    use crate::domain::usage::days::KeyCounters;

    fn used(opening: i64, days: &[i64]) -> DailyUse {
        let mut used = DailyUse::default();
        let (mut lifetime, mut known) = (opening, None);
        for (day, spent) in date("2026-10-01").series(jiff::ToSpan::days(1)).zip(days) {
            lifetime += spent;
            let today = Some(Usd::from_micros(*spent));
            let counted = KeyCounters { lifetime: Usd::from_micros(lifetime), today, on: day };
            used.credits = used.credits.with(counted, known);
            known = Some(day);
        }
        used
    }

    #[test]
    fn a_key_that_is_older_counts_from_the_day_on_and_one_first_seen_later_with_its_lump() {
        let used = used(100, &[1, 2, 4]);
        let seen_on = |day: &str| format!("{day}T02:00:00Z").parse().unwrap();
        let older = OwnedUse::of(&used, seen_on("2026-10-01"), date("2026-10-02"));
        assert_eq!((older.counted.credits.total(), older.lump(Byok::Inside)), (Usd::from_micros(6), Usd::ZERO));
        let share = KeyShare::new("office".parse().unwrap(), &used, &older.counted);
        let at_a_cut = |micros| LifetimeUse { credits: Usd::from_micros(micros), byok: Usd::ZERO };
        assert_eq!([100, 103, 107].map(|lifetime| share.of(at_a_cut(lifetime))), [0, 2, 6].map(at_a_cut));
        let from_its_first_day = OwnedUse::of(&used, seen_on("2026-10-01"), date("2026-10-01"));
        assert_eq!(from_its_first_day.counted.credits.total(), Usd::from_micros(7));
        let later = OwnedUse::of(&used, seen_on("2026-10-01"), date("2026-09-30"));
        assert_eq!(later.counted.credits.total(), Usd::from_micros(107));
        assert_eq!(later.lump(Byok::Inside), Usd::from_micros(100));
    }
}
