//! The progress of a run: the states of its stages. A checkpoint saves it, so that the next invocation goes
//! on.

use anyhow::ensure;
use bursar_core::provider::account::Credits;
use bursar_core::provider::inventory::InventoryPosition;
use bursar_core::store::{Checkpoint, SavedParts};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};

use crate::prelude::*;
use crate::report::SyncReport;
use crate::scan::rows::ShardIndex;
use crate::stages::act::Actions;
use crate::stages::begin::Beginning;
use crate::stages::foreign::ForeignScan;
use crate::stages::list::Listing;
use crate::stages::models::Models;
use crate::stages::reconcile::{Evidence, Reconciliation};
use crate::stages::scan::{Scan, ScanInput};
use crate::stages::sum_up::SecondSums;
use crate::stages::{Stage, rules};

/// How many bytes of rows are put into parts at once: with all of them, they would be in memory twice.
const KEPT_AT_ONCE: usize = 380_000;
/// How many parts are read at once.
const PARTS_AT_ONCE: usize = 4;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    baseline: Baseline,
    stage: Stage,
    beginning: Beginning,
    models: Models,
    listing: Listing,
    scan: Scan,
    foreign: ForeignScan,
    actions: Actions,
    second_sums: SecondSums,
    #[serde(skip)]
    reconciliation: Reconciliation,
    journal: Journal,
    duration: Duration,
    #[serde(skip)]
    rows: Rows,
}

/// A position of a run: equal at two moments, the run made no progress between them.
pub(crate) type Milestone = (Stage, InventoryPosition, ShardIndex, u8, usize);

impl Progress {
    pub(crate) fn begun(baseline: Baseline) -> Progress {
        Progress {
            baseline,
            stage: Stage::Begin,
            beginning: Beginning::default(),
            models: Models::default(),
            listing: Listing::default(),
            scan: Scan::default(),
            foreign: ForeignScan::default(),
            actions: Actions::default(),
            second_sums: SecondSums::default(),
            reconciliation: Reconciliation::default(),
            journal: Journal::default(),
            duration: Duration::ZERO,
            rows: Rows::default(),
        }
    }

    /// Runs the current stage, and names the following one if it is done.
    pub(crate) async fn advance(&mut self, runner: &Runner<'_>) -> Result<StageEnd> {
        let Progress { beginning, models, listing, scan, foreign, actions, second_sums, rows, journal, .. } = self;
        let is_whole = listing.is_whole() && !scan.has_gaps() && !foreign.has_gaps();
        // Each in a box of its own: together the futures would not fit on a thread's stack.
        let stage: BoxFuture<'_, Result<StageEnd>> = match self.stage {
            Stage::Begin => Box::pin(beginning.run(runner, listing, journal)),
            Stage::Models => Box::pin(models.run(runner, rows, journal)),
            Stage::List => Box::pin(listing.run(runner, rows, journal)),
            Stage::Scan => Box::pin(scan.run(runner, ScanInput { listing, models, rows, journal })),
            Stage::Foreign => Box::pin(foreign.run(runner, listing, scan, rows, journal)),
            Stage::Rules => Box::pin(rules::run(runner, journal)),
            Stage::Act => Box::pin(actions.run(runner, listing, scan, is_whole, journal)),
            Stage::SumUp => Box::pin(second_sums.run(runner, listing, scan, is_whole, journal)),
            Stage::Reconcile => {
                let evidence = Evidence { beginning, models, rows, listing, scan, foreign, actions, second_sums };
                Box::pin(self.reconciliation.run(runner, evidence, journal))
            }
            Stage::Over => return Ok(StageEnd::RunOver),
        };
        let end = stage.await?;
        if end != StageEnd::Done {
            return Ok(end);
        }
        if !self.beginning.is_of_one_account(runner, &mut self.journal).await {
            return Ok(StageEnd::RunOver);
        }
        self.stage = self.stage.next();
        Ok(StageEnd::Done)
    }

    /// The progress saved in a checkpoint.
    pub(crate) async fn load(table: &Table, checkpoint: &Checkpoint) -> Result<Progress> {
        let text = table.progress(checkpoint).await?;
        let mut progress: Progress = serde_json::from_slice(&text).context("a checkpoint cannot be read")?;
        // A part ends where it was full, so its last row may continue in the next.
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

    /// Saves the progress for the checkpoint after the last one, under a lease with this fence.
    pub(crate) async fn keep(
        &mut self,
        table: &Table,
        last: &Checkpoint,
        fence: u64,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Checkpoint> {
        let mut next = Checkpoint { fence, number: last.number + 1, ..last.clone() };
        loop {
            let rows = self.rows.unsaved(KEPT_AT_ONCE)?;
            if rows.is_empty() {
                break;
            }
            if next.rows.last().is_none_or(|kept| kept.fence != fence) {
                next.rows.push(SavedParts { fence, parts: 0 });
            }
            let Some(kept) = next.rows.last_mut() else { break };
            kept.parts += table.keep_rows(last.run, fence, kept.parts, &rows, now, deadline).await?;
        }
        next.parts = table.keep_progress(&next, &serde_json::to_vec(self)?, now, deadline).await?;
        Ok(next)
    }

    /// The report up to this point.
    pub(crate) fn report(&self, tries: u32) -> SyncReport {
        let outcomes = self.actions.outcomes();
        SyncReport {
            keys_listed: self.listing.listed(),
            readings_recorded: self.scan.recorded() + outcomes.recorded,
            orphans_disabled: outcomes.orphans_disabled,
            keys_missing: outcomes.keys_missing,
            residual_usd: self.reconciliation.residual().map(|residual| residual.to_string()),
            account_balance_usd: self.credits().map(|credits| credits.balance().to_string()),
            complete: self.reconciliation.is_complete() && !self.journal.is_broken_off(),
            goes_on_at: None,
            duration_ms: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            tries,
            problems: self.journal.problems().to_vec(),
        }
    }

    /// Records that the run ends before its last stage.
    pub(crate) fn break_off(&mut self, why: String) {
        self.journal.break_off(why);
    }

    pub(crate) fn add_duration(&mut self, duration: Duration) {
        self.duration += duration;
    }

    pub(crate) fn milestone(&self) -> Milestone {
        let position = self.listing.position().clone();
        let findings = self.scan.findings().len() + self.actions.left();
        (self.stage, position, self.scan.next(), self.foreign.next(), findings)
    }

    pub(crate) fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn held_back(&self) -> Option<&HeldBack> {
        self.actions.held_back()
    }

    pub(crate) fn residual(&self) -> Option<Usd> {
        self.reconciliation.residual()
    }

    /// The account's money before the listing.
    pub(crate) fn credits(&self) -> Option<Credits> {
        self.beginning.credits()
    }
}
