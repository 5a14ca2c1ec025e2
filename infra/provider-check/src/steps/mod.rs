//! The steps of a run in their order, and its end, which takes away what it made.

pub(crate) mod account;
mod delete;
mod disable;
mod list;
mod lower;
pub(crate) mod make;
mod pace;
mod patch;
mod restrict;
mod spend;

use std::time::Duration;

use anyhow::Result;
use bursar_core::provider::wire::calls::DELETE_KEY;

use crate::leftovers::{self, DELETE_GUARDRAIL};
use crate::run::Run;

/// The time for which a request without an answer may still make something.
const LATE: Duration = Duration::from_secs(30);

/// Every step. Money is spent before anything restricts the key, since a refusal proves a restriction only if
/// the same request passed before.
pub(crate) async fn all(run: &mut Run<'_>) -> Result<()> {
    let progress = run.options.progress;
    progress("looking for what an earlier run left");
    let left = leftovers::take_away(&run.wire).await?;
    run.findings.taken_away.extend(left.into_iter().map(|what| format!("{what}, which an earlier run left")));
    progress("reading the account");
    account::look(run).await?;
    progress("making a key");
    make::make(run).await?;
    list::list(run).await?;
    progress("changing the key");
    patch::patch(run).await?;
    progress("spending on the key, and waiting until its counters show it, up to 15 minutes");
    spend::spend(run).await?;
    progress("lowering its limit below what it used");
    lower::lower(run).await?;
    progress("putting the key under a guardrail");
    restrict::restrict(run).await?;
    progress("disabling the key");
    disable::disable(run).await?;
    progress("asking faster and faster");
    pace::pace(run).await?;
    progress("deleting the key");
    delete::delete(run).await
}

/// Takes away what this run is known to have made, keys first, since a guardrail that restricts one may be refused
/// its deletion.
async fn take_away_made(run: &mut Run<'_>) -> Result<()> {
    while let Some(hash) = run.hashes.last() {
        leftovers::delete(&run.wire, &DELETE_KEY, "keys", hash).await?;
        run.hashes.pop();
        run.findings.taken_away.push("a key of this run".to_owned());
    }
    take_away_guardrail(run).await
}

async fn take_away_guardrail(run: &mut Run<'_>) -> Result<()> {
    if let Some(id) = &run.guardrail {
        leftovers::delete(&run.wire, &DELETE_GUARDRAIL, "guardrails", id).await?;
        run.guardrail = None;
        run.findings.taken_away.push("the guardrail of this run".to_owned());
    }
    Ok(())
}

/// Takes away what is known to be made, and then what has a name of the check.
async fn take_away(run: &mut Run<'_>) -> Result<()> {
    let made = take_away_made(run).await;
    run.findings.taken_away.extend(leftovers::take_away(&run.wire).await?);
    made
}

/// Takes away what this run made, and looks again if it may still appear.
pub(crate) async fn clean_up(run: &mut Run<'_>) {
    let mut patience = run.options.waiting.patience(LATE);
    loop {
        run.findings.left = take_away(run).await.err().map(|error| format!("{error:#}"));
        let is_done = run.findings.left.is_none() && !run.is_unanswered;
        if is_done || !patience.goes_on().await {
            return;
        }
    }
}
