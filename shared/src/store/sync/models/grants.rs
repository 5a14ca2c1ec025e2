//! Use by model for the student who reads it: the rows of a day again, in items of few grants each. A student's page reads the
//! items of some weeks in one query, and never everybody's rows.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::models::Sums;
use crate::domain::usage::models::rows::{self, GrantRows, GrantUse};
use crate::domain::values::id::GrantId;
use crate::store::table::items::{MOST_IN_A_PART, Stored};
use crate::store::table::{StoreError, Table, keys};

/// The most items in one write, and the most bytes of them: a transaction takes 100 items and four megabytes.
const MOST_ITEMS_AT_ONCE: usize = 90;
const MOST_BYTES_AT_ONCE: usize = 3_000_000;

/// What the grants whose ids begin alike used by model on a completed UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantModels {
    /// The first two digits of the grants' ids.
    pub grants: String,
    pub day: Date,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    /// The end of retention for anything about a person.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// What one grant used of one model on a day; the name is empty for models that are not told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantModelUse {
    pub day: Date,
    pub model: String,
    pub used: Sums,
}

impl Table {
    /// What a grant used by model on these days, both included, oldest first.
    pub async fn models_of_grant(
        &self,
        grant: &GrantId,
        (from, to): (Date, Date),
        now: Timestamp,
    ) -> Result<Vec<GrantModelUse>, StoreError> {
        let grants = shard_of(grant);
        let days: Vec<GrantModels> =
            self.query_between(&keys::grant_models(&grants, from), &keys::grant_models(&grants, to)).await?;
        let mut found = Vec::new();
        for of in days.iter().filter(|of| now < of.until) {
            let rows = GrantRows::unpack(&of.bytes);
            let rows = rows.map_err(|error| StoreError::corrupt(&of.key(), GrantModels::KIND, &error))?;
            let own = rows.each().filter(|row| row.grant == grant.to_bytes());
            found.extend(own.map(|row| GrantModelUse { day: of.day, model: row.model.to_owned(), used: row.used }));
        }
        Ok(found)
    }
}

impl GrantModels {
    /// The first of these items, as many as one transaction takes, and the rest; `None` if there are none.
    pub(in crate::store) fn split_for_one_write(items: &[GrantModels]) -> Option<(&[GrantModels], &[GrantModels])> {
        let mut bytes = 0;
        let fits = |of: &&GrantModels| {
            bytes += of.bytes.len();
            bytes <= MOST_BYTES_AT_ONCE
        };
        let count = items.iter().take(MOST_ITEMS_AT_ONCE).take_while(fits).count();
        items.split_at_checked(count.max(1))
    }

    /// The use of grants on a day, in an item for each of 256 beginnings of their ids that used anything.
    pub fn of(day: Date, uses: &[GrantUse], as_of: Timestamp, until: Timestamp) -> Vec<GrantModels> {
        let mut sorted: Vec<&GrantUse> = uses.iter().collect();
        sorted.sort_by_key(|of| of.grant.to_bytes());
        let alike = sorted.chunk_by(|one, other| shard_of(&one.grant) == shard_of(&other.grant));
        let item = |of: &[&GrantUse]| {
            let grants = of.first().map(|of| shard_of(&of.grant)).unwrap_or_default();
            GrantModels { grants, day, as_of, until, bytes: packed(of) }
        };
        alike.map(item).collect()
    }
}

/// The rows, with the models of each grant put together where they would not fit into an item.
fn packed(uses: &[&GrantUse]) -> Vec<u8> {
    let bytes = rows::pack(uses.iter().copied());
    if bytes.len() <= MOST_IN_A_PART {
        return bytes;
    }
    let by_grant = uses.chunk_by(|one, other| one.grant == other.grant);
    let together = by_grant.filter_map(|of| {
        let used = Sums::of_all(of.iter().map(|of| &of.used));
        of.first().map(|of| GrantUse { model: String::new(), used, ..(*of).clone() })
    });
    rows::pack(&together.collect::<Vec<_>>())
}

fn shard_of(grant: &GrantId) -> String {
    grant.as_str().chars().take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::values::money::Usd;

    fn of(grant: &str, model: &str, micros: i64) -> GrantUse {
        GrantUse {
            programme: "cs-pilot".parse().unwrap(),
            grant: grant.parse().unwrap(),
            model: model.to_owned(),
            used: Sums { spent: Usd::from_micros(micros), byok: Usd::ZERO, requests: 1 },
        }
    }

    fn rows_of(item: &GrantModels) -> Vec<(GrantId, String, i64)> {
        let rows = GrantRows::unpack(&item.bytes).unwrap();
        let row =
            |row: rows::GrantRow<'_>| (GrantId::of_bytes(row.grant), row.model.to_owned(), row.used.spent.micros());
        rows.each().map(row).collect()
    }

    #[test]
    fn grants_lie_together_by_the_beginning_of_their_ids_and_none_is_left_out() {
        let uses = [of("ab00000000000002", "b", 3), of("0b00000000000001", "a", 1), of("ab00000000000001", "a", 2)];
        let items = GrantModels::of(Date::constant(2026, 11, 1), &uses, Timestamp::MIN, Timestamp::MAX);
        let found: Vec<_> = items.iter().map(|item| (item.grants.as_str(), rows_of(item).len())).collect();
        assert_eq!(found, [("0b", 1), ("ab", 2)]);
        assert_eq!(rows_of(&items[1])[1], ("ab00000000000002".parse().unwrap(), "b".to_owned(), 3));
    }

    #[test]
    fn a_write_has_no_more_items_and_bytes_than_a_transaction_takes() {
        let item = |bytes: usize| GrantModels {
            grants: "ab".to_owned(),
            day: Date::constant(2026, 11, 1),
            as_of: Timestamp::MIN,
            until: Timestamp::MAX,
            bytes: vec![0; bytes],
        };
        let parts = |items: &[GrantModels]| {
            let (mut rest, mut parts) = (items, Vec::new());
            while let Some((part, after)) = GrantModels::split_for_one_write(rest) {
                parts.push(part.len());
                rest = after;
            }
            parts
        };
        assert_eq!(parts(&vec![item(1); 256]), [90, 90, 76]);
        assert_eq!(parts(&vec![item(380_000); 16]), [7, 7, 2]);
        assert_eq!(parts(&[]), [0; 0]);
    }

    #[test]
    fn where_there_are_too_many_models_for_an_item_each_grant_keeps_its_sum() {
        let row = |number: i64| of(&format!("ab{:014x}", number / 20), &format!("{}/{number}", "m".repeat(60)), 1);
        let uses: Vec<GrantUse> = (0..8_000).map(row).collect();
        let items = GrantModels::of(Date::constant(2026, 11, 1), &uses, Timestamp::MIN, Timestamp::MAX);
        assert!(items.len() == 1 && items[0].bytes.len() <= MOST_IN_A_PART);
        let rows = rows_of(&items[0]);
        assert!(rows.len() == 400 && rows.iter().all(|(_, model, micros)| model.is_empty() && *micros == 20));
    }
}
