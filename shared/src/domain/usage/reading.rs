//! What a key has used: what the provider told at one moment, and the reading that follows from it and from what is on record.
//! Who asks and when is the functions' matter.
//!
//! What a key used in its life is written by maximum, credits and own keys each for itself. Where the provider says less, what is
//! on record stands, the run's report says so, and nobody waits for it. What it used in its window is as whoever asked last was
//! told.

use crate::domain::programme::{Basis, Byok};
use crate::domain::usage::days::KeyCounters;
use crate::prelude::*;
use crate::store::keys::grant_partition_of;

/// The settling time. So long after a key was confirmed to be off, or its limit to be lower, a reading covers
/// all of its earlier use.
pub const SETTLING: SignedDuration = SignedDuration::from_mins(15);

/// A usage report of the provider for one key. A missing number is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    pub lifetime: Usd,
    pub today: Option<Usd>,
    /// The provider's counter of the window; for the whole term the lifetime's counter is used.
    pub in_window: Option<Usd>,
    /// The lifetime counter of spending with provider keys of the user's own; its window's and day's counters follow.
    pub byok: Option<Usd>,
    pub byok_today: Option<Usd>,
    pub byok_in_window: Option<Usd>,
    /// The limit less what remains of it, including BYOK use where the limit counts it.
    pub off_the_limit: Option<Usd>,
    pub last_used_at: Option<Moment>,
}

/// The use by day, the account's money and the user's own provider keys apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyUse {
    pub credits: Days,
    pub byok: Days,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub epoch: Epoch,
    #[serde(flatten, with = "summed")]
    pub used: DailyUse,
    /// The window of `in_window`.
    pub window: Window,
    /// The count against the cap, including BYOK use where the programme counts it.
    pub in_window: Usd,
    /// The total count at the last reading of the window before; all of it was used before this window.
    pub before: Usd,
    pub last_used_at: Option<Moment>,
    /// The time at which the provider was asked.
    pub as_of: Moment,
    /// The time of the last listing of every key before one that did not find this key; its use had not
    /// changed by then.
    pub unchanged_until: Option<Moment>,
}

stored! {
    Reading |it| (programme: &ProgrammeId = &it.programme, grant: &GrantId = &it.grant, epoch: Epoch = it.epoch) => key(grant_partition_of(programme, grant), format!("R#{grant}#{:05}", epoch.number()));
    list of_grant(programme: &ProgrammeId, grant: &GrantId) => begin(grant_partition_of(programme, grant), &format!("R#{grant}#"))
}

/// The key that a reading is of, and how its programme counts.
#[derive(Debug, Clone, Copy)]
pub struct KeyUseContext<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub epoch: Epoch,
    pub basis: Basis,
    /// The time at which the key was made; there is no earlier use.
    pub made_at: Moment,
}

/// The amount by which lifetime counters are below the record. The record stands, since a key's use never
/// shrinks. The sums keep their value, and the difference shows when they are reconciled with the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shortfall {
    pub credits: Usd,
    pub byok: Usd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableReport {
    #[error("the provider does not say what it has used")]
    Silent,
    #[error("the provider does not say what was used in this window")]
    NoWindow,
    #[error("the provider says that less than nothing was used")]
    Negative,
}

/// The rounding between two answers about equal use. The provider sums in binary floats, and its numbers are
/// rounded up.
const ROUNDING: Usd = Usd::from_micros(2);

impl Shortfall {
    /// The shortfall; `None` if nothing is missing, or no more than rounding explains.
    fn of(credits: Usd, byok: Usd) -> Option<Shortfall> {
        let missing = |short: Usd| if short > ROUNDING { short } else { Usd::ZERO };
        Some(Shortfall { credits: missing(credits), byok: missing(byok) })
            .filter(|short| *short != Shortfall::default())
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = [(self.credits, "of credits"), (self.byok, "of the user's own keys")];
        let what: Vec<String> =
            what.iter().filter(|(less, _)| *less > Usd::ZERO).map(|(less, whose)| format!("{less} {whose}")).collect();
        write!(f, "OpenRouter says less than it said before, by {}; what was recorded stands", what.join(" and "))
    }
}

impl DailyUse {
    /// An amount of the account's money, used on one day.
    pub fn on_one(day: Date, spent: Usd) -> DailyUse {
        DailyUse { credits: Days::on_one(day, spent), byok: Days::default() }
    }

    /// The total that counts for a programme.
    pub fn counted(&self, byok: Byok) -> Usd {
        match byok {
            Byok::Inside => self.credits.total() + self.byok.total(),
            Byok::Outside => self.credits.total(),
        }
    }

    /// The days of the amount that counts for a programme.
    pub fn days(&self, byok: Byok) -> Days {
        let mut days = self.credits.clone();
        if byok == Byok::Inside {
            days.add(&self.byok);
        }
        days
    }

    pub fn add(&mut self, other: &DailyUse) {
        self.credits.add(&other.credits);
        self.byok.add(&other.byok);
    }

    /// The use after a usage report, credits and BYOK each by its maximum; `known` as in [`Days::with`].
    pub fn with(
        &self,
        told: &UsageReport,
        on: Date,
        known: Option<Date>,
    ) -> Result<(DailyUse, Option<Shortfall>), UnusableReport> {
        let numbers =
            [Some(told.lifetime), told.today, told.in_window, told.byok, told.byok_today, told.byok_in_window];
        if numbers.into_iter().flatten().any(|number| number < Usd::ZERO) {
            return Err(UnusableReport::Negative);
        }
        let credits = self.credits.with(KeyCounters { lifetime: told.lifetime, today: told.today, on }, known);
        let byok = match told.byok {
            Some(lifetime) if lifetime > Usd::ZERO || !is_nothing(&self.byok) => {
                self.byok.with(KeyCounters { lifetime, today: told.byok_today, on }, known)
            }
            _ => self.byok.clone(),
        };
        let doubt = Shortfall::of(
            credits.total() - told.lifetime,
            told.byok.map_or(Usd::ZERO, |lifetime| byok.total() - lifetime),
        );
        Ok((DailyUse { credits, byok }, doubt))
    }

    fn or_more(&self, other: &DailyUse) -> DailyUse {
        let larger = |one: &Days, other: &Days| if other.total() > one.total() { other.clone() } else { one.clone() };
        DailyUse { credits: larger(&self.credits, &other.credits), byok: larger(&self.byok, &other.byok) }
    }
}

impl Reading {
    /// The reading after a usage report that was asked for at this time. Lifetime counters go by their
    /// maximum, each for itself. The window's use goes by the latest answer, unless that is behind.
    /// `listed_at` is when the last listing of every key began; what it did not write had not changed.
    pub fn after(
        before: Option<&Reading>,
        of: KeyUseContext<'_>,
        told: &UsageReport,
        asked: Moment,
        listed_at: Option<Moment>,
    ) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
        let last = before.map_or(of.made_at, |before| before.as_of);
        let unchanged_until = before.and_then(|before| before.unchanged_until);
        let listed_at = listed_at.map(|looked| unchanged_until.map_or(looked, |until| until.min(looked)));
        let known = listed_at.map_or(last, |looked| looked.max(last)).min(asked);
        let nothing = DailyUse::default();
        let was = before.map_or(&nothing, |before| &before.used);
        let (used, doubt) = was.with(told, utc_date(asked), Some(utc_date(known)))?;

        let (window, counted) = (of.basis.reset.window_at(asked), used.counted(of.basis.byok));
        let base = match before {
            Some(before) if before.window == window => before.before,
            Some(before) => before.used.counted(of.basis.byok),
            None => Usd::ZERO,
        };
        let in_window = match of.basis.reset {
            // The whole term's use is the lifetime's, which does not shrink.
            Reset::None => counted - base,
            _ => told.in_window_of(&of).ok_or(UnusableReport::NoWindow)?.min(counted - base).or_zero(),
        };
        let same = before.filter(|before| before.window == window).map(|before| before.in_window);
        // So soon after a reading, an answer with a lower lifetime counter is behind, and so is its window counter.
        let is_behind = doubt.is_some() && before.is_some_and(|before| asked < before.as_of + SETTLING);
        let in_window = if is_behind { in_window.max(same.unwrap_or_default()) } else { in_window };
        let answer = Reading {
            programme: of.programme.clone(),
            grant: of.grant.clone(),
            epoch: of.epoch,
            used,
            window,
            in_window: same.filter(|same| (Usd::ZERO..=ROUNDING).contains(&(*same - in_window))).unwrap_or(in_window),
            before: base,
            last_used_at: told.last_used_at,
            as_of: asked,
            unchanged_until: None,
        };
        // An answer that is older than the record is expected to be lower.
        let doubt = doubt.filter(|_| before.is_none_or(|before| before.as_of <= asked));
        Ok((before.map_or_else(|| answer.clone(), |before| before.joined(&answer)), doubt))
    }

    /// The combination of two readings of a key. Lifetime use is the larger, for credits and BYOK each. The
    /// window is that of the later answer, or of the other one if both were asked at once. The whole term is
    /// a window that never shrinks.
    #[must_use]
    pub fn joined(&self, other: &Reading) -> Reading {
        let (earlier, later) = if other.as_of < self.as_of { (other, self) } else { (self, other) };
        let is_whole_term = earlier.window == Window::WHOLE_TERM && later.window == Window::WHOLE_TERM;
        Reading {
            used: self.used.or_more(&other.used),
            in_window: if is_whole_term { earlier.in_window.max(later.in_window) } else { later.in_window },
            last_used_at: self.last_used_at.max(other.last_used_at),
            ..later.clone()
        }
    }

    /// Whether it says anything that another does not. A turned window without any use yet adds nothing.
    pub fn differs_from(&self, other: &Reading) -> bool {
        let known = if other.window == self.window { other.in_window } else { Usd::ZERO };
        let is_looked_at_again = other.unchanged_until.is_some() && self.unchanged_until.is_none();
        is_looked_at_again
            || self.used != other.used
            || self.last_used_at != other.last_used_at
            || self.in_window != known
    }

    pub fn lifetime(&self) -> Usd {
        self.used.credits.total()
    }
}

impl UsageReport {
    /// The window's use: the larger of the provider's counter and what is off the limit, since either may be behind.
    fn in_window_of(&self, of: &KeyUseContext<'_>) -> Option<Usd> {
        let counter = match of.basis.byok {
            Byok::Inside => self.in_window.map(|credits| credits + self.byok_in_window.unwrap_or_default()),
            Byok::Outside => self.in_window,
        };
        counter.into_iter().chain(self.off_the_limit).max()
    }
}

fn is_nothing(days: &Days) -> bool {
    *days == Days::default()
}

/// The stored form of a reading's use: its sums beside the days, so that a write can be conditional on them.
mod summed {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct SummedUse {
        lifetime: Usd,
        byok: Usd,
        used: DailyUse,
    }

    pub(super) fn serialize<S: Serializer>(used: &DailyUse, to: S) -> Result<S::Ok, S::Error> {
        let used = used.clone();
        SummedUse { lifetime: used.credits.total(), byok: used.byok.total(), used }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DailyUse, D::Error> {
        let SummedUse { lifetime, byok, used } = SummedUse::deserialize(from)?;
        if lifetime != used.credits.total() || byok != used.byok.total() {
            return Err(D::Error::custom("its sums are not those of its days"));
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests;
