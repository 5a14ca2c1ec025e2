//! Jobs: work too long for one request. What a job does is the console's.
//!
//! A programme has one item for each kind of job, so a kind is not under way twice. It keeps what
//! it was asked and how far it has come, and whoever carries it on plans what is left. Each leaves
//! the job's id on the grant that it changes, so that it is done once. A job only writes; what it
//! makes due is sent by the work of each minute, and the job is done once the provider has
//! confirmed that.
//!
//! Whoever took a job writes its checkpoint on condition that nobody has written since. So another
//! who takes it over after the lease, or a person who starts it anew, ends the former runner. Of a
//! programme's jobs one is written at a time: the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::Actor;
use crate::domain::grant::{ChangeRefused, Grant, Urgency};
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::domain::values::partition::{overview_key, overview_range};
use crate::schema::{ItemKey, Queue, overview, stored};
use crate::store::table::write::{Unaudited, Writes, number};
use crate::store::{Result, StoreError, Table, items};

/// How long an invocation owns a job: longer than it may run.
pub const JOB_LEASE: SignedDuration = SignedDuration::from_secs(60);
const READ_AT_ONCE: usize = 16;

/// A programme's job of one kind: the running one, or the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub programme: ProgrammeId,
    pub job: Ulid,
    #[serde(flatten)]
    pub work: Work,
    pub actor: Actor,
    #[serde(flatten)]
    pub state: JobState,
    /// How much is done and confirmed by the provider, of all.
    pub done: u32,
    pub total: u32,
    /// How much is written, up to which place in the job's order, and whether that is all.
    pub next: u32,
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_written: bool,
    /// How often what is at a place after that could not be written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<String, u32>,
    /// What was refused by the rules, or could not be written, when it was its turn.
    pub refused: u32,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<UndoneStep>,
    pub started_at: Moment,
    pub advanced_at: Moment,
    /// Counts its writes, each of which replaces the one before.
    pub version: u64,
}

stored! {
    // A programme's running or last job of a kind. There is one key, so there is one such job at a
    // time.
    Job |job| (programme: &ProgrammeId, kind: &str = job.work.kind()) => overview_key(programme, &format!("JOB#{kind}"));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "JOB#");
    waits |job| job.waits()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "lowercase")]
pub enum Work {
    /// Applies the roster of the import with its id.
    Import,
    /// Releases those whom an import dropped.
    Undo {
        import: Ulid,
    },
    /// Does one action to many grants, those of the import with its id.
    Bulk,
    Close,
    /// Gives keys the limits and the guardrails that follow from other settings.
    Limits,
}

/// Whom something is done to: a grant, or somebody on this line of a roster, who has none yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Grant(GrantId),
    Line(u64),
}

/// Where something comes among what a job does. What has one turn may be done side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobPlace {
    pub turn: u8,
    pub of: Subject,
}

/// As a job notes how far it is.
impl fmt::Display for JobPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Subject::Grant(grant) => write!(f, "{}#{grant}", self.turn),
            Subject::Line(line) => write!(f, "{}#{line:08}", self.turn),
        }
    }
}

/// What was not done: to whom, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoneStep {
    pub of: Subject,
    pub why: WhyUndone,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyUndone {
    Refused(ChangeRefused),
    /// The provider has not confirmed it for long. It is sent again all the same.
    NotConfirmed,
    /// The record cannot be read.
    Unreadable,
    /// It could not be written, however often that was tried.
    Failed,
}

/// How many a job names to whom something was not done.
const MOST_NAMED: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum JobState {
    /// Owned until the lease ends; afterwards any invocation may take it over. Where all is
    /// written, what the provider is to confirm is looked at again then.
    Running {
        lease_until: Moment,
    },
    Done {
        ended_at: Moment,
    },
    Failed {
        why: String,
        ended_at: Moment,
    },
}

impl Work {
    pub fn kind(&self) -> &'static str {
        match self {
            Work::Import | Work::Undo { .. } => "import",
            Work::Bulk => "bulk",
            Work::Close => "close",
            Work::Limits => "limits",
        }
    }

    pub fn is_of_roster(&self) -> bool {
        self.kind() == Work::Import.kind()
    }
}

impl Job {
    /// The programme of the job of this key, if it is one's.
    pub fn named(key: &ItemKey) -> Option<ProgrammeId> {
        let programme = key
            .pk
            .strip_prefix("P#")
            .filter(|_| key.sk.starts_with(&overview("JOB#")))?;
        programme.parse().ok()
    }

    /// A job that nobody has taken yet, to be set by the transaction that makes it necessary: one
    /// of its kind that runs starts anew.
    pub fn new(programme: &ProgrammeId, work: Work, total: u32, actor: &Actor, now: Moment) -> Job {
        Job {
            programme: programme.clone(),
            job: new_ulid(now),
            work,
            actor: actor.clone(),
            state: JobState::Running { lease_until: now },
            done: 0,
            total,
            next: 0,
            after: None,
            is_written: false,
            tries: BTreeMap::new(),
            refused: 0,
            undone: Vec::new(),
            started_at: now,
            advanced_at: now,
            version: 1,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, JobState::Running { .. })
    }

    pub fn is_being_written(&self) -> bool {
        self.is_running() && !self.is_written
    }

    pub fn note_undone(&mut self, undone: Vec<UndoneStep>) {
        self.refused += undone.len() as u32;
        self.undone.extend(undone);
        self.undone.truncate(MOST_NAMED);
    }

    /// The job, ended for a reason. Its runner finds that somebody else has written it.
    #[must_use]
    pub fn cancelled(self, why: &str, ended_at: Moment) -> Job {
        Job {
            state: JobState::Failed {
                why: why.to_owned(),
                ended_at,
            },
            version: self.version + 1,
            ..self
        }
    }

    pub(crate) fn waits(&self) -> Option<(Queue, Moment)> {
        match self.state {
            JobState::Running { lease_until } => Some((Queue::JOB, lease_until)),
            JobState::Done { .. } | JobState::Failed { .. } => None,
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.waits().is_some_and(|(_, due)| due <= now)
    }
}

impl JobState {
    pub fn as_str(&self) -> &'static str {
        match self {
            JobState::Running { .. } => "running",
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
    pub updates: Vec<ItemKey>,
    /// Jobs and erasures that nobody owned a moment ago.
    pub jobs: Vec<ItemKey>,
}

impl DueWork {
    pub fn is_empty(&self) -> bool {
        [&self.ends, &self.guardrails, &self.updates, &self.jobs]
            .into_iter()
            .all(Vec::is_empty)
    }

    pub fn retain(&mut self, is_meant: impl Fn(&ItemKey) -> bool) {
        for due in [
            &mut self.ends,
            &mut self.guardrails,
            &mut self.updates,
            &mut self.jobs,
        ] {
            due.retain(&is_meant);
        }
    }
}

impl Table {
    /// What is due; of each kind at most so many. The index is a moment behind.
    pub async fn due_work(&self, now: Moment, most: usize) -> Result<DueWork> {
        let due = |queue| self.due(queue, now, most as i32);
        let (leaks, disables, guardrails, limits, reads, jobs) = tokio::try_join!(
            due(Urgency::Leak.queue()),
            due(Urgency::Disable.queue()),
            due(Queue::GUARDRAIL),
            due(Urgency::Limit.queue()),
            due(Urgency::Read.queue()),
            due(Queue::JOB),
        )?;
        Ok(DueWork {
            ends: [leaks, disables].concat(),
            guardrails,
            updates: [limits, reads].concat(),
            jobs,
        })
    }

    /// The jobs of a programme that run or have run, the oldest first.
    pub async fn jobs(&self, programme: &ProgrammeId) -> Result<Vec<Job>> {
        let mut jobs = self.list(Job::of_programme(programme)).await?;
        jobs.sort_by_key(|job| (job.started_at, job.job));
        Ok(jobs)
    }

    /// Programmes with jobs that run or wait. The index is a moment behind.
    pub async fn programmes_with_jobs(&self) -> Result<Vec<ProgrammeId>> {
        let mut programmes = BTreeSet::new();
        self.visit_queue(Queue::JOB, None, |attributes| {
            programmes.extend(Job::named(&items::key_of(attributes)));
        })
        .await?;
        Ok(programmes.into_iter().collect())
    }

    /// Takes the job of a programme whose turn it is, if nobody owns one of them. In a restored
    /// copy of the table none runs.
    pub async fn take_job(
        &self,
        programme: &ProgrammeId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<Job>> {
        let mut running: Vec<Job> = self
            .jobs(programme)
            .await?
            .into_iter()
            .filter(Job::is_running)
            .collect();
        // What is half written comes first, also before what was begun by a request that is older
        // and committed later.
        running.sort_by_key(|job| (job.is_written || job.version == 1, job.started_at, job.job));
        if running
            .iter()
            .any(|job| !job.is_written && !job.is_due(now))
            || self.is_copy(&self.meta(now).await?)
        {
            return Ok(None);
        }
        let Some(first) = running.iter().find(|job| job.is_due(now)) else {
            return Ok(None);
        };
        let taken = Job {
            state: JobState::Running {
                lease_until: now + JOB_LEASE,
            },
            version: first.version + 1,
            ..first.clone()
        };
        let mut transaction = self.transaction().put(&taken, AS_READ, &as_read(first))?;
        // The others must not have been taken meanwhile.
        for other_job in running
            .iter()
            .filter(|other_job| other_job.job != first.job)
        {
            transaction = transaction.check(
                &Job::key_of(programme, other_job.work.kind()),
                AS_READ,
                &as_read(other_job),
            )?;
        }
        let is_mine = self
            .commit_once(transaction.skip_audit(Unaudited::Job), deadline)
            .await?;
        Ok(is_mine.then_some(taken))
    }

    /// Records the progress of a job that the caller owns. Returns `None` when somebody else has
    /// written it since.
    pub async fn set_job(&self, job: Job, deadline: Deadline) -> Result<Option<Job>> {
        let after = Job {
            version: job.version + 1,
            ..job.clone()
        };
        let transaction = self.transaction().put(&after, AS_READ, &as_read(&job))?;
        let is_mine = self
            .commit_once(transaction.skip_audit(Unaudited::Job), deadline)
            .await?;
        Ok(is_mine.then_some(after))
    }
}

/// The condition that a job is as it was read, and no other of its kind.
pub(super) const AS_READ: &str = "job = :job AND version = :version";

pub(super) fn as_read(job: &Job) -> [(&'static str, AttributeValue); 2] {
    [
        (":job", AttributeValue::S(job.job.to_string())),
        (":version", number(job.version)),
    ]
}

impl Table {
    /// The grants of a job of which the provider is still to confirm something. The index is a
    /// moment behind.
    pub async fn list_waiting_for_provider(&self, job: &Job) -> Result<Vec<GrantId>> {
        let mut waiting = BTreeSet::new();
        for urgency in [Urgency::Leak, Urgency::Disable, Urgency::Limit] {
            self.visit_queue(urgency.queue(), None, |attributes| {
                let named_grant = Grant::named(&items::key_of(attributes))
                    .filter(|(programme, _)| *programme == job.programme);
                waiting.extend(named_grant.map(|(_, grant)| grant));
            })
            .await?;
        }
        if matches!(job.work, Work::Close | Work::Limits) {
            return Ok(waiting.into_iter().collect());
        }
        let grants = iter(waiting).map(|id| async move {
            match self.get(Grant::key_of(&job.programme, &id)).await {
                // The job did nothing to one that cannot be read.
                Err(StoreError::Corrupt { .. }) => Ok(None),
                read => read,
            }
        });
        let grants: Vec<Option<Grant>> = grants.buffered(READ_AT_ONCE).try_collect().await?;
        let changed = grants
            .into_iter()
            .flatten()
            .filter(|grant| grant.job.is_some_and(|mark| mark.job == job.job));
        Ok(changed.map(|grant| grant.id).collect())
    }
}
