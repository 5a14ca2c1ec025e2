//! One run of the sync, step by step.

use anyhow::Result;
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::provider::account::Credits;

use crate::conclude::Conclusion;
use crate::runner::{Gaps, RunContext};
use crate::{caps, compare, conclude, foreign, guardrails, list, models, reconcile, recount, repair, safety_limit};

/// Runs all steps. What a step cannot read or do is a problem of the report; an error ends the run, and another begins from nothing.
pub(crate) async fn run(runner: &RunContext) -> Result<()> {
    let journal = &runner.journal;
    let Some(key) = check(runner).await? else { return Ok(()) };
    let before = reconcile::credits(runner).await;
    journal.report(|report| report.balance = before.map(Credits::balance));
    let mut listing = list::everything(runner).await?;
    if !is_of_one_account(runner, &key).await? {
        return Ok(());
    }

    let compared = compare::all(runner, &listing).await?;
    let renamed = compare::row::renamed(&compared.findings);
    let bounded = safety_limit::bound(runner, compared.findings, &listing, compared.gaps).await?;
    let repaired = repair::all(runner, bounded.findings, listing.count).await;

    listing.foreign.extend(compared.foreign);
    listing.unknown.extend(compared.unknown);
    let foreign = foreign::record(runner, &mut listing, &renamed).await?;
    let own_use = recount::all(runner, compared.sums, listing.is_whole).await?;

    let after = reconcile::credits(runner).await;
    if !is_of_one_account(runner, &key).await? {
        return Ok(());
    }
    journal.report(|report| report.balance = after.or(before).map(Credits::balance));
    let gaps = Gaps::sum_of([listing.gaps(), compared.gaps, repaired.gaps, foreign.gaps, own_use.gaps]);
    let credits = before.zip(after).filter(|_| listing.is_whole && !gaps.has_failed);
    let is_complete = conclude::is_complete(runner, &listing, credits.as_ref(), gaps, &repaired).await?;
    let books = reconcile::account(runner, credits, &own_use, &foreign, is_complete, gaps).await?;
    let cut = books.as_ref().filter(|_| is_complete);
    let cut = cut.map(|books| books.cut(runner.baseline.began_at, &own_use, &foreign));

    let unknown = foreign.unknown;
    let held_back = bounded.held_back;
    let run = Conclusion { is_complete, books, cut, unknown, held_back, gaps, repaired };
    conclude::write(runner, &listing, &run).await?;

    // As far as time goes: the next run does what is left, and for caps it is begun at once.
    journal.report(|report| report.complete = is_complete);
    let caps_judged = caps::judge(runner, own_use.crossed).await;
    journal.report(|report| report.caps_judged = caps_judged);
    if journal.read().refusal.is_none() {
        if let Err(error) = guardrails::tell(runner).await {
            journal.problem(format!("not every guardrail was told its rules: {error:#}"));
        }
        guardrails::put_back(runner, compared.restricted).await;
    }
    if let Err(error) = models::record(runner, &own_use.groups, run.gaps).await {
        journal.problem(format!("what was used by model is not recorded: {error:#}"));
    }
    if let Err(error) = models::record_list(runner).await {
        journal.problem(format!("which models there are is not recorded: {error:#}"));
    }
    Ok(())
}

/// Checks the management key and its account. `None` where nothing can be listed, which the report says.
async fn check(runner: &RunContext) -> Result<Option<Fingerprint>> {
    let provider = &runner.provider;
    let until = runner.until();
    let checked = async {
        provider.check_management_key(until).await?;
        provider.check_account(&runner.deployment, runner.account.as_ref(), until).await
    };
    if let Err(error) = checked.await {
        runner.journal.answered(format!("nothing was listed: {error}"), &error);
        return Ok(None);
    }
    Ok(Some(runner.management_key().await?))
}

/// Whether the keys and the money are of one account. A management key that came in another's place is of the known account, or else the
/// run ends; in the first run of all nothing tells.
async fn is_of_one_account(runner: &RunContext, key: &Fingerprint) -> Result<bool> {
    if runner.management_key().await? == *key {
        return Ok(true);
    }
    let account = runner.account.as_ref().filter(|account| !account.listed.is_empty());
    let why = match runner.provider.check_account(&runner.deployment, account, runner.until()).await {
        Ok(()) if account.is_some() => return Ok(true),
        Ok(()) => "nothing tells whether both are of one account".to_owned(),
        Err(error) => error.to_string(),
    };
    let ends = "this run ends, and the next begins with the new one";
    runner.journal.problem(format!("the management key was exchanged, and {why}: {ends}"));
    Ok(false)
}
