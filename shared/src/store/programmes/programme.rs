//! Acts on a programme: create and close; `edit` is beside this. After closing, a job ends each grant by an act of its own.

use futures_util::future::try_join_all;
use ulid::Ulid;

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::people::role::{RoleChanges, Roles};
use crate::domain::programme::{Budget, Programme, Settings};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::programmes::guardrails::{RulesDue, RulesSource};
use crate::store::programmes::imports::Import;
use crate::store::programmes::jobs::{Job, Work, with_job};
use crate::store::table::context::Author;
use crate::store::table::write::{Pauses, Round, Transaction};
use crate::store::table::{StoreError, Table};

/// What is said of jobs that a programme's close has ended.
const CLOSED: &str = "The programme was closed.";

/// A programme to be created.
#[derive(Debug, Clone)]
pub struct NewProgramme {
    pub settings: Settings,
    pub budget: Usd,
    /// The form that creates it, which does so once.
    pub form: Option<Ulid>,
    pub copied: Option<CopiedProgramme>,
}

/// The programme that a new one is copied from, and the kept steps that put its people on the new roster.
#[derive(Debug, Clone)]
pub struct CopiedProgramme {
    pub from: ProgrammeId,
    pub roster: Option<Import>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOutcome {
    Done,
    Already,
    NoSuchProgramme,
}

/// The sums of several programmes' budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetSums {
    pub reserved: Usd,
    /// The reserved money that is not spent yet, which the balance must cover.
    pub to_come: Usd,
    pub programmes: usize,
}

impl Table {
    /// The sums of these programmes' budgets, with spending as the sync last summed it up.
    pub async fn budget_sums(&self, programmes: &[Programme]) -> Result<BudgetSums, StoreError> {
        let each = programmes.iter().map(|programme| async move {
            let (budget, used) =
                tokio::try_join!(self.get(Budget::key_of(&programme.id)), self.programme_use(&programme.id))?;
            let spent = used.counted(programme.settings.byok);
            Ok::<_, StoreError>((budget.map_or(Usd::ZERO, |budget| budget.reserved), spent))
        });
        let sums = try_join_all(each.collect::<Vec<_>>()).await?;
        Ok(BudgetSums {
            reserved: sums.iter().map(|(reserved, _)| *reserved).sum(),
            to_come: sums.iter().map(|(reserved, spent)| (*reserved - *spent).or_zero()).sum(),
            programmes: programmes.len(),
        })
    }

    /// Creates a programme without a roster.
    pub async fn create_programme(
        &self,
        settings: Settings,
        budget: Usd,
        by: Author<'_>,
    ) -> Result<ProgrammeId, StoreError> {
        self.create(NewProgramme { settings, budget, form: None, copied: None }, by).await
    }

    /// Creates a programme under the slug of its name, with the next free number where the slug is taken. A form that was used
    /// before creates nothing, and answers what it created. A copied roster is imported by a job.
    pub async fn create(&self, new: NewProgramme, by: Author<'_>) -> Result<ProgrammeId, StoreError> {
        let NewProgramme { settings, budget, form, copied } = new;
        let slug = ProgrammeId::of_name(&settings.name);
        let mut pauses = Pauses::until(by.deadline);
        let mut count = 1;
        loop {
            if form.is_some()
                && let Some(made) = self.list(Programme::all()).await?.into_iter().find(|made| made.form == form)
            {
                return Ok(made.id);
            }
            let id = if count == 1 { slug.clone() } else { slug.numbered(count) };
            let budget = Budget::new(id.clone(), budget);
            let mut note = format!("budget {}", budget.limit);
            if let Some(copied) = &copied {
                note += &format!("; copied from {}", copied.from);
            }
            let what = AuditDetail::new(Act::Created).noting(note);
            let programme = Programme { form, ..Programme::new(id.clone(), settings.clone()) };
            let entry = Entry::on_programme(&id, by.actor, by.now, what);
            let mut transaction = self.transaction().create(&programme)?.create(&budget)?;
            let roles = RoleChanges::between(&id, None, &programme.settings);
            transaction = with_roles(transaction, &id, &roles)?;
            transaction = transaction.set(&RulesDue::now(RulesSource::Programme(id.clone()), by.now))?;
            if let Some(roster) = copied.as_ref().and_then(|copied| copied.roster.as_ref()) {
                transaction = transaction.create(&Import { programme: id.clone(), applied: true, ..roster.clone() })?;
                let work = Work::Import { import: roster.import };
                transaction = with_job(transaction, &Job::new(&id, work, roster.steps, by.actor, by.now))?;
            }
            if self.commit(transaction.told_by(&[entry])?, &mut pauses).await? {
                return Ok(id);
            }
            count += 1;
        }
    }

    /// Closes the programme: no new key can be claimed. Its other jobs end, and one begins that ends its grants.
    pub async fn close(&self, id: &ProgrammeId, by: Author<'_>) -> Result<CloseOutcome, StoreError> {
        self.carry_through(by.deadline, || async {
            let Some(current) = self.get(Programme::key_of(id)).await? else {
                return Ok(Round::Over(CloseOutcome::NoSuchProgramme));
            };
            if current.closed_at.is_some() {
                return Ok(Round::Over(CloseOutcome::Already));
            }
            let closed = Programme { closed_at: Some(by.now), version: current.version + 1, ..current.clone() };
            let entry = Entry::on_programme(id, by.actor, by.now, AuditDetail::new(Act::Closed));
            let mut transaction = self.transaction().replace(&closed, current.version)?;
            let jobs = self.jobs(id).await?.into_iter();
            // A job that ends the grants of a term that was cut short is replaced below.
            for job in jobs.filter(|job| job.is_running() && job.work != Work::Close) {
                transaction = with_job(transaction, &job.cancelled(CLOSED, by.now))?;
            }
            let grants = self.count_grants(id).await?;
            transaction = with_job(transaction, &Job::new(id, Work::Close, grants, by.actor, by.now))?;
            Ok(Round::Write(transaction.told_by(&[entry])?, CloseOutcome::Done))
        })
        .await
    }
}

/// Adds the rows under which people's roles are found. They follow the new settings, on whose version the
/// transaction is conditional.
pub(super) fn with_roles(
    mut transaction: Transaction,
    programme: &ProgrammeId,
    changes: &RoleChanges,
) -> Result<Transaction, StoreError> {
    for roles in &changes.set {
        transaction = transaction.set(roles)?;
    }
    for address in &changes.unset {
        transaction = transaction.remove(&Roles::key_of(address, programme), "", &[])?;
    }
    Ok(transaction)
}
