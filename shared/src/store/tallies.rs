//! How often something may be done in a while: whoever does it is counted first, and beyond the bound it is not done.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use super::commit::{key_item, number};
use super::items::{Stored, Tally};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::id::ProgrammeId;

const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);
const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Tally {
    /// The link mails of this minute, of the whole deployment.
    pub fn of_links(now: Timestamp) -> Tally {
        Tally::of("links".to_owned(), A_MINUTE, now)
    }

    /// The previews of a programme's roster in this hour.
    pub fn of_previews(programme: &ProgrammeId, now: Timestamp) -> Tally {
        Tally::of(format!("previews#{programme}"), AN_HOUR, now)
    }

    fn of(what: String, lasts: SignedDuration, now: Timestamp) -> Tally {
        let begins = now.as_second().div_euclid(lasts.as_secs()) * lasts.as_secs();
        let begins = Timestamp::from_second(begins).unwrap_or(now);
        Tally { what, begins_at: begins, ends_at: begins.checked_add(lasts).unwrap_or(Timestamp::MAX), count: 0 }
    }
}

impl Table {
    /// Counts one more. False when there have been so many already.
    pub async fn count_one(&self, tally: &Tally, most: u32, deadline: Deadline) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&tally.key())))
            .update_expression(
                "SET #kind = :kind, #what = :what, #begins_at = :begins_at, #ends_at = :ends_at, #ttl = :ttl ADD #count :one",
            )
            .condition_expression("attribute_not_exists(pk) OR #count < :most")
            .expression_attribute_names("#kind", "kind")
            .expression_attribute_names("#what", "what")
            .expression_attribute_names("#begins_at", "begins_at")
            .expression_attribute_names("#ends_at", "ends_at")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":kind", AttributeValue::S(Tally::KIND.to_owned()))
            .expression_attribute_values(":what", AttributeValue::S(tally.what.clone()))
            .expression_attribute_values(":begins_at", number(tally.begins_at.as_millisecond()))
            .expression_attribute_values(":ends_at", number(tally.ends_at.as_millisecond()))
            .expression_attribute_values(":ttl", number(tally.expires().unwrap_or(tally.ends_at).as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(most));
        Ok(self.write(deadline, || update.clone().send()).await?.is_some())
    }
}
