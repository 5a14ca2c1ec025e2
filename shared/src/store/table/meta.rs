//! The deployment's own item: its id, its table and the table's shape, and what identifies its
//! account at the provider; leases, the right to be the one runner until a time; and the context of
//! an act.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::values::id::{DeploymentId, GrantId, KeyHash, ProgrammeId};
use crate::domain::values::key::Fingerprint;
use crate::schema::{Stored, key, stored};
use crate::store::table::write::{Round, Transaction, Unaudited, Writes, instant, text};
use crate::store::{Result, StoreError, Table};

/// The number of the shape in which this build stores things, in a table and in the data folder of
/// one machine. Whoever changes a stored form raises it.
pub const SHAPE: u32 = 11;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// In which shape its items are; those of a table without a number are older than any.
    #[serde(default)]
    pub shape: u32,
    pub deployment: DeploymentId,
    /// The name of the table that it belongs to. When that differs from the actual name, the table
    /// is a restored copy.
    pub table: String,
    pub born: Moment,
    /// The account at the provider, once a complete sync has listed its keys.
    pub account: Option<KnownAccount>,
}

stored! {
    Meta () => key("META", "META")
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownAccount {
    /// The fingerprint of the management key of the last complete sync.
    pub management_key: Fingerprint,
    /// Three keys that it listed, grants' or foreign. A management key that finds one of them is of
    /// the same account.
    ///
    /// Empty after a person confirmed another account: until the next complete sync any will do.
    pub listed: Vec<KeyHash>,
    /// An enabled key of each workspace that had one: a management key that may not read it is for
    /// other workspaces.
    pub of_each_workspace: BTreeMap<String, KeyHash>,
}

/// The time for creating the item, once in its life: two seconds for retries, and the rest for its
/// first readers.
const FOR_CREATION: Duration = Duration::from_secs(10);

impl Table {
    /// The item, if there is one yet. A table of another shape is refused here, since every
    /// function reads the item when it starts.
    pub async fn find_meta(&self) -> Result<Option<Meta>> {
        match self.get(Meta::key_of()).await? {
            Some(Meta { shape, .. }) if shape != SHAPE => Err(StoreError::OtherShape(shape)),
            meta => Ok(meta),
        }
    }

    pub async fn meta(&self, now: Moment) -> Result<Meta> {
        if let Some(meta) = self.find_meta().await? {
            return Ok(meta);
        }
        let meta = Meta {
            shape: SHAPE,
            deployment: DeploymentId::random(),
            table: self.name.clone(),
            born: now,
            account: None,
        };
        self.put_new(&meta, Deadline::after(FOR_CREATION)).await?;
        // Another caller may have been first, so the stored item counts.
        self.get_existing(Meta::key_of()).await
    }

    /// Records this table, a restored copy that was recovered, as the deployment's own.
    pub async fn adopt(&self, deadline: Deadline) -> Result<()> {
        let names = "SET #table = :table";
        let named = [(":table", text(&self.name))];
        self.single()
            .update(&Meta::key_of(), names, "attribute_exists(pk)", &named)?
            .write(deadline)
            .await
            .map(drop)
    }

    /// Records an admin's word that this management key is of the deployment's account, although it
    /// finds none of the listed keys. They are dropped, and the next complete sync names others.
    pub async fn confirm_account(
        &self,
        management_key: &Fingerprint,
        author: Author<'_>,
    ) -> Result<()> {
        self.carry_through(author.deadline, || async {
            let Some(meta) = self.find_meta().await? else {
                return Ok(Round::Over(()));
            };
            let confirmed = KnownAccount {
                management_key: management_key.clone(),
                listed: Vec::new(),
                of_each_workspace: BTreeMap::new(),
            };
            if meta.account.as_ref() == Some(&confirmed) {
                return Ok(Round::Over(()));
            }
            let was = meta
                .account
                .as_ref()
                .map_or("none", |was| was.management_key.short());
            let what =
                AuditDetail::new(Act::AccountConfirmed).with_change(was, management_key.short());
            let audit_entry = author.entry_on_account(what);
            let transaction = self
                .transaction()
                .with_account(meta.account.as_ref(), Some(&confirmed))?;
            Ok(Round::Write(transaction.with_entries(&[audit_entry])?, ()))
        })
        .await
    }
}

impl Transaction {
    /// Writes by what the account is known from now on, while it is known by what it was.
    pub(crate) fn with_account(
        self,
        was: Option<&KnownAccount>,
        account: Option<&KnownAccount>,
    ) -> Result<Transaction> {
        let mut values = Vec::new();
        let condition = match was {
            Some(was) => {
                values.push((":was", attribute_of(was)?));
                "account = :was"
            }
            None => "attribute_not_exists(account)",
        };
        let set = match account {
            Some(account) => {
                values.push((":account", attribute_of(account)?));
                "SET account = :account"
            }
            None => "REMOVE account",
        };
        self.update(&Meta::key_of(), set, condition, &values)
    }
}

fn attribute_of(value: &impl Serialize) -> Result<AttributeValue> {
    serde_dynamo::to_attribute_value(value)
        .map_err(|error| StoreError::corrupt(&Meta::key_of(), Meta::KIND, &error))
}

/// The right of one runner until a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunLease {
    pub lease: String,
    pub holder: String,
    pub until: Moment,
}

stored! {
    RunLease |lease| (name: &str = &lease.lease) => key("LEASE", name)
}

impl Table {
    /// Takes the lease until then; `None` while another holder has it. The same holder may ask
    /// again.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: Moment,
        until: Moment,
        deadline: Deadline,
    ) -> Result<Option<RunLease>> {
        self.carry_through(deadline, || async {
            let stored = self.get(RunLease::key_of(name)).await?;
            if stored
                .as_ref()
                .is_some_and(|stored| stored.until > now && stored.holder != holder)
            {
                return Ok(Round::Over(None));
            }
            let lease = RunLease {
                lease: name.to_owned(),
                holder: holder.to_owned(),
                until,
            };
            // One that somebody else has taken since it was read is not taken over.
            let as_read = [(
                ":until",
                instant(stored.map_or(Moment::UNIX_EPOCH, |stored| stored.until)),
            )];
            let taken =
                self.transaction()
                    .create_or_replace(&lease, "#until = :until", &as_read)?;
            Ok(Round::Write(taken.skip_audit(Unaudited::Sync), Some(lease)))
        })
        .await
    }

    /// Releases the lease, so that the next runner can begin at once. Nothing happens when another
    /// holder has taken over.
    pub async fn release_lease(&self, lease: &RunLease, deadline: Deadline) -> Result<()> {
        let as_held = [(":holder", text(&lease.holder))];
        let released = RunLease {
            until: Moment::UNIX_EPOCH,
            ..lease.clone()
        };
        self.single()
            .put(&released, "holder = :holder", &as_held)?
            .write(deadline)
            .await
            .map(drop)
    }
}

/// The grant that an act is about, when it happens, and until when it may be tried.
#[derive(Debug, Clone, Copy)]
pub struct ActContext<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub now: Moment,
    pub deadline: Deadline,
}

/// The person who acts on a programme, when, and until when it may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub actor: &'a Actor,
    pub now: Moment,
    pub deadline: Deadline,
}

impl Author<'_> {
    pub(crate) fn entry_on(self, programme: &ProgrammeId, what: AuditDetail) -> AuditEntry {
        AuditEntry::new_on_programme(programme, self.actor, self.now, what)
    }

    pub(crate) fn entry_on_account(self, what: AuditDetail) -> AuditEntry {
        AuditEntry::new_on_account(self.actor, self.now, what)
    }
}
