//! The table: the only place that knows it. Its methods are named for what happens in the product, and their outcomes are
//! enums; no type of AWS leaves it.

mod account;
mod act;
mod alarms;
mod alerts;
mod announcements;
mod caps;
mod checkpoints;
mod commit;
mod cuts;
mod dead_mails;
mod digests;
mod error;
mod explained;
mod grants;
mod group_totals;
mod held_back;
mod imports;
pub mod items;
mod jobs;
pub mod keys;
mod leases;
mod mail_choice;
mod mail_days;
mod mail_outcomes;
mod mail_refusals;
mod meta;
mod missing;
mod models;
mod outbox;
mod owed;
mod people;
mod programmes;
mod read;
mod requests;
mod rules;
mod shortage;
mod sign_in;
mod tallies;
mod telling;
#[cfg(test)]
mod tests;
mod totals;
mod undeliverable;
mod under;

use aws_sdk_dynamodb::Client;

use crate::config::Config;

pub use account::{Account, AccountDay, ForeignKey, Stranger, SyncState};
pub use act::{At, Outcome, new_ulid};
pub use alerts::AlertAgain;
pub use caps::{CapsLook, Place};
pub use checkpoints::{Checkpoint, Delay, Kept};
pub use cuts::{Cut, ProgrammeCut};
pub use dead_mails::{DeadMails, GIVEN_UP_SHOWN, SentAgain};
pub use error::StoreError;
pub use grants::{NotAsRead, Unchanged};
pub use group_totals::{GroupTotals, KeptTotals};
pub use held_back::{HeldAct, HeldBack, HeldKey, HeldMark, Release};
pub use imports::{Import, ImportChunk, Step};
pub use jobs::{Job, JobMade, JobState};
pub use leases::{Acquired, Noted};
pub use mail_days::{BulkStop, LetGo, MailServer, WentOn};
pub use mail_outcomes::{Unreachable, Waiting};
pub use mail_refusals::MailRefusal;
pub use meta::Confirmed;
pub use missing::MissingKey;
pub use models::{ModelDay, ModelRows, NobodysDay};
pub use outbox::SentAgainAt;
pub use people::Known;
pub use programmes::{By, Closed, INVITED_AT_ONCE, NewPerson, PotSet, Promised, Saved};
pub use sign_in::{LinkMade, Written};
pub use under::Under;

/// The table of this deployment.
#[derive(Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// Connects when it is first used.
    pub fn new(config: &Config) -> Table {
        Table { client: config.aws.dynamodb(), name: config.table.clone() }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this table is a copy of the one that the deployment's own item was made in.
    pub fn is_copy(&self, meta: &items::Meta) -> bool {
        meta.table != self.name
    }
}
