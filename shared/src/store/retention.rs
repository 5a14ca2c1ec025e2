//! Holds on retention: whose data an admin keeps, since a law or a court wants it. Neither time nor
//! a press erases such a person before an admin lets go. What expires by itself, such as mails,
//! still does.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::audit::{Act, AuditDetail, AuditEntry};
use crate::domain::grant::Grant;
use crate::domain::programme::Programme;
use crate::domain::values::address::MatchedAddress;
use crate::schema::{begin, key, stored};
use crate::store::table::write::{Round, Writes};
use crate::store::{Author, Result, Table};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetentionHold {
    pub address: MatchedAddress,
    pub reason: String,
    pub held_at: Moment,
}

stored! {
    RetentionHold (address: &MatchedAddress) => key("HOLDS", address.as_str());
    // There are few.
    list all() => begin("HOLDS", "")
}

impl RetentionHold {
    /// Whether a grant is this person's, or was before the address passed on.
    pub fn is_of(&self, grant: &Grant) -> bool {
        *grant.person.address.matched() == self.address
            || grant.lost.contains(&self.address.digest())
    }
}

impl Table {
    pub async fn retention_hold(&self, address: &MatchedAddress) -> Result<Option<RetentionHold>> {
        self.get(RetentionHold::key_of(address)).await
    }

    /// Takes out the grants of people who are kept.
    pub(crate) async fn remove_held(&self, mut grants: Vec<Grant>) -> Result<Vec<Grant>> {
        let holds = self.list(RetentionHold::all()).await?;
        grants.retain(|grant| !holds.iter().any(|hold| hold.is_of(grant)));
        Ok(grants)
    }

    /// Keeps the person of an address for this reason, or without one lets go of them. `false`
    /// where that is so already. Programmes whose people were erased meanwhile are gone through
    /// once more.
    pub async fn set_retention_hold(
        &self,
        address: &MatchedAddress,
        reason: Option<&str>,
        author: Author<'_>,
    ) -> Result<bool> {
        let act = if reason.is_some() {
            Act::RetentionHeld
        } else {
            Act::RetentionReleased
        };
        // Without the reason, which faculty would read: it is the hold's alone.
        let what = AuditDetail::new(act);
        self.carry_through(author.deadline, || async {
            if self.retention_hold(address).await?.is_some() == reason.is_some() {
                return Ok(Round::Over(false));
            }
            let mut transaction = self.transaction();
            transaction = match reason {
                Some(reason) => {
                    let reason = reason.to_owned();
                    transaction.create(&RetentionHold {
                        address: address.clone(),
                        reason,
                        held_at: author.now,
                    })?
                }
                None => transaction.remove(
                    &RetentionHold::key_of(address),
                    "attribute_exists(pk)",
                    &[],
                )?,
            };
            let mut entries = Vec::new();
            for Grant { programme, id, .. } in self.grants_of_address(address).await? {
                entries.push(AuditEntry {
                    grant: Some(id),
                    ..author.entry_on(&programme, what.clone())
                });
                let erased = self
                    .get(Programme::key_of(&programme))
                    .await?
                    .filter(|programme| programme.erased_at.is_some());
                if let Some(erased) = erased.filter(|_| reason.is_none()) {
                    entries.push(author.entry_on(&programme, what.clone()));
                    let version = erased.version + 1;
                    transaction = transaction.replace(&Programme {
                        erased_at: None,
                        version,
                        ..erased
                    })?;
                }
            }
            if entries.is_empty() {
                entries.push(author.entry_on_account(what.clone()));
            }
            Ok(Round::Write(transaction.with_entries(&entries)?, true))
        })
        .await
    }
}
