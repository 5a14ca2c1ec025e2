//! The sentences that say where a statement does not begin or end at the edges of its days.

use super::statement::{EdgeNote, StatementDays};
use crate::domain::values::format::utc;

impl EdgeNote {
    pub fn in_words(self, days: StatementDays) -> String {
        match self {
            EdgeNote::BeginsLate(at) => format!(
                "No complete sync began on {}, so this statement begins with the next one, of {}. What was spent in between is in the statement before.",
                days.from,
                utc(at)
            ),
            EdgeNote::BeginsWithTheFirst(at) => format!(
                "The first complete sync of all began on {}, so this statement begins with it. What was spent before is in no statement.",
                utc(at)
            ),
            EdgeNote::EndsLate(at) => format!(
                "No complete sync began on the day after {}, so this statement ends with the next one, of {}.",
                days.to,
                utc(at)
            ),
            EdgeNote::NotOver(at) => format!(
                "No complete sync has begun since {} was over, so this statement ends with the last one, of {}, and will change.",
                days.to,
                utc(at)
            ),
        }
    }
}
