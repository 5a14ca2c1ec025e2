//! The deletion of keys at the provider, long after they were disabled: few in each run, and each only if it
//! still may go.

use bursar_core::domain::grant::Reading;

use crate::prelude::*;
use crate::scan::finding::FindingKind;

/// One run may delete one in so many listed keys.
const PURGED_ONE_IN: usize = 50;
/// The keys that a run may always delete; otherwise a small account would keep its disabled keys for ever.
const PURGED_AT_LEAST: usize = 1;

pub(super) async fn purge(
    runner: &Runner<'_>,
    at: ActContext<'_>,
    epoch: Epoch,
    key: &KeyHash,
) -> Result<FindingOutcome> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(FindingOutcome::Done) };
    if view.may_purge(epoch, runner.baseline.began_at, runner.baseline.restored_at, at.now) {
        let deleted = runner.provider.delete_key(key, at.deadline).await?;
        runner.table.act(at, |view, now| view.purged(epoch, key, now)).await?;
        // This call deleted it, so the listing still had it.
        if deleted {
            let used = view.readings.iter().find(|reading| reading.epoch == epoch).map(Reading::lifetime);
            return Ok(FindingOutcome::Purged { key: key.clone(), used: used.unwrap_or_default() });
        }
    }
    Ok(FindingOutcome::Done)
}

/// Leaves purges beyond the bound of a run to later runs. A run that recovers any key deletes none.
pub(crate) fn bound_purges(findings: &mut VecDeque<Finding>, keys_listed: usize) {
    // A restored table may be restored once more.
    let is_restored = findings.iter().any(|finding| matches!(finding.kind, FindingKind::Recover { .. }));
    let bound = (keys_listed / PURGED_ONE_IN).max(PURGED_AT_LEAST);
    let mut left = if is_restored { 0 } else { bound };
    findings.retain(|finding| {
        let is_purge = matches!(finding.kind, FindingKind::Purge { .. });
        let stays = !is_purge || left > 0;
        left -= usize::from(is_purge && left > 0);
        stays
    });
}
