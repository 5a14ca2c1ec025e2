//! What a key has used: what the provider told at one moment, and the reading that follows from it
//! and from what is on record. Who asks and when is the functions' matter.
//!
//! What a key used in its life is written by maximum, credits and own keys each for itself. Where
//! the provider says less, what is on record stands, the run's report says so, and nobody waits for
//! it. What it used in a window is the sum of the window's days.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::programme::basis::{Basis, Byok};
use crate::domain::usage::days::{Days, KeyCounters};
use crate::domain::values::id::{Epoch, GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::partition::grant_partition_of;
use crate::domain::values::window::{Reset, utc_date};
use crate::schema::{begin, key, stored};

/// The settling time. So long after a key was confirmed to be off, or its limit to be lower, a
/// reading covers all of its earlier use.
pub const SETTLING: SignedDuration = SignedDuration::from_mins(15);

/// A usage report of the provider for one key. A missing number is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsageReport {
    pub lifetime: Usd,
    pub today: Option<Usd>,
    /// The provider's counter of the window, or of the lifetime for the whole term.
    pub in_window: Option<Usd>,
    /// The lifetime counter of spending with provider keys of the user's own; its window's and
    /// day's counters follow.
    pub byok: Option<Usd>,
    pub byok_today: Option<Usd>,
    pub byok_in_window: Option<Usd>,
    pub last_used_at: Option<Moment>,
}

/// The use by day, the account's money and the user's own provider keys apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DailyUse {
    pub credits: Days,
    pub byok: Days,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub epoch: Epoch,
    #[serde(flatten, with = "summed")]
    pub used: DailyUse,
    pub last_used_at: Option<Moment>,
    /// The time at which the provider was asked.
    pub as_of: Moment,
    /// The time of the last listing of every key before one that did not find this key; its use had
    /// not changed by then.
    pub unchanged_until: Option<Moment>,
}

stored! {
    Reading |reading| (programme: &ProgrammeId, grant: &GrantId, epoch: Epoch = reading.epoch) => key(grant_partition_of(programme, grant), format!("R#{grant}#{:05}", epoch.number()));
    list of_grant(programme: &ProgrammeId, grant: &GrantId) => begin(grant_partition_of(programme, grant), &format!("R#{grant}#"))
}

/// The amount by which lifetime counters are below the record. The record stands, since a key's use
/// never shrinks. The sums keep their value, and the difference shows when they are reconciled with
/// the account.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shortfall {
    pub credits: Usd,
    pub byok: Usd,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum UnusableReport {
    #[error("the provider does not say what it has used")]
    Silent,
    #[error("the provider says that less than nothing was used")]
    Negative,
}

/// The rounding between two answers about equal use. The provider sums in binary floats, and its
/// numbers are rounded up.
const ROUNDING: Usd = Usd::from_micros(2);

impl Shortfall {
    /// The shortfall; `None` if nothing is missing, or no more than rounding explains.
    fn measure(credits: Usd, byok: Usd) -> Option<Shortfall> {
        let [credits, byok] =
            [credits, byok].map(|short| if short > ROUNDING { short } else { Usd::ZERO });
        Some(Shortfall { credits, byok }).filter(|short| *short != Shortfall::default())
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = [
            (self.credits, "of credits"),
            (self.byok, "of the user's own keys"),
        ];
        let what: Vec<String> = what
            .iter()
            .filter(|(less, _)| *less > Usd::ZERO)
            .map(|(less, whose)| format!("{less} {whose}"))
            .collect();
        write!(
            f,
            "OpenRouter says less than it said before, by {}; what was recorded stands",
            what.join(" and ")
        )
    }
}

impl DailyUse {
    /// An amount of the account's money, used on one day.
    pub fn on_one(day: Date, spent: Usd) -> DailyUse {
        DailyUse {
            credits: Days::on_one(day, spent),
            byok: Days::default(),
        }
    }

    /// The total that counts for a programme.
    pub fn counted(&self, byok: Byok) -> Usd {
        match byok {
            Byok::Inside => self.credits.total() + self.byok.total(),
            Byok::Outside => self.credits.total(),
        }
    }

    /// The count against the cap in the window of an instant: the sum of the window's days.
    pub fn in_window(&self, basis: Basis, moment: Moment) -> Usd {
        let Some((first, last)) = basis.reset.days_around(utc_date(moment)) else {
            return self.counted(basis.byok);
        };
        let credits = self.credits.between(first, last, None).spent;
        match basis.byok {
            Byok::Inside => credits + self.byok.between(first, last, None).spent,
            Byok::Outside => credits,
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

    pub fn add(&mut self, used: &DailyUse) {
        self.credits.add(&used.credits);
        self.byok.add(&used.byok);
    }

    /// The use after a usage report, credits and BYOK each by its maximum; `known_until` as in
    /// [`Days::with`], and the first day of the window.
    pub fn with(
        &self,
        report: &UsageReport,
        day: Date,
        known_until: Option<Date>,
        window: Option<Date>,
    ) -> Result<(DailyUse, Option<Shortfall>), UnusableReport> {
        let numbers = [
            Some(report.lifetime),
            report.today,
            report.in_window,
            report.byok,
            report.byok_today,
            report.byok_in_window,
        ];
        if numbers
            .into_iter()
            .flatten()
            .any(|number| number < Usd::ZERO)
        {
            return Err(UnusableReport::Negative);
        }
        let counters = |lifetime, today, in_window| {
            let window = window.map(|first| (first, report.since(first, in_window)));
            KeyCounters {
                lifetime,
                today: report.since(day, today),
                day,
                window,
            }
        };
        let credits = self.credits.with(
            counters(report.lifetime, report.today, report.in_window),
            known_until,
        );
        let byok = match report.byok {
            Some(lifetime) if lifetime > Usd::ZERO || self.byok != Days::default() => {
                self.byok.with(
                    counters(lifetime, report.byok_today, report.byok_in_window),
                    known_until,
                )
            }
            _ => self.byok.clone(),
        };
        let doubt = Shortfall::measure(
            credits.total() - report.lifetime,
            report
                .byok
                .map_or(Usd::ZERO, |lifetime| byok.total() - lifetime),
        );
        Ok((DailyUse { credits, byok }, doubt))
    }

    /// The larger of each; where they are equal, the days of the later answer.
    fn or_more(&self, later: &DailyUse) -> DailyUse {
        DailyUse {
            credits: larger(&self.credits, &later.credits),
            byok: larger(&self.byok, &later.byok),
        }
    }
}

fn larger(earlier: &Days, later: &Days) -> Days {
    if earlier.total() > later.total() {
        earlier.clone()
    } else {
        later.clone()
    }
}

impl UsageReport {
    /// A counter of the time since a day. It may start anew only with the next use, and until then
    /// tells of a time that is over.
    fn since(&self, first: Date, counter: Option<Usd>) -> Option<Usd> {
        let is_over = self.last_used_at.is_some_and(|used| utc_date(used) < first);
        if is_over { Some(Usd::ZERO) } else { counter }
    }
}

impl Reading {
    /// That a key was unused, as it is when it is made.
    pub fn new(programme: &ProgrammeId, grant: &GrantId, epoch: Epoch, as_of: Moment) -> Reading {
        Reading {
            programme: programme.clone(),
            grant: grant.clone(),
            epoch,
            used: DailyUse::default(),
            last_used_at: None,
            as_of,
            unchanged_until: None,
        }
    }

    /// The reading after a usage report that was asked for at this time. Lifetime counters go by
    /// their maximum, each for itself. `listed_at` is when the last listing of every key began;
    /// what it did not write had not changed.
    pub fn after(
        &self,
        report: &UsageReport,
        asked_at: Moment,
        listed_at: Option<Moment>,
        reset: Reset,
    ) -> Result<(Reading, Option<Shortfall>), UnusableReport> {
        let listed_at = listed_at.map(|looked| {
            self.unchanged_until
                .map_or(looked, |until| until.min(looked))
        });
        let known_until = listed_at
            .map_or(self.as_of, |looked| looked.max(self.as_of))
            .min(asked_at);
        let window = reset.window_at(asked_at).begins();
        let (used, doubt) = self.used.with(
            report,
            utc_date(asked_at),
            Some(utc_date(known_until)),
            window,
        )?;
        let last_used_at = report.last_used_at;
        let answer = Reading {
            used,
            last_used_at,
            as_of: asked_at,
            unchanged_until: None,
            ..self.clone()
        };
        // An answer that is older than the record is expected to be lower.
        Ok((
            self.joined(&answer),
            doubt.filter(|_| self.as_of <= asked_at),
        ))
    }

    /// The combination of two readings of a key. Lifetime use is the larger, for credits and BYOK
    /// each.
    #[must_use]
    pub fn joined(&self, reading: &Reading) -> Reading {
        let (earlier, later) = if reading.as_of < self.as_of {
            (reading, self)
        } else {
            (self, reading)
        };
        Reading {
            used: earlier.used.or_more(&later.used),
            last_used_at: self.last_used_at.max(reading.last_used_at),
            ..later.clone()
        }
    }

    /// Whether it says anything that another does not.
    pub fn differs_from(&self, reading: &Reading) -> bool {
        let is_looked_at_again =
            reading.unchanged_until.is_some() && self.unchanged_until.is_none();
        is_looked_at_again || self.used != reading.used || self.last_used_at != reading.last_used_at
    }

    pub fn lifetime(&self) -> Usd {
        self.used.credits.total()
    }
}

/// Whether any of these readings says that its key was used, even if for nothing.
pub fn is_used(readings: &[Reading]) -> bool {
    readings.iter().any(|reading| {
        reading.last_used_at.is_some()
            || reading.used.credits.total() + reading.used.byok.total() > Usd::ZERO
    })
}

/// The stored form of a reading's use: its sums beside the days, so that a write can be conditional
/// on them.
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

    pub(super) fn serialize<S: Serializer>(
        used: &DailyUse,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let used = used.clone();
        SummedUse {
            lifetime: used.credits.total(),
            byok: used.byok.total(),
            used,
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DailyUse, D::Error> {
        let SummedUse {
            lifetime,
            byok,
            used,
        } = SummedUse::deserialize(from)?;
        if lifetime != used.credits.total() || byok != used.byok.total() {
            return Err(D::Error::custom("its sums are not those of its days"));
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests;
