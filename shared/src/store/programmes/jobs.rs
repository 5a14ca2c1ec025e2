//! Jobs: work too long for one request. What the steps of a job do is the console's.
//!
//! A programme has one item for each kind of job, so a kind is not under way twice. Its steps are either kept in the table when it
//! is started, as those of a roster file that was previewed, or found by walking through the grants. Each leaves the job and its number on
//! the grant that it changes, so that it is done once. A job only writes; what it makes due is sent by the work of each minute, and the
//! job is done once the provider has confirmed that.
//!
//! Whoever took a job writes its checkpoint on condition that nobody has written since. So another who takes it over after the
//! lease, or a person who starts it anew, ends the former runner. Of a programme's jobs one runs at a time: the oldest.

use crate::domain::grant::{ChangeRefused, GrantAct, Person, PersonChange, Urgency};
use crate::store::prelude::*;
use crate::store::{INVITED_AT_ONCE, ImportPart, Kept};

/// How long an invocation owns a job: longer than it may run.
pub const JOB_LEASE: SignedDuration = SignedDuration::from_secs(60);

/// A programme's job of one kind: the running one, or the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub programme: ProgrammeId,
    pub job: Ulid,
    #[serde(flatten)]
    pub work: Work,
    pub by: Actor,
    #[serde(flatten)]
    pub state: JobState,
    /// The steps that are done and confirmed by the provider, of all.
    pub done: u32,
    pub all: u32,
    /// The steps that are written; and the grant of the last, while it walks through all.
    pub next: u32,
    pub after: Option<GrantId>,
    /// Steps that the rules refused when it was their turn.
    pub refused: u32,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<UndoneStep>,
    /// Whether somebody has read what became of it, and pages tell of it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub put_away: bool,
    pub started_at: Moment,
    pub advanced_at: Moment,
    /// Counts its writes, each of which replaces the one before.
    pub version: u64,
}

stored! {
    // A programme's running or last job of a kind. There is one key, so there is one such job at a time.
    Job |it| (programme: &ProgrammeId = &it.programme, kind: &str = it.work.kind()) => key(programme_partition(programme), overview(&format!("JOB#{kind}")));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), &overview("JOB#"));
    waits it.waits()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "lowercase")]
pub enum Work {
    /// Applies a roster, as it was previewed.
    Import {
        import: Ulid,
        /// The hash of the header of the file that was applied last, here or by an import before.
        header: Option<String>,
    },
    /// Does one act to many grants, as it was previewed.
    Bulk {
        import: Ulid,
    },
    Close,
    /// Gives keys the limits and the guardrails, and invitations the time, that follow from other settings.
    Limits,
}

/// A step that was refused: whose, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoneStep {
    pub grant: GrantId,
    pub why: WhyUndone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyUndone {
    Refused(ChangeRefused),
    /// The provider has not confirmed it for long. It is sent again all the same.
    NotConfirmed,
    /// The record cannot be read.
    Unreadable,
}

/// How many steps a job names that were refused.
const MOST_NAMED: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum JobState {
    /// Owned until the lease ends; afterwards any invocation may take it over.
    Running {
        lease_until: Moment,
    },
    /// Owned by nobody. All is written, and what the provider is to confirm is looked at again at this time.
    Waiting {
        until: Moment,
    },
    Done {
        at: Moment,
    },
    Failed {
        why: String,
        at: Moment,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobCreation {
    Yes,
    /// It was started before.
    Already,
    /// The programme has another one under way.
    Busy,
}

impl Work {
    pub fn kind(&self) -> &'static str {
        match self {
            Work::Import { .. } => "import",
            Work::Bulk { .. } => "bulk",
            Work::Close => "close",
            Work::Limits => "limits",
        }
    }
}

impl Job {
    /// The programme of the job of this key, if it is one's.
    pub fn named(key: &ItemKey) -> Option<ProgrammeId> {
        let programme = key.pk.strip_prefix("P#").filter(|_| key.sk.starts_with(&overview("JOB#")))?;
        programme.parse().ok()
    }

    /// A job that nobody has taken yet, to be set by the transaction that makes it necessary: one of its kind that runs starts anew.
    pub fn new(programme: &ProgrammeId, work: Work, all: u32, by: &Actor, now: Moment) -> Job {
        Job {
            programme: programme.clone(),
            job: new_ulid(now),
            work,
            by: by.clone(),
            state: JobState::Running { lease_until: now },
            done: 0,
            all,
            next: 0,
            after: None,
            refused: 0,
            undone: Vec::new(),
            put_away: false,
            started_at: now,
            advanced_at: now,
            version: 1,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, JobState::Running { .. } | JobState::Waiting { .. })
    }

    /// Whether some of its kept steps are still to be written.
    pub fn is_being_written(&self) -> bool {
        self.is_running() && self.next < self.all
    }

    /// Notes steps that were not done, by their grants.
    pub fn note_undone(&mut self, steps: Vec<UndoneStep>) {
        self.refused += u32::try_from(steps.len()).unwrap_or(u32::MAX);
        self.undone.extend(steps);
        self.undone.truncate(MOST_NAMED);
    }

    /// The job, ended for a reason. Its runner finds that somebody else has written it.
    #[must_use]
    pub fn cancelled(self, why: &str, at: Moment) -> Job {
        Job { state: JobState::Failed { why: why.to_owned(), at }, version: self.version + 1, ..self }
    }

    /// The hash of the header of the file that was applied last.
    pub fn last_header(&self) -> Option<&str> {
        match &self.work {
            Work::Import { header, .. } => header.as_deref(),
            Work::Bulk { .. } | Work::Close | Work::Limits => None,
        }
    }

    fn is_taken(&self, now: Moment) -> bool {
        matches!(self.state, JobState::Running { lease_until } if now < lease_until)
    }

    pub(crate) fn waits(&self) -> Option<(Queue, Moment)> {
        match self.state {
            JobState::Running { lease_until: due } | JobState::Waiting { until: due } => Some((Queue::JOB, due)),
            JobState::Done { .. } | JobState::Failed { .. } => None,
        }
    }
}

impl JobState {
    pub fn as_str(&self) -> &'static str {
        match self {
            JobState::Running { .. } | JobState::Waiting { .. } => "running",
            JobState::Done { .. } => "done",
            JobState::Failed { .. } => "failed",
        }
    }
}

/// What the work of a minute has to do, by the keys of the items; longest due first.
#[derive(Debug, Default)]
pub struct DueWork {
    /// Grants with keys that are to be off, leaks before all others.
    pub ends: Vec<ItemKey>,
    /// Guardrails and tiers that are to be looked at.
    pub guardrails: Vec<ItemKey>,
    /// Grants of whose keys something else is to be told or asked.
    pub others: Vec<ItemKey>,
    /// Jobs and erasures that nobody owned a moment ago.
    pub jobs: Vec<ItemKey>,
}

impl DueWork {
    pub fn is_empty(&self) -> bool {
        [&self.ends, &self.guardrails, &self.others, &self.jobs].into_iter().all(Vec::is_empty)
    }

    pub fn retain(&mut self, is_meant: impl Fn(&ItemKey) -> bool) {
        for due in [&mut self.ends, &mut self.guardrails, &mut self.others, &mut self.jobs] {
            due.retain(&is_meant);
        }
    }
}

impl Table {
    /// What is due; of each kind at most so many. The index is a moment behind.
    pub async fn due_work(&self, now: Moment, most: usize) -> Result<DueWork, StoreError> {
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let due = |queue| self.due(queue, now, most);
        let (leaks, disables, guardrails, limits, reads, jobs) = tokio::try_join!(
            due(Urgency::Leak.queue()),
            due(Urgency::Disable.queue()),
            due(Queue::GUARDRAIL),
            due(Urgency::Limit.queue()),
            due(Urgency::Read.queue()),
            due(Queue::JOB),
        )?;
        Ok(DueWork { ends: [leaks, disables].concat(), guardrails, others: [limits, reads].concat(), jobs })
    }

    /// The jobs of a programme that run or have run, the oldest first.
    pub async fn jobs(&self, programme: &ProgrammeId) -> Result<Vec<Job>, StoreError> {
        let mut jobs = self.list(Job::of_programme(programme)).await?;
        jobs.sort_by_key(|job| (job.started_at, job.job));
        Ok(jobs)
    }

    /// Starts the job of an import or of an act on many, once, unless another of its kind is under way. A roster was compared when the
    /// job of the import before was this one; if it is another by now, the comparison may be wrong. The mails tell of it.
    pub async fn start_import(
        &self,
        import: &Import,
        before: Option<Ulid>,
        mails: &[OutboxRow],
        by: Author<'_>,
    ) -> Result<JobCreation, StoreError> {
        let work = match import.act {
            None => Work::Import { import: import.import, header: import.header.clone() },
            Some(_) => Work::Bulk { import: import.import },
        };
        let job = Job::new(&import.programme, work, import.steps, by.actor, by.now);
        self.carry_through(by.deadline, || async {
            let mut job = job.clone();
            let (kept, last) = tokio::try_join!(self.get(import.key()), self.get(job.key()))?;
            if kept.is_some_and(|kept| kept.applied) {
                return Ok(Round::Over(JobCreation::Already));
            }
            let is_other = import.act.is_none() && last.as_ref().map(|job| job.job) != before;
            if is_other || last.as_ref().is_some_and(Job::is_being_written) {
                return Ok(Round::Over(JobCreation::Busy));
            }
            if let Work::Import { header: header @ None, .. } = &mut job.work {
                *header = last.as_ref().and_then(Job::last_header).map(str::to_owned);
            }
            let applied = [(":yes", AttributeValue::Bool(true)), (":not", AttributeValue::Bool(false))];
            let transaction =
                self.transaction().update(&import.key(), "SET applied = :yes", "applied = :not", &applied)?;
            let transaction = match last {
                Some(last) => transaction.put(&job, AS_READ, &as_read(&last))?,
                None => transaction.create(&job)?,
            };
            Ok(Round::Write(transaction.owing_to_all(mails)?.unaudited(Unaudited::Job), JobCreation::Yes))
        })
        .await
    }

    /// Programmes with jobs that run or wait. The index is a moment behind.
    pub async fn programmes_with_jobs(&self) -> Result<Vec<ProgrammeId>, StoreError> {
        let mut programmes = BTreeSet::new();
        self.each_in(Queue::JOB, None, |item| programmes.extend(Job::named(&items::key_of(item)))).await?;
        Ok(programmes.into_iter().collect())
    }

    /// Takes the job of a programme whose turn it is, if nobody owns one of them. In a restored copy of the table none runs.
    pub async fn take_job(
        &self,
        programme: &ProgrammeId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<Job>, StoreError> {
        let running: Vec<Job> = self.jobs(programme).await?.into_iter().filter(Job::is_running).collect();
        if running.iter().any(|job| job.is_taken(now)) || self.is_copy(&self.meta(now).await?) {
            return Ok(None);
        }
        let is_due = |job: &&Job| !matches!(job.state, JobState::Waiting { until } if now < until);
        let Some(first) = running.iter().find(is_due) else { return Ok(None) };
        let taken = Job {
            state: JobState::Running { lease_until: now + JOB_LEASE },
            version: first.version + 1,
            ..first.clone()
        };
        let mut transaction = self.transaction().put(&taken, AS_READ, &as_read(first))?;
        // The others must not have been taken meanwhile.
        for other in running.iter().filter(|other| other.job != first.job) {
            transaction = transaction.check(&Job::key_of(programme, other.work.kind()), AS_READ, &as_read(other))?;
        }
        let is_mine = self.commit_once(transaction.unaudited(Unaudited::Job), deadline).await?;
        Ok(is_mine.then_some(taken))
    }

    /// Records the progress of a job that the caller owns. Returns `None` when somebody else has written it since.
    pub async fn set_job(&self, job: Job, deadline: Deadline) -> Result<Option<Job>, StoreError> {
        let after = Job { version: job.version + 1, ..job.clone() };
        let transaction = self.transaction().put(&after, AS_READ, &as_read(&job))?;
        let is_mine = self.commit_once(transaction.unaudited(Unaudited::Job), deadline).await?;
        Ok(is_mine.then_some(after))
    }

    /// Has pages tell of a job no more that has ended. Returns `false` if they do not.
    pub async fn put_job_away(&self, of: &ProgrammeId, job: Ulid, deadline: Deadline) -> Result<bool, StoreError> {
        let is_it = |it: &Job| it.job == job && !it.is_running() && !it.put_away;
        let Some(job) = self.jobs(of).await?.into_iter().find(is_it) else { return Ok(false) };
        Ok(self.set_job(Job { put_away: true, ..job }, deadline).await?.is_some())
    }
}

/// The condition that a job is as it was read, and no other of its kind.
pub(super) const AS_READ: &str = "job = :job AND version = :version";

pub(super) fn as_read(job: &Job) -> [(&'static str, AttributeValue); 2] {
    [(":job", AttributeValue::S(job.job.to_string())), (":version", number(job.version))]
}

/// How long an import is kept, with what it changed.
pub(crate) const IMPORT_KEPT: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How long the drops of an import may be undone: as long as those who were dropped keep their reservations.
pub const UNDONE_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many steps lie in one part: whole transactions, and less than an item may hold.
const STEPS_A_PART: usize = 5 * INVITED_AT_ONCE;

/// What a job of kept steps does. The steps lie in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub import: Ulid,
    pub programme: ProgrammeId,
    pub made_at: Moment,
    pub steps: u32,
    /// How many of the steps drop somebody, give somebody another address, or move somebody to another group.
    pub dropped: u32,
    pub readdressed: u32,
    pub moved: u32,
    /// How many people a registrar's file added by itself.
    #[serde(default)]
    pub added_unseen: u32,
    /// Whether a job was created from it.
    pub applied: bool,
    /// The hash of the header, where it is a roster of a file.
    pub header: Option<String>,
    /// What is done to each grant that its steps name; nothing where it is a roster.
    pub act: Option<GrantAct>,
}

stored! {
    Import |it| (programme: &ProgrammeId = &it.programme, import: Ulid = it.import) => key(programme_partition(programme), overview(&format!("IMPORT#{import}")));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), &overview("IMPORT#"));
    expires it.until()
}

/// One step of an import. Each may be done twice without a further effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Step {
    Add {
        #[serde(flatten)]
        person: Person,
        group: Option<String>,
    },
    /// A change to a person on the roster, to what the file says.
    Describe {
        grant: GrantId,
        #[serde(flatten)]
        to: PersonChange,
    },
    Move {
        grant: GrantId,
        group: Option<String>,
    },
    Drop {
        grant: GrantId,
    },
    /// The loss of an address to somebody else, to whom later steps give it.
    Leave {
        grant: GrantId,
        address: MatchedAddress,
    },
    /// The return of a dropped person whom the file names again.
    Return {
        grant: GrantId,
    },
    /// Nothing: somebody was dropped before whom this whole list does not name either, so that no undo of that brings them back.
    Absent {
        grant: GrantId,
    },
    /// The act of its import.
    Act {
        grant: GrantId,
    },
}

impl Step {
    /// The grant that it changes; `None` for somebody who is added.
    pub fn grant(&self) -> Option<&GrantId> {
        match self {
            Step::Add { .. } => None,
            Step::Describe { grant, .. }
            | Step::Move { grant, .. }
            | Step::Absent { grant }
            | Step::Drop { grant }
            | Step::Leave { grant, .. }
            | Step::Return { grant }
            | Step::Act { grant, .. } => Some(grant),
        }
    }

    pub fn is_leave(&self) -> bool {
        matches!(self, Step::Leave { .. })
    }

    /// Whether somebody has another address by it.
    pub fn readdresses(&self) -> bool {
        match self {
            Step::Describe { to, .. } => to.address.as_ref().is_some_and(|of| of.from != *of.to.matched()),
            Step::Add { .. } | Step::Move { .. } | Step::Drop { .. } | Step::Leave { .. } => false,
            Step::Return { .. } | Step::Absent { .. } | Step::Act { .. } => false,
        }
    }

    /// Whether it says who somebody is.
    pub(crate) fn names_somebody(&self) -> bool {
        match self {
            Step::Add { .. } | Step::Describe { .. } | Step::Leave { .. } => true,
            Step::Move { .. } | Step::Drop { .. } | Step::Return { .. } => false,
            Step::Absent { .. } | Step::Act { .. } => false,
        }
    }
}

impl Import {
    pub fn of(programme: &ProgrammeId, steps: &[Step], now: Moment) -> Import {
        let count = |steps: usize| u32::try_from(steps).unwrap_or(u32::MAX);
        let count_of = |is: fn(&Step) -> bool| count(steps.iter().filter(|step| is(step)).count());
        Import {
            import: new_ulid(now),
            programme: programme.clone(),
            made_at: now,
            steps: count(steps.len()),
            dropped: count_of(|step| matches!(step, Step::Drop { .. })),
            readdressed: count_of(Step::readdresses),
            moved: count_of(|step| matches!(step, Step::Move { .. })),
            added_unseen: 0,
            applied: false,
            header: None,
            act: None,
        }
    }

    pub fn until(&self) -> Moment {
        self.made_at + IMPORT_KEPT
    }

    /// Until when its drops may be undone, if it made any.
    pub fn undone_until(&self, now: Moment) -> Option<Moment> {
        let until = self.made_at + UNDONE_WITHIN;
        (self.applied && self.act.is_none() && self.dropped > 0 && now < until).then_some(until)
    }

    /// The id of the import that undoes the drops of this one, which is done once.
    pub fn undo(import: Ulid) -> Ulid {
        Ulid(import.0.wrapping_add(1))
    }

    fn part(&self, kept: Kept) -> ImportPart {
        let (import, programme, until) = (self.import, self.programme.clone(), self.until());
        ImportPart { import, programme, kept, part: 0, until, bytes: Vec::new() }
    }
}

impl Table {
    /// Keeps the steps of an import, which is there once itself is.
    pub async fn keep_steps(&self, import: &Import, steps: &[Step], deadline: Deadline) -> Result<(), StoreError> {
        let parts = steps.chunks(STEPS_A_PART).map(ImportPart::bytes_of).collect();
        self.keep_in_parts(&import.part(Kept::Steps), parts, deadline).await
    }

    /// Keeps an import with its steps and the rows that it changes, as they are shown afterwards. One that was kept by a request that died
    /// is kept again.
    pub async fn keep_import(
        &self,
        import: &Import,
        steps: &[Step],
        rows: &[u8],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.keep_bytes(&import.part(Kept::Rows), rows, deadline).await?;
        self.keep_steps(import, steps, deadline).await?;
        let not_applied = [(":not", AttributeValue::Bool(false))];
        let kept = self.single().create_or_replace(import, "applied = :not", &not_applied)?;
        self.write_alone(kept, deadline).await.map(drop)
    }

    /// What undoes the drops of an import that was applied so lately that they may be. Whom a later whole list does not name either stays
    /// dropped.
    pub async fn undo_of(
        &self,
        programme: &ProgrammeId,
        import: Ulid,
        now: Moment,
    ) -> Result<Option<(Import, Vec<Step>)>, StoreError> {
        let imports = self.list(Import::of_programme(programme)).await?;
        let applied = imports.iter().find(|of| of.import == import && of.undone_until(now).is_some());
        let Some(applied) = applied else { return Ok(None) };
        let is_undone = |of: &Import| imports.iter().any(|undo| undo.import == Import::undo(of.import) && undo.applied);
        let mut later = HashSet::new();
        for of in imports.iter().filter(|of| of.applied && of.act.is_none() && of.made_at > applied.made_at) {
            if is_undone(of) {
                continue;
            }
            let is_without = |step: &Step| matches!(step, Step::Drop { .. } | Step::Absent { .. });
            let without = self.steps_of(of.import).await?.into_iter().filter(is_without);
            later.extend(without.filter_map(|step| step.grant().cloned()));
        }
        let mut undone = self.steps_of(import).await?;
        undone.retain(|step| matches!(step, Step::Drop { grant } if !later.contains(grant)));
        let undone: Vec<Step> =
            undone.iter().filter_map(|step| Some(Step::Return { grant: step.grant()?.clone() })).collect();
        let undo = Import { import: Import::undo(import), ..Import::of(programme, &undone, now) };
        Ok((!undone.is_empty()).then_some((undo, undone)))
    }

    async fn steps_of(&self, import: Ulid) -> Result<Vec<Step>, StoreError> {
        let parts = self.list(ImportPart::of_import(import, Kept::Steps)).await?;
        let steps: Vec<Vec<Step>> = parts.iter().map(ImportPart::steps).collect::<Result<_, _>>()?;
        Ok(steps.concat())
    }

    /// The grants of a job of which the provider is still to confirm something. The index is a moment behind.
    pub async fn waiting_for_provider(&self, job: &Job) -> Result<Vec<GrantId>, StoreError> {
        let mut waiting = BTreeSet::new();
        for urgency in [Urgency::Leak, Urgency::Disable, Urgency::Limit] {
            let note = |item: &items::Item| {
                let of = Grant::named(&items::key_of(item)).filter(|(of, _)| *of == job.programme);
                waiting.extend(of.map(|(_, grant)| grant));
            };
            self.each_in(urgency.queue(), None, note).await?;
        }
        if let Work::Import { import, .. } | Work::Bulk { import } = job.work
            && !waiting.is_empty()
        {
            let steps = self.steps_of(import).await?;
            let changed: HashSet<&GrantId> = steps.iter().filter_map(Step::grant).collect();
            waiting.retain(|grant| changed.contains(grant));
        }
        Ok(waiting.into_iter().collect())
    }

    /// The steps from this one on that are done together; empty after the last.
    pub async fn steps_from(&self, import: Ulid, next: u32) -> Result<Vec<Step>, StoreError> {
        let per_part = u32::try_from(STEPS_A_PART).unwrap_or(u32::MAX);
        let Some(part) = self.get(ImportPart::key_of(import, Kept::Steps, next / per_part)).await? else {
            return Ok(Vec::new());
        };
        let within = usize::try_from(next % per_part).unwrap_or(usize::MAX);
        Ok(part.steps()?.into_iter().skip(within).collect())
    }
}
