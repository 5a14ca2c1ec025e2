//! What jobs of many are asked to do, as it was confirmed: to apply a roster file, or to act on
//! some students. It is kept until it is not undone any more.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::Actor;
use crate::domain::grant::GrantAct;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::partition::{overview_key, overview_range};
use crate::schema::{Stored, stored};
use crate::store::programmes::jobs::{AS_READ, as_read};
use crate::store::table::write::{Round, Unaudited, Writes};
use crate::store::{ImportPart, Job, Kept, OutboxRow, Result, RosterChanges, Table, Work};

/// How long an import is kept, with what it changed.
pub(crate) const IMPORT_KEPT: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How long the drops of an import may be undone: as long as those who were dropped keep their
/// reservations.
pub const UNDONE_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A roster that a job applies, or an action on the students of a list. File and list lie beside it
/// in parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Import {
    /// The id of its job too.
    pub import: Ulid,
    pub programme: ProgrammeId,
    /// Since when what somebody else does to a student counts more than the file.
    pub made_at: Moment,
    /// How many things there are to do.
    pub steps: u32,
    /// What a file changed, as its preview showed it. A registrar's file that nobody saw before is
    /// unseen.
    pub changes: RosterChanges,
    pub is_unseen: bool,
    /// Whether a job was created from it, and another that undoes its drops.
    pub applied: bool,
    pub undone: bool,
    /// Whether people whom the file does not name are dropped, and under which heading its
    /// addresses stand.
    pub replaces: bool,
    pub email_column: Option<String>,
    /// What is done to each of a list; nothing where it is a roster.
    pub act: Option<GrantAct>,
}

stored! {
    Import |import| (programme: &ProgrammeId, import: Ulid = import.import) => overview_key(programme, &format!("IMPORT#{import}"));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "IMPORT#");
    expires |import| import.until()
}

#[derive(Debug)]
pub enum JobCreation {
    Yes,
    /// It was started before.
    Already,
    /// The programme has another one under way.
    Busy,
}

impl Import {
    pub fn new(programme: &ProgrammeId, import: Ulid, steps: usize, now: Moment) -> Import {
        Import {
            import,
            programme: programme.clone(),
            made_at: now,
            steps: steps as u32,
            changes: RosterChanges::default(),
            is_unseen: false,
            applied: false,
            undone: false,
            replaces: false,
            email_column: None,
            act: None,
        }
    }

    /// The job that does it.
    pub fn job(&self, actor: &Actor, now: Moment) -> Job {
        let work = if self.act.is_some() {
            Work::Bulk
        } else {
            Work::Import
        };
        Job {
            job: self.import,
            ..Job::new(&self.programme, work, self.steps, actor, now)
        }
    }

    pub fn is_applied_roster(&self) -> bool {
        self.applied && self.act.is_none()
    }

    /// Whether it is a file that changed somebody. The roster of a copy was no file.
    pub fn is_applied_file(&self) -> bool {
        self.is_applied_roster() && self.changes != RosterChanges::default()
    }

    pub fn until(&self) -> Moment {
        self.made_at + IMPORT_KEPT
    }

    /// Until when its drops may be undone, if it made any and they were not.
    pub fn undone_until(&self, now: Moment) -> Option<Moment> {
        let until = self.made_at + UNDONE_WITHIN;
        (self.is_applied_roster() && self.changes.dropped > 0 && !self.undone && now < until)
            .then_some(until)
    }
}

impl Table {
    /// Keeps what belongs to an import that is not applied yet.
    pub async fn keep_part(
        &self,
        import: &Import,
        kept: Kept,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<()> {
        let Import {
            import: id,
            programme,
            ..
        } = import;
        let until = import.until();
        let part = ImportPart {
            import: *id,
            programme: programme.clone(),
            kept,
            part: 0,
            until,
            bytes: Vec::new(),
        };
        self.keep_bytes(&part, bytes, deadline).await
    }

    /// Keeps an import, whose parts are there. One that was kept by a request that died is kept
    /// again.
    pub async fn keep_import(&self, import: &Import, deadline: Deadline) -> Result<()> {
        let not_applied = [(":not", AttributeValue::Bool(false))];
        self.single()
            .create_or_replace(import, "applied = :not", &not_applied)?
            .write(deadline)
            .await
            .map(drop)
    }

    /// Starts the job of an import, or the one that undoes its drops, once, unless another of its
    /// kind is under way. A roster was compared when the job of the import before was this one; if
    /// it is another by now, the comparison may be wrong. The mails tell of it.
    pub async fn start_import(
        &self,
        job: Job,
        before: Option<Ulid>,
        mails: &[OutboxRow],
        deadline: Deadline,
    ) -> Result<JobCreation> {
        let import;
        let mark;
        match job.work {
            Work::Undo { import: undone } => {
                import = undone;
                mark = "undone";
            }
            Work::Import | Work::Bulk | Work::Close | Work::Limits => {
                import = job.job;
                mark = "applied";
            }
        }
        self.carry_through(deadline, || async {
            let kept = self.get(Import::key_of(&job.programme, import)).await?;
            if kept.is_some_and(|kept| {
                if mark == "undone" {
                    kept.undone
                } else {
                    kept.applied
                }
            }) {
                return Ok(Round::Over(JobCreation::Already));
            }
            let last = self.get(job.key()).await?;
            let is_other = job.work.is_of_roster() && last.as_ref().map(|job| job.job) != before;
            if is_other || last.as_ref().is_some_and(Job::is_being_written) {
                return Ok(Round::Over(JobCreation::Busy));
            }
            let values = [
                (":yes", AttributeValue::Bool(true)),
                (":not", AttributeValue::Bool(false)),
            ];
            let set = format!("SET {mark} = :yes");
            let condition = format!("{mark} = :not");
            let transaction = self.transaction().update(
                &Import::key_of(&job.programme, import),
                &set,
                &condition,
                &values,
            )?;
            let transaction = match last {
                Some(last) => transaction.put(&job, AS_READ, &as_read(&last))?,
                None => transaction.create(&job)?,
            };
            Ok(Round::Write(
                transaction.owe_all(mails)?.skip_audit(Unaudited::Job),
                JobCreation::Yes,
            ))
        })
        .await
    }
}
