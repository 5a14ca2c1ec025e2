//! Keys that Bursar did not make: the programme that an admin gave one, what of its use counts for that programme, and an
//! admin's own act on one. No stored sum of the account depends on an owner, so a key can be given and taken back at any time.

use crate::domain::ledger::cut::{KeyChange, LifetimeUse};
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
    KeyOwner |it| (hash: &KeyHash = &it.key) => key(ForeignKey::key_of(hash).item.pk, format!("OWNER#{hash}"));
    list of_shard(shard: char) => begin(foreign_partition(shard), "OWNER#")
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedUse {
    pub counted: DailyUse,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShare {
    pub owner: ProgrammeId,
    /// The use that does not count for the owner.
    excluded: LifetimeUse,
    /// The days around the first that counts, if only their sum is known. Then all that was used on them counts.
    estimated: Option<(Date, Date)>,
}

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
    /// The share of an owner for whom a key counts from a day on.
    pub fn new(owner: ProgrammeId, from: Date, used: &DailyUse, counted: &DailyUse) -> KeyShare {
        let mut estimated = used.credits.estimated();
        KeyShare {
            owner,
            excluded: LifetimeUse::of(used) - LifetimeUse::of(counted),
            estimated: estimated.find(|(first, last)| *first < from && from <= *last),
        }
    }

    /// The days that are estimated, if some of what they have is in this change.
    pub fn estimated(&self, KeyChange { before, after, .. }: &KeyChange) -> Option<(Date, Date)> {
        self.estimated.filter(|_| before.credits <= self.excluded.credits && self.excluded.credits < after.credits)
    }

    /// What counted for the owner when the key had used this much in all.
    pub fn of(&self, used: LifetimeUse) -> LifetimeUse {
        (used - self.excluded).or_zero()
    }
}

pub const REQUEST_LASTS: SignedDuration = SignedDuration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", content = "limit", rename_all = "kebab-case")]
pub enum ForeignChange {
    Disable,
    Limit(Usd),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredKey {
    pub at: Moment,
    pub enabled: bool,
    pub limit: Option<Usd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignActState {
    /// It is under way, or nobody knows what came of it.
    Open,
    /// The provider changed nothing.
    Refused,
    Confirmed,
}

/// The last act on a key that nobody here made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignAct {
    pub key: KeyHash,
    /// The name that the admin typed, which was the key's.
    pub name: String,
    pub change: ForeignChange,
    pub requested_at: Moment,
    pub requested_by: PersonId,
    pub state: ForeignActState,
    /// The key after the last act that the provider confirmed.
    pub answered: Option<AnsweredKey>,
    pub version: u64,
}

stored! {
    ForeignAct |it| (hash: &KeyHash = &it.key) => key(ACCOUNT, format!("KEY-ACT#{hash}"));
    list all() => begin(ACCOUNT, "KEY-ACT#")
}

impl AnsweredKey {
    pub fn has(&self, change: ForeignChange) -> bool {
        match change {
            ForeignChange::Disable => !self.enabled,
            ForeignChange::Limit(limit) => self.limit.is_some_and(|answered| answered.is_about(limit)),
        }
    }
}

impl fmt::Display for AnsweredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.enabled { "enabled, " } else { "disabled, " })?;
        match self.limit {
            Some(limit) => write!(f, "limit {limit}"),
            None => f.write_str("no limit"),
        }
    }
}

impl ForeignAct {
    /// Whether another change has to wait, since this one may still take effect.
    pub fn holds_up(&self, change: ForeignChange, now: Moment) -> bool {
        self.state == ForeignActState::Open && self.change != change && now < self.requested_at + REQUEST_LASTS
    }

    /// Whether nobody knows yet what came of this act, and it is such a change.
    pub fn awaits(&self, change: ForeignChange) -> bool {
        self.state == ForeignActState::Open && self.change == change
    }

    /// Whether a request of this change goes on with this act, and is no act of its own: the same person has just pressed it.
    pub fn is_joined_by(&self, change: ForeignChange, by: &PersonId, now: Moment) -> bool {
        self.awaits(change) && self.requested_by == *by && now < self.requested_at + REQUEST_LASTS
    }

    /// The act once the provider answered, unless another request has told more of it by now.
    #[must_use]
    pub fn concluded(&self, pressed: &ForeignAct, answered: Option<AnsweredKey>) -> Option<ForeignAct> {
        // The table keeps milliseconds.
        let is_at_once = self.requested_at.as_millisecond() == pressed.requested_at.as_millisecond();
        let is_it = self.change == pressed.change && is_at_once;
        let state = if answered.is_some() { ForeignActState::Confirmed } else { ForeignActState::Refused };
        let tells_more = match self.state {
            ForeignActState::Open => true,
            ForeignActState::Refused => state == ForeignActState::Confirmed,
            ForeignActState::Confirmed => false,
        };
        let answered = answered.or(self.answered);
        (is_it && tells_more).then(|| ForeignAct { state, answered, version: self.version + 1, ..self.clone() })
    }
}

impl fmt::Display for ForeignChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForeignChange::Disable => f.write_str("disabled"),
            ForeignChange::Limit(limit) => write!(f, "limit {limit}"),
        }
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
            let counted = KeyCounters { lifetime: Usd::from_micros(lifetime), today, on: day, window: None };
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
        let share = KeyShare::new("office".parse().unwrap(), date("2026-10-02"), &used, &older.counted);
        let at_a_cut = |micros| LifetimeUse { credits: Usd::from_micros(micros), byok: Usd::ZERO };
        assert_eq!([100, 103, 107].map(|lifetime| share.of(at_a_cut(lifetime))), [0, 2, 6].map(at_a_cut));
        let from_its_first_day = OwnedUse::of(&used, seen_on("2026-10-01"), date("2026-10-01"));
        assert_eq!(from_its_first_day.counted.credits.total(), Usd::from_micros(7));
        let later = OwnedUse::of(&used, seen_on("2026-10-01"), date("2026-09-30"));
        assert_eq!(later.counted.credits.total(), Usd::from_micros(107));
        assert_eq!(later.lump(Byok::Inside), Usd::from_micros(100));
    }

    fn act(state: ForeignActState) -> ForeignAct {
        ForeignAct {
            key: "f0".repeat(32).parse().unwrap(),
            name: "My key".to_owned(),
            change: ForeignChange::Disable,
            requested_at: "2026-01-03T09:00:00Z".parse().unwrap(),
            requested_by: "fedcba9876543210".parse().unwrap(),
            state,
            answered: None,
            version: 1,
        }
    }

    #[test]
    fn another_change_waits_while_a_press_may_take_effect_and_the_same_change_joins_it() {
        let (open, limit) = (act(ForeignActState::Open), ForeignChange::Limit(Usd::CENT));
        let later = |seconds| open.requested_at + SignedDuration::from_secs(seconds);
        assert!(open.holds_up(limit, later(29)) && !open.holds_up(limit, later(30)));
        let (same, other) = (&open.requested_by, "0000000000000000".parse().unwrap());
        let joins = |by, seconds| open.is_joined_by(ForeignChange::Disable, by, later(seconds));
        assert!(!open.holds_up(ForeignChange::Disable, later(0)) && joins(same, 29));
        assert!(!joins(same, 30) && !joins(&other, 0), "later requests and those of others are acts of their own");
        for over in [ForeignActState::Refused, ForeignActState::Confirmed] {
            assert!(!act(over).holds_up(limit, later(0)), "{over:?}");
            assert!(!act(over).is_joined_by(ForeignChange::Disable, same, later(0)), "{over:?}");
        }
    }
}
