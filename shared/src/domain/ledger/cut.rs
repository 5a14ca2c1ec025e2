//! Cuts through the books: lifetime use of each programme, of foreign keys and of the account when
//! a complete run listed the keys, and the reconciliation of what the account spent with what its
//! keys used. A statement is the difference of two cuts.
//!
//! Keys are used while they are listed, so their sum is compared with what the account had spent
//! before and after. The opening, spent before the first run, is known only as exactly as that
//! allows.

use std::ops::{AddAssign, Sub};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;
use crate::schema::{ACCOUNT, begin, due, key, stored};

/// The books as one complete run found them. The use of programmes' and foreign keys, the opening,
/// the residual and the unsettled amount add up to the account's spending after the run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AccountCut {
    pub as_of: Moment,
    /// What the account had bought and spent, as the provider reports it.
    pub bought: Usd,
    pub spent: AccountSpending,
    pub programmes: Vec<ProgrammeCut>,
    /// The part of it from grants' keys that are gone at the provider.
    pub ours_gone: Usd,
    /// The use of all foreign keys, whoever owns them, and of those that are gone.
    pub foreign: Usd,
    pub foreign_gone: Usd,
    /// Spending that no key explains: at least so much before the first complete run, and since
    /// then.
    pub opening: Usd,
    pub residual: Usd,
    /// Spending while the keys were read, which is in no reading yet.
    pub unsettled: Usd,
    /// The part of the residual that may come from rounding.
    pub tolerance: Usd,
}

stored! {
    AccountCut |cut| (as_of: Moment = cut.as_of) => key(ACCOUNT, format!("CUT#{}", due(as_of)));
    list all() => begin(ACCOUNT, "CUT#")
}

impl AccountCut {
    /// The cut as it would have been before the first key of ours: our keys have used nothing, and
    /// the account as much less.
    pub(super) fn before_our_keys(&self) -> AccountCut {
        let mut cut = self.clone();
        cut.spent.before = cut.spent.before - self.ours();
        cut.spent.after = cut.spent.after - self.ours();
        for programme in &mut cut.programmes {
            programme.used = LifetimeUse::default();
        }
        cut
    }

    /// The use of all keys of grants.
    pub fn ours(&self) -> Usd {
        self.programmes
            .iter()
            .map(|programme| programme.used.credits)
            .sum()
    }

    pub fn day(&self) -> Date {
        utc_date(self.as_of)
    }

    pub fn balance(&self) -> Usd {
        self.bought - self.spent.after
    }
}

/// What the keys of a programme used, and foreign keys while it owned them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProgrammeCut {
    pub programme: ProgrammeId,
    pub used: LifetimeUse,
    pub assigned: LifetimeUse,
}

impl ProgrammeCut {
    /// What was used after an earlier cut, which may not have the programme.
    pub(super) fn since(&self, earlier: &AccountCut) -> ProgrammeCut {
        match earlier
            .programmes
            .iter()
            .find(|before| before.programme == self.programme)
        {
            None => self.clone(),
            Some(before) => ProgrammeCut {
                programme: self.programme.clone(),
                used: self.used - before.used,
                assigned: self.assigned - before.assigned,
            },
        }
    }
}

/// The lifetime use of keys: of the account's money, and of the users' own provider keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct LifetimeUse {
    pub credits: Usd,
    pub byok: Usd,
}

impl LifetimeUse {
    pub fn sum(used: &DailyUse) -> LifetimeUse {
        LifetimeUse {
            credits: used.credits.total(),
            byok: used.byok.total(),
        }
    }

    pub fn min(self, rhs: LifetimeUse) -> LifetimeUse {
        LifetimeUse {
            credits: self.credits.min(rhs.credits),
            byok: self.byok.min(rhs.byok),
        }
    }

    pub fn max(self, rhs: LifetimeUse) -> LifetimeUse {
        LifetimeUse {
            credits: self.credits.max(rhs.credits),
            byok: self.byok.max(rhs.byok),
        }
    }

    pub fn or_zero(self) -> LifetimeUse {
        LifetimeUse {
            credits: self.credits.or_zero(),
            byok: self.byok.or_zero(),
        }
    }
}

impl AddAssign for LifetimeUse {
    fn add_assign(&mut self, rhs: LifetimeUse) {
        self.credits += rhs.credits;
        self.byok += rhs.byok;
    }
}

impl Sub for LifetimeUse {
    type Output = LifetimeUse;
    fn sub(self, rhs: LifetimeUse) -> LifetimeUse {
        LifetimeUse {
            credits: self.credits - rhs.credits,
            byok: self.byok - rhs.byok,
        }
    }
}

/// The account's total spending, before its keys were listed and after the last of them was read.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct AccountSpending {
    pub before: Usd,
    pub after: Usd,
}

/// The bounds of what the account had spent, when it was first reconciled, on keys that are no
/// longer known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub least: Usd,
    pub most: Usd,
}

/// The parts that, with what keys used, make up what the account had spent after a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reconciled {
    pub opening: Opening,
    pub residual: Usd,
    /// The spending during the listing, which is in no reading yet.
    pub unsettled: Usd,
}

impl Reconciled {
    /// Compares the use of all keys with the account. At the first reconciliation, what no key
    /// explains is the opening.
    pub fn compare(spent: AccountSpending, used: Usd, opening: Option<Opening>) -> Reconciled {
        // The opening is between these two if nothing else is unexplained.
        let least = spent.before - used;
        let most = spent.after - used;
        let (opening, residual) = match opening {
            None => (
                Opening {
                    least: least.max(Usd::ZERO).min(most),
                    most,
                },
                Usd::ZERO,
            ),
            Some(opening) if least > opening.most => (opening, least - opening.most),
            Some(opening) if most < opening.least => (opening, most - opening.least),
            Some(opening) => (
                Opening {
                    least: least.max(opening.least),
                    most: most.min(opening.most),
                },
                Usd::ZERO,
            ),
        };
        let unsettled = spent.after - used - opening.least - residual;
        Reconciled {
            opening,
            residual,
            unsettled,
        }
    }
}

/// Whether a residual differs, by more than rounding, from the one that admins were told last.
pub fn is_new(residual: Usd, last_residual: Usd, tolerance: Usd) -> bool {
    (residual - last_residual).abs() > tolerance
}

impl Opening {
    /// The spending while the opening was taken, which may belong to it.
    pub fn doubt(&self) -> Usd {
        self.most - self.least
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::values::micros as usd;

    fn spent(before: i64, after: i64) -> AccountSpending {
        AccountSpending {
            before: usd(before),
            after: usd(after),
        }
    }

    fn opening(least: i64, most: i64) -> Opening {
        Opening {
            least: usd(least),
            most: usd(most),
        }
    }

    /// A residual is new once, and again when it changes by more than rounding.
    #[test]
    fn a_residual_is_new_once() {
        let is_new_after = |told, residual| is_new(usd(residual), usd(told), usd(3));
        assert!(!is_new_after(0, 3) && is_new_after(0, 4) && is_new_after(0, -4));
        assert!(
            !is_new_after(4, 4) && !is_new_after(4, 7) && is_new_after(4, 8) && is_new_after(4, 0)
        );
    }

    proptest! {
        /// The parts add up to what was spent, and nothing is both unexplained and explained.
        #[test]
        fn the_parts_add_up(
            before in 0_i64..1_000, more in 0_i64..100, used in 0_i64..1_200, least in 0_i64..500, doubt in 0_i64..50,
            is_first in any::<bool>(),
        ) {
            let spent = spent(before, before + more);
            let known = opening(least, least + doubt);
            let made = Reconciled::compare(spent, usd(used), (!is_first).then_some(known));
            prop_assert_eq!(usd(used) + made.opening.least + made.residual + made.unsettled, spent.after);
            prop_assert!(made.unsettled >= usd(0) && made.opening.doubt() >= usd(0));
            let again = Reconciled::compare(spent, usd(used), Some(made.opening));
            prop_assert_eq!(again, made);
        }
    }
}
