//! Reading a long list by pages while others add to it and delete from it. Pages overlap, and one is believed only if it begins
//! the list or shares a row with the page before it: since rows keep their order, nothing can then lie between the two.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Provider;
use super::calls::Call;
use super::error::{ProviderError, Trouble};
use super::json::{self, Data, Unreadable};
use super::send::Ask;
use crate::clock::Clock;
use crate::deadline::Deadline;

/// How many pages are asked for at once, after a first one was full: whenever one is taken, another is asked for.
const AT_ONCE: usize = 16;
/// How many rows a page shares with the next; so many may come or go between the two without a second look.
const OVERLAP: usize = 10;
/// How often we look again before the list counts as too restless to be read.
const PATIENCE: u32 = 40;

/// A row of a list.
pub(super) trait Row: Sized + Send + 'static {
    /// How many rows the provider puts on a page.
    const PAGE: usize;
    /// Whether the page's length is ours to ask for.
    const PAGE_IS_ASKED: bool;
    /// Reads one row. An error makes the page unreadable.
    fn read(row: &RawValue) -> Result<Self, serde_json::Error>;
    /// What tells it from all others, if that can be read.
    fn id(&self) -> Option<&str>;
}

/// One page, and when it was answered by the clock of the list; it was asked for on the same UTC day.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub rows: Vec<T>,
    pub answered: Timestamp,
}

/// A list that is being read. After an error it goes on from where it was.
pub(super) struct Pages<T> {
    list: Arc<List>,
    /// Pages that are read ahead, in the order of their offsets.
    ahead: FuturesOrdered<BoxFuture<'static, Ahead<T>>>,
    /// The offset of the page behind those.
    behind: usize,
    /// Whether one of them was found not to be full.
    is_short: Arc<AtomicBool>,
    next: usize,
    at_once: usize,
    last: Last,
    /// How many steps back in a row; each is twice as long as the one before.
    back: u32,
    patience: u32,
    has_begun: bool,
    is_done: bool,
}

/// What is asked for, but for the offset.
struct List {
    provider: Provider,
    call: &'static Call,
    path: Vec<String>,
    query: Vec<(String, String)>,
    clock: Clock,
}

/// A page that was read ahead.
struct Ahead<T> {
    offset: usize,
    /// Whether its turn had come when it was asked for.
    is_first: bool,
    page: Result<Page<T>, ProviderError>,
}

/// The page that was believed last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    end: usize,
    ids: HashSet<String>,
}

/// How far a list was read, for another to go on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    next: usize,
    last: Last,
    has_begun: bool,
    is_done: bool,
}

impl<T: Row> Pages<T> {
    pub(super) fn new(
        provider: &Provider,
        call: &'static Call,
        path: &[&str],
        query: &[(&str, &str)],
        clock: Clock,
    ) -> Pages<T> {
        let mut query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if T::PAGE_IS_ASKED {
            query.push(("limit".to_owned(), T::PAGE.to_string()));
        }
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Pages {
            list: Arc::new(List { provider: provider.clone(), call, path, query, clock }),
            ahead: FuturesOrdered::new(),
            behind: 0,
            is_short: Arc::default(),
            next: 0,
            at_once: 1,
            last: Last::default(),
            back: 0,
            patience: PATIENCE,
            has_begun: false,
            is_done: false,
        }
    }

    /// The same list, from where another reading of it stopped.
    pub(super) fn from(self, position: Position) -> Pages<T> {
        let Position { next, last, has_begun, is_done } = position;
        Pages { next, last, has_begun, is_done, ..self }
    }

    pub(super) fn position(&self) -> Position {
        Position { next: self.next, last: self.last.clone(), has_begun: self.has_begun, is_done: self.is_done }
    }

    /// The next page; none after the end. It may repeat rows of any page before, and holds all that are new.
    pub(super) async fn next(&mut self, deadline: Deadline) -> Result<Option<Page<T>>, ProviderError> {
        while !self.is_done {
            self.read_ahead(deadline);
            let Some(Ahead { offset, is_first, page }) = self.ahead.next().await else { break };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    self.forget_ahead();
                    // One that failed before its turn came is asked for again.
                    if is_first {
                        return Err(error);
                    }
                    continue;
                }
            };
            if self.believe(offset, &page)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// Whether this page goes on with the list; otherwise it ended, or the next look begins further back.
    fn believe(&mut self, offset: usize, page: &Page<T>) -> Result<bool, ProviderError> {
        let count = page.rows.len();
        let is_full = count >= T::PAGE;
        // A row whose id cannot be read is handed on, but proves nothing.
        let ids: HashSet<String> = page.rows.iter().filter_map(|row| row.id().map(str::to_owned)).collect();
        if offset > 0 && ids.is_disjoint(&self.last.ids) {
            self.close_gap()?;
            return Ok(false);
        }
        let brings_nothing = count == 0 || (self.has_begun && ids.is_subset(&self.last.ids));
        if brings_nothing && !is_full {
            self.is_done = true;
            return Ok(false);
        }
        if brings_nothing {
            self.be_patient()?;
        } else {
            self.back = 0;
        }
        self.has_begun = true;
        self.next = offset + count.saturating_sub(OVERLAP);
        self.at_once = if is_full { AT_ONCE } else { 1 };
        self.last = Last { end: offset + count, ids };
        // Those ahead follow on a full page; a page of another length is followed by another offset.
        if count != T::PAGE {
            self.forget_ahead();
        }
        Ok(true)
    }

    /// Rows came or went between two pages: looks again, each time twice as far back, at last from the beginning.
    fn close_gap(&mut self) -> Result<(), ProviderError> {
        self.be_patient()?;
        self.back += 1;
        self.forget_ahead();
        self.at_once = 1;
        self.next = self.last.end.saturating_sub(OVERLAP << self.back.min(20));
        Ok(())
    }

    fn be_patient(&mut self) -> Result<(), ProviderError> {
        self.patience = self.patience.checked_sub(1).ok_or_else(|| ProviderError::Later {
            trouble: Trouble::unsent(self.list.call, "the list changes faster than it can be read".to_owned()),
            after: None,
        })?;
        Ok(())
    }

    /// Asks for as many pages as may be asked for at once; behind a page that was not full there is nothing.
    fn read_ahead(&mut self, deadline: Deadline) {
        if self.ahead.is_empty() {
            self.behind = self.next;
            self.is_short = Arc::default();
        }
        while self.ahead.is_empty() || (self.ahead.len() < self.at_once && !self.is_short.load(Ordering::Relaxed)) {
            let (list, is_short) = (Arc::clone(&self.list), Arc::clone(&self.is_short));
            let (offset, is_first) = (self.behind, self.ahead.is_empty());
            self.ahead.push_back(Box::pin(async move {
                let page = list.read(offset, deadline).await;
                if page.as_ref().is_ok_and(|page| page.rows.len() < T::PAGE) {
                    is_short.store(true, Ordering::Relaxed);
                }
                Ahead { offset, is_first, page }
            }));
            self.behind += T::PAGE - OVERLAP;
        }
    }

    fn forget_ahead(&mut self) {
        self.ahead = FuturesOrdered::new();
    }
}

impl List {
    /// One page. One that was asked for before midnight and answered after it is asked for again, since the provider's
    /// counters of the day start anew then.
    async fn read<T: Row>(&self, offset: usize, deadline: Deadline) -> Result<Page<T>, ProviderError> {
        loop {
            let asked = self.clock.now();
            let rows = self.ask(offset, deadline).await?;
            let answered = self.clock.now();
            if utc_day(asked) == utc_day(answered) {
                return Ok(Page { rows, answered });
            }
        }
    }

    async fn ask<T: Row>(&self, offset: usize, deadline: Deadline) -> Result<Vec<T>, ProviderError> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let offset = offset.to_string();
        let mut query: Vec<(&str, &str)> = self.query.iter().map(|(name, value)| (&**name, &**value)).collect();
        query.push(("offset", &offset));
        let ask = Ask { call: self.call, path: &path, query: &query, body: None };
        self.provider.ask(ask, deadline, rows).await
    }
}

pub(super) fn rows<T: Row>(body: &str) -> Result<Vec<T>, Unreadable> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Borrowed<'a>(#[serde(borrow)] &'a RawValue);
    let Data { data } = read_borrowed::<Vec<Borrowed<'_>>>(body)?;
    let rows: Result<Vec<T>, serde_json::Error> = data.iter().map(|Borrowed(row)| T::read(row)).collect();
    rows.map_err(|error| Unreadable(format!("a row cannot be read (column {})", error.column())))
}

fn read_borrowed<'a, T: Deserialize<'a>>(body: &'a str) -> Result<Data<T>, Unreadable> {
    serde_json::from_str(body).map_err(|error| json::unreadable(&error))
}

fn utc_day(time: Timestamp) -> jiff::civil::Date {
    time.to_zoned(TimeZone::UTC).date()
}
