//! The deployment's own item: what it is called, which table it is in, and by what its account at the provider is known.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::act::new_ulid;
use super::commit::{Commit, Pauses, key_item};
use super::items::{KnownAccount, Meta, Stored};
use super::{StoreError, Table, keys};
use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, What};
use crate::domain::id::{DeploymentId, PersonId};
use crate::domain::key::Fingerprint;

/// The item is made once in its life. Of this so much is left for its readers, and the rest is for trying again.
const FOR_THE_FIRST_ITEM: Duration = Duration::from_secs(10);

/// What became of saying that a management key is of this deployment's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    Done,
    /// Nothing stands against it.
    Already,
}

impl Table {
    /// This deployment's own item, made by whoever asks first.
    pub async fn meta(&self, now: Timestamp) -> Result<Meta, StoreError> {
        if let Some(meta) = self.known_meta().await? {
            return Ok(meta);
        }
        let meta = Meta { deployment: DeploymentId::random(), table: self.name.clone(), born: now, account: None };
        self.put_new(&meta, Deadline::after(FOR_THE_FIRST_ITEM)).await?;
        // Somebody else may have been first, so what counts is what is there.
        self.known_meta().await?.ok_or_else(|| StoreError::corrupt(&keys::meta(), Meta::KIND, &"it is gone"))
    }

    /// This deployment's own item; none until somebody asked for it with `meta`.
    pub async fn known_meta(&self) -> Result<Option<Meta>, StoreError> {
        self.get(&keys::meta()).await
    }

    /// Says that this table is the deployment's own from now on: a copy that was recovered.
    pub async fn adopt(&self, deadline: Deadline) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::meta())))
            .update_expression("SET #table = :table")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#table", "table")
            .expression_attribute_values(":table", AttributeValue::S(self.name.clone()));
        self.write(deadline, || update.clone().send()).await.map(drop)
    }

    /// An admin says that this management key is of the deployment's account, although it finds none of the witnesses. They are
    /// dropped, and the next complete sync names others.
    pub async fn confirm_account(
        &self,
        management_key: &Fingerprint,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Confirmed, StoreError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let Some(meta) = self.known_meta().await? else { return Ok(Confirmed::Already) };
            let confirmed = KnownAccount { management_key: management_key.clone(), witnesses: Vec::new() };
            if meta.account.as_ref() == Some(&confirmed) {
                return Ok(Confirmed::Already);
            }
            let (was, condition) = match &meta.account {
                Some(was) => (was.management_key.short(), "account = :was"),
                None => ("none", "attribute_not_exists(account)"),
            };
            let what = What::new(Act::AccountConfirmed).changing(was, management_key.short());
            let entry = AccountEntry { entry: new_ulid(now), at: now, by: Actor::Person(by.clone()), what };
            let mut values = vec![(":account", attribute_of(&confirmed)?)];
            if let Some(was) = &meta.account {
                values.push((":was", attribute_of(was)?));
            }
            let transaction = self.transaction().update(&keys::meta(), SET_ACCOUNT, condition, &values)?;
            if self.commit(transaction.witnessed_by(&entry)?, &mut pauses).await? == Commit::Done {
                return Ok(Confirmed::Done);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }
}

pub(super) const SET_ACCOUNT: &str = "SET account = :account";

pub(super) fn attribute_of(account: &KnownAccount) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(account).map_err(|error| StoreError::corrupt(&keys::meta(), Meta::KIND, &error))
}
