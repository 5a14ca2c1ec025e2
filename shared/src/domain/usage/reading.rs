//! What a key has used: what the provider told at one moment, and the reading that follows from it and from what is on record.
//! Who asks and when is the functions' matter.
//!
//! What a key used in its life is written by maximum, credits and own keys each for itself. Where the provider says less, what is
//! on record stands, the run's report says so, and nobody waits for it. What it used in its window is as whoever asked last was
//! told.

use std::fmt;

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::programme::Byok;
use crate::domain::usage::days::{Days, KeyCounters};
use crate::domain::values::id::{Epoch, GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::window::{Reset, Window, utc_date};

/// So long after a key was confirmed to be off, or its limit to be lower, a reading tells all that it used before.
pub const SETTLING: SignedDuration = SignedDuration::from_mins(15);

/// What the provider told of a key's use. A number that it did not tell is none, never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Since the key was made.
    pub lifetime: Usd,
    pub today: Option<Usd>,
    /// By the provider's counter of the window; of the whole term the lifetime's is looked at.
    pub in_window: Option<Usd>,
    /// The same three, paid with provider keys of the user's own.
    pub byok: Option<Usd>,
    pub byok_today: Option<Usd>,
    pub byok_in_window: Option<Usd>,
    /// The limit less what remains of it, with use of own keys where the limit counts it.
    pub off_the_limit: Option<Usd>,
    #[serde(with = "millisecond::optional")]
    pub last_used_at: Option<Timestamp>,
}

/// What was used, day by day, the account's money and the user's own provider keys apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyUse {
    pub credits: Days,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub byok: Days,
}

/// What one key of a grant has used, as far as it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ReadingItem", into = "ReadingItem")]
pub struct Reading {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub epoch: Epoch,
    pub used: DailyUse,
    /// The window that `in_window` was used in.
    pub window: Window,
    /// What counts against the cap: with own keys where the programme counts them.
    pub in_window: Usd,
    /// What counted when the window before was last looked at: all of it was used before this one.
    pub before: Usd,
    pub last_used_at: Option<Timestamp>,
    /// When the provider was asked for it.
    pub as_of: Timestamp,
    /// When every key was last looked at before this one was looked for in vain: until then nothing had changed.
    pub unchanged_until: Option<Timestamp>,
}

/// Whose key a reading is of, and how its programme counts.
#[derive(Debug, Clone, Copy)]
pub struct KeyUseContext<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub epoch: Epoch,
    pub reset: Reset,
    pub byok: Byok,
    /// When the key was made: nothing was used before.
    pub made_at: Timestamp,
}

/// By how much lifetime counters say less than is on record. What is on record stands: what a key has used never shrinks. The sums
/// are as good as they were, and the difference shows where they are held against the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shortfall {
    pub credits: Usd,
    pub byok: Usd,
}

/// Why nothing is recorded of what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableReport {
    #[error("the provider does not say what it has used")]
    Silent,
    #[error("the provider does not say what was used in this window")]
    NoWindow,
    #[error("the provider says that less than nothing was used")]
    Negative,
}

/// The provider sums in binary floats, and what it says is rounded up: two answers about the same use may differ by so much.
const ROUNDING: Usd = Usd::from_micros(2);

impl Shortfall {
    /// None where nothing is missing, or no more than rounding explains.
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
        write!(f, "the provider says less than it said before, by {}; what was recorded stands", what.join(" and "))
    }
}

impl DailyUse {
    /// An amount of the account's money, used on one day.
    pub fn on_one(day: Date, spent: Usd) -> DailyUse {
        DailyUse { credits: Days::on_one(day, spent), byok: Days::default() }
    }

    /// What counts for a programme.
    pub fn counted(&self, byok: Byok) -> Usd {
        match byok {
            Byok::Inside => self.credits.total() + self.byok.total(),
            Byok::Outside => self.credits.total(),
        }
    }

    /// The days of what counts.
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

    /// With what was told, each of the two by its maximum; `known` as in [`Days::with`].
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

    /// The larger of each of the two: of two who asked, what both may believe.
    fn or_more(&self, other: &DailyUse) -> DailyUse {
        let larger = |one: &Days, other: &Days| if other.total() > one.total() { other.clone() } else { one.clone() };
        DailyUse { credits: larger(&self.credits, &other.credits), byok: larger(&self.byok, &other.byok) }
    }
}

impl Reading {
    /// What is on record after an answer that was asked for at this time. Lifetime counters by their maximum, each for itself; what
    /// was used in the window by the answer that was asked for last, unless it is behind. `listed_at` is when the last listing of every key began: what
    /// was not written then had not changed.
    pub fn after(
        before: Option<&Reading>,
        of: KeyUseContext<'_>,
        told: &UsageReport,
        asked: Timestamp,
        listed_at: Option<Timestamp>,
    ) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
        let last = before.map_or(of.made_at, |before| before.as_of);
        let unchanged_until = before.and_then(|before| before.unchanged_until);
        let listed_at = listed_at.map(|looked| unchanged_until.map_or(looked, |until| until.min(looked)));
        let known = listed_at.map_or(last, |looked| looked.max(last)).min(asked);
        let nothing = DailyUse::default();
        let was = before.map_or(&nothing, |before| &before.used);
        let (used, doubt) = was.with(told, utc_date(asked), Some(utc_date(known)))?;

        let (window, counted) = (of.reset.window_at(asked), used.counted(of.byok));
        let base = match before {
            Some(before) if before.window == window => before.before,
            Some(before) => before.used.counted(of.byok),
            None => Usd::ZERO,
        };
        let in_window = match of.reset {
            // Of the whole term it is the lifetime's, and that does not shrink.
            Reset::None => counted - base,
            _ => told.in_window_of(&of).ok_or(UnusableReport::NoWindow)?.min(counted - base).or_zero(),
        };
        let same = before.filter(|before| before.window == window).map(|before| before.in_window);
        // So soon after, an answer that says less of the lifetime is behind, and so is what it says of the window.
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
        // Of an earlier answer than the one on record it is no wonder.
        let doubt = doubt.filter(|_| before.is_none_or(|before| before.as_of <= asked));
        Ok((before.map_or_else(|| answer.clone(), |before| before.joined(&answer)), doubt))
    }

    /// What two readings of a key come to: the larger of what was ever used, credits and own keys each for itself, and the window of
    /// the one that was asked for later, the other one where both were at once. The whole term is a window that never shrinks.
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

    /// Whether it says anything that another does not. That a window turned in which nothing was used yet goes without saying.
    pub fn differs_from(&self, other: &Reading) -> bool {
        let known = if other.window == self.window { other.in_window } else { Usd::ZERO };
        let is_looked_at_again = other.unchanged_until.is_some() && self.unchanged_until.is_none();
        is_looked_at_again
            || self.used != other.used
            || self.last_used_at != other.last_used_at
            || self.in_window != known
    }

    /// What was used with the account's money, ever.
    pub fn lifetime(&self) -> Usd {
        self.used.credits.total()
    }
}

impl UsageReport {
    /// The larger of the provider's counter and what is off the limit: the one may be behind the other.
    fn in_window_of(&self, of: &KeyUseContext<'_>) -> Option<Usd> {
        let counter = match of.byok {
            Byok::Inside => self.in_window.map(|credits| credits + self.byok_in_window.unwrap_or_default()),
            Byok::Outside => self.in_window,
        };
        counter.into_iter().chain(self.off_the_limit).max()
    }
}

fn is_nothing(days: &Days) -> bool {
    *days == Days::default()
}

/// How a reading lies in the table: its sums beside the days that they are of, so that a write can be conditional on them.
#[derive(Serialize, Deserialize)]
struct ReadingItem {
    programme: ProgrammeId,
    grant: GrantId,
    epoch: Epoch,
    lifetime: Usd,
    byok: Usd,
    used: DailyUse,
    window: Window,
    in_window: Usd,
    #[serde(default, skip_serializing_if = "Usd::is_zero")]
    before: Usd,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    as_of: Timestamp,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    unchanged_until: Option<Timestamp>,
}

/// A reading whose sums are not those of its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its sums are not those of its days")]
struct InconsistentSums;

impl From<Reading> for ReadingItem {
    fn from(reading: Reading) -> ReadingItem {
        let Reading { used, window, in_window, before, last_used_at, as_of, unchanged_until, .. } = reading;
        let (programme, grant, epoch) = (reading.programme, reading.grant, reading.epoch);
        let (lifetime, byok) = (used.credits.total(), used.byok.total());
        ReadingItem {
            programme,
            grant,
            epoch,
            lifetime,
            byok,
            used,
            window,
            in_window,
            before,
            last_used_at,
            as_of,
            unchanged_until,
        }
    }
}

impl TryFrom<ReadingItem> for Reading {
    type Error = InconsistentSums;
    fn try_from(kept: ReadingItem) -> Result<Reading, InconsistentSums> {
        let ReadingItem { programme, grant, epoch, used, window, in_window, before, .. } = kept;
        let ReadingItem { lifetime, byok, last_used_at, as_of, unchanged_until, .. } = kept;
        if (lifetime, byok) != (used.credits.total(), used.byok.total()) {
            return Err(InconsistentSums);
        }
        Ok(Reading { programme, grant, epoch, used, window, in_window, before, last_used_at, as_of, unchanged_until })
    }
}

#[cfg(test)]
mod tests;
