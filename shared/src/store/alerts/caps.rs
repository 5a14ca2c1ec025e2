//! The checkpoint of the scan of every student's cap. The stream checks each reading that changed; the scan
//! finds what the stream lost and what a smaller cap crossed.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::values::id::ProgrammeId;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, key};
use crate::store::table::{StoreError, Table, items};

/// The checkpoint of one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapScan {
    /// The listing of every key after which it scans.
    pub listed_at: Moment,
    /// The position to go on at; `None` once it came to its end.
    pub next: Option<CapScanPosition>,
}

stored! {
    "cap-scan" CapScan |_| () => key(ACCOUNT, "CAP-SCAN")
}

/// One shard of one programme's grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapScanPosition {
    pub programme: ProgrammeId,
    pub shard: usize,
}

impl Table {
    /// Records the checkpoint of a scan. To scan twice does no harm, so the last writer wins.
    pub async fn note_cap_scan(&self, look: &CapScan, deadline: Deadline) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(look)?));
        self.write(deadline, || put.clone().send()).await.map(drop)
    }
}
