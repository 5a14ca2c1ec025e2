//! Stage 4, scan: every grant once beside its listed keys. Use is recorded, programmes are summed up, and
//! every deviation becomes a finding. Nothing is done about findings yet.

use std::sync::Arc;

use bursar_core::domain::grant::Reading;
use bursar_core::store::keys;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::list::Listing;
use super::models::Models;
use crate::money::account_use::OwnUse;
use crate::money::sums::ProgrammeSums;
use crate::obstacle::is_of_one_programme;
use crate::prelude::*;
use crate::scan::grant::{ScanContext, ScanResult};
use crate::scan::read_ahead::ReadAhead;
use crate::scan::row::ForeignRow;
use crate::scan::rows::ShardIndex;
use crate::scan::shards::{ProgrammeHead, Shard, shards_from};
use crate::scan::write_queue::{FOR_ONE_WRITE, NewReading, REFUSED_IN_A_ROW, SIDE_BY_SIDE, WriteQueue};

/// How many shards are read ahead, and the most bytes of their listed rows: those of some thousand grants.
const READ_AHEAD: usize = 6;
const HEAVIEST_AHEAD: usize = 128 * 1024;

/// The scan of all grants.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scan {
    next: ShardIndex,
    /// The sums of the programme that is being scanned.
    sums: Option<ProgrammeSums>,
    own: OwnUse,
    findings: VecDeque<Finding>,
    /// Programmes to be summed up again: something was found in them, or their budget moved.
    touched: BTreeSet<u16>,
    recorded: usize,
    has_gaps: bool,
    has_failed: bool,
}

/// The states of other stages that a scan uses.
pub(crate) struct ScanInput<'a> {
    pub(crate) listing: &'a Listing,
    pub(crate) models: &'a mut Models,
    pub(crate) rows: &'a mut Rows,
    pub(crate) journal: &'a mut Journal,
}

impl Scan {
    pub(crate) async fn run(&mut self, runner: &Runner<'_>, mut input: ScanInput<'_>) -> Result<StageEnd> {
        let elsewhere = input.rows.hashes_elsewhere()?;
        let from = self.next;
        let resumed = self.sums.as_ref().map(|sums| sums.budget().clone());
        let weights = Arc::new(input.rows.weights());
        let shards = shards_from(runner, from, resumed, weights);
        let mut shards = ReadAhead::of(shards, READ_AHEAD, HEAVIEST_AHEAD);
        let (mut queue, mut writes, mut closings) =
            (WriteQueue::default(), FuturesUnordered::new(), FuturesUnordered::new());
        let (mut end, mut refused) = (None, 0);
        loop {
            while writes.len() < SIDE_BY_SIDE
                && let Some(news) = queue.next_news()
            {
                writes.push(Box::pin(record(runner, news)));
            }
            // Writing sums checks the lease in its transaction, which conflicts with any other write of the
            // lease.
            let goes_on = if closings.is_empty() { runner.goes_on().await? } else { runner.has_time() };
            if end.is_none() && !goes_on {
                end = Some(Ok(StageEnd::TimeIsUp));
            }
            // For the same reason, one after another.
            if closings.is_empty()
                && let Some((number, sums)) = queue.next_sums()
            {
                let is_whole = input.listing.is_whole() && !self.has_gaps;
                closings.push(Box::pin(close(runner, number, sums, is_whole)));
            }
            tokio::select! {
                Some((news, noted)) = writes.next() => match noted {
                    Ok(noted) => {
                        refused = 0;
                        queue.one_is_written(news.0);
                        self.recorded += usize::from(noted);
                    }
                    Err(error) if error.may_pass() && refused < REFUSED_IN_A_ROW => {
                        refused += 1;
                        queue.put_back(news);
                    }
                    Err(error) => return Err(error.into()),
                },
                Some((number, closed)) = closings.next() => match closed {
                    Ok(is_as_it_was) => self.touched.extend((!is_as_it_was).then_some(number)),
                    Err(error) if is_of_one_programme(&error) => self.pass_over(runner, number, &error, input.journal),
                    Err(error) => return Err(error),
                },
                next = shards.next(), if end.is_none() && queue.has_room() => match next {
                    // The rest of a programme that cannot be read.
                    Some((index, _)) if index < self.next => {}
                    Some((index, shard)) => {
                        let is_first = index.1 == 0 || index == from;
                        let scanned = shard.and_then(|shard| {
                            self.scan_shard(runner, (index, is_first), shard, &elsewhere, &mut input, &mut queue)
                        });
                        match scanned {
                            Ok(()) => {}
                            // One unreadable programme does not keep others from being summed up.
                            Err(error) if is_of_one_programme(&error) => {
                                self.pass_over(runner, index.0, &error, input.journal);
                                (self.sums, self.next) = (None, (index.0 + 1, 0));
                            }
                            // What was scanned so far need not be scanned again.
                            Err(error) => end = Some(runner.obstacle_in(&error).map(StageEnd::Blocked).ok_or(error)),
                        }
                    }
                    None => end = Some(Ok(StageEnd::Done)),
                },
                // New readings are written before the stage ends.
                else => break,
            }
        }
        end.unwrap_or(Ok(StageEnd::Done))
    }

    /// Scans a shard; after the last one of a programme its sums are complete.
    fn scan_shard(
        &mut self,
        runner: &Runner<'_>,
        (index, is_first): (ShardIndex, bool),
        Shard { head, grants }: Shard,
        elsewhere: &HashSet<[u8; 32]>,
        input: &mut ScanInput<'_>,
        queue: &mut WriteQueue,
    ) -> Result<()> {
        let programme = runner.programme(index.0)?;
        let head = head.get().context("a programme was not opened")?;
        if let Some(error) = head.under.failed.as_ref().filter(|_| is_first) {
            let what = format!("the keys under the guardrails of {} were not listed: {error}", programme.id);
            input.journal.undone(what, Some(error));
        }
        self.sums.get_or_insert_with(|| ProgrammeSums::of(head.budget.clone()));
        queue.add(index.0, self.scan_grants(runner, index, (head, grants), elsewhere, input)?);
        self.next = (index.0, index.1 + 1);
        if usize::from(self.next.1) == keys::SHARDS.len() {
            let sums = self.sums.take().context("a programme was not summed up")?;
            self.own.add(index.0, sums.used());
            self.next = (index.0 + 1, 0);
            // A programme with findings is summed up once they are handled.
            if !input.listing.is_broken() && !self.touched.contains(&index.0) {
                queue.add_sums(index.0, sums);
            }
        }
        Ok(())
    }

    /// The changed readings of some grants. Findings go on the list.
    fn scan_grants(
        &mut self,
        runner: &Runner<'_>,
        index: ShardIndex,
        (head, grants): (&ProgrammeHead, Vec<(Grant, Vec<Reading>)>),
        elsewhere: &HashSet<[u8; 32]>,
        input: &mut ScanInput<'_>,
    ) -> Result<Vec<Reading>> {
        let programme = &head.programme;
        let name = |row: &KeyRow| row.name(&runner.deployment, &programme.id).to_string();
        let mut rows: HashMap<GrantId, Vec<KeyRow>> = HashMap::new();
        for row in input.rows.keys(index)? {
            rows.entry(row.grant()).or_default().push(row);
        }
        let context = ScanContext {
            rows: &[],
            elsewhere,
            is_whole: input.listing.is_whole(),
            baseline: &runner.baseline,
            is_copy: runner.is_copy,
            under: &head.under,
            now: runner.clock.now(),
        };
        let mut news = Vec::new();
        for (grant, readings) in grants {
            let rows = rows.remove(&grant.id).unwrap_or_default();
            let mut view = View { programme: programme.clone(), budget: head.budget.clone(), grant, readings };
            let result = ScanResult::of(&mut view, ScanContext { rows: &rows, ..context });
            input.models.locate(index.0, &view.grant);
            if let Some(sums) = &mut self.sums {
                sums.add(&view, runner);
            }
            self.own.add_gone(result.gone);
            self.own.count_keys(view.readings.len());
            self.has_gaps |= result.has_gaps;
            input.journal.problems_of(result.problems);
            for kind in result.kinds {
                self.touched.insert(index.0);
                self.findings.push_back(Finding { programme: index.0, grant: view.grant.id.clone(), kind });
            }
            for row in result.not_ours {
                let problem = format!("the key {} bears a name of ours, and no attempt made it", row.key());
                input.journal.problem(problem);
                input.rows.add_foreign(&ForeignRow::with_name(&row, name(&row)))?;
            }
            for row in result.second {
                input.rows.add_foreign(&ForeignRow::with_name(&row, name(&row)))?;
            }
            news.extend(result.news);
        }
        // The rows that are left bear the name of a grant that does not exist.
        for row in rows.into_values().flatten() {
            input.rows.add_orphan(&ForeignRow::with_name(&row, name(&row)))?;
        }
        Ok(news)
    }

    fn pass_over(&mut self, runner: &Runner<'_>, number: u16, error: &anyhow::Error, journal: &mut Journal) {
        let programme = runner.programme(number).map_or("", |programme| programme.id.as_str());
        journal.problem(format!("{programme} could not be looked at: {error:#}"));
        self.has_failed = true;
    }

    pub(crate) fn next(&self) -> ShardIndex {
        self.next
    }

    pub(crate) fn own(&self) -> &OwnUse {
        &self.own
    }

    pub(crate) fn findings(&self) -> &VecDeque<Finding> {
        &self.findings
    }

    /// Moves the findings out, for the stage that handles them.
    pub(crate) fn take_findings(&mut self) -> VecDeque<Finding> {
        std::mem::take(&mut self.findings)
    }

    pub(crate) fn touched(&self) -> &BTreeSet<u16> {
        &self.touched
    }

    pub(crate) fn recorded(&self) -> usize {
        self.recorded
    }

    /// Whether some key's use is not known.
    pub(crate) fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// Whether some part of the table could not be read.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }
}

async fn record(runner: &Runner<'_>, news: NewReading) -> (NewReading, Result<bool, StoreError>) {
    let noted = runner.table.note_reading(&news.1, runner.deadline.at_most(FOR_ONE_WRITE)).await;
    (news, noted)
}

/// Writes the sums of a programme. Returns `false` when its budget moved since it was read.
async fn close(runner: &Runner<'_>, number: u16, sums: ProgrammeSums, is_whole: bool) -> (u16, Result<bool>) {
    let closed = async { sums.write(runner, runner.programme(number)?, is_whole).await };
    (number, closed.await)
}
