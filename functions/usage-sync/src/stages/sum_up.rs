//! Stage 8, sum up: sums up again the programmes in which something was done, or whose budget moved meanwhile.

use std::pin::pin;

use bursar_core::domain::programme::Budget;
use futures_util::TryStreamExt;

use super::list::Listing;
use super::scan::Scan;
use crate::money::sums::ProgrammeSums;
use crate::obstacle::is_of_one_programme;
use crate::prelude::*;

/// The tries at a sum while reservations are taken or given back. After that the next run does it.
const TRIES: usize = 4;

/// The second sums of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SecondSums {
    /// The programmes that are left, once they are known.
    left: Option<BTreeSet<u16>>,
    has_failed: bool,
}

impl SecondSums {
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        listing: &Listing,
        scan: &Scan,
        is_whole: bool,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        if listing.is_broken() {
            return Ok(StageEnd::Done);
        }
        let left = self.left.get_or_insert_with(|| scan.touched().clone());
        while let Some(number) = left.first().copied() {
            if !runner.goes_on().await? {
                return Ok(StageEnd::TimeIsUp);
            }
            let programme = runner.programme(number)?;
            match sum_up(runner, programme, is_whole).await {
                Ok(()) => {}
                Err(error) if is_of_one_programme(&error) => {
                    journal.problem(format!("{} could not be summed up: {error:#}", programme.id));
                    self.has_failed = true;
                }
                Err(error) => return Err(error),
            }
            left.remove(&number);
        }
        Ok(StageEnd::Done)
    }

    /// Whether some part of the table could not be read.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }
}

async fn sum_up(runner: &Runner<'_>, programme: &Programme, is_whole: bool) -> Result<()> {
    for _ in 0..TRIES {
        let budget = runner
            .table
            .get(Budget::key_of(&programme.id))
            .await?
            .with_context(|| format!("{} has no budget", programme.id))?;
        // The settings are read after the budget, since an edit of costs moves it.
        let programme = &runner.table.get(Programme::key_of(&programme.id)).await?.context("a programme is gone")?;
        let mut sums = ProgrammeSums::of(budget.clone());
        let ids = [programme.id.clone()];
        let mut shards = pin!(runner.table.shards_of_programmes(&ids));
        while let Some((_, grants)) = shards.try_next().await? {
            for (grant, readings) in grants {
                let view = View { programme: programme.clone(), budget: budget.clone(), grant, readings };
                sums.add(&view, runner);
            }
        }
        if sums.write(runner, programme, is_whole).await? {
            break;
        }
    }
    Ok(())
}
