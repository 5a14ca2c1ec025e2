//! A query for one key by its hash, after the listing had it as disabled or not at all.

use bursar_core::domain::usage::reading::UnusableReport;
use bursar_core::provider::key::ProviderKey;
use bursar_core::store::MissingKey;

use super::limit::send_limit;
use crate::prelude::*;
use crate::scan::row::limit_on;

/// The least time between the two answers after which a missing key is gone.
const SURELY_GONE: SignedDuration = SignedDuration::from_hours(1);

/// Queries one key that was listed as disabled, or not at all. A grant that was written meanwhile overrides
/// what was found. A stop that is held back only records that the key is missing.
pub(super) async fn look_again(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    (epoch, key, summed): (Epoch, &KeyHash, Usd),
    is_held: bool,
) -> Result<FindingOutcome> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(FindingOutcome::Done) };
    let read = view.grant.version;
    let (asked_at, answered) = runner.provider.get_key_in_a_day(key, runner.clock, at.deadline).await?;
    match answered {
        Some(found) if found.disabled && is_held => Ok(FindingOutcome::Done),
        Some(found) if found.disabled => {
            runner.table.act(at, |view, now| view.found_disabled(read, epoch, key, now)).await?;
            Ok(FindingOutcome::Done)
        }
        Some(found) => {
            // A key that may be used stays enabled; the rule then has nothing to do.
            runner.table.act(at, |view, now| view.disable_again(epoch, key, asked_at, now)).await?;
            let (used, doubt) = note_use(runner, at, &view, epoch, (asked_at, &found)).await?;
            // Compared with this run's sums, not with the recorded reading, which an invocation may have
            // written just before it died.
            let more = used.map_or(Usd::ZERO, |used| used - summed);
            let listed = limit_on(view.programme.settings.basis, &found);
            let drifted = if view.grant.live().is_some_and(|live| live.epoch == epoch) {
                Box::pin(send_limit(runner, at, listed)).await?
            } else {
                None
            };
            Ok(FindingOutcome::LookedAgain { more, doubt, mended: drifted })
        }
        None => {
            let is_over = view.grant.is_over();
            let since = runner.table.missing_since(key, runner.baseline.listed_at).await?;
            let is_sure = !is_held && since.is_some_and(|since| since + SURELY_GONE < at.now);
            if is_sure && finds_another(runner, at).await? {
                runner.table.act(at, |view, now| view.found_gone(read, epoch, key, now)).await?;
                return Ok(FindingOutcome::Gone { key: key.clone(), is_missing: !is_over });
            }
            let missing_since = since.unwrap_or(at.now);
            let missing = MissingKey { key: key.clone(), missing_since, as_of: runner.baseline.began_at };
            runner.table.put_later(&missing, missing.as_of, at.deadline).await?;
            Ok(FindingOutcome::Unseen { key: key.clone(), is_missing: !is_over })
        }
    }
}

/// Whether the account still knows a key that the last complete sync listed, so that this 404 is not another account's.
async fn finds_another(runner: &Runner<'_>, at: ActContext<'_>) -> Result<bool> {
    let Some(account) = &runner.account else { return Ok(true) };
    Ok(runner.provider.finds_one_of(account, at.deadline).await?)
}

/// Records the use of a key that was queried by itself. Returns its lifetime use and, in words, a doubt about
/// it.
async fn note_use(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    view: &View,
    epoch: Epoch,
    (asked, found): (Moment, &ProviderKey),
) -> Result<(Option<Usd>, Option<String>)> {
    let Some(attempt) = view.grant.attempt(epoch) else { return Ok((None, None)) };
    let told = found.usage_report(view.programme.settings.basis.reset).ok_or(UnusableReport::Silent)?;
    let before = view.reading(epoch);
    let (after, doubt) = view.reading_after(attempt, &told, asked, runner.baseline.listed_at)?;
    if before.is_none_or(|before| after.differs_from(before)) {
        runner.table.note_reading(&after, at.deadline).await?;
    }
    Ok((Some(after.lifetime()), doubt.map(|doubt| format!("of the key {} {doubt}", found.hash))))
}
