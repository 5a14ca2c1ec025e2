//! Leases: the right to be the one runner until a time.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::write::{Round, Unaudited, number, text};
use crate::store::table::{StoreError, Table};

/// A runner's lease. The fence grows with each holder, so that a stale one is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub lease: String,
    pub holder: String,
    pub fence: u64,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

stored! {
    "lease" Lease |it| (name: &str = &it.lease) => key("LEASE", name)
}

/// The outcome of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    Yes(Lease),
    /// Another holder has it.
    Busy,
}

impl Table {
    /// Takes the lease until then, unless another holder has it. The same holder may ask again.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        length: SignedDuration,
        deadline: Deadline,
    ) -> Result<Acquired, StoreError> {
        self.carry_through(deadline, || async {
            let known = self.get(Lease::key_of(name)).await?;
            if known.as_ref().is_some_and(|known| known.until > now && known.holder != holder) {
                return Ok(Round::Over(Acquired::Busy));
            }
            let before = known.map_or(0, |known| known.fence);
            let lease =
                Lease { lease: name.to_owned(), holder: holder.to_owned(), fence: before + 1, until: now + length };
            let taken =
                self.transaction().create_or_replace(&lease, "fence = :before", &[(":before", number(before))])?;
            Ok(Round::Write(taken.unaudited(Unaudited::Sync), Acquired::Yes(lease)))
        })
        .await
    }

    /// Extends the lease until then. Returns `false` when another holder has taken over.
    pub async fn renew(&self, lease: &Lease, until: Timestamp, deadline: Deadline) -> Result<bool, StoreError> {
        let as_held = [(":holder", text(&lease.holder)), (":fence", number(lease.fence))];
        let renewed = Lease { until, ..lease.clone() };
        let renewed = self.transaction().put(&renewed, "holder = :holder AND fence = :fence", &as_held)?;
        self.write_alone(renewed, deadline).await
    }

    /// Releases the lease, so that the next runner can begin at once. Nothing happens when another holder has
    /// taken over.
    pub async fn release_lease(&self, lease: &Lease, deadline: Deadline) -> Result<(), StoreError> {
        self.renew(lease, Timestamp::UNIX_EPOCH, deadline).await.map(drop)
    }
}
