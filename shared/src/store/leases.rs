//! What is written without a transaction: leases of runners, and readings. Each is one conditional write that may be repeated. Below,
//! the writes of a single item that the other rooms use.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};

use super::commit::{Pauses, key_item, number};
use super::items::{self, Item, Lease, Refreshed, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::grant::Reading;
use crate::domain::id::{Epoch, GrantId, Nonce, ProgrammeId};

/// Whether somebody is the one runner now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    Yes(Lease),
    /// Another has it.
    Busy,
}

/// Whether a reading was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    Recorded,
    /// As much or more was recorded before, by whoever asked as late or later.
    NotNewer,
}

impl Table {
    /// Becomes the one runner until then, unless another is. The same holder may ask again.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        length: SignedDuration,
        deadline: Deadline,
    ) -> Result<Acquired, StoreError> {
        let until = now + length;
        let kept = Lease { lease: name.to_owned(), holder: holder.to_owned(), fence: 0, until };
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::lease(name))))
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
        // Who has it may have it again, so an answer that was lost makes nobody busy.
        match self.write(deadline, || update.clone().send()).await? {
            Some(answer) => Ok(Acquired::Yes(items::from_item(answer.attributes.unwrap_or_default())?)),
            None => Ok(Acquired::Busy),
        }
    }

    /// Stays the one runner until then. False when another has taken over.
    pub async fn renew(&self, lease: &Lease, until: Timestamp, deadline: Deadline) -> Result<bool, StoreError> {
        self.set_lease_end(lease, until, deadline).await
    }

    /// Lets the next runner begin at once. Nothing happens when another has taken over.
    pub async fn release_lease(&self, lease: &Lease, deadline: Deadline) -> Result<(), StoreError> {
        self.set_lease_end(lease, Timestamp::UNIX_EPOCH, deadline).await.map(drop)
    }

    /// Records what a key has used. What is on record by then stands where it says more, so late and stale writers do no harm: each
    /// lifetime counter by its maximum, the window by whoever asked last.
    pub async fn note_reading(&self, reading: &Reading, deadline: Deadline) -> Result<Noted, StoreError> {
        let (mut pauses, mut wanted) = (Pauses::until(deadline), reading.clone());
        let mut stored: Option<Reading> = None;
        loop {
            let item = items::to_item(&wanted)?;
            if self.put_reading(&item, &wanted, stored.as_ref(), deadline).await? {
                return Ok(Noted::Recorded);
            }
            let there = self.get_item(&wanted.key()).await?;
            // A write that took effect and was not heard of.
            if there.as_ref() == Some(&item) {
                return Ok(Noted::Recorded);
            }
            stored = there.map(items::from_item).transpose()?;
            wanted = stored.as_ref().map_or_else(|| reading.clone(), |stored| stored.joined(reading));
            if stored.as_ref() == Some(&wanted) {
                return Ok(Noted::NotNewer);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Whether this press may ask the provider what the key of a grant used. Of all who ask before then one may.
    pub async fn may_refresh(
        &self,
        grant: &GrantId,
        now: Timestamp,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let refreshed = Refreshed { grant: grant.clone(), until, press: Nonce::random() };
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(&refreshed)?));
        let put = put
            .condition_expression("attribute_not_exists(pk) OR #until <= :now")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", number(now.as_millisecond()));
        match self.write(deadline, || put.clone().send()).await? {
            Some(_) => Ok(true),
            None => self.is_there(&refreshed).await,
        }
    }

    /// Remembers that a key was looked for in vain: what is on record of it held until every key was last looked at, and no longer.
    /// An earlier such time stands, and without a reading there is nothing to be remembered.
    pub async fn looked_in_vain(
        &self,
        (programme, grant, epoch): (&ProgrammeId, &GrantId, Epoch),
        looked_at: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::reading(programme, grant, epoch))))
            .update_expression("SET unchanged_until = if_not_exists(unchanged_until, :looked_at)")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":looked_at", number(looked_at.as_millisecond()));
        self.write(deadline, || update.clone().send()).await.map(drop)
    }

    /// Puts a reading where there is none, or none that says more of anything; over one that was read, if it is still that one.
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

    /// Writes an item that must not be there yet. False when one is, be it this one, written unheard.
    pub(super) async fn put_new<T: Stored>(&self, value: &T, deadline: Deadline) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(value)?));
        let put = put.condition_expression("attribute_not_exists(pk)");
        Ok(self.write(deadline, || put.clone().send()).await?.is_some())
    }

    /// Replaces an item on condition that its version is still this one. False when somebody was faster, or it was replaced unheard.
    pub(super) async fn replace<T: Stored>(
        &self,
        value: &T,
        version: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(items::to_item(value)?))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        Ok(self.write(deadline, || put.clone().send()).await?.is_some())
    }

    /// Replaces an item that says who wrote it, on condition that its version is still this one. It is read back where the condition does
    /// not hold, so that nobody takes their own write, whose answer was lost, for somebody else's.
    pub(super) async fn replace_as_mine<T: Stored>(
        &self,
        value: &T,
        version: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(self.replace(value, version, deadline).await? || self.is_there(value).await?)
    }

    /// Whether an item is there just as it was to be written.
    async fn is_there<T: Stored>(&self, value: &T) -> Result<bool, StoreError> {
        Ok(self.get_item(&value.key()).await?.as_ref() == Some(&items::to_item(value)?))
    }

    /// Removes an item, if it is there.
    pub(super) async fn delete(&self, key: &Key, deadline: Deadline) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key_item(key)));
        self.write(deadline, || delete.clone().send()).await.map(drop)
    }

    async fn set_lease_end(&self, lease: &Lease, until: Timestamp, deadline: Deadline) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::lease(&lease.lease))))
            .update_expression("SET #until = :until")
            .condition_expression("holder = :holder AND fence = :fence")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.clone()))
            .expression_attribute_values(":fence", number(lease.fence));
        Ok(self.write(deadline, || update.clone().send()).await?.is_some())
    }
}
