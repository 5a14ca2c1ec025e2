//! All that a run knows of itself: how far it came, what it has seen and summed up. What lies in a checkpoint is this, so that an
//! invocation whose time is up is followed by one that goes on.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use anyhow::{Context, Result, ensure};
use bursar_core::deadline::Deadline;
use bursar_core::domain::alarm::Cause;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::key::{Fingerprint, KeyHash};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Pot;
use bursar_core::domain::reading::Used;
use bursar_core::provider::ProviderError;
use bursar_core::provider::account::Credits;
use bursar_core::provider::inventory::Position;
use bursar_core::store::{Checkpoint, HeldBack, HeldMark, Kept, Stranger, SyncState, Table};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::listing::Listing;
use crate::look::{Finding, What};
use crate::models::Models;
use crate::report::Report;
use crate::row::Rows;
use crate::witnesses::Witnesses;

/// So many bytes of rows are put into parts at once: all of them would be in memory twice.
const KEPT_AT_ONCE: usize = 380_000;
/// So many parts are read side by side.
const PARTS_AT_ONCE: usize = 4;

/// The parts of a run, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Asks who used which model: first, since its answer is large for a moment and keys take more room the longer they are listed.
    #[default]
    AskForModels,
    List,
    /// Looks at every grant: readings, sums, and what is to be done.
    Look,
    LookAtForeign,
    /// Sends what the guardrails say.
    SendRules,
    /// Does what is to be done.
    Act,
    /// Sums up anew where something was done.
    SumUp,
    Reconcile,
    Over,
}

/// A run, as far as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) began_at: Timestamp,
    /// Rows name a programme by its place here. Those made since the run began are the next run's.
    pub(crate) programmes: Vec<ProgrammeId>,
    /// When the last listing of every key before this one began.
    pub(crate) looked_at: Option<Timestamp>,
    pub(crate) restored_at: Option<Timestamp>,
    /// When the last run began that explained all that the account had spent.
    pub(crate) explained_at: Option<Timestamp>,
    pub(crate) stage: Stage,
    pub(crate) position: Position,
    pub(crate) listing: Listing,
    /// Whether some of what was listed could not be read.
    pub(crate) has_gaps: bool,
    /// Whether some part of the table could not be looked at.
    pub(crate) has_failed: bool,
    /// Whether something that was to be done was not.
    pub(crate) is_undone: bool,
    /// Whether the management key was checked and the credits were asked for: what they were in the middle of a listing says nothing.
    pub(crate) has_begun: bool,
    /// What is the matter with the management key.
    pub(crate) key_refused: Option<Cause>,
    /// Which one it was when the run began.
    pub(crate) management_key: Option<Fingerprint>,
    pub(crate) witnesses: Witnesses,
    /// What nobody explains, once that is known.
    pub(crate) residual: Option<Usd>,
    /// Whether keys, and what an admin explained, account for all that was spent.
    pub(crate) is_explained: bool,
    /// The account's money before the listing.
    pub(crate) credits: Option<Credits>,
    /// The programme and the sixteenth of it that are next.
    pub(crate) next: (u16, u8),
    pub(crate) sums: Option<Sums>,
    pub(crate) models: Models,
    pub(crate) account: Whole,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) findings: VecDeque<Finding>,
    pub(crate) held_back: Option<HeldBack>,
    /// What a person let through and is not seen to yet.
    pub(crate) let_through: BTreeSet<HeldMark>,
    /// Recorded keys that were not listed under their own names.
    #[serde(skip)]
    pub(crate) renamed: HashSet<KeyHash>,
    /// Whether the guard has looked at them.
    pub(crate) is_guarded: bool,
    /// Those that something was in the way of, to be seen to once more.
    pub(crate) put_back: VecDeque<Finding>,
    /// Programmes in which something was found, so that their sums are to be made anew.
    pub(crate) touched: BTreeSet<u16>,
    pub(crate) report: Report,
    #[serde(skip)]
    pub(crate) rows: Rows,
}

/// What the grants of a programme come to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// As it was before the grants were read.
    pub(crate) pot: Pot,
    pub(crate) used: Used,
    pub(crate) by_group: BTreeMap<String, Used>,
    pub(crate) implied: Usd,
    pub(crate) reserved: Usd,
    /// Whether some grant costs less because of what this run read.
    pub(crate) moved: bool,
    pub(crate) grants: u32,
    pub(crate) claimed: u32,
}

/// What all keys of the account come to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Whole {
    pub(crate) ours: Used,
    /// What each programme's keys used in their lives.
    pub(crate) of: BTreeMap<u16, Lifetime>,
    pub(crate) ours_gone: Usd,
    pub(crate) foreign: Used,
    pub(crate) foreign_gone: Usd,
    /// How many keys that is: the provider's numbers are rounded for each.
    pub(crate) keys: usize,
}

/// What keys used in their whole lives.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Lifetime {
    pub(crate) credits: Usd,
    pub(crate) byok: Usd,
}

impl Whole {
    /// Adds what keys of a programme used.
    pub(crate) fn add(&mut self, programme: u16, used: &Used) {
        self.ours.add(used);
        let of = self.of.entry(programme).or_default();
        of.credits += used.credits.total();
        of.byok += used.byok.total();
    }

    /// What all keys spent of the account's money.
    pub(crate) fn spent(&self) -> Usd {
        self.ours.credits.total() + self.foreign.credits.total()
    }
}

impl Progress {
    pub(crate) fn begun(began_at: Timestamp, programmes: Vec<ProgrammeId>, sync: &SyncState) -> Progress {
        Progress {
            began_at,
            programmes,
            looked_at: sync.looked_at,
            restored_at: sync.restored_at,
            explained_at: sync.explained_at,
            stage: Stage::default(),
            position: Position::default(),
            listing: Listing::Begun,
            has_gaps: false,
            has_failed: false,
            is_undone: false,
            has_begun: false,
            key_refused: None,
            management_key: None,
            witnesses: Witnesses::default(),
            residual: None,
            is_explained: false,
            credits: None,
            next: (0, 0),
            sums: None,
            models: Models::default(),
            account: Whole::default(),
            strangers: Vec::new(),
            findings: VecDeque::new(),
            held_back: None,
            let_through: BTreeSet::new(),
            renamed: HashSet::new(),
            is_guarded: false,
            put_back: VecDeque::new(),
            touched: BTreeSet::new(),
            report: Report::default(),
            rows: Rows::default(),
        }
    }

    /// Gathers the recorded keys that may be listed under other names than their own.
    pub(crate) fn note_what_is_not_listed(&mut self) {
        let not_listed = self.findings.iter().filter_map(|finding| match &finding.what {
            What::NotListed { key, .. } => Some(key.clone()),
            _ => None,
        });
        self.renamed = not_listed.collect();
    }

    /// Where a checkpoint says that a run came to.
    pub(crate) async fn load(table: &Table, checkpoint: &Checkpoint) -> Result<Progress> {
        let text = table.progress(checkpoint).await?;
        let mut progress: Progress = serde_json::from_slice(&text).context("a checkpoint cannot be read")?;
        // A part ends where it was full, so its last row may go on in the next.
        let mut rest = Vec::new();
        let numbers = checkpoint.rows.iter().flat_map(|kept| (0..kept.parts).map(|number| (kept.fence, number)));
        let parts: Vec<_> = numbers.map(|(fence, number)| table.rows(checkpoint.run, fence, number)).collect();
        let mut parts = std::pin::pin!(futures_util::stream::iter(parts).buffered(PARTS_AT_ONCE));
        while let Some(part) = parts.try_next().await? {
            rest.extend(part);
            let left = progress.rows.restore(&rest).len();
            rest.drain(..rest.len() - left);
        }
        ensure!(rest.is_empty(), "kept rows cannot be read");
        Ok(progress)
    }

    /// Keeps it for the checkpoint after the last one, under a lease with this fence.
    pub(crate) async fn keep(
        &mut self,
        table: &Table,
        last: &Checkpoint,
        fence: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Checkpoint> {
        let mut next = Checkpoint { fence, number: last.number + 1, ..last.clone() };
        loop {
            let rows = self.rows.unsaved(KEPT_AT_ONCE)?;
            if rows.is_empty() {
                break;
            }
            if next.rows.last().is_none_or(|kept| kept.fence != fence) {
                next.rows.push(Kept { fence, parts: 0 });
            }
            let Some(kept) = next.rows.last_mut() else { break };
            kept.parts += table.keep_rows(last.run, fence, kept.parts, &rows, now, deadline).await?;
        }
        next.parts = table.keep_progress(&next, &serde_json::to_vec(self)?, now, deadline).await?;
        Ok(next)
    }

    /// How far it came, for the question whether it came any further.
    pub(crate) fn milestone(&self) -> (Stage, Position, (u16, u8), usize) {
        (self.stage, self.position.clone(), self.next, self.findings.len() + self.put_back.len())
    }

    /// Whether every key was listed and could be read so far.
    pub(crate) fn is_whole(&self) -> bool {
        self.listing == Listing::Whole && !self.has_gaps
    }

    /// The provider's numbers are rounded key by key, each by less than a micro-dollar, those of keys that are gone too.
    pub(crate) fn tolerance(&self) -> Usd {
        Usd::from_micros(i64::try_from(self.account.keys).unwrap_or(i64::MAX))
    }

    /// Notes what was to be done and was not.
    pub(crate) fn note_undone(&mut self, what: String, error: Option<&ProviderError>) {
        if let Some(error) = error {
            self.note_refusal(error);
        }
        self.is_undone = true;
        self.report.problem(what);
    }

    /// Notes what is the matter with the management key, if the error says that.
    pub(crate) fn note_refusal(&mut self, error: &ProviderError) {
        self.key_refused = self.key_refused.take().or_else(|| error.refusal());
    }
}
