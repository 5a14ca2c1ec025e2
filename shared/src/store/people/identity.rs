//! The identity of an address: its rosters, its roles, and the id by which the audit names the person.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::people::role::{Role, Roles, is_among};
use crate::domain::programme::Programme;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::PersonId;
use crate::store::grants::enrolment::Enrolment;
use crate::store::items::stored;
use crate::store::keys::{address_partition, key};
use crate::store::mail::undeliverable::Undeliverable;
use crate::store::table::commit::{Round, Unaudited};
use crate::store::table::{StoreError, Table, keys};

/// Somebody with a role. Audit entries and queued mails hold only the id; this item alone says whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffPerson {
    pub person: PersonId,
    pub address: EmailAddress,
}

stored! {
    "person" StaffPerson |it| (person: &PersonId = &it.person) => key(format!("N#{person}"), "N")
}

/// The person's id of an address. The item's key holds the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonOfAddress {
    pub address: MatchedAddress,
    pub person: PersonId,
}

stored! {
    "person-of-address" PersonOfAddress |it| (address: &MatchedAddress = &it.address) => key(address_partition(address), "ME")
}

/// The person of an address that is on a roster or in settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// The address as the roster or the settings spell it, to which mail goes.
    pub address: EmailAddress,
    /// Whether the console has anything for them.
    pub has_role: bool,
}

impl Table {
    /// The person of this address, if it is known.
    pub async fn known(
        &self,
        address: &MatchedAddress,
        admins: &[EmailAddress],
    ) -> Result<Option<KnownPerson>, StoreError> {
        if let Some(admin) = admins.iter().find(|admin| admin.matched() == address) {
            return Ok(Some(KnownPerson { address: admin.clone(), has_role: true }));
        }
        let (roles, enrolments) = tokio::try_join!(self.roles_of(address), self.enrolments(address))?;
        if let Some(Roles { address, .. }) = roles.into_iter().find(Roles::is_staff) {
            return Ok(Some(KnownPerson { address, has_role: true }));
        }
        for Enrolment { programme, grant, .. } in enrolments {
            if let Some(grant) = self.get(Grant::key_of(&programme, &grant)).await? {
                return Ok(Some(KnownPerson { address: grant.person.address, has_role: false }));
            }
        }
        Ok(None)
    }

    /// The programmes that this person has a role on, with the role, in the order of their ids.
    pub async fn programmes_of(
        &self,
        address: &MatchedAddress,
        admins: &[EmailAddress],
    ) -> Result<Vec<(Programme, Role)>, StoreError> {
        let programmes = if is_among(address, admins) {
            self.programmes().await?
        } else {
            let staff = self.roles_of(address).await?.into_iter().filter(Roles::is_staff);
            self.programmes_by_id(&staff.map(|roles| roles.programme).collect::<Vec<_>>()).await?
        };
        let with_role = |programme: Programme| {
            let role = Role::of(address, &programme.settings, admins)?;
            Some((programme, role))
        };
        Ok(programmes.into_iter().filter_map(with_role).collect())
    }

    /// The roles that programmes give this address, in the order of their ids.
    pub async fn roles_of(&self, address: &MatchedAddress) -> Result<Vec<Roles>, StoreError> {
        self.query(&keys::address_partition(address), keys::ROLES).await
    }

    /// The enrolments of this address.
    pub async fn enrolments(&self, address: &MatchedAddress) -> Result<Vec<Enrolment>, StoreError> {
        self.query(&keys::address_partition(address), keys::ENROLMENTS).await
    }

    /// The id of somebody with a role, created on first use.
    pub async fn person_of(&self, address: &EmailAddress, deadline: Deadline) -> Result<PersonId, StoreError> {
        self.carry_through(deadline, || async {
            if let Some(PersonOfAddress { person, .. }) = self.get(PersonOfAddress::key_of(address.matched())).await? {
                return Ok(Round::Over(person));
            }
            let person = PersonId::random();
            let of = PersonOfAddress { address: address.matched().clone(), person: person.clone() };
            let named = StaffPerson { person: person.clone(), address: address.clone() };
            let transaction = self.transaction().create(&of)?.create(&named)?;
            Ok(Round::Write(transaction.unaudited(Unaudited::PersonId), person))
        })
        .await
    }

    /// The ids of several people, each once: two spellings may be one person.
    pub async fn people_of(&self, addresses: &[EmailAddress], deadline: Deadline) -> Result<Vec<PersonId>, StoreError> {
        let mut people = Vec::new();
        for address in addresses {
            let person = self.person_of(address, deadline).await?;
            if !people.contains(&person) {
                people.push(person);
            }
        }
        Ok(people)
    }

    /// The mark of an address that mail bounces from or whose owner complained, while it holds.
    pub async fn undeliverable(
        &self,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<Option<Undeliverable>, StoreError> {
        let mark: Option<Undeliverable> = self.get(Undeliverable::key_of(address)).await?;
        Ok(mark.filter(|mark| mark.holds(now)))
    }
}
