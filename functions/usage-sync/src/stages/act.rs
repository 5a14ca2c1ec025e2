//! Stage 7, act: handles the findings that the safety limit allows, several at once.

use bursar_core::orders::ENOUGH_FOR_ONE;
use futures_util::StreamExt;

use super::list::Listing;
use super::scan::Scan;
use crate::acts::SIDE_BY_SIDE;
use crate::acts::purge::bound_purges;
use crate::acts::see_to::see_to;
use crate::prelude::*;
use crate::scan::outcome::Outcomes;
use crate::scan::safety_limit::SafetyLimit;

/// The state of stage 7: the findings that are left, and what the others came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Actions {
    /// `None` until it has checked the findings.
    safety_limit: Option<SafetyLimit>,
    findings: VecDeque<Finding>,
    /// Findings that met an obstacle, to be handled once more.
    put_back: VecDeque<Finding>,
    outcomes: Outcomes,
}

impl Actions {
    /// Handles every finding that the safety limit allows.
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        listing: &Listing,
        scan: &mut Scan,
        is_whole: bool,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        let mut safety_limit = match self.safety_limit.take() {
            Some(safety_limit) => safety_limit,
            None => {
                self.findings = scan.take_findings();
                let safety_limit =
                    SafetyLimit::of(runner, &mut self.findings, listing.listed(), is_whole, journal).await?;
                bound_purges(&mut self.findings, listing.listed());
                safety_limit
            }
        };
        let end = self.see_to_findings(runner, &mut safety_limit, journal).await;
        self.safety_limit = Some(safety_limit);
        end
    }

    async fn see_to_findings(
        &mut self,
        runner: &Runner<'_>,
        safety_limit: &mut SafetyLimit,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        let today = utc_date(runner.baseline.began_at);
        let mut obstacle = None;
        while journal.key_refused().is_none() {
            if self.findings.is_empty() {
                // Findings that met an obstacle get a second try, later if the obstacle is recent.
                self.findings = std::mem::take(&mut self.put_back);
                if let Some(obstacle) = obstacle {
                    return Ok(StageEnd::Blocked(obstacle));
                }
                if self.findings.is_empty() {
                    break;
                }
            }
            if !runner.has_time() {
                return Ok(StageEnd::TimeIsUp);
            }
            runner.stay().await?;
            let several = self.findings.len().min(SIDE_BY_SIDE);
            let batch: Vec<Finding> = self.findings.drain(..several).collect();
            let ended = see_to_all(runner, &batch).await;
            // When every act of a batch fails, the rest waits too.
            if ended.iter().all(Result::is_err) {
                self.put_back.append(&mut self.findings);
            }
            for (finding, outcome) in batch.into_iter().zip(ended) {
                match outcome {
                    Ok(outcome) => {
                        if outcome.is_settled() {
                            safety_limit.settle(&finding);
                        }
                        self.outcomes.note(finding.programme, outcome, today, journal);
                    }
                    Err(met) => {
                        self.put_back.push_back(finding);
                        obstacle = Some(met);
                    }
                }
            }
            // What failed for lack of time is no obstacle.
            if obstacle.is_some() && !runner.until().leaves(ENOUGH_FOR_ONE) {
                return Ok(StageEnd::TimeIsUp);
            }
        }
        Ok(StageEnd::Done)
    }

    /// The number of findings that are left.
    pub(crate) fn left(&self) -> usize {
        self.findings.len() + self.put_back.len()
    }

    pub(crate) fn safety_limit(&self) -> Option<&SafetyLimit> {
        self.safety_limit.as_ref()
    }

    pub(crate) fn held_back(&self) -> Option<&HeldBack> {
        self.safety_limit.as_ref()?.held_back()
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }
}

/// Handles a batch. An error is an obstacle that may pass.
async fn see_to_all(runner: &Runner<'_>, batch: &[Finding]) -> Vec<Result<FindingOutcome, RunObstacle>> {
    let acts: Vec<_> = batch.iter().map(|finding| Box::pin(see_to(runner, finding))).collect();
    futures_util::stream::iter(acts).buffered(SIDE_BY_SIDE).collect().await
}
