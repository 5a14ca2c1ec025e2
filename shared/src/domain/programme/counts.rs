//! How far the people of a programme's roster have come, and what its budget holds that is not
//! needed any more, known at any time and without a look at each grant.

use std::ops::Neg;

use serde::{Deserialize, Serialize};

use crate::domain::grant::Grant;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::{Usd, group_digits};
use crate::domain::values::partition::overview_key;
use crate::schema::stored;

crate::named! {
    /// How far somebody on a roster has come, as hooks, files and URLs spell it, and for people.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Stage: as_str, to_words {
        /// Mail to them comes back, and they never asked for a link.
        Bounced = "bounced", "mail came back";
        Invited = "invited", "invited";
        Asked = "asked", "asked for a link";
        SignedIn = "signed-in", "signed in";
        /// They have had a key, whatever became of it.
        Claimed = "claimed", "has a key";
        Used = "used", "used it";
    }
}

impl Stage {
    pub fn has_claimed(self) -> bool {
        self >= Stage::Claimed
    }

    /// The stage of who was at this one, after something that happened. None is lost but by mail
    /// that comes back from who was only invited.
    #[must_use]
    pub fn after(self, reached: Stage) -> Stage {
        if self == Stage::Invited && reached == Stage::Bounced {
            reached
        } else {
            self.max(reached)
        }
    }
}

/// Each person of the roster is counted once, at the furthest that they have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub bounced: i64,
    pub invited: i64,
    pub asked: i64,
    pub signed_in: i64,
    pub claimed: i64,
    pub used: i64,
    /// What grants cost less since the budget was counted: the next count frees it.
    pub freed: Usd,
}

/// The counts of a programme. Whoever changes them adds the difference by one plain write after the
/// transaction, so that claims do not wait for each other here; a write that is lost is missing
/// until the sync counts anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RosterCounts {
    pub programme: ProgrammeId,
    #[serde(flatten)]
    pub counts: Counts,
}

stored! {
    RosterCounts (programme: &ProgrammeId) => overview_key(programme, "COUNTS")
}

impl Counts {
    /// Counts a grant so many times.
    pub fn add(&mut self, grant: &Grant, times: i64) {
        if grant.is_student() {
            *self.place_of(grant.stage) += times;
        }
    }

    pub fn count_at_stage(mut self, stage: Stage) -> i64 {
        *self.place_of(stage)
    }

    fn place_of(&mut self, stage: Stage) -> &mut i64 {
        match stage {
            Stage::Bounced => &mut self.bounced,
            Stage::Invited => &mut self.invited,
            Stage::Asked => &mut self.asked,
            Stage::SignedIn => &mut self.signed_in,
            Stage::Claimed => &mut self.claimed,
            Stage::Used => &mut self.used,
        }
    }

    pub fn people(&self) -> i64 {
        Stage::ALL
            .iter()
            .map(|stage| self.count_at_stage(*stage))
            .sum()
    }

    pub fn have_claimed(&self) -> i64 {
        self.claimed + self.used
    }

    pub fn frees_something(&self) -> bool {
        self.freed >= Usd::CENT
    }

    /// What the next count frees, as pages say it where money is missing.
    pub fn free_tonight(&self) -> String {
        format!(
            "{} comes free with tonight's check",
            self.freed.whole_cents().to_dollars()
        )
    }

    /// How many have claimed, as each page says it.
    pub fn to_words(&self) -> String {
        if self.people() <= 0 {
            return "nobody on the roster yet".to_owned();
        }
        let [claimed, people] = [self.have_claimed(), self.people()]
            .map(|count| group_digits(u64::try_from(count).unwrap_or(0)));
        format!("{claimed} of {people} have claimed")
    }
}

impl Neg for Counts {
    type Output = Counts;

    fn neg(mut self) -> Counts {
        for stage in Stage::ALL {
            *self.place_of(stage) *= -1;
        }
        Counts {
            freed: Usd::ZERO - self.freed,
            ..self
        }
    }
}
