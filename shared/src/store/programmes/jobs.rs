//! Jobs: work too long for one request. What a job does is the console's.
//!
//! Each programme has one item for its job, so there is one at a time. Whoever has its lease goes on at the checkpoint, and every
//! step may be done twice. The request that starts a job carries it on for some seconds; the work of each minute does the rest.
//!
//! A roster is compared when it is shown, and the job does just what was shown: the steps lie in the table for a day or two
//! (`imports`). Who was dropped is held and not revoked; a file or form that names them again takes the hold off, while the pot
//! has room.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::audit::Actor;
use crate::domain::values::id::{Nonce, ProgrammeId};
use crate::store::programmes::imports::Import;
use crate::store::table::commit::{Commit, Pauses};
use crate::store::table::items::Queue;
use crate::store::table::{StoreError, Table, keys};

/// How long an invocation owns a job: longer than it may run.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// The running job of a programme, or its last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub programme: ProgrammeId,
    pub job: Ulid,
    /// The import that it applies.
    pub import: Ulid,
    /// The person who started it.
    pub by: Actor,
    #[serde(flatten)]
    pub state: JobState,
    /// The step to go on with.
    pub next: u32,
    pub steps: u32,
    /// Steps that the rules refused when it was their turn.
    pub refused: u32,
    #[serde(with = "millisecond::required")]
    pub started_at: Timestamp,
    /// The last writer, by which a caller whose answer was lost knows its own write.
    pub writer: Nonce,
    pub version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum JobState {
    /// Owned until the lease ends; afterwards any invocation may take it over.
    Running {
        #[serde(with = "millisecond::required")]
        lease_until: Timestamp,
    },
    Done {
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
    Failed {
        why: String,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
    },
}

/// The outcome of starting a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobCreation {
    /// The caller owns it.
    Yes(Job),
    /// It was started before.
    Already,
    /// The programme has another job under way.
    Busy,
}

impl Job {
    pub(in crate::store) fn waits(&self) -> Option<(Queue, Timestamp)> {
        match self.state {
            JobState::Running { lease_until } => Some((Queue::Job, lease_until)),
            JobState::Done { .. } | JobState::Failed { .. } => None,
        }
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

impl Table {
    pub async fn job(&self, programme: &ProgrammeId) -> Result<Option<Job>, StoreError> {
        self.get(&keys::job(programme)).await
    }

    /// Creates the job of an import, once, unless another job of the programme runs. The caller owns it.
    pub async fn start_job(
        &self,
        import: &Import,
        by: &Actor,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<JobCreation, StoreError> {
        let mut pauses = Pauses::until(deadline);
        let key = keys::import(import.import);
        loop {
            let (kept, before) = tokio::try_join!(self.get::<Import>(&key), self.job(&import.programme))?;
            if kept.is_none_or(|kept| kept.applied) {
                return Ok(JobCreation::Already);
            }
            if before.as_ref().is_some_and(|job| matches!(job.state, JobState::Running { .. })) {
                return Ok(JobCreation::Busy);
            }
            let job = Job {
                programme: import.programme.clone(),
                job: crate::domain::values::id::new_ulid(now),
                import: import.import,
                by: by.clone(),
                state: JobState::Running { lease_until: now + LEASE },
                next: 0,
                steps: import.steps,
                refused: 0,
                started_at: now,
                writer: Nonce::random(),
                version: before.as_ref().map_or(1, |before| before.version + 1),
            };
            let (not, yes) = (AttributeValue::Bool(false), AttributeValue::Bool(true));
            let transaction = self.transaction().update(
                &key,
                "SET applied = :yes",
                "applied = :not",
                &[(":yes", yes), (":not", not)],
            )?;
            let transaction = match before {
                Some(before) => transaction.replace(&job, before.version)?,
                None => transaction.create(&job)?,
            };
            match self.commit(transaction, &mut pauses).await? {
                Commit::Done => return Ok(JobCreation::Yes(job)),
                // Our own write, whose first answer was lost: the table refuses the retry.
                Commit::Stale if self.job(&import.programme).await?.is_some_and(|now| now.job == job.job) => {
                    return Ok(JobCreation::Yes(job));
                }
                Commit::Stale if pauses.pause().await => {}
                Commit::Stale => return Err(StoreError::Contended),
            }
        }
    }

    /// Programmes whose jobs had no owner a moment ago.
    pub async fn due_jobs(&self, now: Timestamp, limit: i32) -> Result<Vec<ProgrammeId>, StoreError> {
        let due = self.due(Queue::Job, now, limit).await?;
        Ok(due.iter().filter_map(keys::job_of).collect())
    }

    /// Takes over a job without an owner. Returns `None` when it has one, or is over.
    pub async fn take_job(
        &self,
        programme: &ProgrammeId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<Job>, StoreError> {
        let Some(job) = self.job(programme).await? else { return Ok(None) };
        match job.state {
            JobState::Running { lease_until } if lease_until <= now => {
                self.set_job(Job { state: JobState::Running { lease_until: now + LEASE }, ..job }, deadline).await
            }
            _ => Ok(None),
        }
    }

    /// Records the progress of a job that the caller owns. Returns `None` when another invocation has taken
    /// it over.
    pub async fn set_job(&self, job: Job, deadline: Deadline) -> Result<Option<Job>, StoreError> {
        let after = Job { version: job.version + 1, writer: Nonce::random(), ..job };
        Ok(self.replace_as_mine(&after, after.version - 1, deadline).await?.then_some(after))
    }
}
