//! The table, which nothing outside this module knows. Its methods are named for acts of the product, and
//! their outcomes are enums; no type of AWS leaves it.

mod alerts;
mod grants;
mod ledger;
mod mail;
mod people;
mod programmes;
mod sync;
mod table;
#[cfg(test)]
mod tests;

pub use alerts::{AlertAgain, Broadcast, CapScan, CapScanPosition};
pub use grants::act::{ActOutcome, Decision};
pub use grants::enrolment::{Enrolment, INVITED_AT_ONCE, NewPerson};
pub use grants::readings::{ByHand, DoneByHand, ReadingWrite};
pub use grants::view::ProgrammeShard;
pub use ledger::cuts::CutKeys;
pub use ledger::foreign_acts::ForeignPress;
pub use ledger::owners::{AssignOutcome, AssignedUse, OwnedKey};
pub use mail::days::{BulkStop, MailServer};
pub use mail::dead_mails::{DeadMails, GIVEN_UP_SHOWN, SentAgain};
pub use mail::outbox::Resend;
pub use mail::outbox_row::{Bounce, GrantMail, MailState, OUTBOX_KEPT, OutboxRow, QueuedMail, SentAs};
pub use mail::outcomes::{Unreachable, Waiting};
pub use mail::refusals::MailRefusal;
pub use mail::undeliverable::{NOT_WANTED, Undeliverable, UnreachableReason};
pub use people::{Ask, KnownAddress, KnownPerson, Link, LinkOutcome, RateCount, StaffPerson};
pub use programmes::edit::{Edit, EditOutcome};
pub use programmes::guardrails::{RulesDue, RulesSource};
pub use programmes::imports::{Import, Step};
pub use programmes::jobs::{JOB_LEASE, Job, JobCreation, JobState, Pass, Work};
pub use programmes::programme::{BudgetSums, CloseOutcome, CopiedProgramme, NewProgramme};
pub use programmes::tiers::TierOutcome;
pub use sync::account::{Account, AccountDay, ForeignKey};
pub use sync::checkpoints::{Checkpoint, CheckpointPart, Delay, SavedParts};
pub use sync::fenced::FencedTable;
pub use sync::held_back::{HeldMark, HeldMarks};
pub use sync::missing::MissingKey;
pub use sync::models::{ForeignModels, ModelDay, ModelRows};
pub use sync::runs::Run;
pub use sync::state::{HeldAct, HeldBack, HeldKey, OrphanName, SyncState};
pub use sync::totals::{GroupTotals, KeptTotals, ProgrammeUse, Totals};
pub use table::context::{ActContext, Author};
pub use table::lease::{Acquired, Lease};
pub use table::meta::{Confirmed, KnownAccount, Meta};
pub use table::{StoreError, Table, items, keys};
