//! Who with a role signed in and out, and which files that name people they were given: entries of
//! an audit of their own, with the source address, and with an end. A network address is stored
//! nowhere else.

use std::net::IpAddr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Actor, AuditDetail, AuditEntry};
use crate::domain::values::id::PersonId;
use crate::schema::{begin, key, stored};
use crate::store::{Result, Table};

pub(crate) const ACCESS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);

#[derive(Debug, Serialize, Deserialize)]
pub struct AccessEntry {
    #[serde(flatten)]
    pub audit_entry: AuditEntry,
    pub source: Option<IpAddr>,
}

stored! {
    AccessEntry |access| (entry: Ulid = access.audit_entry.entry) => key("ACCESS", entry.to_string());
    list all() => begin("ACCESS", "");
    expires |access| access.audit_entry.recorded_at + ACCESS_KEPT
}

impl AccessEntry {
    pub fn new(
        person: &PersonId,
        source: Option<IpAddr>,
        now: Moment,
        what: AuditDetail,
    ) -> AccessEntry {
        AccessEntry {
            audit_entry: AuditEntry::new_on_account(&Actor::Person(person.clone()), now, what),
            source,
        }
    }
}

impl Table {
    /// Writes an entry that is not part of another write.
    pub async fn record_access(&self, access: &AccessEntry, deadline: Deadline) -> Result<()> {
        self.put_new(access, deadline).await.map(drop)
    }

    /// Those of the last 90 days, in the order of time.
    pub async fn accesses(&self, now: Moment) -> Result<Vec<AccessEntry>> {
        let mut accesses = self.list_known(AccessEntry::all()).await?;
        accesses.retain(|access| now < access.audit_entry.recorded_at + ACCESS_KEPT);
        Ok(accesses)
    }
}
