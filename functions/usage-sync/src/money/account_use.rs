//! The use of the account's keys, as the stages sum it up: grants' keys by programme, and foreign keys.

use bursar_core::domain::ledger::cut::LifetimeUse;

use crate::prelude::*;

/// The use of all keys.
pub(crate) struct AccountUse {
    pub(crate) own: OwnUse,
    pub(crate) foreign: ForeignUse,
}

/// The use of grants' keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OwnUse {
    pub(crate) used: DailyUse,
    by_programme: BTreeMap<u16, LifetimeUse>,
    /// The part from keys that no longer exist at the provider.
    pub(crate) gone: Usd,
    keys: usize,
}

/// The use of foreign keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ForeignUse {
    pub(crate) used: DailyUse,
    /// The part from keys that no longer exist at the provider.
    pub(crate) gone: Usd,
    pub(crate) keys: usize,
}

impl AccountUse {
    /// The account's money that all keys spent.
    pub(crate) fn spent(&self) -> Usd {
        self.own.used.credits.total() + self.foreign.used.credits.total()
    }

    /// The most that rounding can add up to: less than a micro-dollar for each key, those that are gone
    /// included.
    pub(crate) fn tolerance(&self) -> Usd {
        Usd::from_micros(i64::try_from(self.own.keys + self.foreign.keys).unwrap_or(i64::MAX))
    }
}

impl OwnUse {
    /// Adds the use of some keys of a programme.
    pub(crate) fn add(&mut self, programme: u16, used: &DailyUse) {
        self.used.add(used);
        *self.by_programme.entry(programme).or_default() += LifetimeUse::of(used);
    }

    pub(crate) fn add_gone(&mut self, used: Usd) {
        self.gone += used;
    }

    pub(crate) fn count_keys(&mut self, keys: usize) {
        self.keys += keys;
    }

    /// The sum of two uses, which are of different readings.
    pub(crate) fn with(&self, other: &OwnUse) -> OwnUse {
        let mut both = self.clone();
        both.used.add(&other.used);
        for (programme, more) in &other.by_programme {
            *both.by_programme.entry(*programme).or_default() += *more;
        }
        both.gone += other.gone;
        both.keys += other.keys;
        both
    }

    pub(crate) fn of_programme(&self, number: u16) -> LifetimeUse {
        self.by_programme.get(&number).copied().unwrap_or_default()
    }
}
