//! The deployment's own item: its id, its table, and what identifies its account at the provider.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::values::id::{DeploymentId, PersonId};
use crate::domain::values::key::{Fingerprint, KeyHash};
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::items::Stored;
use crate::store::table::write::{Round, text};
use crate::store::table::{StoreError, Table};

/// This deployment, and the table that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub deployment: DeploymentId,
    /// The name of the table that it belongs to. When that differs from the actual name, the table is a
    /// restored copy.
    pub table: String,
    #[serde(with = "millisecond::required")]
    pub born: Timestamp,
    /// The account at the provider, once a complete sync has listed its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<KnownAccount>,
}

stored! {
    "meta" Meta |_| () => key("META", "META")
}

/// What identifies the account of this deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAccount {
    /// The fingerprint of the management key of the last complete sync.
    pub management_key: Fingerprint,
    /// Three keys that it listed, grants' or foreign. A management key that finds one of them is of the same account.
    ///
    /// Empty after a person confirmed another account: until the next complete sync any will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<KeyHash>,
}

/// The time for creating the item, once in its life: two seconds for retries, and the rest for its first readers.
const FOR_CREATION: Duration = Duration::from_secs(10);

/// The outcome of confirming that a management key is of this deployment's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    Done,
    /// There is nothing to confirm.
    Already,
}

impl Table {
    /// The deployment's own item, created on first use.
    pub async fn meta(&self, now: Timestamp) -> Result<Meta, StoreError> {
        if let Some(meta) = self.get(Meta::key_of()).await? {
            return Ok(meta);
        }
        let meta = Meta { deployment: DeploymentId::random(), table: self.name.clone(), born: now, account: None };
        self.put_new(&meta, Deadline::after(FOR_CREATION)).await?;
        // Another caller may have been first, so the stored item counts.
        self.get(Meta::key_of()).await?.ok_or_else(|| StoreError::corrupt(&Meta::key_of(), Meta::KIND, &"it is gone"))
    }

    /// Records this table, a restored copy that was recovered, as the deployment's own.
    pub async fn adopt(&self, deadline: Deadline) -> Result<(), StoreError> {
        let (names, named) = ("SET #table = :table", [(":table", text(&self.name))]);
        let adopted = self.transaction().update(&Meta::key_of(), names, "attribute_exists(pk)", &named)?;
        self.write_alone(adopted, deadline).await.map(drop)
    }

    /// Records an admin's word that this management key is of the deployment's account, although it finds
    /// none of the listed keys. They are dropped, and the next complete sync names others.
    pub async fn confirm_account(
        &self,
        management_key: &Fingerprint,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Confirmed, StoreError> {
        self.carry_through(deadline, || async {
            let Some(meta) = self.get(Meta::key_of()).await? else { return Ok(Round::Over(Confirmed::Already)) };
            let confirmed = KnownAccount { management_key: management_key.clone(), listed: Vec::new() };
            if meta.account.as_ref() == Some(&confirmed) {
                return Ok(Round::Over(Confirmed::Already));
            }
            let (was, condition) = match &meta.account {
                Some(was) => (was.management_key.short(), "account = :was"),
                None => ("none", "attribute_not_exists(account)"),
            };
            let what = AuditDetail::new(Act::AccountConfirmed).changing(was, management_key.short());
            let entry = Entry::on_account(&Actor::Person(by.clone()), now, what);
            let mut values = vec![(":account", attribute_of(&confirmed)?)];
            if let Some(was) = &meta.account {
                values.push((":was", attribute_of(was)?));
            }
            let transaction = self.transaction().update(&Meta::key_of(), SET_ACCOUNT, condition, &values)?;
            Ok(Round::Write(transaction.told_by(&[entry])?, Confirmed::Done))
        })
        .await
    }
}

pub(crate) const SET_ACCOUNT: &str = "SET account = :account";

pub(crate) fn attribute_of(account: &KnownAccount) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(account).map_err(|error| StoreError::corrupt(&Meta::key_of(), Meta::KIND, &error))
}
