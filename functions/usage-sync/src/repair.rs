//! The repairs: each finding that the safety limit lets through is decided again on the grant as it
//! is by then, so one that no longer holds leads to nothing. Each may be done twice.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Change, Grant, RecoveredKey, Unchanged, View};
use bursar_core::domain::usage::reading::UsageReport;
use bursar_core::domain::values::id::{GrantId, KeyHash};
use bursar_core::provider::ProviderError;
use bursar_core::settle::NotSettled;
use bursar_core::store::{ActContext, ActOutcome, StoreError};
use futures_util::stream::{StreamExt, iter};

use crate::compare::{Finding, FindingKind, GrantFinding, KeyDoubt, KeyFinding};
use crate::list::KeyRow;
use crate::runner::{Gaps, REPAIRS_AT_ONCE, RunContext, is_told};

/// How many repairs in a row may fail without an answer, after which the rest is left to another
/// run.
const FAILED_IN_A_ROW: usize = 2 * REPAIRS_AT_ONCE;

/// What repairs left undone, and the keys that they deleted at the provider.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    pub(crate) gaps: Gaps,
    /// Whether it ended before everything was done.
    pub(crate) is_broken_off: bool,
    /// The grants of which a disable failed.
    pub(crate) not_disabled: BTreeSet<GrantId>,
    pub(crate) purged: Vec<KeyHash>,
}

/// Why a repair failed, and whether a key of its grant may be on that is to be off.
struct Failure {
    error: anyhow::Error,
    is_left_on: bool,
}

/// Handles every finding. What cannot be done is a problem of the report, and found again by the
/// next run.
pub(crate) async fn all(
    runner: &RunContext,
    mut findings: Vec<Finding>,
    listed: usize,
) -> Repaired {
    let journal = &runner.journal;
    let mut repaired = Repaired::default();
    bound_purges(&mut findings, listed);
    rotate(&mut findings, runner.baseline.began_at);
    let count = findings.len();
    let mut done = 0;
    let mut failed = 0;
    let repairs = findings.into_iter().map(|finding| async move {
        let outcome = repair(runner, &finding).await;
        (finding, outcome)
    });
    let mut repairs = iter(repairs).buffer_unordered(REPAIRS_AT_ONCE);
    // What was read is recorded in the time that is left.
    let end = runner.end().earlier_by(runner.end().left() / 4);
    while let Some((finding, outcome)) = repairs.next().await {
        done += 1;
        let remaining = count - done;
        if end.left().is_zero() && remaining > 0 {
            journal.problem(format!(
                "the time was up, and {remaining} findings are left to the next run"
            ));
            repaired.is_broken_off = true;
            repaired.gaps.has_unread = true;
            return repaired;
        }
        let Err(Failure { error, is_left_on }) = outcome else {
            failed = 0;
            repaired.purged.extend(finding.record_purge().cloned());
            continue;
        };
        failed += usize::from(may_pass(&error));
        journal.problem(format!("{}: {error:#}", finding.subject()));
        let refusal = provider_error(&error).and_then(ProviderError::refusal);
        let is_refused = refusal.is_some();
        journal.refuse(refusal);
        // A copy is no copy any more once all its keys are on record; and what was not written may
        // have been the disable of a key.
        let is_unwritten =
            table_error(&error).is_some_and(|error| !matches!(error, StoreError::Corrupt { .. }));
        repaired.gaps.has_failed |= is_unwritten
            || matches!(
                finding.kind,
                FindingKind::Grant(GrantFinding::Recover { .. })
            );
        repaired.gaps.has_unread |= finding.reads().is_some();
        repaired
            .not_disabled
            .extend(is_left_on.then_some(finding.grant));
        if failed == FAILED_IN_A_ROW || is_refused {
            journal.problem(format!(
                "nothing more was done, and {remaining} findings are left to the next run"
            ));
            repaired.is_broken_off = true;
            repaired.gaps.has_unread = true;
            return repaired;
        }
    }
    repaired
}

fn provider_error(error: &anyhow::Error) -> Option<&ProviderError> {
    error.chain().find_map(|cause| {
        if let Some(NotSettled::Provider(error)) = cause.downcast_ref() {
            Some(error)
        } else {
            cause.downcast_ref()
        }
    })
}

fn table_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| {
        if let Some(NotSettled::Table(error)) = cause.downcast_ref() {
            Some(error)
        } else {
            cause.downcast_ref()
        }
    })
}

fn may_pass(error: &anyhow::Error) -> bool {
    table_error(error).is_some_and(StoreError::may_pass)
        || provider_error(error).is_some_and(ProviderError::may_pass)
}

async fn repair(runner: &RunContext, finding: &Finding) -> Result<(), Failure> {
    // A repair that queries the provider takes a fresh view afterwards, so this instant is never
    // out of date.
    let context = ActContext {
        programme: &finding.programme,
        grant: &finding.grant,
        now: runner.clock.now(),
        deadline: runner.until(),
    };
    let Err(error) = try_to(runner, context, finding).await else {
        return Ok(());
    };
    match handle_failure(runner, context, finding).await {
        Ok(is_left_on) => Err(Failure { error, is_left_on }),
        Err(worse) => Err(Failure {
            error: worse.into(),
            is_left_on: false,
        }),
    }
}

/// Whether a key of a grant that could not be repaired may be on that is to be off.
async fn handle_failure(
    runner: &RunContext,
    context: ActContext<'_>,
    finding: &Finding,
) -> Result<bool, StoreError> {
    if let Some(epoch) = finding.reads()
        && let Some(listed_at) = runner.baseline.listed_at
    {
        // It could not be read, so its use is known for no longer than before.
        runner
            .table
            .note_failed_look(
                (context.programme, context.grant, epoch),
                listed_at,
                context.deadline,
            )
            .await?;
    }
    let grant: Option<Grant> = runner
        .table
        .get(Grant::key_of(context.programme, context.grant))
        .await?;
    Ok(grant.is_some_and(|grant| grant.has_key_to_end()))
}

async fn try_to(runner: &RunContext, context: ActContext<'_>, finding: &Finding) -> Result<()> {
    match &finding.kind {
        FindingKind::Grant(finding) => decide(runner, context, finding).await,
        FindingKind::Key(KeyFinding { key, doubt, .. }) => match doubt {
            KeyDoubt::MayGo => purge(runner, context, key).await,
            KeyDoubt::NotListed { is_held, .. } => look_again(runner, context, key, *is_held).await,
            KeyDoubt::IsDisabled | KeyDoubt::LimitIsOther => {
                look_again(runner, context, key, false).await
            }
        },
        FindingKind::Rule { last_used_at } => {
            runner.table.follow_rules(context, *last_used_at).await?;
            settle(runner, context).await
        }
    }
}

/// Changes a grant, and tells the provider what follows from that.
async fn decide(
    runner: &RunContext,
    context: ActContext<'_>,
    finding: &GrantFinding,
) -> Result<()> {
    let journal = &runner.journal;
    let grant = context.grant;
    let changed = runner.table.act(context, |view, now| {
        let change = choose_change(finding, view, now)?;
        let limit = change.audit().and_then(|what| what.new_value.clone());
        Ok::<_, Unchanged>((change, limit))
    });
    let outcome = changed.await?;
    let is_done = matches!(outcome, ActOutcome::Done(_));
    settle(runner, context).await?;
    match finding {
        GrantFinding::Recover { rows, unread, .. } => {
            let unread: Vec<&KeyRow> = rows
                .iter()
                .filter(|row| unread.contains(&row.epoch))
                .collect();
            read_late(runner, context, &unread).await?;
            journal.problem(format!(
                "keys of the grant {grant} were not on record, and are now: the table went back"
            ));
        }
        GrantFinding::Orphan { .. } => {
            journal.report(|report| report.orphans_disabled += usize::from(is_done));
        }
        GrantFinding::NotUnder { key, .. } if is_done => {
            journal.problem(format!(
                "the key {key} was not under its programme's guardrail, and is again"
            ));
        }
        GrantFinding::Seen { key, .. } => {
            if let ActOutcome::Done(Some(limit)) = outcome {
                journal.problem(format!(
                    "the limit of the key {key} was {limit} at the provider, and is set again"
                ));
            }
        }
        GrantFinding::NotUnder { .. }
        | GrantFinding::End
        | GrantFinding::UnusedReservation
        | GrantFinding::Due => {}
    }
    Ok(())
}

fn choose_change(finding: &GrantFinding, view: &View, now: Moment) -> Result<Change, Unchanged> {
    match finding {
        GrantFinding::Orphan { row, .. } => {
            view.record_orphan(row.epoch, &row.key, row.made_at(&view.grant), now)
        }
        GrantFinding::Recover { rows, .. } => {
            let keys: Vec<RecoveredKey> = rows.iter().map(KeyRow::to_recovered).collect();
            view.recover(&keys, now)
        }
        GrantFinding::Seen { key, seen } => view.seen(key, seen, now),
        GrantFinding::NotUnder { key, asked_at } => view.not_under(key, *asked_at),
        GrantFinding::End => view.end(&Actor::Rule, now),
        GrantFinding::Due => view.refresh_due(now),
        GrantFinding::UnusedReservation => view.give_back_reservation(now),
    }
}

/// Queries one key that was listed as disabled, with another limit, or not at all. A grant that was
/// written meanwhile overrides what was found. A stop that is held back only records that the key
/// is missing.
async fn look_again(
    runner: &RunContext,
    context: ActContext<'_>,
    key: &KeyHash,
    is_held: bool,
) -> Result<()> {
    let table = &runner.table;
    let journal = &runner.journal;
    let Some(view) = table.view(context.programme, context.grant).await? else {
        return Ok(());
    };
    let read = view.grant.version;
    let (asked_at, answered) = runner
        .provider
        .get_key_in_a_day(key, context.deadline)
        .await?;
    let Some(provider_key) = answered else {
        let is_over = view.grant.is_over();
        journal.report(|report| report.keys_missing += usize::from(!is_over));
        if runner
            .settler()
            .not_found(context, key, !is_held, context.deadline)
            .await?
        {
            journal.problem(format!("the provider does not have the key {key} any more"));
        } else if !is_over {
            journal.problem(format!(
                "the provider does not find the key {key}; the next sync asks again"
            ));
        }
        return settle(runner, context).await;
    };
    if provider_key.disabled && !is_held {
        let stopped = table
            .act(context, |view, now| {
                view.record_disabled(read, key, asked_at, runner.is_copy, now)
            })
            .await?;
        if matches!(stopped, ActOutcome::Done(_)) {
            journal.problem(format!(
                "the key {key} was switched off at the provider by another hand, so its grant is stopped"
            ));
        }
    }
    if !provider_key.disabled {
        let report = provider_key.usage_report(view.programme.settings.basis.reset);
        note_use(runner, context, &view, key, (asked_at, report.as_ref())).await?;
    }
    let seen = provider_key.seen(
        view.programme.settings.basis,
        asked_at,
        !provider_key.disabled,
    );
    decide(
        runner,
        context,
        &GrantFinding::Seen {
            key: key.clone(),
            seen,
        },
    )
    .await
}

async fn note_use(
    runner: &RunContext,
    context: ActContext<'_>,
    view: &View,
    key: &KeyHash,
    (asked_at, report): (Moment, Option<&UsageReport>),
) -> Result<()> {
    let doubt = runner
        .table
        .take_in_use(view, key, report, asked_at, false, context.deadline)
        .await??;
    runner
        .journal
        .problems_of(doubt.map(|doubt| format!("of the key {key} {doubt}")));
    Ok(())
}

/// Records the listed use of keys that are only now on record.
async fn read_late(runner: &RunContext, context: ActContext<'_>, rows: &[&KeyRow]) -> Result<()> {
    let Some(view) = runner.table.view(context.programme, context.grant).await? else {
        return Ok(());
    };
    for row in rows {
        note_use(
            runner,
            context,
            &view,
            &row.key,
            (row.state.asked_at, row.state.report.as_ref()),
        )
        .await?;
        runner
            .journal
            .report(|report| report.readings_recorded += 1);
    }
    Ok(())
}

/// Tells the provider what the grant's keys are to hold. A key that is not found is handled by the
/// listing.
async fn settle(runner: &RunContext, context: ActContext<'_>) -> Result<()> {
    let mut settled = runner.settler().settle(context, is_told).await;
    // A run in which a disable failed is not complete, and tells the admins: one failure that may
    // pass is not worth that.
    let may_pass = match &settled {
        Err(NotSettled::Provider(error)) => error.may_pass(),
        Err(NotSettled::NoTime) => true,
        Ok(_)
        | Err(
            NotSettled::NotFound
            | NotSettled::InDoubt { .. }
            | NotSettled::NotRead
            | NotSettled::NotConfirmed,
        )
        | Err(NotSettled::NoGuardrail | NotSettled::Table(_)) => false,
    };
    if may_pass {
        settled = runner.settler().settle(context, is_told).await;
    }
    match settled {
        Ok(_)
        | Err(
            NotSettled::NotFound
            | NotSettled::NotRead
            | NotSettled::InDoubt { .. }
            | NotSettled::NoGuardrail,
        ) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One run may delete one in so many listed keys.
const PURGED_ONE_IN: usize = 50;
/// The keys that a run may always delete; otherwise a small account would keep its disabled keys
/// for ever.
const PURGED_AT_LEAST: usize = 1;

async fn purge(runner: &RunContext, context: ActContext<'_>, key: &KeyHash) -> Result<()> {
    let Some(view) = runner.table.view(context.programme, context.grant).await? else {
        return Ok(());
    };
    if view
        .grant
        .key_with(key)
        .is_some_and(|key| view.may_purge(key, runner.baseline.restored_at, context.now))
    {
        runner.provider.delete_key(key, context.deadline).await?;
        runner
            .table
            .act(context, |view, _| view.record_purge(key))
            .await?;
    }
    Ok(())
}

/// Has each day begin further on, by as many as may fail in a row: those that always fail never
/// keep the same others from their repair.
fn rotate<T>(findings: &mut [T], now: Moment) {
    let days = (now.as_second() / 86_400) as usize;
    findings.rotate_left(
        (days * FAILED_IN_A_ROW)
            .checked_rem(findings.len())
            .unwrap_or_default(),
    );
}

/// Leaves purges beyond the bound of a run to later runs.
fn bound_purges(findings: &mut Vec<Finding>, keys_listed: usize) {
    let mut purges_left = (keys_listed / PURGED_ONE_IN).max(PURGED_AT_LEAST);
    findings.retain(|finding| {
        let is_purge = finding.record_purge().is_some();
        let stays = !is_purge || purges_left > 0;
        purges_left -= usize::from(is_purge && purges_left > 0);
        stays
    });
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn each_day_begins_elsewhere() {
        let first = |day| {
            let mut findings: Vec<usize> = (0..100).collect();
            rotate(
                &mut findings,
                Moment::UNIX_EPOCH + SignedDuration::from_hours(24 * day),
            );
            findings[0]
        };
        assert_eq!([20_000_i64, 20_001, 20_002].map(first), [0, 16, 32]);
        rotate::<Finding>(&mut [], Moment::UNIX_EPOCH);
    }
}
