//! The readings and sums that a scan has still to write, and the bounds on how it writes them.

use bursar_core::domain::grant::Reading;

use crate::money::sums::ProgrammeSums;
use crate::prelude::*;

/// How many readings are written at once, while the next grants are read.
pub(crate) const SIDE_BY_SIDE: usize = 16;
/// How many shards, each a partition, have their readings written in turn: one partition takes a thousand
/// writes a second.
const MIXED: usize = 4;
/// The time for a write, of which eight seconds are for its answer. One that the table still throttles goes
/// to the end of the queue.
pub(crate) const FOR_ONE_WRITE: Duration = Duration::from_secs(10);
/// How many writes in a row the table may throttle. One more is an obstacle.
pub(crate) const REFUSED_IN_A_ROW: usize = 4 * SIDE_BY_SIDE;

/// A reading to be written, with the number of its programme.
pub(crate) type NewReading = (u16, Reading);

#[derive(Default)]
pub(crate) struct WriteQueue {
    /// A list for each partition.
    news: VecDeque<VecDeque<NewReading>>,
    /// The number of each programme's readings that are not written.
    unwritten: BTreeMap<u16, usize>,
    /// Programmes whose grants are all scanned.
    sums: VecDeque<(u16, ProgrammeSums)>,
}

impl WriteQueue {
    /// Adds the new readings of a shard.
    pub(crate) fn add(&mut self, programme: u16, news: Vec<Reading>) {
        *self.unwritten.entry(programme).or_default() += news.len();
        if !news.is_empty() {
            self.news.push_back(news.into_iter().map(|reading| (programme, reading)).collect());
        }
    }

    pub(crate) fn add_sums(&mut self, programme: u16, sums: ProgrammeSums) {
        self.sums.push_back((programme, sums));
    }

    /// Puts a throttled write at the end of the queue.
    pub(crate) fn put_back(&mut self, news: NewReading) {
        self.news.push_back(VecDeque::from([news]));
    }

    /// Whether the readings of another shard can be added.
    pub(crate) fn has_room(&self) -> bool {
        self.news.len() < MIXED
    }

    /// The next reading, of another partition than the last one if possible.
    pub(crate) fn next_news(&mut self) -> Option<NewReading> {
        let mut of_one = self.news.pop_front()?;
        let next = of_one.pop_front();
        if !of_one.is_empty() {
            self.news.push_back(of_one);
        }
        next
    }

    /// A programme whose readings are all written, so that its sums never exceed them.
    pub(crate) fn next_sums(&mut self) -> Option<(u16, ProgrammeSums)> {
        let (number, _) = self.sums.front()?;
        if self.unwritten.get(number).is_some_and(|left| *left > 0) {
            return None;
        }
        self.sums.pop_front()
    }

    pub(crate) fn one_is_written(&mut self, number: u16) {
        if let Some(left) = self.unwritten.get_mut(&number) {
            *left -= 1;
        }
    }
}
