//! Acts on a programme: create, edit, set the pot, close. After closing, each grant is ended by an act of its
//! own; that walk keeps claims out, not a check in the claim.

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::people::role::RoleChanges;
use crate::domain::programme::{Pot, Programme, Settings};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::table::commit::{Commit, Pauses, Round};
use crate::store::table::context::Author;
use crate::store::table::transaction::{Transaction, number};
use crate::store::table::{StoreError, Table, keys};

/// The list entry of a programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProgramme {
    pub programme: ProgrammeId,
}

/// The outcome of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditOutcome {
    Done,
    /// A grant has a place in the pot or a key was shown, and the edit would change the cost of places or how
    /// limits count.
    PlacesTaken,
    /// Another edit was faster; this is its result.
    Stale(Box<Programme>),
    NoSuchProgramme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOutcome {
    Done,
    Already,
    NoSuchProgramme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PotOutcome {
    Done,
    Unchanged,
    NoSuchProgramme,
}

/// The sums of several programmes' pots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PotSums {
    pub reserved: Usd,
    /// The reserved money that is not spent yet, which the balance must cover.
    pub to_come: Usd,
    pub programmes: usize,
}

impl Table {
    /// The sums of these programmes' pots, with spending as the sync last summed it up.
    pub async fn pot_sums(&self, programmes: &[Programme]) -> Result<PotSums, StoreError> {
        let each = programmes.iter().map(|programme| async move {
            let (pot, used) = tokio::try_join!(self.pot(&programme.id), self.programme_use(&programme.id))?;
            let spent = used.counted(programme.settings.byok);
            Ok::<_, StoreError>((pot.map_or(Usd::ZERO, |pot| pot.reserved), spent))
        });
        let sums = try_join_all(each.collect::<Vec<_>>()).await?;
        Ok(PotSums {
            reserved: sums.iter().map(|(reserved, _)| *reserved).sum(),
            to_come: sums.iter().map(|(reserved, spent)| (*reserved - *spent).or_zero()).sum(),
            programmes: programmes.len(),
        })
    }

    /// Creates a programme under the slug of its name, with the next free number where the slug is taken.
    pub async fn create_programme(
        &self,
        settings: Settings,
        pot: Usd,
        by: Author<'_>,
    ) -> Result<ProgrammeId, StoreError> {
        let slug = ProgrammeId::of_name(&settings.name);
        let mut pauses = Pauses::until(by.deadline);
        let mut count = 1;
        loop {
            let id = if count == 1 { slug.clone() } else { slug.numbered(count) };
            let pot = Pot::new(id.clone(), pot);
            let what = AuditDetail::new(Act::Created).noting(format!("pot {}", pot.limit));
            let programme = Programme::created(id.clone(), settings.clone(), by.now);
            let transaction = self
                .transaction()
                .create(&programme)?
                .create(&pot)?
                .witnessed_by(&Entry::on_programme(&id, by.actor, by.now, what))?;
            let listed = ListedProgramme { programme: id.clone() };
            let roles = RoleChanges::between(&id, None, &programme.settings);
            let transaction = with_roles(transaction.create(&listed)?, &id, &roles)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(id);
            }
            count += 1;
        }
    }

    /// Replaces the settings that were read after this many edits. The cost of a place can change only while
    /// no grant has one.
    pub async fn save_settings(
        &self,
        id: &ProgrammeId,
        settings: Settings,
        edits: u64,
        what: AuditDetail,
        by: Author<'_>,
    ) -> Result<EditOutcome, StoreError> {
        let costs = |settings: &Settings| {
            let caps: Vec<_> =
                settings.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.cap?))).collect();
            let term = (settings.keys_expire_at(), settings.term.timezone().to_owned());
            (settings.cap, caps, settings.reset, settings.byok, term)
        };
        self.carry_through(by.deadline, || async {
            let Some(current) = self.programme(id).await? else {
                return Ok(Round::Over(EditOutcome::NoSuchProgramme));
            };
            if current.edits != edits {
                return Ok(Round::Over(EditOutcome::Stale(Box::new(current))));
            }
            let (version, changes_costs) = (current.version, costs(&current.settings) != costs(&settings));
            if changes_costs && self.pot(id).await?.is_none_or(|pot| pot.reserved != pot.assigned || pot.shown) {
                return Ok(Round::Over(EditOutcome::PlacesTaken));
            }
            let roles = RoleChanges::between(id, Some(&current.settings), &settings);
            let edited = current.edited(settings.clone(), by.now);
            let entry = Entry::on_programme(id, by.actor, by.now, what.clone());
            let mut transaction = self.transaction().replace(&edited, version)?.witnessed_by(&entry)?;
            transaction = with_roles(transaction, id, &roles)?;
            if changes_costs {
                transaction = transaction.update(
                    &keys::pot(id),
                    "ADD version :one",
                    "reserved = assigned AND attribute_not_exists(shown)",
                    &[(":one", number(1))],
                )?;
            }
            // What a machine recorded meanwhile is kept, and the edit goes over it.
            Ok(Round::Write(transaction, EditOutcome::Done))
        })
        .await
    }

    /// Sets the pot. It may fall below what is reserved; then no act that needs room is possible.
    pub async fn set_pot(&self, id: &ProgrammeId, limit: Usd, by: Author<'_>) -> Result<PotOutcome, StoreError> {
        self.carry_through(by.deadline, || async {
            let Some(pot) = self.pot(id).await? else {
                return Ok(Round::Over(PotOutcome::NoSuchProgramme));
            };
            if pot.limit == limit {
                return Ok(Round::Over(PotOutcome::Unchanged));
            }
            let what = AuditDetail::new(Act::PotChanged).changing(pot.limit, limit);
            let values = [(":new", number(limit.micros())), (":old", number(pot.limit.micros()))];
            let transaction = self
                .transaction()
                .update(&keys::pot(id), "SET pot_limit = :new", "pot_limit = :old", &values)?
                .witnessed_by(&Entry::on_programme(id, by.actor, by.now, what))?;
            Ok(Round::Write(transaction, PotOutcome::Done))
        })
        .await
    }

    /// Closes the programme: no new key can be claimed. Its grants are then to be ended one by one.
    pub async fn close(&self, id: &ProgrammeId, by: Author<'_>) -> Result<CloseOutcome, StoreError> {
        self.carry_through(by.deadline, || async {
            let Some(current) = self.programme(id).await? else {
                return Ok(Round::Over(CloseOutcome::NoSuchProgramme));
            };
            if current.closed_at.is_some() {
                return Ok(Round::Over(CloseOutcome::Already));
            }
            let (version, edits) = (current.version + 1, current.edits + 1);
            let closed = Programme { closed_at: Some(by.now), rules_order: None, version, edits, ..current.clone() };
            let entry = Entry::on_programme(id, by.actor, by.now, AuditDetail::new(Act::Closed));
            let transaction = self.transaction().replace(&closed, current.version)?.witnessed_by(&entry)?;
            Ok(Round::Write(transaction, CloseOutcome::Done))
        })
        .await
    }
}

/// Adds the rows under which people's roles are found. They follow the new settings, on whose version the
/// transaction is conditional.
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
