//! What a key has used: what the provider told at one moment, and the reading that follows from it and from what is on record. Who
//! asks and when is the functions' matter.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::days::{Counted, Days};
use super::id::{Epoch, GrantId, ProgrammeId};
use super::money::Usd;
use super::programme::Byok;
use super::window::{Reset, Window, utc_date};

/// What the provider told of a key's use. A number that it did not tell is none, never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Since the key was made.
    pub lifetime: Usd,
    pub today: Option<Usd>,
    /// By the provider's counter of the window; of the whole term it is the lifetime's.
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
pub struct Used {
    pub credits: Days,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub byok: Days,
}

/// What one key of a grant has used, as far as it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Kept", into = "Kept")]
pub struct Reading {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub epoch: Epoch,
    pub used: Used,
    /// The window that `in_window` was used in.
    pub window: Window,
    /// What counts against the cap: with own keys where the programme counts them.
    pub in_window: Usd,
    /// What counted when the window before was last looked at: all of it was used before this one.
    pub before: Usd,
    pub last_used_at: Option<Timestamp>,
    pub as_of: Timestamp,
}

/// Whose key a reading is of, and how its programme counts.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub epoch: Epoch,
    pub reset: Reset,
    pub byok: Byok,
    /// When the key was made: nothing was used before.
    pub made_at: Timestamp,
}

/// Why nothing is recorded of what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubtful {
    #[error("the provider does not say what it has used")]
    Silent,
    #[error("the provider says that less was used than it said before")]
    Less,
    #[error("the provider does not say what was used in this window")]
    NoWindow,
    #[error("the provider says that less than nothing was used")]
    Negative,
}

impl Doubtful {
    /// Whether what is on record stands all the same: more was said before, and what a key has used never shrinks. Then the sums are
    /// as good as they were, and the difference shows where they are held against the account.
    pub fn leaves_the_record(self) -> bool {
        self == Doubtful::Less
    }
}

impl Used {
    /// An amount of the account's money, used on one day.
    pub fn on_one(day: Date, spent: Usd) -> Used {
        Used { credits: Days::on_one(day, spent), byok: Days::default() }
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

    pub fn add(&mut self, other: &Used) {
        self.credits.add(&other.credits);
        self.byok.add(&other.byok);
    }

    /// With what was told; `known` as in [`Days::with`].
    pub fn with(&self, told: &Told, on: Date, known: Option<Date>) -> Result<Used, Doubtful> {
        let numbers =
            [Some(told.lifetime), told.today, told.in_window, told.byok, told.byok_today, told.byok_in_window];
        if numbers.into_iter().flatten().any(|number| number < Usd::ZERO) {
            return Err(Doubtful::Negative);
        }
        let counted = Counted { lifetime: told.lifetime, today: told.today, on };
        let credits = self.credits.with(counted, known).ok_or(Doubtful::Less)?;
        let byok = match told.byok {
            Some(lifetime) if lifetime > Usd::ZERO || !is_nothing(&self.byok) => {
                let counted = Counted { lifetime, today: told.byok_today, on };
                self.byok.with(counted, known).ok_or(Doubtful::Less)?
            }
            _ => self.byok.clone(),
        };
        Ok(Used { credits, byok })
    }
}

impl Reading {
    /// What is on record after an answer. `looked_at` is when the last listing of every key began: what was not written then had
    /// not changed.
    pub fn after(
        before: Option<&Reading>,
        of: Of<'_>,
        told: &Told,
        answered: Timestamp,
        looked_at: Option<Timestamp>,
    ) -> Result<Reading, Doubtful> {
        let last = before.map_or(of.made_at, |before| before.as_of);
        let known = looked_at.map_or(last, |looked| looked.max(last)).min(answered);
        let nothing = Used::default();
        let was = before.map_or(&nothing, |before| &before.used);
        let used = was.with(told, utc_date(answered), Some(utc_date(known)))?;

        let (window, counted) = (of.reset.window_at(answered), used.counted(of.byok));
        let base = match before {
            Some(before) if before.window == window => before.before,
            Some(before) => before.used.counted(of.byok),
            None => Usd::ZERO,
        };
        let in_window = told.in_window_of(&of).ok_or(Doubtful::NoWindow)?.min(counted - base).or_zero();
        Ok(Reading {
            programme: of.programme.clone(),
            grant: of.grant.clone(),
            epoch: of.epoch,
            used,
            window,
            in_window,
            before: base,
            last_used_at: told.last_used_at.max(before.and_then(|before| before.last_used_at)),
            as_of: answered,
        })
    }

    /// Whether it says anything that another does not.
    pub fn is_news_to(&self, other: &Reading) -> bool {
        self.used != other.used || self.last_used_at != other.last_used_at
    }

    /// What was used with the account's money, ever.
    pub fn lifetime(&self) -> Usd {
        self.used.credits.total()
    }
}

impl Told {
    /// The larger of the provider's counter and what is off the limit: the one may be behind the other.
    fn in_window_of(&self, of: &Of<'_>) -> Option<Usd> {
        let (credits, byok) = match of.reset {
            Reset::None => (Some(self.lifetime), self.byok),
            Reset::Daily | Reset::Weekly | Reset::Monthly => (self.in_window, self.byok_in_window),
        };
        let counter = match of.byok {
            Byok::Inside => credits.map(|credits| credits + byok.unwrap_or_default()),
            Byok::Outside => credits,
        };
        counter.into_iter().chain(self.off_the_limit).max()
    }
}

fn is_nothing(days: &Days) -> bool {
    *days == Days::default()
}

/// How a reading lies in the table: its sums beside the days that they are of, so that a write can be conditional on them.
#[derive(Serialize, Deserialize)]
struct Kept {
    programme: ProgrammeId,
    grant: GrantId,
    epoch: Epoch,
    lifetime: Usd,
    byok: Usd,
    used: Used,
    window: Window,
    in_window: Usd,
    #[serde(default, skip_serializing_if = "is_zero")]
    before: Usd,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    as_of: Timestamp,
}

fn is_zero(amount: &Usd) -> bool {
    *amount == Usd::ZERO
}

/// A reading whose sums are not those of its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its sums are not those of its days")]
struct Crooked;

impl From<Reading> for Kept {
    fn from(reading: Reading) -> Kept {
        let Reading { programme, grant, epoch, used, window, in_window, before, last_used_at, as_of } = reading;
        let (lifetime, byok) = (used.credits.total(), used.byok.total());
        Kept { programme, grant, epoch, lifetime, byok, used, window, in_window, before, last_used_at, as_of }
    }
}

impl TryFrom<Kept> for Reading {
    type Error = Crooked;
    fn try_from(kept: Kept) -> Result<Reading, Crooked> {
        let Kept { programme, grant, epoch, lifetime, byok, used, window, in_window, before, last_used_at, as_of } =
            kept;
        if (lifetime, byok) != (used.credits.total(), used.byok.total()) {
            return Err(Crooked);
        }
        Ok(Reading { programme, grant, epoch, used, window, in_window, before, last_used_at, as_of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn told(lifetime: i32, today: i32, in_window: i32) -> Told {
        let dollars = |number| Some(Usd::from_dollars(number));
        Told {
            lifetime: Usd::from_dollars(lifetime),
            today: dollars(today),
            in_window: dollars(in_window),
            byok: dollars(0),
            byok_today: dollars(0),
            byok_in_window: dollars(0),
            off_the_limit: None,
            last_used_at: None,
        }
    }

    /// What counts in the window and ever, in dollars, after answers at these times.
    fn after(reset: Reset, byok: Byok, answers: &[(&str, Told)]) -> Result<(Usd, Usd), Doubtful> {
        let (programme, grant) = ("cs-pilot".parse().unwrap(), "0123456789abcdef".parse().unwrap());
        let made_at = at(answers[0].0);
        let of = Of { programme: &programme, grant: &grant, epoch: Epoch::new(1), reset, byok, made_at };
        let mut reading: Option<Reading> = None;
        for (time, told) in answers {
            reading = Some(Reading::after(reading.as_ref(), of, told, at(time), None)?);
        }
        let reading = reading.unwrap();
        assert_eq!(reading.window, reset.window_at(reading.as_of));
        Ok((reading.in_window, reading.used.counted(byok)))
    }

    fn dollars(in_window: i32, ever: i32) -> Result<(Usd, Usd), Doubtful> {
        Ok((Usd::from_dollars(in_window), Usd::from_dollars(ever)))
    }

    const MONDAY: &str = "2026-11-16T12:00:00Z";
    const TUESDAY: &str = "2026-11-17T12:00:00Z";

    #[test]
    fn the_larger_of_the_limits_own_count_and_the_windows_counter_was_used_and_never_more_than_ever() {
        let off_the_limit = Some(Usd::from_dollars(3));
        let daily = |told| after(Reset::Daily, Byok::Outside, &[(MONDAY, told)]);
        assert_eq!(daily(Told { off_the_limit, ..told(9, 2, 2) }), dollars(3, 9));
        assert_eq!(daily(told(9, 4, 4)), dollars(4, 9));
        assert_eq!(daily(Told { off_the_limit, in_window: None, ..told(1, 1, 0) }), dollars(1, 1));
        assert_eq!(
            after(Reset::None, Byok::Outside, &[(MONDAY, Told { in_window: None, ..told(9, 1, 0) })]),
            dollars(9, 9)
        );
    }

    #[test]
    fn a_counter_that_has_not_turned_yet_says_no_more_than_was_used_since() {
        let stale = [(MONDAY, told(9, 9, 9)), (TUESDAY, told(10, 10, 10))];
        assert_eq!(after(Reset::Daily, Byok::Outside, &stale), dollars(1, 10));
        let later = [stale[0], stale[1], ("2026-11-17T18:00:00Z", told(12, 12, 12))];
        assert_eq!(after(Reset::Daily, Byok::Outside, &later), dollars(3, 12));
    }

    #[test]
    fn own_keys_count_where_the_programme_says_so_and_are_apart_everywhere() {
        let byok = Some(Usd::from_dollars(4));
        let told = Told { byok, byok_today: byok, byok_in_window: byok, ..told(5, 5, 5) };
        assert_eq!(after(Reset::Weekly, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
        assert_eq!(after(Reset::Weekly, Byok::Outside, &[(MONDAY, told)]), dollars(5, 5));
        assert_eq!(after(Reset::None, Byok::Inside, &[(MONDAY, told)]), dollars(9, 9));
    }

    #[test]
    fn a_number_that_is_missing_less_or_negative_is_never_taken_for_another() {
        let daily = |answers: &[_]| after(Reset::Daily, Byok::Outside, answers);
        assert_eq!(daily(&[(MONDAY, Told { in_window: None, ..told(9, 1, 0) })]), Err(Doubtful::NoWindow));
        assert_eq!(daily(&[(MONDAY, told(9, 1, 1)), (TUESDAY, told(8, 1, 1))]), Err(Doubtful::Less));
        assert_eq!(daily(&[(MONDAY, told(9, -1, 1))]), Err(Doubtful::Negative));
        assert_eq!(daily(&[(MONDAY, told(-9, 0, 0))]), Err(Doubtful::Negative));
    }

    #[test]
    fn a_reading_whose_sums_are_not_its_days_is_not_believed() {
        let kept = Kept::from(Reading {
            programme: "cs-pilot".parse().unwrap(),
            grant: "0123456789abcdef".parse().unwrap(),
            epoch: Epoch::new(1),
            used: Used { credits: Days::on_one(utc_date(at(MONDAY)), Usd::CENT), byok: Days::default() },
            window: Reset::None.window_at(at(MONDAY)),
            in_window: Usd::CENT,
            before: Usd::ZERO,
            last_used_at: None,
            as_of: at(MONDAY),
        });
        let crooked =
            Kept { lifetime: Usd::ZERO, ..serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap() };
        assert!(Reading::try_from(crooked).is_err());
        assert!(Reading::try_from(kept).is_ok());
    }
}
