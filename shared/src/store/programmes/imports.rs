//! A roster file that was read and previewed, kept for a day so that exactly the preview can be applied. The
//! console reads the file; a job (`jobs`) applies it.

use futures_util::{StreamExt, TryStreamExt};
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::grant::Person;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::store::grants::enrolment::INVITED_AT_ONCE;
use crate::store::items::stored;
use crate::store::keys::key;
use crate::store::table::{StoreError, Table};

/// How long a preview may be applied.
pub(crate) const IMPORT_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How many steps lie in one chunk: whole transactions, and less than an item may hold.
const STEPS_A_CHUNK: usize = 20 * INVITED_AT_ONCE;
const SIDE_BY_SIDE: usize = 8;

/// A preview: what applying it will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub import: Ulid,
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
}

stored! {
    "import" Import |it| (import: Ulid = it.import) => key(format!("I#{import}"), "I");
    expires it.made_at + IMPORT_LASTS
}

/// Some of an import's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportChunk {
    pub import: Ulid,
    pub number: u32,
    #[serde(with = "millisecond::required")]
    pub made_at: Timestamp,
    pub steps: Vec<Step>,
}

stored! {
    "import-chunk" ImportChunk |it| (import: Ulid = it.import, number: u32 = it.number) => key(format!("I#{import}"), format!("C#{number:05}"));
    expires it.made_at + IMPORT_LASTS + IMPORT_LASTS
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

impl Table {
    /// Saves a preview. The import's own item comes last: once it is there, all its steps are.
    pub async fn keep_import(&self, import: &Import, steps: &[Step], deadline: Deadline) -> Result<(), StoreError> {
        self.keep_steps(import, steps, deadline).await?;
        self.put_new(import, deadline).await.map(drop)
    }

    /// Saves the steps of an import whose own item comes later.
    pub async fn keep_steps(&self, import: &Import, steps: &[Step], deadline: Deadline) -> Result<(), StoreError> {
        let (import_id, made_at) = (import.import, import.made_at);
        let chunk =
            |(steps, number): (&[Step], u32)| ImportChunk { import: import_id, number, made_at, steps: steps.to_vec() };
        let chunks: Vec<ImportChunk> = steps.chunks(STEPS_A_CHUNK).zip(0..).map(chunk).collect();
        let chunks = chunks.into_iter().map(|chunk| async move { self.put_new(&chunk, deadline).await });
        futures_util::stream::iter(chunks).buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<_>>().await.map(drop)
    }

    /// A preview that may still be applied, or was.
    pub async fn import(&self, import: Ulid, now: Timestamp) -> Result<Option<Import>, StoreError> {
        let kept: Option<Import> = self.get(Import::key_of(import)).await?;
        Ok(kept.filter(|import| now < import.made_at + IMPORT_LASTS))
    }

    /// The steps from this one on that are done together; empty after the last.
    pub async fn steps_from(&self, import: Ulid, next: u32) -> Result<Vec<Step>, StoreError> {
        let per_chunk = u32::try_from(STEPS_A_CHUNK).unwrap_or(u32::MAX);
        let chunk: Option<ImportChunk> = self.get(ImportChunk::key_of(import, next / per_chunk)).await?;
        let within = usize::try_from(next % per_chunk).unwrap_or(usize::MAX);
        Ok(chunk.map(|chunk| chunk.steps.into_iter().skip(within).collect()).unwrap_or_default())
    }
}
