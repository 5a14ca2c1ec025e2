//! Cuts through the books: lifetime use of each programme, of foreign keys and of the account when a complete run listed the keys.
//! A statement is the difference of two cuts. The store keeps them, and the sync makes them.

use std::ops::{AddAssign, Sub};

use crate::domain::usage::reconciliation::AccountSpending;
use crate::prelude::*;
use crate::store::keys::due;

/// The books as one complete run found them. The use of programmes' and foreign keys, the opening, the residual
/// and the unsettled amount add up to the account's spending after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCut {
    /// When the run began.
    pub as_of: Moment,
    /// What the account had bought and spent, as the provider reports it.
    pub bought: Usd,
    pub spent: AccountSpending,
    pub programmes: Vec<ProgrammeCut>,
    /// The use of all foreign keys, whoever owns them.
    pub foreign: Usd,
    pub opening: Usd,
    pub residual: Usd,
    pub unsettled: Usd,
}

stored! {
    "cut" AccountCut |it| (as_of: Moment = it.as_of) => key(ACCOUNT, format!("CUT#{}", due(as_of)));
    list all() => begin(ACCOUNT, "CUT#")
}

/// The use of a programme's own keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammeCut {
    pub programme: ProgrammeId,
    pub used: LifetimeUse,
}

/// The lifetime use of keys: of the account's money, and of the users' own provider keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifetimeUse {
    pub credits: Usd,
    pub byok: Usd,
}

/// The lifetime use of a foreign key in one cut and in the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    pub key: KeyHash,
    pub before: LifetimeUse,
    pub after: LifetimeUse,
}

impl LifetimeUse {
    pub fn of(used: &DailyUse) -> LifetimeUse {
        LifetimeUse { credits: used.credits.total(), byok: used.byok.total() }
    }

    /// The parts that are more than nothing.
    #[must_use]
    pub fn or_zero(self) -> LifetimeUse {
        LifetimeUse { credits: self.credits.or_zero(), byok: self.byok.or_zero() }
    }
}

impl AddAssign for LifetimeUse {
    fn add_assign(&mut self, other: LifetimeUse) {
        self.credits += other.credits;
        self.byok += other.byok;
    }
}

impl Sub for LifetimeUse {
    type Output = LifetimeUse;
    fn sub(self, other: LifetimeUse) -> LifetimeUse {
        LifetimeUse { credits: self.credits - other.credits, byok: self.byok - other.byok }
    }
}
