//! The assignment of live keys to the guardrail of their rules, under which they are not, or not known to be.

use anyhow::Result;
use bursar_core::domain::grant::{Attempt, View};
use bursar_core::domain::programme::rule_set::RuleSet;
use bursar_core::domain::values::id::{Epoch, RuleSetId};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::store::{ActContext, ActOutcome};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::SIDE_BY_SIDE;
use crate::runner::Runner;
use crate::scan::finding::{Finding, FindingKind};
use crate::scan::outcome::FindingOutcome;

/// A key that is to be assigned.
struct Stray<'a> {
    at: ActContext<'a>,
    epoch: Epoch,
    key: &'a KeyHash,
    /// The order for it.
    ordered: Option<Timestamp>,
    /// Whether the provider had confirmed it once, so that somebody must have taken it from there.
    was_confirmed: bool,
}

/// Assigns keys of one rule set to its guardrail in one request.
pub(crate) async fn restrict_all(runner: &Runner<'_>, batch: &[Finding]) -> Result<Vec<FindingOutcome>> {
    let Some(FindingKind::NotRestricted { set, .. }) = batch.first().map(|first| &first.kind) else {
        return Ok(Vec::new());
    };
    let Some(guardrail) = runner.table.get(RuleSet::key_of(set)).await?.and_then(|set| set.guardrail) else {
        // The work makes another guardrail, and the next sync puts the keys under it.
        return Ok(batch.iter().map(|_| FindingOutcome::Done).collect());
    };
    let (now, deadline) = (runner.clock.now(), runner.until());
    let strays: Vec<_> = batch
        .iter()
        .map(async |finding| {
            let programme = runner.programme(finding.programme)?;
            let FindingKind::NotRestricted { epoch, key, was_recorded, .. } = &finding.kind else { return Ok(None) };
            let at = ActContext { programme: &programme.id, grant: &finding.grant, now, deadline };
            stray(runner, at, (*epoch, key), set, *was_recorded).await
        })
        .collect();
    let strays: Vec<Option<Stray<'_>>> =
        futures_util::stream::iter(strays).buffered(SIDE_BY_SIDE).try_collect().await?;
    let keys: Vec<KeyHash> = strays.iter().flatten().map(|stray| stray.key.clone()).collect();
    if !keys.is_empty() {
        runner.provider.assign_keys(&guardrail.id, &keys, deadline).await?;
    }
    let mut outcomes = Vec::with_capacity(strays.len());
    for stray in strays {
        outcomes.push(match stray {
            Some(stray) => assigned(runner, stray, set).await?,
            None => FindingOutcome::Done,
        });
    }
    Ok(outcomes)
}

/// The key of a finding, if it still is its grant's live key, these are still its rules, and nobody put it under them since.
async fn stray<'a>(
    runner: &Runner<'_>,
    at: ActContext<'a>,
    (epoch, key): (Epoch, &'a KeyHash),
    set: &RuleSetId,
    was_recorded: bool,
) -> Result<Option<Stray<'a>>> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(None) };
    let is_wanted = view.rules_wanted().is_some_and(|wanted| wanted.id() == *set);
    let live = view.grant.live().filter(|live| live.epoch == epoch && is_wanted && view.grant.holds.is_empty());
    let is_stray = |live: &&Attempt| was_recorded || live.rule_set.as_ref() != Some(set);
    let Some(live) = live.filter(is_stray) else { return Ok(None) };
    // It is on record before the provider is told, so that the work goes on with it if this run does not.
    let ordered = match live.rules_ordered {
        Some(ordered) => ordered,
        None => {
            let act = |view: &View, now| view.order_rules_anew(epoch, now);
            let ActOutcome::Done(_) = runner.table.act(at, act).await? else { return Ok(None) };
            at.now
        }
    };
    Ok(Some(Stray { at, epoch, key, ordered: Some(ordered), was_confirmed: was_recorded }))
}

/// Records an assignment that the provider confirmed.
async fn assigned(runner: &Runner<'_>, stray: Stray<'_>, set: &RuleSetId) -> Result<FindingOutcome> {
    let Stray { at, epoch, key, ordered, was_confirmed } = stray;
    let at = ActContext { now: runner.clock.now(), ..at };
    runner.table.act(at, |view: &View, now| view.rules_confirmed(epoch, key, set, ordered, now)).await?;
    Ok(match was_confirmed {
        true => FindingOutcome::Mended(format!("the key {key} was not under its programme's guardrail, and is again")),
        false => FindingOutcome::Done,
    })
}
