//! The caps of students: those past a threshold are told once the run is concluded, side by side,
//! unless they were told before. What there is no time for is left to another run, which the next
//! quarter of an hour begins. The mail decides again whether it is due.

use std::time::Duration;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{CapUse, Grant};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::crossing::{Crossing, Scope, newly_passed_of_cap};
use bursar_core::domain::usage::reading::Reading;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::partition::shard_of;
use futures_util::stream::{StreamExt, iter};

use crate::runner::{RunContext, WRITES_AT_ONCE};

/// The most that one cap takes; with less time left it is not begun.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// A grant that has used so much of its cap.
#[derive(Debug)]
pub(crate) struct CrossedCap {
    programme: ProgrammeId,
    grant: GrantId,
    used: CapUse,
}

impl CrossedCap {
    /// The cap of a grant with these readings, if a threshold was passed.
    pub(crate) fn find(
        programme: &Programme,
        grant: &Grant,
        readings: &[Reading],
        now: Moment,
    ) -> Option<CrossedCap> {
        let used = CapUse::compute(programme, grant, readings, now)?;
        let has_crossed = !newly_passed_of_cap(used.cap, used.spent, &[]).is_empty();
        has_crossed.then(|| CrossedCap {
            programme: programme.id.clone(),
            grant: grant.id.clone(),
            used,
        })
    }

    /// The crossings that are not on record.
    fn news(&self, on_record: &[Crossing], found_at: Moment) -> Vec<Crossing> {
        let CapUse {
            window, cap, spent, ..
        } = self.used;
        let scope = Scope::Cap(self.grant.clone());
        let recorded = on_record.iter().filter(|crossing| {
            crossing.scope == scope && crossing.window == window && crossing.limit == cap
        });
        let thresholds: Vec<u8> = recorded.map(|crossing| crossing.threshold).collect();
        let passed = newly_passed_of_cap(cap, spent, &thresholds);
        let programme = self.programme.clone();
        Crossing {
            programme,
            scope,
            window,
            limit: cap,
            threshold: 0,
            spent,
            found_at,
            is_mailed: false,
        }
        .cross_each(passed)
    }
}

/// Records the crossings of these caps with their mails. Returns `false` where some are left to
/// another run.
pub(crate) async fn judge(runner: &RunContext, mut crossed: Vec<CrossedCap>) -> bool {
    // Most were told in an earlier night, which one query for each shard of a programme says.
    crossed.sort_by(|first, second| {
        (&first.programme, &first.grant).cmp(&(&second.programme, &second.grant))
    });
    let mut news = Vec::new();
    let now = runner.clock.now();
    let mut are_read = true;
    let shards = crossed.chunk_by(|previous, next| {
        previous.programme == next.programme && shard_of(&previous.grant) == shard_of(&next.grant)
    });
    for shard_caps in shards {
        let CrossedCap {
            programme, grant, ..
        } = &shard_caps[0];
        match runner
            .table
            .list(Crossing::of_shard(programme, shard_of(grant)))
            .await
        {
            Ok(on_record) => news.extend(
                shard_caps
                    .iter()
                    .map(|cap| (&cap.grant, cap.news(&on_record, now))),
            ),
            Err(error) => {
                runner.journal.problem(format!(
                    "some caps of {programme} could not be judged: {error}"
                ));
                are_read &= !error.may_pass();
            }
        }
    }
    news.retain(|(_, crossings)| !crossings.is_empty());
    let writes: Vec<_> = news
        .into_iter()
        .map(|(grant, crossings)| record(runner, grant, crossings))
        .collect();
    let are_judged: Vec<bool> = iter(writes)
        .buffer_unordered(WRITES_AT_ONCE)
        .collect()
        .await;
    are_read && !are_judged.contains(&false)
}

/// Records the crossings of one cap, which another run may have done meanwhile. Returns `false`
/// where it is left to another run.
async fn record(runner: &RunContext, grant: &GrantId, crossings: Vec<Crossing>) -> bool {
    if !runner.end().leaves(ENOUGH_FOR_ONE) {
        return false;
    }
    match runner
        .table
        .record_crossings(&crossings, &[], runner.clock.now(), runner.end())
        .await
    {
        Ok(_) => true,
        Err(error) => {
            runner.journal.problem(format!(
                "the cap of the grant {grant} could not be judged: {error}"
            ));
            !error.may_pass()
        }
    }
}
