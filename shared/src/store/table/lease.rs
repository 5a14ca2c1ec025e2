//! Leases: the right to be the one runner until a time. Each write is conditional and may be repeated.

use crate::clock::Moment;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::items::Stored;
use crate::store::table::transaction::{key_item, number};
use crate::store::table::{StoreError, Table, items};

/// A runner's lease. The fence grows with each holder, so that a stale one is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub lease: String,
    pub holder: String,
    pub fence: u64,
    pub until: Moment,
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
        now: Moment,
        length: SignedDuration,
        deadline: Deadline,
    ) -> Result<Acquired, StoreError> {
        let until = now + length;
        let kept = Lease { lease: name.to_owned(), holder: holder.to_owned(), fence: 0, until };
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&Lease::key_of(name))))
            .update_expression("SET #kind = :kind, #lease = :name, holder = :holder, #until = :until ADD fence :one")
            .condition_expression("attribute_not_exists(pk) OR #until <= :now OR holder = :holder")
            .expression_attribute_names("#kind", "kind")
            .expression_attribute_names("#lease", "lease")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":kind", AttributeValue::S(Lease::KIND.to_owned()))
            .expression_attribute_values(":name", AttributeValue::S(kept.lease))
            .expression_attribute_values(":holder", AttributeValue::S(kept.holder))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        // The holder may take it again, so a lost answer does not lock anybody out.
        match self.write(deadline, || update.clone().send()).await? {
            Some(answer) => Ok(Acquired::Yes(items::from_item(answer.attributes.unwrap_or_default())?)),
            None => Ok(Acquired::Busy),
        }
    }

    /// Extends the lease until then. Returns `false` when another holder has taken over.
    pub async fn renew(&self, lease: &Lease, until: Moment, deadline: Deadline) -> Result<bool, StoreError> {
        self.set_lease_end(lease, until, deadline).await
    }

    /// Releases the lease, so that the next runner can begin at once. Nothing happens when another holder has
    /// taken over.
    pub async fn release_lease(&self, lease: &Lease, deadline: Deadline) -> Result<(), StoreError> {
        self.set_lease_end(lease, Moment::UNIX_EPOCH, deadline).await.map(drop)
    }

    async fn set_lease_end(&self, lease: &Lease, until: Moment, deadline: Deadline) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&Lease::key_of(&lease.lease))))
            .update_expression("SET #until = :until")
            .condition_expression("holder = :holder AND fence = :fence")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.clone()))
            .expression_attribute_values(":fence", number(lease.fence));
        Ok(self.write(deadline, || update.clone().send()).await?.is_some())
    }
}
