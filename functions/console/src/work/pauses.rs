//! Pauses by the clock, as they begin and end: every key that is then to be off, or on again, is marked as due.

use anyhow::{Result, ensure};
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, View};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::pause::{ClockPauses, PauseWatch};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::schema::SHARDS;
use bursar_core::store::{ActContext, StoreError};
use bursar_core::web::Site;
use futures_util::stream::{StreamExt, iter};

use super::jobs::JobDeadlines;

const SIDE_BY_SIDE: usize = 8;

/// Compares the keys of a programme with its pauses. What there is no time for is found by the next comparison, which passes over what is
/// marked by then.
pub(super) async fn compare(site: &Site, programme: &ProgrammeId, until: JobDeadlines) -> Result<()> {
    let table = &site.table;
    let now = site.clock.now();
    let (watch, stored) =
        tokio::try_join!(table.get(PauseWatch::key_of(programme)), table.get(Programme::key_of(programme)))?;
    let (Some(watch), Some(Programme { settings, .. })) = (watch, stored) else { return Ok(()) };
    let mut failures = 0;
    for shard in SHARDS {
        let mut grants = table.list_known(Grant::of_shard(programme, shard)).await?;
        grants.retain(|grant| is_to_be_marked(grant, &settings.pauses, now));
        let marks = grants.iter().map(|grant| async move {
            let deadline = until.deadline;
            let context = ActContext { programme, grant: &grant.id, now: site.clock.now(), deadline };
            if !until.is_time_up() {
                table.act(context, View::refresh_due).await?;
            }
            Ok::<_, StoreError>(())
        });
        let marked: Vec<_> = iter(marks.collect::<Vec<_>>()).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for error in marked.into_iter().filter_map(Result::err) {
            tracing::warn!(%programme, %error, "a key is not marked for a pause");
            failures += 1;
        }
        if until.is_time_up() {
            return Ok(());
        }
    }
    ensure!(failures == 0, "{failures} keys are not marked");
    Ok(table.set_pause_watch(&watch.compared(&settings.pauses, now), until.deadline).await?)
}

/// Whether a shown key is not known to be as the pauses want it, and whoever settles grants does not know that yet.
fn is_to_be_marked(grant: &Grant, pauses: &ClockPauses, now: Moment) -> bool {
    let is_paused = pauses.until(grant.group.as_deref(), now).is_some();
    let is_marked = grant.due_at.is_some_and(|due| due <= now) && grant.may_have_key_to_end() == is_paused;
    !is_marked && grant.usable().is_some_and(|live| !live.enabled.is(&!is_paused))
}
