//! What is written without a transaction: the deployment's own item, leases of runners, and readings. Each is one conditional
//! write that may be repeated.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};

use super::commit::{key_item, number};
use super::items::{self, Lease, Meta, Refreshed, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::domain::grant::Reading;
use crate::domain::id::{DeploymentId, GrantId};
use crate::sdk_error::reduce;

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
    /// As much or more was recorded before.
    NotNewer,
}

impl Table {
    /// This deployment's own item, made by whoever asks first.
    pub async fn meta(&self, now: Timestamp) -> Result<Meta, StoreError> {
        if let Some(meta) = self.get(&keys::meta()).await? {
            return Ok(meta);
        }
        let meta = Meta { deployment: DeploymentId::random(), table: self.name.clone(), born: now };
        self.put_new(&meta).await?;
        // Somebody else may have been first, so what counts is what is there.
        self.get(&keys::meta()).await?.ok_or_else(|| StoreError::corrupt(&keys::meta(), Meta::KIND, &"it is gone"))
    }

    /// Says that this table is the deployment's own from now on: a copy that was recovered.
    pub async fn adopt(&self, now: Timestamp) -> Result<(), StoreError> {
        let meta = Meta { table: self.name.clone(), ..self.meta(now).await? };
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(&meta)?));
        happened(put.condition_expression("attribute_exists(pk)").send().await).map(drop)
    }

    /// Becomes the one runner until then, unless another is. The same holder may ask again.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        length: SignedDuration,
    ) -> Result<Acquired, StoreError> {
        let until = now + length;
        let kept = Lease { lease: name.to_owned(), holder: holder.to_owned(), fence: 0, until };
        let answer = self
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
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match happened(answer)? {
            Some(answer) => Ok(Acquired::Yes(items::from_item(answer.attributes.unwrap_or_default())?)),
            None => Ok(Acquired::Busy),
        }
    }

    /// Stays the one runner until then. False when another has taken over.
    pub async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        self.set_lease_end(lease, until).await
    }

    /// Lets the next runner begin at once. Nothing happens when another has taken over.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.set_lease_end(lease, Timestamp::UNIX_EPOCH).await.map(drop)
    }

    /// Records what a key has used. The larger numbers stay, so late and stale writers do no harm.
    pub async fn note_reading(&self, reading: &Reading) -> Result<Noted, StoreError> {
        self.put_reading(reading, "").await
    }

    /// Records what somebody just asked the provider about a key. Unlike the sync's it is also written when nothing more was
    /// used, since it is then news that this is so now.
    pub async fn note_latest_reading(&self, reading: &Reading) -> Result<Noted, StoreError> {
        self.put_reading(reading, " OR as_of < :as_of").await
    }

    /// Whether this press may ask the provider what the key of a grant used. Of all who ask before then one may.
    pub async fn may_refresh(&self, grant: &GrantId, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let refreshed = Refreshed { grant: grant.clone(), until };
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(&refreshed)?));
        let put = put
            .condition_expression("attribute_not_exists(pk) OR #until <= :now")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", number(now.as_millisecond()));
        Ok(happened(put.send().await)?.is_some())
    }

    async fn put_reading(&self, reading: &Reading, or: &str) -> Result<Noted, StoreError> {
        let last_used = reading.last_used_at.map_or(0, Timestamp::as_millisecond);
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(reading)?));
        let mut put = put
            .condition_expression(format!(
                "attribute_not_exists(pk) OR (lifetime <= :lifetime AND byok <= :byok AND (lifetime < :lifetime OR \
                 byok < :byok OR last_used_at < :last_used OR (attribute_not_exists(last_used_at) AND :last_used > :nothing){or}))"
            ))
            .expression_attribute_values(":lifetime", number(reading.lifetime().micros()))
            .expression_attribute_values(":byok", number(reading.used.byok.total().micros()))
            .expression_attribute_values(":last_used", number(last_used))
            .expression_attribute_values(":nothing", number(0));
        if !or.is_empty() {
            put = put.expression_attribute_values(":as_of", number(reading.as_of.as_millisecond()));
        }
        Ok(if happened(put.send().await)?.is_some() { Noted::Recorded } else { Noted::NotNewer })
    }

    /// Writes an item that must not be there yet. False when it is.
    pub(super) async fn put_new<T: Stored>(&self, value: &T) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(items::to_item(value)?));
        let answer = put.condition_expression("attribute_not_exists(pk)").send().await;
        Ok(happened(answer)?.is_some())
    }

    /// Replaces an item on condition that its version is still this one. False when somebody was faster.
    pub(super) async fn replace<T: Stored>(&self, value: &T, version: u64) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(items::to_item(value)?))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        Ok(happened(put.send().await)?.is_some())
    }

    /// Removes an item, if it is there.
    pub(super) async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key_item(key)));
        delete.send().await.map(drop).map_err(|error| StoreError::Service(reduce(&error)))
    }

    async fn set_lease_end(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::lease(&lease.lease))))
            .update_expression("SET #until = :until")
            .condition_expression("holder = :holder AND fence = :fence")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.clone()))
            .expression_attribute_values(":fence", number(lease.fence))
            .send()
            .await;
        Ok(happened(answer)?.is_some())
    }
}

/// The answer of a conditional write; none when its condition did not hold.
pub(super) fn happened<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("ConditionalCheckFailedException") => Ok(None),
            _ => Err(StoreError::Service(reduce(&error))),
        },
    }
}
