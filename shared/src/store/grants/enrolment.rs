//! The people of a roster: a grant for each, found by the address.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::grant::{Grant, Person};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::store::items::stored;
use crate::store::keys::{address_partition, begin, key};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::table::context::Author;
use crate::store::table::write::Round;
use crate::store::table::{StoreError, Table};

/// The most people enrolled by one transaction: four items each and the audit entry fit into its hundred
/// parts.
pub const INVITED_AT_ONCE: usize = 24;

/// A person's grant in a programme. The item's key holds the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub address: MatchedAddress,
    pub programme: ProgrammeId,
    pub grant: GrantId,
}

stored! {
    "enrolment" Enrolment |it| (address: &MatchedAddress = &it.address, programme: &ProgrammeId = &it.programme) => key(address_partition(address), format!("G#{programme}"));
    list of_address(address: &MatchedAddress) => begin(address_partition(address), "G#")
}

/// A person to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    pub person: Person,
    pub group: Option<String>,
}

impl Table {
    /// Enrols people, at most [`INVITED_AT_ONCE`], each once and with a mail queued. Those enrolled already
    /// stay as they are. Returns the new grants.
    pub async fn invite(
        &self,
        id: &ProgrammeId,
        people: &[NewPerson],
        by: Author<'_>,
    ) -> Result<Vec<GrantId>, StoreError> {
        self.carry_through(by.deadline, || async {
            let mut added = Vec::new();
            let mut seen = HashSet::new();
            let enrolled = people.iter().map(|new| {
                let key = Enrolment::key_of(new.person.address.matched(), id);
                async move { self.get(key).await }
            });
            let enrolled = try_join_all(enrolled).await?;
            let mut transaction = self.transaction();
            for (NewPerson { person, group }, enrolled) in people.iter().zip(enrolled) {
                let address = person.address.matched().clone();
                let again = !seen.insert(address.clone());
                if again || enrolled.is_some() {
                    continue;
                }
                let grant = Grant::invited(id.clone(), GrantId::random(), person.clone(), group.clone());
                let enrolment = Enrolment { address, programme: id.clone(), grant: grant.id.clone() };
                let mail = QueuedMail::Roster { programme: id.clone(), grant: grant.id.clone() };
                let mail = OutboxRow::queued(new_ulid(by.now), mail, by.now);
                transaction = transaction.create(&grant)?.create(&enrolment)?.owing(&mail)?;
                added.push(grant.id);
            }
            if added.is_empty() {
                return Ok(Round::Over(added));
            }
            let names: Vec<&str> = added.iter().map(GrantId::as_str).collect();
            let what = AuditDetail::new(Act::Invited).noting(names.join(" "));
            let entry = Entry::on_programme(id, by.actor, by.now, what);
            Ok(Round::Write(transaction.told_by(&[entry])?, added))
        })
        .await
    }
}
