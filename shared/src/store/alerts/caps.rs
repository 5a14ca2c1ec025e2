//! How far the look at every student's cap came. A reading that changed is looked at by itself; this look finds what the stream lost
//! and what a cap that was made smaller left.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::values::id::ProgrammeId;
use crate::store::table::{StoreError, Table, items, keys};

/// How far one look came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapScan {
    /// The listing of every key that it looks behind.
    #[serde(with = "millisecond::required")]
    pub listed_at: Timestamp,
    /// Where it is to go on; none when it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CapScanPosition>,
}

/// A sixteenth of a programme's grants, by its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapScanPosition {
    pub programme: ProgrammeId,
    pub shard: usize,
}

impl Table {
    /// How far the last look at every cap came, if there was one.
    pub async fn caps_look(&self) -> Result<Option<CapScan>, StoreError> {
        self.get(&keys::caps_look()).await
    }

    /// Notes how far a look came. To look again does no harm, so whoever writes last is right.
    pub async fn note_caps_look(&self, look: &CapScan, deadline: Deadline) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(look)?));
        self.write(deadline, || put.clone().send()).await.map(drop)
    }
}
