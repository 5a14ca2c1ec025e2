//! Readings: each is one conditional write that may be repeated, and a recorded value gives way only to a
//! larger one.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::usage::reading::Reading;
use crate::domain::values::id::{Epoch, GrantId, ProgrammeId};
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::commit::{Commit, Pauses, Unaudited};
use crate::store::table::items::{Item, Stored};
use crate::store::table::transaction::{key_item, number};
use crate::store::table::{StoreError, Table, items};

/// Whether a reading was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingWrite {
    Recorded,
    /// As much or more is recorded, from a listing or query as late or later.
    NotNewer,
}

/// A claim to ask the provider what a grant's key used: until `next_at` no other press may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRefresh {
    pub grant: GrantId,
    pub next_at: Moment,
}

stored! {
    "usage-refresh" UsageRefresh |it| (grant: &GrantId = &it.grant) => key(format!("REFRESH#{grant}"), "REFRESH");
    expires it.next_at
}

impl Table {
    /// Records what a key has used. A larger recorded value stands, so late and stale writers do no harm.
    /// Each lifetime counter is its maximum; the window is that of the latest query.
    pub async fn note_reading(&self, reading: &Reading, deadline: Deadline) -> Result<ReadingWrite, StoreError> {
        let (mut pauses, mut wanted) = (Pauses::until(deadline), reading.clone());
        let mut stored: Option<Reading> = None;
        loop {
            let item = items::to_item(&wanted)?;
            if self.put_reading(&item, &wanted, stored.as_ref(), deadline).await? {
                return Ok(ReadingWrite::Recorded);
            }
            let there = self.get_item(&wanted.key()).await?;
            // An earlier try took effect, but its answer was lost.
            if there.as_ref() == Some(&item) {
                return Ok(ReadingWrite::Recorded);
            }
            stored = there.map(items::from_item).transpose()?;
            wanted = stored.as_ref().map_or_else(|| reading.clone(), |stored| stored.joined(reading));
            if stored.as_ref() == Some(&wanted) {
                return Ok(ReadingWrite::NotNewer);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Whether this request may ask the provider what a grant's key used: one request may in each interval.
    pub async fn may_refresh(
        &self,
        grant: &GrantId,
        now: Moment,
        next_at: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let refreshed = UsageRefresh { grant: grant.clone(), next_at };
        let now = [(":now", number(now.as_millisecond()))];
        let claimed =
            self.transaction().create_or_replace(&refreshed, "next_at <= :now", &now)?.unaudited(Unaudited::Refresh);
        Ok(self.commit(claimed, &mut Pauses::until(deadline)).await? == Commit::Done)
    }

    /// Records that a key could not be found, so that its reading held until the last full listing of keys
    /// and no longer. An earlier such time stands. Without a reading there is nothing to record.
    pub async fn note_failed_look(
        &self,
        (programme, grant, epoch): (&ProgrammeId, &GrantId, Epoch),
        listed_at: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&Reading::key_of(programme, grant, epoch))))
            .update_expression("SET unchanged_until = if_not_exists(unchanged_until, :listed_at)")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":listed_at", number(listed_at.as_millisecond()));
        self.write(deadline, || update.clone().send()).await.map(drop)
    }

    /// Puts a reading where there is none, or none that is larger in any number. Over a reading that was
    /// read, only if it is unchanged.
    async fn put_reading(
        &self,
        item: &Item,
        reading: &Reading,
        over: Option<&Reading>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (condition, of) = match over {
            None => {
                ("attribute_not_exists(pk) OR (lifetime <= :lifetime AND byok <= :byok AND as_of <= :as_of)", reading)
            }
            Some(read) => ("lifetime = :lifetime AND byok = :byok AND as_of = :as_of", read),
        };
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.clone()))
            .condition_expression(condition)
            .expression_attribute_values(":lifetime", number(of.lifetime().micros()))
            .expression_attribute_values(":byok", number(of.used.byok.total().micros()))
            .expression_attribute_values(":as_of", number(of.as_of.as_millisecond()));
        Ok(self.write(deadline, || put.clone().send()).await?.is_some())
    }
}
