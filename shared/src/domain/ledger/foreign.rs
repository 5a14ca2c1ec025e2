//! Keys that Bursar did not make: the programmes that admins gave one, one after another, what of
//! its use counts for each, and an admin's own act on one. An owner counts from the press on, so a
//! cut that was made stays true whoever owns a key later.

use std::collections::HashMap;
use std::fmt;

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::ledger::cut::LifetimeUse;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{KeyHash, PersonId, ProgrammeId};
use crate::domain::values::key::KeyLabel;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;
use crate::schema::{ACCOUNT, begin, foreign_partition, key, stored};

/// A key of the account that Bursar did not make, as it was listed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub key: KeyHash,
    pub name: String,
    pub label: Option<KeyLabel>,
    pub enabled: bool,
    pub limit: Option<Usd>,
    pub used: DailyUse,
    pub created_at: Option<Moment>,
    pub last_used_at: Option<Moment>,
    pub first_seen_at: Moment,
    pub gone_at: Option<Moment>,
    pub as_of: Moment,
}

stored! {
    ForeignKey |foreign_key| (hash: &KeyHash = &foreign_key.key) => {
        let shard = hash.as_str().chars().next().unwrap_or('0');
        key(foreign_partition(shard), format!("F#{hash}"))
    };
    list of_shard(shard: char) => begin(foreign_partition(shard), "F#")
}

/// A span in which a foreign key has an owner. What the key used between the two readings counts
/// for the programme, now and in every sum of the past: an end is written once, and no span is
/// deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyOwner {
    pub key: KeyHash,
    /// How many owners it had before. Of two presses at once on a key that is nobody's, one finds
    /// the number taken.
    pub number: u32,
    pub owner: ProgrammeId,
    pub began: CountersRead,
    /// When it was taken back.
    pub ended: Option<CountersRead>,
}

/// A press by which a key is given or taken back, and what the newest reading says that it had used
/// in all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CountersRead {
    pub at: Moment,
    pub used: LifetimeUse,
}

stored! {
    KeyOwner |key_owner| (hash: &KeyHash = &key_owner.key, number: u32 = key_owner.number) => key(ForeignKey::key_of(hash).item_key.pk, format!("OWNER#{hash}#{number:05}"));
    list of_shard(shard: char) => begin(foreign_partition(shard), "OWNER#");
    list of_key(hash: &KeyHash) => begin(ForeignKey::key_of(hash).item_key.pk, &format!("OWNER#{hash}#"))
}

/// The owners of each key, the first one first.
pub type KeyOwners = HashMap<KeyHash, Vec<KeyOwner>>;

impl KeyOwner {
    pub fn is_now(&self) -> bool {
        self.ended.is_none()
    }

    /// What counted for the owner when the key had used this much in all.
    pub fn share(&self, used: LifetimeUse) -> LifetimeUse {
        let by_its_end = self.ended.map_or(used, |ended| used.min(ended.used));
        (by_its_end - self.began.used).or_zero()
    }

    /// The days of what counts.
    pub fn counted(&self, used: &DailyUse) -> DailyUse {
        let start = self.began.used;
        let end = self.ended.map(|ended| ended.used);
        DailyUse {
            credits: used.credits.part(start.credits, end.map(|end| end.credits)),
            byok: used.byok.part(start.byok, end.map(|end| end.byok)),
        }
    }

    /// Whether all that the key used on a UTC day is the owner's.
    pub fn has_all_of(&self, day: Date) -> bool {
        utc_date(self.began.at) < day && self.ended.is_none_or(|ended| day < utc_date(ended.at))
    }
}

const REQUEST_LASTS: SignedDuration = SignedDuration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", content = "limit", rename_all = "kebab-case")]
pub enum ForeignChange {
    Disable,
    Limit(Usd),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AnsweredKey {
    pub answered_at: Moment,
    pub enabled: bool,
    pub limit: Option<Usd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignActState {
    /// It is under way, or nobody knows what came of it.
    Open,
    /// The provider changed nothing.
    Refused,
    Confirmed,
}

/// The last act on a key that nobody here made.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    ForeignAct |foreign_act| (hash: &KeyHash = &foreign_act.key) => key(ACCOUNT, format!("KEY-ACT#{hash}"));
    list all() => begin(ACCOUNT, "KEY-ACT#")
}

impl AnsweredKey {
    pub fn has(&self, change: ForeignChange) -> bool {
        match change {
            ForeignChange::Disable => !self.enabled,
            ForeignChange::Limit(limit) => {
                self.limit.is_some_and(|answered| answered.is_about(limit))
            }
        }
    }
}

impl fmt::Display for AnsweredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.enabled {
            "enabled, "
        } else {
            "disabled, "
        })?;
        match self.limit {
            Some(limit) => write!(f, "limit {limit}"),
            None => f.write_str("no limit"),
        }
    }
}

impl ForeignAct {
    /// Whether another change has to wait, since this one may still take effect.
    pub fn holds_up(&self, change: ForeignChange, now: Moment) -> bool {
        self.state == ForeignActState::Open
            && self.change != change
            && now < self.requested_at + REQUEST_LASTS
    }

    /// Whether nobody knows yet what came of this act, and it is such a change.
    pub fn awaits(&self, change: ForeignChange) -> bool {
        self.state == ForeignActState::Open && self.change == change
    }

    /// Whether a request of this change goes on with this act, and is no act of its own: the same
    /// person has just pressed it.
    pub fn is_joined_by(&self, change: ForeignChange, actor: &PersonId, now: Moment) -> bool {
        self.awaits(change)
            && self.requested_by == *actor
            && now < self.requested_at + REQUEST_LASTS
    }

    /// The act once the provider answered, unless another request has told more of it by now.
    #[must_use]
    pub fn conclude_act(
        &self,
        pressed: &ForeignAct,
        answered: Option<AnsweredKey>,
    ) -> Option<ForeignAct> {
        // The table keeps milliseconds.
        let is_at_once =
            self.requested_at.as_millisecond() == pressed.requested_at.as_millisecond();
        let is_it = self.change == pressed.change && is_at_once;
        let state = if answered.is_some() {
            ForeignActState::Confirmed
        } else {
            ForeignActState::Refused
        };
        let tells_more = match self.state {
            ForeignActState::Open => true,
            ForeignActState::Refused => state == ForeignActState::Confirmed,
            ForeignActState::Confirmed => false,
        };
        let answered = answered.or(self.answered);
        (is_it && tells_more).then(|| ForeignAct {
            state,
            answered,
            version: self.version + 1,
            ..self.clone()
        })
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
    use crate::domain::usage::days::KeyCounters;
    use crate::tests::values::date;

    #[test]
    fn of_a_day_each_owner_has_its_part() {
        let mut used = DailyUse::default();
        for (day, lifetime, today) in [(1, 100, 10), (2, 112, 12), (3, 120, 8), (6, 150, 0)] {
            let on = Date::constant(2026, 10, day);
            let counted = KeyCounters {
                lifetime: Usd::from_micros(lifetime),
                today: Some(Usd::from_micros(today)),
                day: on,
                window: None,
            };
            used.credits = used.credits.with(
                counted,
                (day > 1).then(|| on.yesterday().unwrap().min(date("2026-10-03"))),
            );
        }
        let read = |day: &str, micros| CountersRead {
            at: format!("{day}T10:00:00Z").parse().unwrap(),
            used: LifetimeUse {
                credits: Usd::from_micros(micros),
                byok: Usd::ZERO,
            },
        };
        let owner = |began, ended| KeyOwner {
            key: "f0".repeat(32).parse().unwrap(),
            number: 0,
            owner: "office".parse().unwrap(),
            began,
            ended,
        };
        let days = |owner: &KeyOwner| {
            let counted = owner.counted(&used).credits;
            assert_eq!(
                counted.total(),
                owner.share(LifetimeUse::sum(&used)).credits,
                "the days and the sum are one"
            );
            counted
                .each()
                .map(|(day, spent, exact)| (day.day(), spent.micros(), exact))
                .collect::<Vec<_>>()
        };
        let handed_on = read("2026-10-02", 105);
        assert_eq!(
            days(&owner(read("2026-10-01", 100), Some(handed_on))),
            [(2, 5, true)]
        );
        // From the third on nights were missed.
        let later = read("2026-10-04", 125);
        assert_eq!(
            days(&owner(handed_on, Some(later))),
            [(2, 7, true), (3, 8, false), (4, 0, false), (5, 5, false)]
        );
        assert_eq!(days(&owner(later, None)), [(5, 25, false)]);
        assert_eq!(days(&owner(read("2026-10-07", 150), None)), []);
        assert!(owner(handed_on, Some(later)).has_all_of(date("2026-10-03")));
        assert!(
            !["2026-10-02", "2026-10-04"]
                .map(date)
                .into_iter()
                .any(|day| owner(handed_on, Some(later)).has_all_of(day))
        );
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

    /// Another change waits while one may still take effect, and the same change by the same person
    /// joins it.
    #[test]
    fn another_change_waits_its_turn() {
        let open = act(ForeignActState::Open);
        let limit = ForeignChange::Limit(Usd::CENT);
        let later = |seconds| open.requested_at + SignedDuration::from_secs(seconds);
        assert!(open.holds_up(limit, later(29)) && !open.holds_up(limit, later(30)));
        let same = &open.requested_by;
        let other = "0000000000000000".parse().unwrap();
        let joins = |by, seconds| open.is_joined_by(ForeignChange::Disable, by, later(seconds));
        assert!(!open.holds_up(ForeignChange::Disable, later(0)) && joins(same, 29));
        assert!(
            !joins(same, 30) && !joins(&other, 0),
            "later requests and those of others are acts of their own"
        );
        for over in [ForeignActState::Refused, ForeignActState::Confirmed] {
            assert!(!act(over).holds_up(limit, later(0)), "{over:?}");
            assert!(
                !act(over).is_joined_by(ForeignChange::Disable, same, later(0)),
                "{over:?}"
            );
        }
    }
}
