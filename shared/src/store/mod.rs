//! The table, which nothing outside this module knows. Its methods are named for acts of the
//! product, and their outcomes are enums; no type of AWS leaves it.

mod access;
mod admins;
mod alerts;
mod erasure;
mod export;
mod grants;
mod ledger;
mod mail;
mod people;
mod programmes;
mod retention;
mod sign_on;
mod sync;
mod table;
#[cfg(test)]
mod tests;

pub use access::AccessEntry;
pub use admins::{AddedAdmins, MOST_ADMINS};
pub use alerts::{BETWEEN_ASKS, BETWEEN_TESTS, Broadcast};
pub use erasure::{BACKUP_DAYS, Erasure};
pub use grants::act::{ActOutcome, Ruling};
pub use grants::list::GrantLine;
pub use grants::view::{ByHand, DoneByHand, Enrolment, INVITED_AT_ONCE, ProgrammeShard, Whose};
pub use ledger::{AssignOutcome, AssignedUse, ForeignRequest, OwnedKey, UsedNow};
pub use mail::delivery::{
    DeadMails, GIVEN_UP_SHOWN, SentAgain, Undeliverable, Unreachable, UnreachableReason, Waiting,
};
pub use mail::limits::{MailRefusal, MailServer, RosterMails};
pub use mail::outbox::{
    AskedOfAdmins, Bounce, Facts, FiledMail, MailState, MailTo, OutboxRow, QueuedMail, SentAs, Wish,
};
pub use people::{
    HourlyUses, KnownAddress, KnownPerson, Link, LoginRequest, RateCount, SessionOutcome,
    StaffPerson,
};
pub use programmes::imports::{Import, JobCreation, UNDONE_WITHIN};
pub use programmes::jobs::{
    DueWork, JOB_LEASE, Job, JobPlace, JobState, Subject, UndoneStep, WhyUndone, Work,
};
pub use programmes::overview::Overview;
pub use programmes::previews::{
    ImportPart, Kept, PREVIEW_LASTS, RosterChanges, RosterPreview, RosterToken, WAITS_FOR,
};
pub use programmes::programme::{
    BudgetSums, CopiedProgramme, EditOutcome, NewProgramme, ProgrammeEdit, Undecided,
};
pub use programmes::rules::{RulesSource, TierOutcome};
pub use retention::RetentionHold;
pub use sync::account::{Account, BalanceReading};
pub use sync::models::{ForeignModels, ListedModels, ModelDay, ModelRows};
pub use sync::runs::{BegunBy, Run};
pub use sync::state::{
    HeldAct, HeldBack, HeldKey, MOST_NAMED, OwnJudgement, Release, StubbornDisable, SyncState,
    UnknownKey,
};
pub use sync::totals::{GroupTotals, KeptTotals, ProgrammeUse, Totals, Unmailed};
pub use table::meta::{ActContext, Author, KnownAccount, Meta, RunLease, SHAPE};
pub use table::{Result, StoreError, Table, items};
