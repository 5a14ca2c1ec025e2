//! Keys that are deleted at the provider, long after they were disabled: few in each run, and each only if it still may go.

use anyhow::Result;
use bursar_core::domain::grant::Reading;
use bursar_core::domain::id::Epoch;
use bursar_core::domain::key::KeyHash;
use bursar_core::provider::keys::Deleted;
use bursar_core::store::At;

use crate::came::Came;
use crate::look::What;
use crate::progress::Progress;
use crate::run::Run;

/// Of so many listed keys one may be deleted by one run.
const PURGED_ONE_IN: usize = 50;
/// Of fewer than that one may be deleted all the same: otherwise a small account would keep its dead keys for ever.
const PURGED_AT_LEAST: usize = 1;

impl Run<'_> {
    pub(crate) async fn purge(&self, at: At<'_>, epoch: Epoch, key: &KeyHash, progress: &Progress) -> Result<Came> {
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(Came::Done) };
        if view.may_purge(epoch, progress.began_at, progress.restored_at, at.now) {
            let deleted = self.provider.delete_key(key, at.deadline).await?;
            self.table.purged(at, epoch, key).await?;
            // It was listed, and is not any more.
            if deleted == Deleted::Now {
                let used = view.readings.iter().find(|reading| reading.epoch == epoch).map(Reading::lifetime);
                return Ok(Came::Purged { key: key.clone(), used: used.unwrap_or_default() });
            }
        }
        Ok(Came::Done)
    }
}

impl Progress {
    /// Leaves what may be deleted beyond the bound of a run to the next ones.
    pub(crate) fn bound_purges(&mut self) {
        // A table that went back may go back further.
        let went_back = self.findings.iter().any(|finding| matches!(finding.what, What::Recover { .. }));
        let bound = (self.report.keys_listed / PURGED_ONE_IN).max(PURGED_AT_LEAST);
        let mut left = if went_back { 0 } else { bound };
        self.findings.retain(|finding| {
            let is_purge = matches!(finding.what, What::Purge { .. });
            let stays = !is_purge || left > 0;
            left -= usize::from(is_purge && left > 0);
            stays
        });
    }
}
