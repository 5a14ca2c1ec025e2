//! A roster file that was read and previewed, kept for a day so that exactly the preview can be applied. The
//! console reads the file; a job (`jobs`) applies it.

use futures_util::{StreamExt, TryStreamExt};
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::grant::Person;
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::store::grants::enrolment::INVITED_AT_ONCE;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::{StoreError, Table};

/// How long a preview may be applied.
const IMPORT_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How many steps lie in one part: whole transactions, and less than an item may hold.
const STEPS_A_PART: usize = 20 * INVITED_AT_ONCE;
const SIDE_BY_SIDE: usize = 8;

/// A preview: what applying it will do. Its first part is the preview itself; the others hold more of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub import: Ulid,
    pub part: u32,
    pub programme: ProgrammeId,
    #[serde(with = "millisecond::required")]
    pub made_at: Timestamp,
    pub steps: u32,
    /// How many of the steps drop somebody.
    pub dropped: u32,
    /// Whether so many are dropped that the person who applies it must type the number.
    pub to_confirm: bool,
    /// Whether a job was created from it.
    pub applied: bool,
    /// The steps of this part.
    pub some: Vec<Step>,
}

stored! {
    "import" Import |it| (import: Ulid = it.import, part: u32 = it.part) => key(format!("I#{import}"), format!("I#{part:05}"));
    // A job may begin at the last moment.
    expires it.made_at + IMPORT_LASTS * 2
}

/// One step of an import. Each may be done twice without a further effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Step {
    Add {
        #[serde(flatten)]
        person: Person,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// A change to a person on the roster, to what the file says.
    Change {
        grant: GrantId,
        #[serde(flatten)]
        person: Person,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    Drop {
        grant: GrantId,
    },
    /// The return of a dropped person whom the file names again.
    Return {
        grant: GrantId,
    },
}

impl Step {
    /// The grant that it changes; `None` for somebody who is added.
    pub fn grant(&self) -> Option<&GrantId> {
        match self {
            Step::Add { .. } => None,
            Step::Change { grant, .. } | Step::Drop { grant } | Step::Return { grant } => Some(grant),
        }
    }
}

impl Import {
    /// A preview of these steps that drops nobody.
    pub fn of(programme: &ProgrammeId, steps: usize, now: Timestamp) -> Import {
        Import {
            import: new_ulid(now),
            part: 0,
            programme: programme.clone(),
            made_at: now,
            steps: u32::try_from(steps).unwrap_or(u32::MAX),
            dropped: 0,
            to_confirm: false,
            applied: false,
            some: Vec::new(),
        }
    }
}

impl Table {
    /// Saves the steps of an import but its first part, which is returned: once that is there, all its steps are.
    pub async fn keep_steps(
        &self,
        import: Import,
        mut steps: Vec<Step>,
        deadline: Deadline,
    ) -> Result<Import, StoreError> {
        let others = steps.split_off(steps.len().min(STEPS_A_PART));
        let part = |(some, part): (&[Step], u32)| Import { part, some: some.to_vec(), ..import.clone() };
        let parts: Vec<Import> = others.chunks(STEPS_A_PART).zip(1..).map(part).collect();
        let parts = parts.into_iter().map(|part| async move { self.put_new(&part, deadline).await });
        futures_util::stream::iter(parts).buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<_>>().await?;
        Ok(Import { some: steps, ..import })
    }

    /// Saves a preview.
    pub async fn keep_import(&self, import: Import, steps: Vec<Step>, deadline: Deadline) -> Result<(), StoreError> {
        let first = self.keep_steps(import, steps, deadline).await?;
        self.put_new(&first, deadline).await.map(drop)
    }

    /// A preview that may still be applied, or was.
    pub async fn import(&self, import: Ulid, now: Timestamp) -> Result<Option<Import>, StoreError> {
        let kept = self.get(Import::key_of(import, 0)).await?;
        Ok(kept.filter(|import| now < import.made_at + IMPORT_LASTS))
    }

    /// The steps from this one on that are done together; empty after the last.
    pub async fn steps_from(&self, import: Ulid, next: u32) -> Result<Vec<Step>, StoreError> {
        let per_part = u32::try_from(STEPS_A_PART).unwrap_or(u32::MAX);
        let part = self.get(Import::key_of(import, next / per_part)).await?;
        let within = usize::try_from(next % per_part).unwrap_or(usize::MAX);
        Ok(part.map(|part| part.some.into_iter().skip(within).collect()).unwrap_or_default())
    }
}
