//! One finding and the act that handles it.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Order, OrderKind, RecoveredKey};
use bursar_core::store::ActOutcome;

use super::key_check::look_again;
use super::limit::send_limit;
use super::purge::purge;
use super::sweep::{disable, disable_second, read_late};
use crate::obstacle::provider_error;
use crate::prelude::*;
use crate::scan::finding::FindingKind;

/// Handles a finding. An error is an obstacle that may pass; everything else that prevents it is an outcome.
pub(crate) async fn see_to(runner: &Runner<'_>, finding: &Finding) -> Result<FindingOutcome, RunObstacle> {
    let error = match Box::pin(try_to(runner, finding)).await {
        Ok(outcome) => return Ok(outcome),
        Err(error) => error,
    };
    if let Some(obstacle) = runner.obstacle_in(&error) {
        return Err(obstacle);
    }
    let mut detail = format!("{}: {error:#}", finding.subject());
    if let Err(error) = note_failed_look(runner, finding).await {
        detail = format!("{detail}; and that it was not read could not be remembered: {error:#}");
    }
    let refusal = provider_error(&error).and_then(ProviderError::refusal);
    Ok(refusal.map_or(FindingOutcome::Undone(detail.clone()), |cause| FindingOutcome::Refused { cause, detail }))
}

/// Records that a key could not be read, so that its use is known for no longer than before.
async fn note_failed_look(runner: &Runner<'_>, finding: &Finding) -> Result<()> {
    let (FindingKind::NotListed { epoch, .. } | FindingKind::LiveIsDisabled { epoch, .. }) = &finding.kind else {
        return Ok(());
    };
    let programme = runner.programme(finding.programme)?;
    if let Some(listed_at) = runner.baseline.listed_at {
        let of = (&programme.id, &finding.grant, *epoch);
        runner.table.note_failed_look(of, listed_at, runner.until()).await?;
    }
    Ok(())
}

async fn try_to(runner: &Runner<'_>, finding: &Finding) -> Result<FindingOutcome> {
    let programme = runner.programme(finding.programme)?;
    // An act that queries the provider takes a fresh view afterwards, so this instant is never out of date.
    let at = ActContext {
        programme: &programme.id,
        grant: &finding.grant,
        now: runner.clock.now(),
        deadline: runner.until(),
    };
    match &finding.kind {
        FindingKind::Sweep { row } => {
            let swept =
                runner.table.act(at, |view, now| view.sweep(row.epoch(), &row.nonce(), &row.key(), now)).await?;
            disable(runner, at).await?;
            let late = read_late(runner, at, &[row]).await?;
            return Ok(FindingOutcome::Swept { now: matches!(swept, ActOutcome::Done(_)), late });
        }
        FindingKind::Second { row } => return Box::pin(disable_second(runner, at, row)).await,
        FindingKind::Recover { rows, unread, .. } => {
            let found: Vec<RecoveredKey> = rows.iter().map(KeyRow::found).collect();
            runner.table.act(at, |view, now| view.recover(&found, runner.is_copy, now)).await?;
            disable(runner, at).await?;
            let unread: Vec<&KeyRow> = rows.iter().filter(|row| unread.contains(&row.epoch())).collect();
            let late = Box::pin(read_late(runner, at, &unread)).await?;
            let newest = rows.iter().filter(|row| row.state.enabled).max_by_key(|row| row.epoch());
            if let Some(row) = newest {
                Box::pin(send_limit(runner, at, row.state.listed())).await?;
                disable(runner, at).await?;
            }
            return Ok(FindingOutcome::Recovered { late, grant: finding.grant.clone() });
        }
        FindingKind::EnabledAgain { epoch, key, seen_at } => {
            runner.table.act(at, |view, now| view.disable_again(*epoch, key, *seen_at, now)).await?;
        }
        FindingKind::NotRestricted { epoch, key, was_recorded } => {
            // It is on record before the provider is told, so that the work goes on with it if this run does not.
            runner.table.act(at, |view, now| view.order_rules_anew(*epoch, now)).await?;
            let is_it = |order: &Order| order.epoch == *epoch && order.kind == OrderKind::Rules;
            Box::pin(runner.orders().carry_out(at, is_it)).await?;
            let mended = format!("the key {key} was not under its programme's guardrail, and is again");
            return Ok(if *was_recorded { FindingOutcome::Mended(mended) } else { FindingOutcome::Done });
        }
        FindingKind::End => {
            runner.table.act(at, |view, now| view.end(&Actor::Rule, now)).await?;
        }
        FindingKind::Ordered => {}
        FindingKind::GiveBack => {
            runner.table.act(at, View::give_back_reservation).await?;
        }
        FindingKind::LimitSeen { epoch, listed, asked } => {
            runner.table.act(at, |view, _| view.limit_seen(*epoch, *listed, *asked)).await?;
        }
        FindingKind::Forsaken => {
            runner.table.act(at, View::close_abandoned).await?;
        }
        FindingKind::GiveBackRest => {
            if let Some(matched_at) = runner.baseline.matched_at {
                runner.table.act(at, |view, _| view.give_back_rest(matched_at)).await?;
            }
        }
        FindingKind::LiveIsDisabled { epoch, key, summed, .. } => {
            let outcome = Box::pin(look_again(runner, at, (*epoch, key, *summed), false)).await?;
            disable(runner, at).await?;
            return Ok(outcome);
        }
        FindingKind::NotListed { epoch, key, is_held, summed, .. } => {
            let outcome = Box::pin(look_again(runner, at, (*epoch, key, *summed), *is_held)).await?;
            disable(runner, at).await?;
            return Ok(outcome);
        }
        FindingKind::Limit { listed } => {
            let drifted = Box::pin(send_limit(runner, at, *listed)).await?;
            disable(runner, at).await?;
            return Ok(drifted.map_or(FindingOutcome::Done, FindingOutcome::Mended));
        }
        FindingKind::Rule { last_used_at } => {
            runner.table.follow_rules(at, *last_used_at).await?;
        }
        FindingKind::Purge { epoch, key } => return Box::pin(purge(runner, at, *epoch, key)).await,
    }
    disable(runner, at).await?;
    Ok(FindingOutcome::Done)
}
