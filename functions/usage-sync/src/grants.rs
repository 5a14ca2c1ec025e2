//! The second part of a run: every grant beside what was listed of its keys. What they used is recorded, programmes are summed up,
//! and what is to be done is put on a list. Grants and their readings are read once, a sixteenth of a programme at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Reading, View};
use bursar_core::domain::id::{GrantId, KeyName};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::store::{Noted, StoreError, keys};
use futures_util::StreamExt;
use futures_util::stream::{FuturesUnordered, iter};

use crate::listing::Listing;
use crate::look::{Finding, Seen, Sight};
use crate::progress::{Progress, Sums};
use crate::row::{ForeignRow, Row};
use crate::run::{Run, Step};

/// So many readings are written side by side, while the next grants are read.
const SIDE_BY_SIDE: usize = 16;
/// So many sixteenths of a programme are in memory or on their way at once.
const READ_AHEAD: usize = 4;

impl Run<'_> {
    pub(crate) async fn look_at_all(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        while let Some(programme) = self.programmes.get(usize::from(progress.next.0)) {
            match self.look_at_programme(programme, progress, deadline).await {
                Ok(Step::Done) => self.close_programme(programme, progress, deadline).await?,
                Ok(Step::TimeIsUp) => return Ok(Step::TimeIsUp),
                // One programme that cannot be read keeps no other from its sums.
                Err(error) if is_corrupt(&error) => {
                    progress.report.problem(format!("{} could not be looked at: {error:#}", programme.id));
                    progress.has_failed = true;
                }
                Err(error) => return Err(error),
            }
            progress.sums = None;
            progress.next = (progress.next.0 + 1, 0);
        }
        Ok(Step::Done)
    }

    async fn look_at_programme(
        &self,
        programme: &Programme,
        progress: &mut Progress,
        deadline: Deadline,
    ) -> Result<Step> {
        let sums = match progress.sums.take() {
            Some(sums) => sums,
            // The pot first: its version tells whether anybody moved it while the rest was read.
            None => {
                Sums::of(self.table.pot(&programme.id).await?.with_context(|| format!("{} has no pot", programme.id))?)
            }
        };
        let pot = sums.pot.clone();
        progress.sums = Some(sums);
        let assigned = self.assigned(programme, progress, deadline).await;
        let shards = keys::SHARDS.iter().skip(progress.next.1.into());
        let shards: Vec<_> = shards.map(|shard| Box::pin(self.table.shard_of(&programme.id, *shard))).collect();
        let mut shards = pin!(iter(shards).buffered(READ_AHEAD));
        let (mut news, mut writes, mut end) = (VecDeque::new(), FuturesUnordered::new(), None);
        loop {
            while writes.len() < SIDE_BY_SIDE
                && let Some(reading) = news.pop_front()
            {
                writes.push(Box::pin(self.record(reading)));
            }
            if end.is_none() && !self.has_time(deadline) {
                end = Some(Ok(Step::TimeIsUp));
            }
            tokio::select! {
                Some(noted) = writes.next() => progress.report.readings_recorded += usize::from(noted? == Noted::Recorded),
                shard = shards.next(), if end.is_none() && news.is_empty() => match shard {
                    Some(Ok(grants)) => {
                        news.extend(self.look_at_shard((programme, &pot), assigned.as_ref(), progress, grants)?);
                        progress.next.1 += 1;
                    }
                    Some(Err(error)) => end = Some(Err(error.into())),
                    None => end = Some(Ok(Step::Done)),
                },
                // What is news is written before anything is left.
                else => break,
            }
        }
        end.unwrap_or(Ok(Step::Done))
    }

    /// Looks at a sixteenth of a programme's grants, and says what is news of their keys.
    fn look_at_shard(
        &self,
        (programme, pot): (&Programme, &Pot),
        assigned: Option<&HashSet<KeyHash>>,
        progress: &mut Progress,
        grants: Vec<(Grant, Vec<Reading>)>,
    ) -> Result<Vec<Reading>> {
        let number = progress.next.0;
        let mut rows: HashMap<GrantId, Vec<Row>> = HashMap::new();
        for row in progress.rows.of::<Row>((number, progress.next.1))? {
            rows.entry(row.grant()).or_default().push(row);
        }
        let sight = Sight {
            rows: &[],
            is_whole: progress.listing == Listing::Whole,
            began_at: progress.began_at,
            looked_at: progress.looked_at,
            is_copy: self.is_copy,
            restored_at: progress.restored_at,
            assigned,
            now: self.clock.now(),
        };
        let mut news = Vec::new();
        for (grant, readings) in grants {
            let rows = rows.remove(&grant.id).unwrap_or_default();
            let mut view = View { programme: programme.clone(), pot: pot.clone(), grant, readings };
            let seen = Seen::of(&mut view, Sight { rows: &rows, ..sight });
            progress.models.note(&view.grant);
            if let Some(sums) = &mut progress.sums {
                sums.add(&view, progress.began_at);
            }
            progress.account.ours_gone += seen.gone;
            progress.account.keys += view.readings.len();
            progress.has_gaps |= seen.has_gaps;
            seen.problems.into_iter().for_each(|problem| progress.report.problem(problem));
            for what in seen.whats {
                progress.touched.insert(number);
                progress.findings.push(Finding { programme: number, grant: view.grant.id.clone(), what });
            }
            for row in seen.not_ours {
                self.disown(progress, programme, &row)?;
            }
            news.extend(seen.news);
        }
        // What is left bears the name of a grant that is not there.
        for row in rows.into_values().flatten() {
            let name = self.name(programme, &row).to_string();
            progress.rows.add_stranger(&ForeignRow::with_name(&row, name))?;
        }
        Ok(news)
    }

    /// The keys under a programme's guardrail: one list for all of them. None when there is no guardrail, or no list.
    async fn assigned(
        &self,
        programme: &Programme,
        progress: &mut Progress,
        deadline: Deadline,
    ) -> Option<HashSet<KeyHash>> {
        let mut assignments = self.provider.assignments(Some(programme.guardrail.as_deref()?), self.until(deadline));
        let mut assigned = HashSet::new();
        loop {
            match assignments.next().await {
                Ok(Some(page)) => assigned.extend(page.into_iter().map(|assignment| assignment.key_hash)),
                Ok(None) => return Some(assigned),
                Err(error) => {
                    progress.note_refusal(&error);
                    progress.is_undone = true;
                    progress
                        .report
                        .problem(format!("the keys under the guardrail of {} were not listed: {error}", programme.id));
                    return None;
                }
            }
        }
    }

    async fn record(&self, reading: Reading) -> Result<Noted> {
        Ok(self.table.note_reading(&reading).await?)
    }

    /// Writes the sums of a programme that nothing is to be done in; the others are summed up when it is done.
    async fn close_programme(&self, programme: &Programme, progress: &mut Progress, deadline: Deadline) -> Result<()> {
        let sums = progress.sums.take().context("a programme was not summed up")?;
        progress.account.ours.add(&sums.used);
        if progress.listing == Listing::Broken || progress.touched.contains(&progress.next.0) {
            return Ok(());
        }
        if !self.write_sums(programme, &sums, progress, deadline).await? {
            progress.touched.insert(progress.next.0);
        }
        Ok(())
    }

    /// A key that only bears one of our names is nobody's here.
    fn disown(&self, progress: &mut Progress, programme: &Programme, row: &Row) -> Result<()> {
        let name = self.name(programme, row).to_string();
        progress.report.problem(format!("the key {} bears a name of ours, and no attempt made it", row.key()));
        progress.rows.add_foreign(&ForeignRow::with_name(row, name))
    }

    fn name(&self, programme: &Programme, row: &Row) -> KeyName {
        KeyName {
            deployment: self.deployment.clone(),
            programme: programme.id.clone(),
            grant: row.grant(),
            epoch: row.epoch(),
            nonce: row.nonce(),
        }
    }
}

pub(crate) fn is_corrupt(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Corrupt { .. }))
}
