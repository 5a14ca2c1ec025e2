//! The acts on a programme: create, edit, its pot, its roster, its end. Ending its grants is a walk over them, each by its own
//! act; that walk is what keeps a claim out, not a check in the claim.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::act::new_ulid;
use super::commit::{Commit, Pauses, Transaction, number};
use super::items::{Enrolment, ListedProgramme, OutboxRow, OwedMail};
use super::keys;
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, Entry, What};
use crate::domain::grant::{Grant, Person};
use crate::domain::id::{GrantId, ProgrammeId};
use crate::domain::money::Usd;
use crate::domain::programme::{Pot, Programme, Settings};
use crate::domain::role::RoleChanges;

/// People are put on a roster so many at a time: four items each and the audit entry fit into one transaction.
pub const INVITED_AT_ONCE: usize = 24;

/// Somebody to be put on a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    pub person: Person,
    pub group: Option<String>,
}

/// Who acts on a programme, when, and until when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub actor: &'a Actor,
    pub now: Timestamp,
    pub deadline: Deadline,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    Done,
    /// Somebody has a place in the pot or was shown a key, and the edit would change what places cost or how limits count.
    PlacesTaken,
    /// Somebody edited it meanwhile: this is how it stands.
    Stale(Box<Programme>),
    NoSuchProgramme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    Done,
    Already,
    NoSuchProgramme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PotSet {
    Done,
    Unchanged,
    NoSuchProgramme,
}

/// What the pots of programmes have promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promised {
    pub reserved: Usd,
    /// What is reserved and not spent yet: that must be paid from the balance.
    pub to_come: Usd,
    pub programmes: usize,
}

impl Table {
    /// What the pots of these programmes have promised, by what was spent when the sync last summed it up.
    pub async fn promised(&self, programmes: &[Programme]) -> Result<Promised, StoreError> {
        let each = programmes.iter().map(|programme| async move {
            let (pot, totals) = tokio::try_join!(self.pot(&programme.id), self.totals(&programme.id))?;
            let spent = totals.map_or(Usd::ZERO, |totals| totals.used.counted(programme.settings.byok));
            Ok::<_, StoreError>((pot.map_or(Usd::ZERO, |pot| pot.reserved), spent))
        });
        let sums = try_join_all(each.collect::<Vec<_>>()).await?;
        Ok(Promised {
            reserved: sums.iter().map(|(reserved, _)| *reserved).sum(),
            to_come: sums.iter().map(|(reserved, spent)| (*reserved - *spent).or_zero()).sum(),
            programmes: programmes.len(),
        })
    }

    /// Creates a programme under the slug of its name, or the next number of it that is free.
    pub async fn create_programme(&self, settings: Settings, pot: Usd, by: By<'_>) -> Result<ProgrammeId, StoreError> {
        let slug = ProgrammeId::of_name(&settings.name);
        let mut pauses = Pauses::until(by.deadline);
        let mut count = 1;
        loop {
            let id = if count == 1 { slug.clone() } else { slug.numbered(count) };
            let pot = Pot::new(id.clone(), pot);
            let what = What::new(Act::Created).noting(format!("pot {}", pot.limit));
            let programme = Programme::created(id.clone(), settings.clone(), by.now);
            let transaction =
                self.transaction().create(&programme)?.create(&pot)?.witnessed_by(&entry_on(&id, &by, what))?;
            let listed = ListedProgramme { programme: id.clone() };
            let roles = RoleChanges::between(&id, None, &programme.settings);
            let transaction = with_roles(transaction.create(&listed)?, &id, &roles)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(id);
            }
            count += 1;
        }
    }

    /// Replaces the settings that were read after this many edits. What a place in the pot costs can change only while nobody has one.
    pub async fn save_settings(
        &self,
        id: &ProgrammeId,
        settings: Settings,
        edits: u64,
        what: What,
        by: By<'_>,
    ) -> Result<Saved, StoreError> {
        let costs = |settings: &Settings| {
            let caps: Vec<_> =
                settings.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.cap?))).collect();
            let term = (settings.keys_expire_at(), settings.term.timezone().to_owned());
            (settings.cap, caps, settings.reset, settings.byok, term)
        };
        let mut pauses = Pauses::until(by.deadline);
        let mut refused_at = None;
        loop {
            let Some(current) = self.programme(id).await? else {
                return Ok(Saved::NoSuchProgramme);
            };
            if current.edits != edits {
                return Ok(Saved::Stale(Box::new(current)));
            }
            let (version, changes_costs) = (current.version, costs(&current.settings) != costs(&settings));
            // The programme is as it was written against, so the pot it was that refused.
            if refused_at == Some(version) && changes_costs {
                return Ok(Saved::PlacesTaken);
            }
            let roles = RoleChanges::between(id, Some(&current.settings), &settings);
            let edited = current.edited(settings.clone(), by.now);
            let entry = entry_on(id, &by, what.clone());
            let mut transaction = self.transaction().replace(&edited, version)?.witnessed_by(&entry)?;
            transaction = with_roles(transaction, id, &roles)?;
            if changes_costs {
                transaction = transaction.update(
                    &keys::pot(id),
                    "ADD version :one",
                    "reserved = :nothing AND attribute_not_exists(shown)",
                    &[(":one", number(1)), (":nothing", number(0))],
                )?;
            }
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(Saved::Done);
            }
            // What a machine noted meanwhile is kept, and the edit goes over it.
            refused_at = Some(version);
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Changes how much money there is. It may fall below what is reserved: then nothing new begins.
    pub async fn set_pot(&self, id: &ProgrammeId, limit: Usd, by: By<'_>) -> Result<PotSet, StoreError> {
        let mut pauses = Pauses::until(by.deadline);
        loop {
            let Some(pot) = self.pot(id).await? else {
                return Ok(PotSet::NoSuchProgramme);
            };
            if pot.limit == limit {
                return Ok(PotSet::Unchanged);
            }
            let what = What::new(Act::PotChanged).changing(pot.limit, limit);
            let values = [(":new", number(limit.micros())), (":old", number(pot.limit.micros()))];
            let transaction = self
                .transaction()
                .update(&keys::pot(id), "SET pot_limit = :new", "pot_limit = :old", &values)?
                .witnessed_by(&entry_on(id, &by, what))?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(PotSet::Done);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Closes the programme: nothing new begins in it. Its grants are then to be ended one by one.
    pub async fn close(&self, id: &ProgrammeId, by: By<'_>) -> Result<Closed, StoreError> {
        let mut pauses = Pauses::until(by.deadline);
        loop {
            let Some(current) = self.programme(id).await? else {
                return Ok(Closed::NoSuchProgramme);
            };
            if current.closed_at.is_some() {
                return Ok(Closed::Already);
            }
            let (version, edits) = (current.version + 1, current.edits + 1);
            let closed = Programme { closed_at: Some(by.now), rules_order: None, version, edits, ..current.clone() };
            let entry = entry_on(id, &by, What::new(Act::Closed));
            let transaction = self.transaction().replace(&closed, current.version)?.witnessed_by(&entry)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(Closed::Done);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Puts people on the roster, at most [`INVITED_AT_ONCE`], each once and with a mail owed. Those who are on it already are
    /// left as they are. Answers the grants that are new.
    pub async fn invite(&self, id: &ProgrammeId, people: &[NewPerson], by: By<'_>) -> Result<Vec<GrantId>, StoreError> {
        let mut pauses = Pauses::until(by.deadline);
        loop {
            let mut added = Vec::new();
            let mut seen = HashSet::new();
            let enrolled = people.iter().map(|new| {
                let key = keys::enrolment(new.person.address.matched(), id);
                async move { self.get::<Enrolment>(&key).await }
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
                let mail = OwedMail::Roster { programme: id.clone(), grant: grant.id.clone() };
                let mail = OutboxRow::owed(new_ulid(by.now), mail, by.now);
                transaction = transaction.create(&grant)?.create(&enrolment)?.owing(&mail)?;
                added.push(grant.id);
            }
            if added.is_empty() {
                return Ok(added);
            }
            let names: Vec<&str> = added.iter().map(GrantId::as_str).collect();
            let what = What::new(Act::Invited).noting(names.join(" "));
            let transaction = transaction.witnessed_by(&entry_on(id, &by, what))?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(added);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }
}

/// With the rows under which people's roles are found. Whatever they said before, they say by then what the settings do, on whose
/// condition the transaction is.
fn with_roles(
    mut transaction: Transaction,
    programme: &ProgrammeId,
    changes: &RoleChanges,
) -> Result<Transaction, StoreError> {
    for roles in &changes.set {
        transaction = transaction.set(roles)?;
    }
    for address in &changes.unset {
        transaction = transaction.unset(&keys::roles(address, programme))?;
    }
    Ok(transaction)
}

pub(super) fn entry_on(programme: &ProgrammeId, by: &By<'_>, what: What) -> Entry {
    Entry { programme: programme.clone(), grant: None, entry: new_ulid(by.now), at: by.now, by: by.actor.clone(), what }
}
