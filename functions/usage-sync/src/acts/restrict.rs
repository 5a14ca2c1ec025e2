//! The assignment of live keys to their programme's guardrail, from which somebody had removed them.

use anyhow::Result;
use bursar_core::domain::values::id::Epoch;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::store::ActContext;
use futures_util::{StreamExt, TryStreamExt};

use super::SIDE_BY_SIDE;
use crate::runner::Runner;
use crate::scan::finding::{Finding, FindingKind};
use crate::scan::outcome::FindingOutcome;

/// Assigns keys of one programme to its guardrail in one request.
pub(crate) async fn restrict_all(runner: &Runner<'_>, batch: &[Finding]) -> Result<Vec<FindingOutcome>> {
    let (now, deadline) = (runner.clock.now(), runner.until());
    let views: Vec<_> = batch
        .iter()
        .map(async |finding| {
            let programme = runner.programme(finding.programme)?;
            let FindingKind::NotRestricted { epoch, key } = &finding.kind else { return Ok(None) };
            let at = ActContext { programme: &programme.id, grant: &finding.grant, now, deadline };
            guardrail_of(runner, at, *epoch, key).await
        })
        .collect();
    let found: Vec<Option<(String, KeyHash)>> =
        futures_util::stream::iter(views).buffered(SIDE_BY_SIDE).try_collect().await?;
    let keys: Vec<KeyHash> = found.iter().flatten().map(|(_, key)| key.clone()).collect();
    if let Some((guardrail, _)) = found.iter().flatten().next() {
        runner.provider.assign_keys(guardrail, &keys, deadline).await?;
    }
    Ok(found.into_iter().map(|found| found.map_or(FindingOutcome::Done, |(_, key)| restricted(&key))).collect())
}

pub(super) async fn restrict(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    epoch: Epoch,
    key: &KeyHash,
) -> Result<FindingOutcome> {
    let Some((guardrail, key)) = guardrail_of(runner, at, epoch, key).await? else { return Ok(FindingOutcome::Done) };
    runner.provider.assign_keys(&guardrail, std::slice::from_ref(&key), at.deadline).await?;
    Ok(restricted(&key))
}

/// The guardrail that a key must be under, if it still is its grant's live key.
async fn guardrail_of(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    epoch: Epoch,
    key: &KeyHash,
) -> Result<Option<(String, KeyHash)>> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(None) };
    let is_live = view.grant.holds.is_empty() && view.grant.live().is_some_and(|live| live.epoch == epoch);
    let guardrail = view.programme.guardrail.filter(|_| is_live);
    Ok(guardrail.map(|guardrail| (guardrail.id, key.clone())))
}

fn restricted(key: &KeyHash) -> FindingOutcome {
    FindingOutcome::Mended(format!("the key {key} was not under its programme's guardrail, and is again"))
}
