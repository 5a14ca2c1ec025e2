//! Acts on a programme: create, edit and close. One transaction writes the settings, the budget and
//! what it has reserved, the audit entries, and the job that marks keys for new limits, whatever
//! else is under way.

use futures_util::future::try_join_all;
use futures_util::stream::TryStreamExt;
use jiff::civil::Date;
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::audit::{Act, AuditDetail};
use crate::domain::grant::EditEffect;
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::role::{RoleChanges, Roles};
use crate::domain::programme::{Budget, Programme, Settings};
use crate::domain::usage::forecast::SpendingPace;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;
use crate::schema::{ItemKey, Queue, Stored, overview};
use crate::store::programmes::jobs::{AS_READ, as_read};
use crate::store::table::write::{Audited, Pauses, Round, Transaction, Writes, number};
use crate::store::{Author, Import, Job, Result, RosterToken, StoreError, Table, Work, items};

/// What is said of jobs that a programme's close has ended.
const CLOSED: &str = "The programme was closed.";

#[derive(Debug)]
pub struct NewProgramme {
    pub settings: Settings,
    pub budget: Usd,
    /// The form that creates it, which does so once.
    pub form: Option<Ulid>,
    pub copied: Option<CopiedProgramme>,
}

/// The programme whose settings a new one was filled from, and the kept steps that put its people
/// on the new roster.
#[derive(Debug)]
pub struct CopiedProgramme {
    pub from: ProgrammeId,
    pub roster: Option<Import>,
}

/// What waits for a person's decision.
#[derive(Debug)]
pub enum Undecided {
    More(GrantId),
    Import(Ulid),
}

impl Undecided {
    fn named(key: &ItemKey) -> Option<(ProgrammeId, Undecided)> {
        let programme = key.pk.strip_prefix("P#")?.parse().ok()?;
        let (what, id) = key.sk.strip_prefix(&overview(""))?.split_once('#')?;
        let undecided = match what {
            "MORE" => Undecided::More(id.parse().ok()?),
            "PREVIEW" => Undecided::Import(id.parse().ok()?),
            _ => return None,
        };
        Some((programme, undecided))
    }
}

#[derive(Debug, Default)]
pub struct BudgetSums {
    pub reserved: Usd,
    /// The reserved money that is not spent yet, which the balance must cover, and the part of
    /// programmes whose pace nobody knows yet.
    pub to_come: Usd,
    pub unpaced: Usd,
    /// What else the rosters may claim within the budgets, and from when on.
    pub claims: Vec<(Date, Usd)>,
}

impl Table {
    /// The sums of these programmes' budgets, with spending as the sync last summed it up.
    pub async fn budget_sums(&self, programmes: &[Programme], now: Moment) -> Result<BudgetSums> {
        let budgets = programmes.iter().map(|programme| async move {
            let budget = self.budget(&programme.id).await?;
            let used = self.programme_use(&programme.id).await?;
            Ok::<_, StoreError>((
                programme,
                budget,
                used.used().days(programme.settings.basis.byok),
            ))
        });
        let mut sums = BudgetSums::default();
        for (programme, budget, spent) in try_join_all(budgets.collect::<Vec<_>>()).await? {
            let to_come = (budget.reserved - spent.total()).or_zero();
            sums.reserved += budget.reserved;
            sums.to_come += to_come;
            if SpendingPace::measure(&spent, Date::MIN, utc_date(now)).is_none() {
                sums.unpaced += to_come;
            }
            let settings = &programme.settings;
            let claims = budget.implied(settings, now).min(budget.limit) - budget.reserved;
            if programme.can_be_claimed_after(now) && claims > Usd::ZERO {
                sums.claims
                    .push((utc_date(settings.claim_opens_at()), claims));
            }
        }
        Ok(sums)
    }

    /// Creates a programme under the slug of its name, with the next free number where the slug is
    /// taken. A form that was used before creates nothing, and answers what it created. A copied
    /// roster is imported by a job.
    pub async fn create(&self, new: NewProgramme, author: Author<'_>) -> Result<ProgrammeId> {
        let NewProgramme {
            settings,
            budget,
            form,
            copied,
        } = new;
        let slug = ProgrammeId::from_name(&settings.name);
        let mut pauses = Pauses::until(author.deadline);
        let mut count = 1;
        loop {
            if form.is_some()
                && let Some(existing) = self
                    .list(Programme::all())
                    .await?
                    .into_iter()
                    .find(|programme| programme.form == form)
            {
                return Ok(existing.id);
            }
            let id = if count == 1 {
                slug.clone()
            } else {
                slug.numbered(count)
            };
            let budget = Budget::new(id.clone(), budget);
            let mut note = format!("budget {}", budget.limit.to_cents());
            if let Some(copied) = &copied {
                note += &format!("; copied from {}", copied.from);
            }
            let what = AuditDetail::new(Act::Created).with_note(note);
            let programme = Programme {
                form,
                ..Programme::new(id.clone(), settings.clone())
            };
            let audit_entry = author.entry_on(&id, what);
            let mut transaction = self.transaction().create(&programme)?.create(&budget)?;
            let roles = RoleChanges::between(&id, None, &programme.settings.people);
            transaction = with_roles(transaction, &id, &roles)?;
            transaction =
                transaction.watch_guardrails(None, &id, &programme.settings.rules, author.now)?;
            if let Some(roster) = copied.as_ref().and_then(|copied| copied.roster.as_ref()) {
                transaction = transaction.create(&Import {
                    programme: id.clone(),
                    applied: true,
                    ..roster.clone()
                })?;
                let job = roster.job(author.actor, author.now);
                transaction = transaction.set(&Job {
                    programme: id.clone(),
                    ..job
                })?;
            }
            if self
                .commit(transaction.with_entries(&[audit_entry])?, &mut pauses)
                .await?
            {
                return Ok(id);
            }
            count += 1;
        }
    }

    /// Closes the programme: no new key can be claimed. Its other jobs end, and one begins that
    /// ends its grants. Returns `false` if it was closed before.
    pub async fn close(&self, id: &ProgrammeId, author: Author<'_>) -> Result<bool> {
        self.carry_through(author.deadline, || async {
            let Some(current) = self.get(Programme::key_of(id)).await? else {
                return Ok(Round::Over(false));
            };
            if current.closed_at.is_some() {
                return Ok(Round::Over(false));
            }
            let closed = Programme {
                closed_at: Some(author.now),
                version: current.version + 1,
                ..current.clone()
            };
            let audit_entry = author.entry_on(id, AuditDetail::new(Act::Closed));
            let mut transaction = self.transaction().replace(&closed)?;
            let jobs = self.jobs(id).await?.into_iter();
            // A job that ends the grants of a term that was cut short is replaced below.
            for job in jobs.filter(|job| job.is_running() && job.work != Work::Close) {
                let as_read = as_read(&job);
                transaction =
                    transaction.put(&job.cancelled(CLOSED, author.now), AS_READ, &as_read)?;
            }
            let grants = self.count_grants(id).await?;
            transaction =
                transaction.set(&Job::new(id, Work::Close, grants, author.actor, author.now))?;
            Ok(Round::Write(
                transaction.with_entries(&[audit_entry])?,
                true,
            ))
        })
        .await
    }
}

/// Adds the rows under which people's roles are found. They follow the new settings, on whose
/// version the transaction is conditional.
pub(super) fn with_roles(
    mut transaction: Transaction,
    programme: &ProgrammeId,
    changes: &RoleChanges,
) -> Result<Transaction> {
    for roles in &changes.set {
        transaction = transaction.set(roles)?;
    }
    for address in &changes.unset {
        transaction = transaction.remove(&Roles::key_of(address, programme), "", &[])?;
    }
    Ok(transaction)
}

#[derive(Debug)]
pub struct ProgrammeEdit {
    pub settings: Settings,
    pub version: u64,
    /// The budget before and after; `None` leaves it as it is.
    pub budget: Option<(Usd, Usd)>,
    pub what: AuditDetail,
}

#[derive(Debug, PartialEq)]
pub enum EditOutcome {
    Done,
    /// A key was shown, or is being made, and the edit would change how limits count.
    FixedByKeys,
    /// Keys that people have end before the new end of the term.
    KeysEndBefore(Moment),
    /// The budget would be smaller than what is promised under the new settings.
    BudgetTooSmall {
        budget: Usd,
        reserved: Usd,
    },
    /// Another edit was faster; this is its result.
    Stale(Box<(Programme, Usd)>),
    /// As long as there was time, claims took from the budget faster than all grants could be read.
    Overtaken,
}

struct Before {
    programme: Programme,
    budget: Budget,
    guardrail: Option<Guardrail>,
}

impl Table {
    /// Edits a programme that was read before. What its reservations cost more is reserved at once;
    /// what they cost less is free at the next count, after the provider has confirmed the lower
    /// limits.
    pub async fn edit(
        &self,
        id: &ProgrammeId,
        edit: &ProgrammeEdit,
        author: Author<'_>,
    ) -> Result<EditOutcome> {
        let edited = self
            .carry_through(author.deadline, || async {
                // The budget comes first: its version shows that no reservation was taken since.
                let budget = self.budget(id).await?;
                let programme = self.get_existing(Programme::key_of(id)).await?;
                let guardrail = self.get(Guardrail::of_all(id.clone()).key()).await?;
                let before = Before {
                    programme,
                    budget,
                    guardrail,
                };
                let has_other_budget = edit
                    .budget
                    .is_some_and(|(was, _)| was != before.budget.limit);
                if before.programme.version != edit.version || has_other_budget {
                    return Ok(Round::Over(EditOutcome::Stale(Box::new((
                        before.programme,
                        before.budget.limit,
                    )))));
                }
                if before.counts_otherwise(&edit.settings) {
                    return Ok(Round::Over(EditOutcome::FixedByKeys));
                }
                let mut effect = None;
                if before.moves_costs(&edit.settings) {
                    effect = Some(self.effect_of(&before, &edit.settings, author.now).await?);
                }
                if let Some(refused) = before.refuses(edit, effect) {
                    return Ok(Round::Over(refused));
                }
                // Keys may be made at this moment, so the job begins even if nobody has one yet.
                let mut keys = effect
                    .map(|effect| effect.grants)
                    .filter(|grants| *grants > 0);
                if before.moves_keys(&edit.settings, author.now) {
                    keys = Some(self.count_grants(id).await?);
                }
                let mut token = None;
                if before.programme.settings.people.faculty != edit.settings.people.faculty {
                    token = self.get(RosterToken::key_of(id)).await?;
                }
                if let Some(roster_token) = &token
                    && self
                        .is_makers(roster_token, &edit.settings, &self.admins().await?)
                        .await?
                {
                    token = None;
                }
                let people = &before.programme.settings.people;
                let roles = RoleChanges::between(id, Some(people), &edit.settings.people);
                let mut transaction = self.transaction();
                for address in &roles.lost {
                    transaction = self.sign_out_all(transaction, address, author.now).await?;
                }
                Ok(
                    match transaction.add_edit(before, edit, (effect, keys, token), author)? {
                        Some(transaction) => Round::Write(transaction, EditOutcome::Done),
                        None => Round::Over(EditOutcome::Done),
                    },
                )
            })
            .await;
        match edited {
            Err(StoreError::Contended) => Ok(EditOutcome::Overtaken),
            edited => edited,
        }
    }

    /// The effect on every grant of the programme. Of very many only some are held at once.
    async fn effect_of(
        &self,
        before: &Before,
        after: &Settings,
        now: Moment,
    ) -> Result<EditEffect> {
        let Before {
            programme, budget, ..
        } = before;
        let ids = [programme.id.clone()];
        let shards = self.shards_of_programmes(&ids);
        let effect = shards.try_fold(EditEffect::default(), |sum, (_, grants)| async move {
            Ok(sum.and(EditEffect::compute(
                &grants,
                budget,
                &programme.settings,
                after,
                now,
            )))
        });
        effect.await
    }
}

impl Transaction {
    fn add_edit(
        self,
        before: Before,
        edit: &ProgrammeEdit,
        (effect, keys, ended): (Option<EditEffect>, Option<u32>, Option<RosterToken>),
        author: Author<'_>,
    ) -> Result<Option<Audited>> {
        let Before {
            programme,
            budget,
            guardrail,
        } = before;
        let id = programme.id.clone();
        let limit = edit.limit(&budget);
        let mut transaction = self;
        let mut entries = Vec::new();
        let has_new_settings = programme.settings != edit.settings;
        if limit != budget.limit {
            let what = AuditDetail::new(Act::BudgetChanged).with_change(budget.limit, limit);
            entries.push(author.entry_on(&id, what));
        }
        if limit != budget.limit || effect.is_some() {
            transaction = with_budget(transaction, &budget, limit, effect)?;
        }
        if !has_new_settings && !transaction.is_empty() {
            // Nobody's edit may come in between, whatever it changes.
            let version = [(":version", number(edit.version))];
            transaction =
                transaction.check(&Programme::key_of(&id), "version = :version", &version)?;
        }
        if has_new_settings {
            let roles =
                RoleChanges::between(&id, Some(&programme.settings.people), &edit.settings.people);
            let was_over = programme.is_over(author.now);
            let edited = programme.edited(edit.settings.clone());
            let ends = edited.is_over(author.now) && !was_over;
            transaction = transaction.replace(&edited)?;
            entries.push(author.entry_on(&id, edit.what.clone()));
            transaction = with_roles(transaction, &id, &roles)?;
            if let Some(token) = ended {
                transaction = transaction.ending(&token)?;
                entries.push(token.ended(author));
            }
            // Whatever was edited, the guardrails are looked at.
            transaction =
                transaction.watch_guardrails(guardrail, &id, &edit.settings.rules, author.now)?;
            let work = if ends { Work::Close } else { Work::Limits };
            if let Some(grants) = keys {
                transaction =
                    transaction.set(&Job::new(&id, work, grants, author.actor, author.now))?;
            }
        }
        if transaction.is_empty() {
            return Ok(None);
        }
        transaction.with_entries(&entries).map(Some)
    }
}

impl ProgrammeEdit {
    pub fn new_for_settings(settings: Settings, version: u64, what: AuditDetail) -> ProgrammeEdit {
        ProgrammeEdit {
            settings,
            version,
            budget: None,
            what,
        }
    }

    fn limit(&self, budget: &Budget) -> Usd {
        self.budget.map_or(budget.limit, |(_, limit)| limit)
    }
}

impl Before {
    /// Whether keys that exist or are being made count in another way than the new settings say.
    fn counts_otherwise(&self, after: &Settings) -> bool {
        let was = &self.programme.settings;
        let has_reservations = self.budget.claimed || self.budget.reserved != self.budget.assigned;
        has_reservations
            && (was.basis != after.basis || was.term.timezone() != after.term.timezone())
    }

    /// Whether reservations may cost another sum under the new settings.
    fn moves_costs(&self, after: &Settings) -> bool {
        let was = &self.programme.settings;
        let is_other_term = was.term.ends_at() != after.term.ends_at()
            || was.term.timezone() != after.term.timezone();
        is_other_term || was.allowance != after.allowance || was.basis != after.basis
    }

    /// Whether grants are other by it: keys are to be put under the first rules, or a term that was
    /// over goes on.
    fn moves_keys(&self, after: &Settings, now: Moment) -> bool {
        let Before { programme, .. } = self;
        let goes_on = programme.is_over(now);
        let is_over = programme.clone().edited(after.clone()).is_over(now);
        !is_over && (goes_on || after.rules.has_first_rules_since(&programme.settings.rules))
    }

    fn refuses(&self, edit: &ProgrammeEdit, effect: Option<EditEffect>) -> Option<EditOutcome> {
        let was = self.programme.settings.term.ends_at();
        let ends = edit.settings.term.ends_at();
        if let Some(until) = effect
            .and_then(|effect| effect.keys_until)
            .filter(|until| was < ends && *until < ends)
        {
            return Some(EditOutcome::KeysEndBefore(until));
        }
        let budget = edit.limit(&self.budget);
        let increase = effect.map_or(Usd::ZERO, |effect| effect.increase);
        let reserved = self.budget.reserved + increase;
        let is_asked = budget < self.budget.limit || increase > Usd::ZERO;
        (is_asked && budget < reserved).then_some(EditOutcome::BudgetTooSmall { budget, reserved })
    }
}

/// Moves the budget. Where costs move, no reservation may have been taken and nothing counted since
/// it was read; otherwise it only needs the room for what is reserved.
fn with_budget(
    transaction: Transaction,
    budget: &Budget,
    limit: Usd,
    effect: Option<EditEffect>,
) -> Result<Transaction> {
    let key = Budget::key_of(&budget.programme);
    let old = number(budget.limit.micros());
    let new = number(limit.micros());
    let Some(effect) = effect else {
        let condition = if limit < budget.limit {
            "budget_limit = :old AND reserved <= :new"
        } else {
            "budget_limit = :old"
        };
        return transaction.update(
            &key,
            "SET budget_limit = :new",
            condition,
            &[(":new", new), (":old", old)],
        );
    };
    let values = [
        (":new", new),
        (":old", old),
        (":more", number(effect.increase.micros())),
        (":version", number(budget.version)),
        (":one", number(1)),
    ];
    let expression =
        "SET budget_limit = :new ADD reserved :more, version :one, settings_version :one";
    transaction.update(
        &key,
        expression,
        "budget_limit = :old AND version = :version",
        &values,
    )
}

impl Table {
    /// Every programme that can be read, in the order of their ids, and the ids of those that
    /// cannot.
    pub async fn readable_programmes(&self) -> Result<(Vec<Programme>, Vec<ProgrammeId>)> {
        let mut programmes = Vec::new();
        let mut unreadable = Vec::new();
        Self::each(self.query(&Programme::all()), |attributes| {
            let id = items::key_of(&attributes).sk.parse();
            match items::from_item(attributes) {
                Ok(programme) => programmes.push(programme),
                Err(_) => unreadable.extend(id),
            }
            Ok(())
        })
        .await?;
        Ok((programmes, unreadable))
    }

    /// The programmes of these ids, in their order. None of them can be missing: a programme is
    /// never removed.
    pub async fn programmes_by_id(&self, ids: &[ProgrammeId]) -> Result<Vec<Programme>> {
        try_join_all(
            ids.iter()
                .map(|id| self.get_existing(Programme::key_of(id))),
        )
        .await
    }

    /// What waits for somebody's decision, in every programme, the oldest first.
    pub async fn list_undecided(&self) -> Result<Vec<(ProgrammeId, Undecided)>> {
        let mut undecided = Vec::new();
        self.visit_queue(Queue::DECISION, None, |attributes| {
            undecided.extend(Undecided::named(&items::key_of(attributes)));
        })
        .await?;
        Ok(undecided)
    }
}
