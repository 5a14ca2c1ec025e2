//! Whether the sums agree: what the account spent against what all known keys used, ours and others'. The first complete run says
//! what there was before; from then on what nobody explains is the residual. Here a run also says how the sync stands.

use anyhow::{Result, bail};
use bursar_core::deadline::Deadline;
use bursar_core::domain::alarm::Cause;
use bursar_core::domain::money::Usd;
use bursar_core::store::{HeldBack, SyncState};
use ulid::Ulid;

use crate::books::Books;
use crate::listing::Listing;
use crate::progress::Progress;
use crate::run::{Run, Step};

/// How often how the sync stands is read anew because an admin wrote it meanwhile.
const TRIES: usize = 5;

/// How the first part of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    MayList,
    /// Nothing can be listed.
    Refused,
    /// The next invocation begins.
    TooLate,
}

impl Run<'_> {
    /// Checks the management key, whose account it is, and reads the account's money. Which workspaces there are has nothing to do with either, so it is
    /// asked beside them; where that fails, the listing asks again and says why.
    pub(crate) async fn begin(&self, progress: &mut Progress, deadline: Deadline) -> Result<Begun> {
        if !self.has_time(deadline) {
            return Ok(Begun::TooLate);
        }
        let until = self.until(deadline);
        if !self.has_witnesses() {
            // Where it is not the one of the secret any more, that shows now and not in the middle; what else is wrong, below.
            let _ = self.provider.check_management_key(until).await;
        }
        self.is_of_one_account(progress).await;
        let checked = async {
            self.provider.check_management_key(until).await?;
            self.provider.prove_account(until).await
        };
        let (checked, credits, position) =
            tokio::join!(checked, self.provider.credits(until), self.provider.inventory_begins(until),);
        if let Err(error) = checked {
            if self.obstacle(&error).is_some() {
                return Err(error.into());
            }
            progress.report.problem(format!("nothing was listed: {error}"));
            progress.note_refusal(&error);
            return Ok(Begun::Refused);
        }
        match credits {
            Err(error) if self.obstacle(&error).is_some() => return Err(error.into()),
            Ok(credits) => {
                progress.report.account_balance_usd = Some(credits.balance().to_string());
                progress.credits = Some(credits);
            }
            Err(error) => {
                progress.note_refusal(&error);
                progress.report.problem(format!("the credits could not be read: {error}"));
            }
        }
        progress.position = position.unwrap_or_default();
        progress.has_begun = true;
        Ok(if progress.key_refused.is_some() || !self.is_of_one_account(progress).await {
            Begun::Refused
        } else {
            Begun::MayList
        })
    }

    /// The last part of a run.
    pub(crate) async fn reconcile(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        if !self.has_time(deadline) {
            return Ok(Step::TimeIsUp);
        }
        // Money goes on being spent while keys are listed, and students have theirs read while grants are looked at: what was spent by
        // the end bounds all of it.
        let after = match self.provider.credits(self.until(deadline)).await {
            Err(error) if self.obstacle(&error).is_some() => return Err(error.into()),
            Ok(credits) => Some(credits),
            Err(error) => {
                progress.note_refusal(&error);
                progress.report.problem(format!("the credits could not be read again: {error}"));
                None
            }
        };
        if !self.is_of_one_account(progress).await {
            return Ok(Step::Done);
        }
        for stranger in &progress.strangers {
            let problem = format!("the key {} bears a name of ours, and its grant is not here", stranger.key);
            progress.report.problem(problem);
        }
        let is_read = progress.listing == Listing::Whole && !progress.has_gaps && !progress.has_failed;
        let credits = progress.credits.zip(after).filter(|_| is_read);
        progress.report.complete = credits.is_some() && !progress.is_undone && progress.key_refused.is_none();

        if !progress.report.complete {
            progress.report.first_problem(why_incomplete(progress, credits.is_some()));
        }

        self.stay().await?;
        let state = self.table.sync_state().await?;
        let books = credits.filter(|_| progress.report.complete || state.opening.is_some());
        let books = books.map(|(before, after)| Books::of(before, after, progress, &state));
        progress.residual = books.map(|books| books.parts.residual);
        progress.report.residual_usd = progress.residual.map(|residual| residual.to_string());
        let tolerance = progress.tolerance();
        progress.is_explained = progress.residual.is_some_and(|residual| state.residual.explains(residual, tolerance));
        // The sums first: what says how far they are known comes after them.
        self.write_models(progress, deadline).await?;
        if is_read {
            self.write_account(progress, books, deadline).await?;
        }
        let told = match progress.residual {
            Some(residual) => self.tell_of_the_residual(residual, progress, &state, deadline).await?,
            None => state.residual.told,
        };
        self.write_state(progress, (state, books), told, is_read, deadline).await?;
        if progress.report.complete {
            self.remember_account(progress, deadline).await?;
        }
        if self.is_copy && progress.report.complete {
            self.table.adopt(deadline).await?;
        }
        Ok(Step::Done)
    }

    async fn write_state(
        &self,
        progress: &Progress,
        (before, books): (SyncState, Option<Books>),
        told: Usd,
        is_read: bool,
        deadline: Deadline,
    ) -> Result<()> {
        let let_through = self.keep_let_through(progress).await?;
        for _ in 0..TRIES {
            let mut state = self.table.sync_state().await?;
            // Whoever explained it meanwhile knows it too.
            if state.residual == before.residual {
                state.residual.told = told;
            }
            state.opening = books.map_or(state.opening, |books| Some(books.parts.opening));
            let after = self.state_after(progress, state, is_read, let_through);
            if self.under(deadline).set_sync_state(&after).await? {
                return Ok(());
            }
            self.stay().await?;
        }
        bail!("how the sync stands was changed again and again")
    }

    fn state_after(
        &self,
        progress: &Progress,
        mut after: SyncState,
        is_read: bool,
        let_through: Option<Ulid>,
    ) -> SyncState {
        let complete = progress.report.complete;
        let began_at = Some(progress.began_at);
        // Where a grant could not be read, whose use it was is asked again.
        if let Some((from, until)) = progress.models.asked.filter(|_| !progress.has_failed) {
            after = after.with_models_of(from, until);
        }
        if complete {
            after.completed_at = began_at;
        }
        if complete && progress.is_explained {
            after.explained_at = after.explained_at.max(began_at);
        }
        // Also when that was not all: what was recovered shows that the table went back.
        after.restored_at = after.restored_at.max(progress.restored_at);
        if is_read {
            after.looked_at = began_at;
            after.strangers.clone_from(&progress.strangers);
            after.let_through = let_through;
            // Somebody may have let it through since this run held it back.
            let is_same = |held: &HeldBack| after.held_back.as_ref().is_some_and(|now| now.at == held.at);
            if !progress.held_back.as_ref().is_some_and(is_same) {
                after.held_back.clone_from(&progress.held_back);
            }
        }
        after.next()
    }
}

/// Why a run is not complete, before all else that it has to say.
fn why_incomplete(progress: &Progress, knows_credits: bool) -> String {
    let reasons = [
        (progress.key_refused == Some(Cause::ManagementKey), "the management key does not work"),
        (
            matches!(progress.key_refused, Some(Cause::AnotherAccount { .. })),
            "the management key is of another account",
        ),
        (progress.listing == Listing::Broken, "not every key was listed"),
        (progress.has_gaps, "what some keys used could not be read"),
        (progress.has_failed, "some of the table could not be read"),
        (progress.held_back.is_some(), "the guard held disables back"),
        (progress.is_undone && progress.held_back.is_none(), "something that was to be done was not"),
        (!knows_credits, "the sums could not be held against the account"),
    ];
    let reasons: Vec<&str> = reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect();
    format!("this run is not complete: {}", reasons.join(", "))
}
