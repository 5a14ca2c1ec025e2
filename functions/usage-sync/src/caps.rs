//! The caps of students: those past a threshold are judged by what is on record once the run is concluded, side by side. What there is no time
//! for is left to another run, which the next quarter of an hour begins.

use bursar_core::crossings::{self, ENOUGH_FOR_ONE, Limit};
use bursar_core::domain::grant::CapUse;
use bursar_core::domain::usage::crossing::{Crossing, Scope, newly_passed_of_cap};
use bursar_core::domain::values::partition::shard_of;

use crate::prelude::*;
use crate::runner::WRITES_AT_ONCE;

/// A grant that has used so much of its cap.
#[derive(Debug)]
pub(crate) struct CrossedCap {
    programme: ProgrammeId,
    grant: GrantId,
    used: CapUse,
}

impl CrossedCap {
    /// The cap of a grant with these readings, if a threshold was passed.
    pub(crate) fn find(programme: &Programme, grant: &Grant, readings: &[Reading], now: Moment) -> Option<CrossedCap> {
        let used = CapUse::of(programme, grant, readings, now)?;
        let has_crossed = !newly_passed_of_cap(used.cap, used.spent, &[]).is_empty();
        has_crossed.then(|| CrossedCap { programme: programme.id.clone(), grant: grant.id.clone(), used })
    }

    fn is_told(&self, on_record: &[Crossing]) -> bool {
        let CapUse { window, cap, spent, .. } = self.used;
        let known = on_record.iter().filter(|known| {
            known.scope == Scope::Cap(self.grant.clone()) && known.window == window && known.limit == cap
        });
        let known: Vec<u8> = known.map(|known| known.threshold).collect();
        newly_passed_of_cap(cap, spent, &known).is_empty()
    }
}

/// Records the crossings of these caps with their mails. Returns `false` where some are left to another run.
pub(crate) async fn judge(runner: &Runner<'_>, mut crossed: Vec<CrossedCap>) -> bool {
    // Most were told in an earlier night, which one query for each shard of a programme says.
    crossed.sort_by(|one, other| (&one.programme, &one.grant).cmp(&(&other.programme, &other.grant)));
    let place = |cap: &CrossedCap| (cap.programme.clone(), shard_of(&cap.grant));
    let mut news = Vec::new();
    let mut are_read = true;
    for of_shard in crossed.chunk_by(|one, next| place(one) == place(next)) {
        let (programme, shard) = place(&of_shard[0]);
        match runner.table.list(Crossing::of_shard(&programme, shard)).await {
            Ok(on_record) => news.extend(of_shard.iter().filter(|cap| !cap.is_told(&on_record))),
            Err(error) => {
                runner.journal.problem(format!("some caps of {programme} could not be judged: {error}"));
                are_read &= !error.may_pass();
            }
        }
    }
    let each: Vec<_> = news.into_iter().map(|cap| is_judged(runner, cap)).collect();
    let judged: Vec<bool> = iter(each).buffer_unordered(WRITES_AT_ONCE).collect().await;
    are_read && !judged.contains(&false)
}

async fn is_judged(runner: &Runner<'_>, cap: &CrossedCap) -> bool {
    if !runner.end().leaves(ENOUGH_FOR_ONE) {
        return false;
    }
    let limit = Limit::Cap(&cap.programme, &cap.grant);
    match crossings::find(runner.table, limit, runner.clock.now(), runner.end()).await {
        Ok(_) => true,
        Err(error) => {
            runner.journal.problem(format!("the cap of the grant {} could not be judged: {error}", cap.grant));
            !error.may_pass()
        }
    }
}
