//! Readings: each is one conditional write that may be repeated, and a recorded value gives way only to a
//! larger one.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::usage::reading::Reading;
use crate::domain::values::id::{Epoch, GrantId, ProgrammeId};
use crate::store::items::stored;
use crate::store::keys::{grant_partition_of, key};
use crate::store::table::items::Stored;
use crate::store::table::write::{Pauses, Transaction, Unaudited, instant, number};
use crate::store::table::{StoreError, Table};

/// Whether a reading was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingWrite {
    Recorded,
    /// As much or more is recorded, from a listing or query as late or later.
    NotNewer,
}

/// That something of a grant was done by hand, and may not be done again before some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneByHand {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub what: ByHand,
    #[serde(with = "millisecond::required")]
    pub again_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByHand {
    /// The provider was asked what the key used.
    Refresh,
    /// The roster mail was sent again.
    RosterMail,
}

stored! {
    "done-by-hand" DoneByHand |it| (programme: &ProgrammeId = &it.programme, grant: &GrantId = &it.grant, what: ByHand = it.what) => {
        let what = match what { ByHand::Refresh => "refresh", ByHand::RosterMail => "roster-mail" };
        key(grant_partition_of(programme, grant), format!("W#{grant}#{what}"))
    };
    expires it.again_at
}

impl Table {
    /// Records what a key has used. A larger recorded value stands, so late and stale writers do no harm.
    /// Each lifetime counter is its maximum; the window is that of the latest query.
    pub async fn note_reading(&self, reading: &Reading, deadline: Deadline) -> Result<ReadingWrite, StoreError> {
        let (mut pauses, mut wanted) = (Pauses::until(deadline), reading.clone());
        let mut stored: Option<Reading> = None;
        loop {
            if self.put_reading(&wanted, stored.as_ref(), deadline).await? {
                return Ok(ReadingWrite::Recorded);
            }
            stored = self.get(wanted.key()).await?;
            // An earlier try took effect, but its answer was lost.
            if stored.as_ref() == Some(&wanted) {
                return Ok(ReadingWrite::Recorded);
            }
            wanted = stored.as_ref().map_or_else(|| reading.clone(), |stored| stored.joined(reading));
            if stored.as_ref() == Some(&wanted) {
                return Ok(ReadingWrite::NotNewer);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Whether this press may ask the provider what a grant's key used: one press may in each interval.
    pub async fn may_refresh(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        now: Timestamp,
        again_at: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (programme, grant) = (programme.clone(), grant.clone());
        let done = DoneByHand { programme, grant, what: ByHand::Refresh, again_at };
        let claimed = self.transaction().doing_by_hand(&done, now)?.unaudited(Unaudited::Refresh);
        self.commit_once(claimed, deadline).await
    }

    /// Records that a key could not be found, so that its reading held until the last full listing of keys
    /// and no longer. An earlier such time stands. Without a reading there is nothing to record.
    pub async fn note_failed_look(
        &self,
        (programme, grant, epoch): (&ProgrammeId, &GrantId, Epoch),
        listed_at: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let key = Reading::key_of(programme, grant, epoch);
        let held = "SET unchanged_until = if_not_exists(unchanged_until, :listed_at)";
        let values = [(":listed_at", instant(listed_at))];
        let held = self.transaction().update(&key, held, "attribute_exists(pk)", &values)?;
        self.write_alone(held, deadline).await.map(drop)
    }

    /// Puts a reading where there is none, or none that is larger in any number. Over a reading that was
    /// read, only if it is unchanged.
    async fn put_reading(
        &self,
        reading: &Reading,
        over: Option<&Reading>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let put = self.transaction();
        let put = match over {
            None => {
                let not_larger = "(lifetime <= :lifetime AND byok <= :byok AND as_of <= :as_of)";
                put.create_or_replace(reading, not_larger, &as_read(reading))?
            }
            Some(read) => put.put(reading, AS_READ, &as_read(read))?,
        };
        self.write_alone(put, deadline).await
    }
}

impl Transaction {
    /// Notes that something is done by hand, on condition that it may be.
    pub(crate) fn doing_by_hand(self, done: &DoneByHand, now: Timestamp) -> Result<Transaction, StoreError> {
        self.create_or_replace(done, "again_at <= :now", &[(":now", instant(now))])
    }
}

/// The condition that a reading is as it was read.
pub(crate) const AS_READ: &str = "(lifetime = :lifetime AND byok = :byok AND as_of = :as_of)";

pub(crate) fn as_read(reading: &Reading) -> [(&'static str, AttributeValue); 3] {
    [
        (":lifetime", number(reading.lifetime().micros())),
        (":byok", number(reading.used.byok.total().micros())),
        (":as_of", instant(reading.as_of)),
    ]
}
