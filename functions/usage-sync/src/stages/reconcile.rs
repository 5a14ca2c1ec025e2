//! Stage 9, reconcile: compares the account's spending with the use of all known keys, and writes the state
//! of the sync. The first complete run determines the opening; from then on what no key explains is the
//! residual.

use anyhow::bail;
use bursar_core::domain::ledger::cut::is_new;
use bursar_core::store::SyncState;
use ulid::Ulid;

use super::act::Actions;
use super::begin::Beginning;
use super::foreign::ForeignScan;
use super::list::Listing;
use super::models::Models;
use super::scan::Scan;
use super::sum_up::SecondSums;
use crate::money::account_use::AccountUse;
use crate::money::books::{Books, tell_of_the_residual, write_account};
use crate::prelude::*;

/// The tries at the sync's state while an admin writes it.
const TRIES: usize = 5;

/// The reconciliation of a run. No checkpoint comes after it.
#[derive(Debug, Default)]
pub(crate) struct Reconciliation {
    residual: Option<Usd>,
    is_complete: bool,
}

/// The states of the stages before, on which the reconciliation rests.
pub(crate) struct Evidence<'a> {
    pub(crate) beginning: &'a mut Beginning,
    pub(crate) models: &'a Models,
    pub(crate) rows: &'a Rows,
    pub(crate) listing: &'a Listing,
    pub(crate) scan: &'a Scan,
    pub(crate) foreign: &'a ForeignScan,
    pub(crate) actions: &'a Actions,
    pub(crate) second_sums: &'a SecondSums,
}

/// The changes to the sync's state.
struct StateChange {
    books: Option<Books>,
    /// The residual that admins were told last.
    told: Usd,
    is_read: bool,
    /// Whether there is no residual but the one told before.
    is_matched: bool,
}

impl Reconciliation {
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        evidence: Evidence<'_>,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        if !runner.has_time() {
            return Ok(StageEnd::TimeIsUp);
        }
        // Money is spent while keys are listed and while grants are scanned, when students refresh theirs.
        // What was spent by the end bounds all of it.
        let after = match runner.provider.credits(runner.until()).await {
            Err(error) if runner.obstacle(&error).is_some() => return Err(error.into()),
            Ok(credits) => Some(credits),
            Err(error) => {
                journal.note_refusal(&error);
                journal.problem(format!("the credits could not be read again: {error}"));
                None
            }
        };
        if !evidence.beginning.is_of_one_account(runner, journal).await {
            return Ok(StageEnd::Done);
        }
        journal.problems_of(
            evidence
                .foreign
                .orphans()
                .iter()
                .map(|orphan| format!("the key {} bears a name of ours, and its grant is not here", orphan.key)),
        );
        let is_read = evidence.listing.is_whole() && !evidence.has_gaps() && !evidence.has_failed();
        let credits = evidence.beginning.credits().zip(after).filter(|_| is_read);
        self.is_complete = credits.is_some() && !journal.is_undone() && journal.key_refused().is_none();
        if !self.is_complete {
            journal.first_problem(evidence.why_incomplete(journal, credits.is_some()));
        }

        runner.stay().await?;
        let state = runner.table.sync_state().await?;
        let account = evidence.account_use();
        let books = credits.filter(|_| self.is_complete || state.opening.is_some());
        let books = books.map(|(before, after)| Books::of(before, after, &account, &state));
        self.residual = books.map(|books| books.parts().residual);
        let tolerance = account.tolerance();
        let is_matched = self.residual.is_some_and(|residual| !is_new(residual, state.residual_told, tolerance));
        // Sums first: the state that says how far they are known comes after them.
        evidence.models.write(runner, evidence.rows, journal).await?;
        if is_read {
            write_account(runner, &account, books, self.is_complete).await?;
        }
        let told = match self.residual {
            Some(residual) => tell_of_the_residual(runner, residual, tolerance, state.residual_told).await?,
            None => state.residual_told,
        };
        let change = StateChange { books, told, is_read, is_matched };
        self.write_state(runner, &evidence, change).await?;
        if self.is_complete {
            evidence.listing.remember_account(runner, &evidence.actions.outcomes().purged).await?;
        }
        if runner.is_copy && self.is_complete {
            runner.table.adopt(runner.deadline).await?;
        }
        Ok(StageEnd::Done)
    }

    async fn write_state(&self, runner: &Runner<'_>, evidence: &Evidence<'_>, change: StateChange) -> Result<()> {
        let let_through = match evidence.actions.safety_limit() {
            Some(safety_limit) => safety_limit.keep_let_through(runner).await?,
            None => None,
        };
        let mut tried = None;
        for _ in 0..TRIES {
            let mut state = runner.table.sync_state().await?;
            // A try that took effect, although the table answered that something had changed.
            if tried.as_ref() == Some(&state) {
                return Ok(());
            }
            state.residual_told = change.told;
            state.opening = change.books.map_or(state.opening, |books| Some(books.parts().opening));
            let after = self.state_after(runner, evidence, &change, state, let_through);
            if runner.fenced().set_sync_state(&after).await? {
                return Ok(());
            }
            tried = Some(after);
            runner.stay().await?;
        }
        bail!("how the sync stands was changed again and again")
    }

    fn state_after(
        &self,
        runner: &Runner<'_>,
        evidence: &Evidence<'_>,
        change: &StateChange,
        mut after: SyncState,
        let_through: Option<Ulid>,
    ) -> SyncState {
        let began_at = Some(runner.baseline.began_at);
        // Where a grant could not be read, the attribution is repeated next time.
        if let Some((from, until)) = evidence.models.asked().filter(|_| !evidence.has_failed()) {
            after = after.with_models_of(from, until);
        }
        if self.is_complete {
            after.completed_at = began_at;
        }
        if self.is_complete && change.is_matched {
            after.matched_at = began_at;
        }
        // A partial recovery counts too: it proves that the table was restored.
        let recovered_at = began_at.filter(|_| evidence.actions.outcomes().has_recovered);
        after.restored_at = after.restored_at.max(recovered_at.or(runner.baseline.restored_at));
        if change.is_read {
            after.listed_at = began_at;
            after.orphan_names = evidence.foreign.orphans().to_vec();
            after.let_through = let_through;
            // Somebody may have released it since this run held it back.
            let held_back = evidence.actions.held_back();
            let is_same = |held: &HeldBack| after.held_back.as_ref().is_some_and(|now| now.at == held.at);
            if !held_back.is_some_and(is_same) {
                after.held_back = held_back.cloned();
            }
        }
        after.next()
    }

    /// The residual, once it is known.
    pub(crate) fn residual(&self) -> Option<Usd> {
        self.residual
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }
}

impl Evidence<'_> {
    fn account_use(&self) -> AccountUse {
        let own = self.scan.own().with(&self.actions.outcomes().own);
        AccountUse { own, foreign: self.foreign.total().clone() }
    }

    fn has_gaps(&self) -> bool {
        self.listing.has_gaps() || self.scan.has_gaps() || self.foreign.has_gaps()
    }

    fn has_failed(&self) -> bool {
        self.scan.has_failed() || self.second_sums.has_failed()
    }

    /// The reasons for which a run is not complete, put before all other problems.
    fn why_incomplete(&self, journal: &Journal, knows_credits: bool) -> String {
        let key_refused = journal.key_refused();
        let is_held_back = self.actions.held_back().is_some();
        let reasons = [
            (key_refused == Some(&Cause::ManagementKey), "the management key does not work"),
            (matches!(key_refused, Some(Cause::AnotherAccount { .. })), "the management key is of another account"),
            (self.listing.is_broken(), "not every key was listed"),
            (self.has_gaps(), "what some keys used could not be read"),
            (self.has_failed(), "some of the table could not be read"),
            (is_held_back, "the safety limit held disables back"),
            (journal.is_undone() && !is_held_back, "something that was to be done was not"),
            (!knows_credits, "the sums could not be held against the account"),
        ];
        let reasons: Vec<&str> = reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect();
        format!("this run is not complete: {}", reasons.join(", "))
    }
}
