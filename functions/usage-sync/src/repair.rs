//! The repairs: each finding that the safety limit lets through is decided again on the grant as it is by then, so one that no longer holds
//! leads to nothing. Each may be done twice.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Change, RecoveredKey, SeenKey, Unchanged};
use bursar_core::domain::usage::reading::UsageReport;
use bursar_core::settle::NotSettled;
use bursar_core::store::ActOutcome;

use crate::prelude::*;
use crate::runner::{REPAIRS_AT_ONCE, is_told};

/// How many repairs in a row may fail without an answer, after which the rest is left to another run.
const FAILED_IN_A_ROW: usize = 2 * REPAIRS_AT_ONCE;

/// Handles every finding. What cannot be done is a problem of the report, and found again by the next run.
pub(crate) async fn all(runner: &Runner<'_>, mut findings: Vec<Finding>, listed: usize) {
    bound_purges(&mut findings, listed);
    rotate(&mut findings, runner.baseline.began_at);
    let (count, mut done, mut failed) = (findings.len(), 0, 0);
    let each = findings.into_iter().map(|finding| async move {
        let repaired = repair(runner, &finding).await;
        (finding, repaired)
    });
    let mut each = iter(each).buffer_unordered(REPAIRS_AT_ONCE);
    // What was read is recorded in the time that is left.
    let end = runner.end().earlier_by(runner.end().left() / 4);
    while let Some((finding, repaired)) = each.next().await {
        done += 1;
        if end.left().is_zero() && done < count {
            runner
                .journal
                .break_off(format!("the time was up, and {} findings are left to the next run", count - done));
            return;
        }
        let Err(error) = repaired else {
            failed = 0;
            continue;
        };
        failed += usize::from(may_pass(&error));
        runner.journal.refuse(provider_error(&error).and_then(ProviderError::refusal));
        let what = format!("{}: {error:#}", finding.subject());
        match &finding.kind {
            // A copy is no copy any more once all its keys are on record.
            FindingKind::Recover { .. } => runner.journal.failed(what),
            // It may have been the disable of a key.
            _ if table_error(&error).is_some_and(|error| !matches!(error, StoreError::Corrupt { .. })) => {
                runner.journal.failed(what);
            }
            _ if finding.reads().is_some() => runner.journal.unread(what),
            _ => runner.journal.problem(what),
        }
        if failed == FAILED_IN_A_ROW || runner.journal.notes().key_refused.is_some() {
            let left = count - done;
            runner.journal.break_off(format!("nothing more was done, and {left} findings are left to the next run"));
            return;
        }
    }
}

fn provider_error(error: &anyhow::Error) -> Option<&ProviderError> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(NotSettled::Provider(error)) => Some(error),
        _ => cause.downcast_ref::<ProviderError>(),
    })
}

fn table_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(NotSettled::Table(error)) => Some(error),
        _ => cause.downcast_ref(),
    })
}

fn may_pass(error: &anyhow::Error) -> bool {
    table_error(error).is_some_and(StoreError::may_pass) || provider_error(error).is_some_and(ProviderError::may_pass)
}

async fn repair(runner: &Runner<'_>, finding: &Finding) -> Result<()> {
    // A repair that queries the provider takes a fresh view afterwards, so this instant is never out of date.
    let at = ActContext {
        programme: &finding.programme,
        grant: &finding.grant,
        now: runner.clock.now(),
        deadline: runner.until(),
    };
    let repaired = try_to(runner, at, finding).await;
    if repaired.is_err()
        && let Some(epoch) = finding.reads()
        && let Some(listed_at) = runner.baseline.listed_at
    {
        // It could not be read, so its use is known for no longer than before.
        runner.table.note_failed_look((at.programme, at.grant, epoch), listed_at, at.deadline).await?;
    }
    repaired
}

async fn try_to(runner: &Runner<'_>, at: ActContext<'_>, finding: &Finding) -> Result<()> {
    let journal = &runner.journal;
    match &finding.kind {
        FindingKind::Seen { key, seen } => return take_in(runner, at, key, seen).await,
        FindingKind::LiveIsDisabled { key, .. } | FindingKind::LimitIsOther { key, .. } => {
            return look_again(runner, at, key, false).await;
        }
        FindingKind::NotListed { key, is_held, .. } => return look_again(runner, at, key, *is_held).await,
        FindingKind::Purge { key } => return purge(runner, at, key).await,
        FindingKind::Rule { last_used_at } => {
            runner.table.follow_rules(at, *last_used_at).await?;
            return settle(runner, at).await;
        }
        FindingKind::Orphan { .. }
        | FindingKind::Recover { .. }
        | FindingKind::NotUnder { .. }
        | FindingKind::End
        | FindingKind::UnusedReservation
        | FindingKind::Due => {}
    }
    let changed = runner.table.act(at, |view, now| decided(&finding.kind, view, now)).await?;
    settle(runner, at).await?;
    let is_done = matches!(changed, ActOutcome::Done(_));
    match &finding.kind {
        FindingKind::Recover { rows, unread, .. } => {
            let unread: Vec<&KeyRow> = rows.iter().filter(|row| unread.contains(&row.epoch)).collect();
            read_late(runner, at, &unread).await?;
            let grant = at.grant;
            journal.problem(format!("keys of the grant {grant} were not on record, and are now: the table went back"));
        }
        FindingKind::Orphan { .. } if is_done => journal.report(|report| report.orphans_disabled += 1),
        FindingKind::NotUnder { key, .. } if is_done => {
            journal.problem(format!("the key {key} was not under its programme's guardrail, and is again"));
        }
        _ => {}
    }
    Ok(())
}

/// What a finding changes by itself, without another question to the provider.
fn decided(kind: &FindingKind, view: &View, now: Moment) -> Result<Change, Unchanged> {
    match kind {
        FindingKind::Orphan { row, .. } => view.found_orphan(row.epoch, &row.key, row.made_at(&view.grant), now),
        FindingKind::Recover { rows, .. } => {
            let found: Vec<RecoveredKey> = rows.iter().map(KeyRow::found).collect();
            view.recover(&found, now)
        }
        FindingKind::NotUnder { key, asked } => view.not_under(key, *asked),
        FindingKind::End => view.end(&Actor::Rule, now),
        FindingKind::Due => view.look_again(now),
        FindingKind::UnusedReservation => view.give_back_reservation(now),
        FindingKind::Seen { .. }
        | FindingKind::LiveIsDisabled { .. }
        | FindingKind::LimitIsOther { .. }
        | FindingKind::NotListed { .. }
        | FindingKind::Rule { .. }
        | FindingKind::Purge { .. } => Err(Unchanged),
    }
}

/// Queries one key that was listed as disabled, with another limit, or not at all. A grant that was written meanwhile overrides
/// what was found. A stop that is held back only records that the key is missing.
async fn look_again(runner: &Runner<'_>, at: ActContext<'_>, key: &KeyHash, is_held: bool) -> Result<()> {
    let (table, journal) = (runner.table, &runner.journal);
    let Some(view) = table.view(at.programme, at.grant).await? else { return Ok(()) };
    let read = view.grant.version;
    let (asked_at, answered) = runner.provider.get_key_in_a_day(key, at.deadline).await?;
    let Some(found) = answered else {
        let is_over = view.grant.is_over();
        journal.report(|report| report.keys_missing += usize::from(!is_over));
        if runner.settler().not_found(at, key, !is_held, at.deadline).await? {
            journal.problem(format!("the provider does not have the key {key} any more"));
        } else if !is_over {
            journal.problem(format!("the provider does not find the key {key}; the next sync asks again"));
        }
        return settle(runner, at).await;
    };
    if found.disabled && !is_held {
        let stopped = table.act(at, |view, now| view.found_disabled(read, key, asked_at, runner.is_copy, now)).await?;
        if matches!(stopped, ActOutcome::Done(_)) {
            journal.problem(format!(
                "the key {key} was switched off at the provider by another hand, so its grant is stopped"
            ));
        }
    }
    if !found.disabled {
        let told = found.usage_report(view.programme.settings.basis.reset);
        note_use(runner, at, &view, key, (asked_at, told.as_ref())).await?;
    }
    let seen = found.seen(view.programme.settings.basis, asked_at, !found.disabled);
    take_in(runner, at, key, &seen).await
}

/// Takes in what the provider shows of a key, and tells it what follows from that. Where somebody had set another limit, the report says
/// so.
async fn take_in(runner: &Runner<'_>, at: ActContext<'_>, key: &KeyHash, seen: &SeenKey) -> Result<()> {
    let seen = |view: &View, now| {
        let change = view.seen(key, seen, now)?;
        let found = change.audit().and_then(|what| what.to.clone());
        Ok::<_, Unchanged>((change, found))
    };
    let taken = runner.table.act(at, seen).await?;
    if let ActOutcome::Done(Some(found)) = taken {
        runner.journal.problem(format!("the limit of the key {key} was {found} at the provider, and is set again"));
    }
    settle(runner, at).await
}

async fn note_use(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    view: &View,
    key: &KeyHash,
    (asked, told): (Moment, Option<&UsageReport>),
) -> Result<()> {
    let doubt = runner.table.take_in_use(view, key, told, asked, at.deadline).await??;
    runner.journal.problems_of(doubt.map(|doubt| format!("of the key {key} {doubt}")));
    Ok(())
}

/// Records the listed use of keys that are only now on record.
async fn read_late(runner: &Runner<'_>, at: ActContext<'_>, rows: &[&KeyRow]) -> Result<()> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(()) };
    for row in rows {
        note_use(runner, at, &view, &row.key, (row.state.asked, row.state.report.as_ref())).await?;
        runner.journal.report(|report| report.readings_recorded += 1);
    }
    Ok(())
}

/// Tells the provider what the grant's keys are to hold. A key that is not found is handled by the listing.
async fn settle(runner: &Runner<'_>, at: ActContext<'_>) -> Result<()> {
    let mut settled = runner.settler().settle(at, is_told).await;
    // A run in which a disable failed is not complete, and tells the admins: one failure that may pass is not worth that.
    let may_pass = match &settled {
        Err(NotSettled::Provider(error)) => error.may_pass(),
        Err(NotSettled::NoTime) => true,
        Ok(_)
        | Err(NotSettled::NotFound | NotSettled::InDoubt { .. } | NotSettled::NotRead | NotSettled::NotConfirmed)
        | Err(NotSettled::NoGuardrail | NotSettled::Table(_)) => false,
    };
    if may_pass {
        settled = runner.settler().settle(at, is_told).await;
    }
    match settled {
        Ok(_)
        | Err(NotSettled::NotFound | NotSettled::NotRead | NotSettled::InDoubt { .. } | NotSettled::NoGuardrail) => {
            Ok(())
        }
        Err(error) => {
            let grant = runner.table.get(Grant::key_of(at.programme, at.grant)).await?;
            if grant.is_some_and(|grant: Grant| grant.may_have_key_to_end()) {
                runner.journal.note(|notes| notes.not_disabled.extend([format!("the keys of the grant {}", at.grant)]));
            }
            Err(error.into())
        }
    }
}

/// One run may delete one in so many listed keys.
const PURGED_ONE_IN: usize = 50;
/// The keys that a run may always delete; otherwise a small account would keep its disabled keys for ever.
const PURGED_AT_LEAST: usize = 1;

async fn purge(runner: &Runner<'_>, at: ActContext<'_>, key: &KeyHash) -> Result<()> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(()) };
    if view.grant.key_with(key).is_some_and(|key| view.may_purge(key, runner.baseline.restored_at, at.now)) {
        runner.provider.delete_key(key, at.deadline).await?;
        runner.table.act(at, |view, _| view.purged(key)).await?;
        runner.journal.note(|notes| notes.purged.extend([key.clone()]));
    }
    Ok(())
}

/// Has each day begin further on, by as many as may fail in a row: those that always fail never keep the same others from their repair.
fn rotate<T>(findings: &mut [T], now: Moment) {
    let days = usize::try_from(now.as_second() / 86_400).unwrap_or_default();
    findings.rotate_left((days * FAILED_IN_A_ROW).checked_rem(findings.len()).unwrap_or_default());
}

/// Leaves purges beyond the bound of a run to later runs.
fn bound_purges(findings: &mut Vec<Finding>, keys_listed: usize) {
    let mut left = (keys_listed / PURGED_ONE_IN).max(PURGED_AT_LEAST);
    findings.retain(|finding| {
        let is_purge = matches!(finding.kind, FindingKind::Purge { .. });
        let stays = !is_purge || left > 0;
        left -= usize::from(is_purge && left > 0);
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_begins_elsewhere() {
        let first = |day| {
            let mut findings: Vec<usize> = (0..100).collect();
            rotate(&mut findings, Moment::UNIX_EPOCH + SignedDuration::from_hours(24 * day));
            findings[0]
        };
        assert_eq!([20_000_i64, 20_001, 20_002].map(first), [0, 16, 32]);
        rotate::<Finding>(&mut [], Moment::UNIX_EPOCH);
    }
}
