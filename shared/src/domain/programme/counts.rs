//! How far the people of a programme's roster have come, and what its budget holds that is not needed any more, known at any time and
//! without a look at each grant.

use std::ops::Neg;

use serde::{Deserialize, Serialize};

use crate::domain::grant::Grant;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::{Usd, grouped};
use crate::domain::values::partition::programme_partition;
use crate::schema::{key, overview, stored};

/// Each person of the roster is counted once, at the furthest that they have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those who have not had a key.
    pub invited: i64,
    /// Those who have had one.
    pub claimed: i64,
    /// What grants cost less since the budget was counted: the next count frees it.
    pub freed: Usd,
}

/// The counts of a programme. Whoever changes them adds the difference by one plain write after the transaction, so that claims do not
/// wait for each other here; a write that is lost is missing until the sync counts anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterCounts {
    pub programme: ProgrammeId,
    #[serde(flatten)]
    pub counts: Counts,
}

stored! {
    RosterCounts |counts| (programme: &ProgrammeId = &counts.programme) => key(programme_partition(programme), overview("COUNTS"))
}

impl Counts {
    /// Counts a grant so many times.
    pub fn add(&mut self, grant: &Grant, times: i64) {
        let stage = if grant.ever_shown { &mut self.claimed } else { &mut self.invited };
        if grant.is_student() {
            *stage += times;
        }
    }

    pub fn people(&self) -> i64 {
        self.invited + self.claimed
    }

    pub fn frees_something(&self) -> bool {
        self.freed >= Usd::CENT
    }

    /// What the next count frees, as pages say it where money is missing.
    pub fn free_tonight(&self) -> String {
        format!("{} comes free with tonight's check", self.freed.whole_cents().to_dollars())
    }

    /// How many have claimed, as each page says it.
    pub fn in_words(&self) -> String {
        if self.people() <= 0 {
            return "nobody on the roster yet".to_owned();
        }
        let [claimed, people] = [self.claimed, self.people()].map(|count| grouped(u64::try_from(count).unwrap_or(0)));
        format!("{claimed} of {people} have claimed")
    }
}

impl Neg for Counts {
    type Output = Counts;

    fn neg(self) -> Counts {
        Counts { invited: -self.invited, claimed: -self.claimed, freed: Usd::ZERO - self.freed }
    }
}
