//! Rate limits: each use is counted first in the current interval, and refused beyond the limit.

use crate::clock::Moment;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::values::id::ProgrammeId;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::items::Stored;
use crate::store::table::transaction::{Counter, number};
use crate::store::table::{StoreError, Table};

const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);
const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The uses of something with a rate limit in one interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCount {
    pub what: String,
    pub begins_at: Moment,
    pub ends_at: Moment,
    pub count: u32,
}

stored! {
    "rate-count" RateCount |it| (what: &str = &it.what, begins_at: Moment = it.begins_at) => key(format!("RATE#{what}"), format!("{:012}", begins_at.as_second()));
    expires it.ends_at
}

impl RateCount {
    /// The count of this minute's link mails, over the whole deployment.
    pub fn of_links(now: Moment) -> RateCount {
        RateCount::of("links".to_owned(), A_MINUTE, now)
    }

    /// The count of this hour's previews of a programme's roster.
    pub fn of_previews(programme: &ProgrammeId, now: Moment) -> RateCount {
        RateCount::of(format!("previews#{programme}"), AN_HOUR, now)
    }

    fn of(what: String, lasts: SignedDuration, now: Moment) -> RateCount {
        let begins = now.as_second().div_euclid(lasts.as_secs()) * lasts.as_secs();
        let begins = Moment::from_second(begins).unwrap_or(now);
        RateCount { what, begins_at: begins, ends_at: begins.checked_add(lasts).unwrap_or(Moment::MAX), count: 0 }
    }
}

impl Table {
    /// Counts one more use. Returns `false` when there have been `most` already.
    pub async fn count_one(&self, tally: &RateCount, most: u32, deadline: Deadline) -> Result<bool, StoreError> {
        let says = [
            ("kind", AttributeValue::S(RateCount::KIND.to_owned())),
            ("what", AttributeValue::S(tally.what.clone())),
            ("begins_at", number(tally.begins_at.as_millisecond())),
            ("ends_at", number(tally.ends_at.as_millisecond())),
            ("ttl", number(tally.ends_at.as_second())),
        ];
        let counter = Counter { says: &says, at_first: &[], add: &[("count", 1)] };
        self.count(&tally.key(), &counter, Some(most), deadline).await
    }
}
