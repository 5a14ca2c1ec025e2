//! The second part of a run: every grant beside what was listed of its keys. What they used is recorded, programmes are summed up,
//! and what is to be done is put on a list. Grants and their readings are read once, a sixteenth of a programme at a time, and while
//! one programme is summed up the next is on its way. What is written goes to several partitions in turn.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Reading, View};
use bursar_core::domain::id::{GrantId, KeyName};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::provider::ProviderError;
use bursar_core::store::{Noted, StoreError, keys};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::ahead::Ahead;
use crate::listing::Listing;
use crate::look::{Finding, Seen, Sight};
use crate::progress::{Progress, Sums};
use crate::row::{ForeignRow, Place, Row};
use crate::run::{Run, Step};

/// So many readings are written side by side, while the next grants are read.
pub(crate) const SIDE_BY_SIDE: usize = 16;
/// So many sixteenths of programmes are on their way at once, and together no more than have so many bytes of listed rows: some
/// thousand grants.
const READ_AHEAD: usize = 6;
const HEAVIEST_AHEAD: usize = 128 * 1024;
/// The news of so many sixteenths, each of which is a partition, are written in turn: one partition takes a thousand writes a second.
const MIXED: usize = 4;
/// A write that the table puts off is tried for two seconds, with eight for its answer. Then it is put back behind the others.
pub(crate) const FOR_ONE_WRITE: Duration = Duration::from_secs(10);
/// So many writes in a row that the table refuses for now are put back. Then it is in the way.
pub(crate) const REFUSED_IN_A_ROW: usize = 4 * SIDE_BY_SIDE;

/// What is read of a programme before its grants are.
struct Opened {
    /// Its version tells whether anybody moved it while the grants were read.
    pot: Pot,
    /// The keys under its guardrail, if it has one.
    assigned: Option<Result<HashSet<KeyHash>, ProviderError>>,
}

/// A sixteenth of a programme's grants.
struct Shard {
    opened: Arc<OnceCell<Opened>>,
    grants: Vec<(Grant, Vec<Reading>)>,
}

/// A reading to be written, with the number of its programme.
type News = (u16, Reading);

/// What was looked at and is not written yet.
#[derive(Default)]
struct Unwritten {
    /// A list for each partition.
    news: VecDeque<VecDeque<News>>,
    /// How many news of each programme are not written.
    of: BTreeMap<u16, usize>,
    /// Programmes whose grants were all looked at.
    sums: VecDeque<(u16, Sums)>,
}

impl Run<'_> {
    pub(crate) async fn look_at_all(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        let elsewhere = progress.rows.hashes_elsewhere()?;
        let from = progress.next;
        let resumed = progress.sums.as_ref().map(|sums| sums.pot.clone());
        let weights = Arc::new(progress.rows.weights());
        let mut shards = Ahead::of(self.shards_from(from, resumed, weights, deadline), READ_AHEAD, HEAVIEST_AHEAD);
        let (mut unwritten, mut writes, mut closings) =
            (Unwritten::default(), FuturesUnordered::new(), FuturesUnordered::new());
        let (mut end, mut refused) = (None, 0);
        loop {
            while writes.len() < SIDE_BY_SIDE
                && let Some(news) = unwritten.next_news()
            {
                writes.push(Box::pin(self.record(news, deadline)));
            }
            // Whoever writes sums has the lease in a transaction, with which nothing else that writes it may meet.
            let goes_on = if closings.is_empty() { self.goes_on(deadline).await? } else { self.has_time(deadline) };
            if end.is_none() && !goes_on {
                end = Some(Ok(Step::TimeIsUp));
            }
            // For the same reason one after another.
            if closings.is_empty()
                && let Some((number, sums)) = unwritten.next_sums()
            {
                let (at, is_whole) = (progress.began_at, progress.is_whole());
                closings.push(Box::pin(self.close(number, sums, at, is_whole, deadline)));
            }
            tokio::select! {
                Some((news, noted)) = writes.next() => match noted {
                    Ok(noted) => {
                        refused = 0;
                        unwritten.one_is_written(news.0);
                        progress.report.readings_recorded += usize::from(noted == Noted::Recorded);
                    }
                    Err(error) if error.may_pass() && refused < REFUSED_IN_A_ROW => {
                        refused += 1;
                        unwritten.news.push_back(VecDeque::from([news]));
                    }
                    Err(error) => return Err(error.into()),
                },
                Some((number, closed)) = closings.next() => match closed {
                    Ok(is_as_it_was) => progress.touched.extend((!is_as_it_was).then_some(number)),
                    Err(error) if is_of_one_programme(&error) => self.pass_over(number, &error, progress),
                    Err(error) => return Err(error),
                },
                next = shards.next(), if end.is_none() && unwritten.news.len() < MIXED => match next {
                    // The rest of a programme that cannot be read.
                    Some((place, _)) if place < progress.next => {}
                    Some((place, shard)) => {
                        let is_first = place.1 == 0 || place == from;
                        let looked = shard.and_then(|shard| self.look_at_shard(place, shard, is_first, &elsewhere, progress, &mut unwritten));
                        match looked {
                            Ok(()) => {}
                            // One programme that cannot be read keeps no other from its sums.
                            Err(error) if is_of_one_programme(&error) => {
                                self.pass_over(place.0, &error, progress);
                                (progress.sums, progress.next) = (None, (place.0 + 1, 0));
                            }
                            // What was looked at so far need not be looked at again.
                            Err(error) => end = Some(self.obstacle_in(&error).map(Step::Blocked).ok_or(error)),
                        }
                    }
                    None => end = Some(Ok(Step::Done)),
                },
                // What is news is written before anything is left.
                else => break,
            }
        }
        end.unwrap_or(Ok(Step::Done))
    }

    /// Reads every sixteenth of every programme from a place on, in their order. A programme's pot is read before its grants; in the
    /// middle of one it was read by whoever began it.
    fn shards_from(
        &self,
        from: Place,
        resumed: Option<Pot>,
        weights: Arc<HashMap<Place, usize>>,
        deadline: Deadline,
    ) -> impl Iterator<Item = (usize, BoxFuture<'_, (Place, Result<Shard>)>)> {
        let programmes = self.programmes.iter().zip(0_u16..).skip(from.0.into());
        programmes.flat_map(move |(programme, number)| {
            let opened = Arc::new(OnceCell::new());
            let resumed = resumed.clone().filter(|_| number == from.0);
            let weights = Arc::clone(&weights);
            let shards = keys::SHARDS.iter().zip(0_u8..).skip(if number == from.0 { from.1.into() } else { 0 });
            shards.map(move |(shard, place)| -> (usize, BoxFuture<'_, (Place, Result<Shard>)>) {
                let (opened, resumed, place) = (Arc::clone(&opened), resumed.clone(), (number, place));
                let read = async move { (place, self.shard(programme, *shard, opened, resumed, deadline).await) };
                (weights.get(&place).copied().unwrap_or_default(), Box::pin(read))
            })
        })
    }

    async fn shard(
        &self,
        programme: &Programme,
        shard: char,
        opened: Arc<OnceCell<Opened>>,
        resumed: Option<Pot>,
        deadline: Deadline,
    ) -> Result<Shard> {
        opened.get_or_try_init(|| self.open(programme, resumed, deadline)).await?;
        let grants = self.table.shard_of(&programme.id, shard).await?;
        Ok(Shard { opened, grants })
    }

    async fn open(&self, programme: &Programme, resumed: Option<Pot>, deadline: Deadline) -> Result<Opened> {
        let pot = match resumed {
            Some(pot) => pot,
            None => self.table.pot(&programme.id).await?.with_context(|| format!("{} has no pot", programme.id))?,
        };
        let assigned = match &programme.guardrail {
            Some(guardrail) => match self.assigned(&guardrail.id, deadline).await {
                Err(error) if self.obstacle(&error).is_some() => return Err(error.into()),
                assigned => Some(assigned),
            },
            None => None,
        };
        Ok(Opened { pot, assigned })
    }

    /// Looks at a sixteenth of a programme's grants.
    fn look_at_shard(
        &self,
        place: Place,
        Shard { opened, grants }: Shard,
        is_first: bool,
        elsewhere: &HashSet<[u8; 32]>,
        progress: &mut Progress,
        unwritten: &mut Unwritten,
    ) -> Result<()> {
        let programme = self.programmes.get(usize::from(place.0)).context("a programme is gone")?;
        let opened = opened.get().context("a programme was not opened")?;
        if is_first && let Some(Err(error)) = &opened.assigned {
            let what = format!("the keys under the guardrail of {} were not listed: {error}", programme.id);
            progress.note_undone(what, Some(error));
        }
        progress.sums.get_or_insert_with(|| Sums::of(opened.pot.clone()));
        let news = self.look_at_grants(place, programme, opened, grants, elsewhere, progress)?;
        *unwritten.of.entry(place.0).or_default() += news.len();
        if !news.is_empty() {
            unwritten.news.push_back(news.into_iter().map(|reading| (place.0, reading)).collect());
        }
        progress.next = (place.0, place.1 + 1);
        if usize::from(progress.next.1) == keys::SHARDS.len() {
            let sums = progress.sums.take().context("a programme was not summed up")?;
            progress.account.add(place.0, &sums.used);
            progress.next = (place.0 + 1, 0);
            // What something is to be done in is summed up when it is done.
            if progress.listing != Listing::Broken && !progress.touched.contains(&place.0) {
                unwritten.sums.push_back((place.0, sums));
            }
        }
        Ok(())
    }

    fn pass_over(&self, number: u16, error: &anyhow::Error, progress: &mut Progress) {
        let programme = self.programmes.get(usize::from(number)).map(|programme| programme.id.as_str());
        progress.report.problem(format!("{} could not be looked at: {error:#}", programme.unwrap_or_default()));
        progress.has_failed = true;
    }

    /// What is news of the keys of some grants. What is to be done goes on the list.
    fn look_at_grants(
        &self,
        (number, shard): Place,
        programme: &Programme,
        opened: &Opened,
        grants: Vec<(Grant, Vec<Reading>)>,
        elsewhere: &HashSet<[u8; 32]>,
        progress: &mut Progress,
    ) -> Result<Vec<Reading>> {
        let mut rows: HashMap<GrantId, Vec<Row>> = HashMap::new();
        for row in progress.rows.of::<Row>((number, shard))? {
            rows.entry(row.grant()).or_default().push(row);
        }
        let sight = Sight {
            rows: &[],
            elsewhere,
            is_whole: progress.listing == Listing::Whole,
            began_at: progress.began_at,
            looked_at: progress.looked_at,
            is_copy: self.is_copy,
            restored_at: progress.restored_at,
            explained_at: progress.explained_at,
            assigned: opened.assigned.as_ref().and_then(|assigned| assigned.as_ref().ok()),
            now: self.clock.now(),
        };
        let mut news = Vec::new();
        for (grant, readings) in grants {
            let rows = rows.remove(&grant.id).unwrap_or_default();
            let mut view = View { programme: programme.clone(), pot: opened.pot.clone(), grant, readings };
            let seen = Seen::of(&mut view, Sight { rows: &rows, ..sight });
            progress.models.note(number, &view.grant);
            if let Some(sums) = &mut progress.sums {
                sums.add(&view, progress.began_at);
            }
            progress.account.ours_gone += seen.gone;
            progress.account.keys += view.readings.len();
            progress.has_gaps |= seen.has_gaps;
            seen.problems.into_iter().for_each(|problem| progress.report.problem(problem));
            for what in seen.whats {
                progress.touched.insert(number);
                progress.findings.push_back(Finding { programme: number, grant: view.grant.id.clone(), what });
            }
            for row in seen.not_ours {
                self.disown(progress, programme, &row)?;
            }
            for row in seen.second {
                let name = self.name(programme, &row).to_string();
                progress.rows.add_foreign(&ForeignRow::with_name(&row, name))?;
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

    /// The keys under a guardrail: one list for all of them.
    async fn assigned(&self, guardrail: &str, deadline: Deadline) -> Result<HashSet<KeyHash>, ProviderError> {
        let mut assignments = self.provider.assignments(Some(guardrail));
        let mut assigned = HashSet::new();
        while let Some(page) = assignments.next(self.until(deadline)).await? {
            assigned.extend(page.into_iter().map(|assignment| assignment.key_hash));
        }
        Ok(assigned)
    }

    async fn record(&self, news: News, deadline: Deadline) -> (News, Result<Noted, StoreError>) {
        let noted = self.table.note_reading(&news.1, deadline.at_most(FOR_ONE_WRITE)).await;
        (news, noted)
    }

    /// Writes the sums of a programme. False when its pot moved since it was read.
    async fn close(
        &self,
        number: u16,
        sums: Sums,
        at: Timestamp,
        is_whole: bool,
        deadline: Deadline,
    ) -> (u16, Result<bool>) {
        let programme = self.programmes.get(usize::from(number)).context("a programme is gone");
        let closed = async { self.write_sums(programme?, &sums, at, is_whole, deadline).await };
        (number, closed.await)
    }

    /// A key that only bears one of our names is nobody's here.
    fn disown(&self, progress: &mut Progress, programme: &Programme, row: &Row) -> Result<()> {
        let name = self.name(programme, row).to_string();
        progress.report.problem(format!("the key {} bears a name of ours, and no attempt made it", row.key()));
        progress.rows.add_foreign(&ForeignRow::with_name(row, name))
    }

    pub(crate) fn name(&self, programme: &Programme, row: &Row) -> KeyName {
        KeyName {
            deployment: self.deployment.clone(),
            programme: programme.id.clone(),
            grant: row.grant(),
            epoch: row.epoch(),
            nonce: row.nonce(),
        }
    }
}

impl Unwritten {
    /// The next news, of another partition than the last if there are any.
    fn next_news(&mut self) -> Option<News> {
        let mut of_one = self.news.pop_front()?;
        let next = of_one.pop_front();
        if !of_one.is_empty() {
            self.news.push_back(of_one);
        }
        next
    }

    /// A programme whose readings are all written: its sums never say more than they do.
    fn next_sums(&mut self) -> Option<(u16, Sums)> {
        let (number, _) = self.sums.front()?;
        if self.of.get(number).is_some_and(|left| *left > 0) {
            return None;
        }
        self.sums.pop_front()
    }

    fn one_is_written(&mut self, number: u16) {
        if let Some(left) = self.of.get_mut(&number) {
            *left -= 1;
        }
    }
}

/// Whether it keeps one programme from being looked at or summed up, and no other, whenever that is tried.
pub(crate) fn is_of_one_programme(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &StoreError| !error.may_pass())
}
