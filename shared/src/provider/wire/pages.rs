//! Reading of a long list by pages while others add to it and delete from it. Pages overlap, and
//! one is trusted only if it begins the list or shares a row with the page before it. Rows keep
//! their order, so nothing can then lie between the two.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::values::window::utc_date;
use crate::provider::Provider;
use crate::provider::wire::calls::{Call, CallRequest};
use crate::provider::wire::error::Result;
use crate::provider::wire::json;
use crate::provider::wire::json::Unreadable;
use crate::provider::wire::send::not_begun;

/// The number of rows that the provider puts on a page.
const PAGE: usize = 100;
/// The number of pages that are requested at once after a full first one.
const AT_ONCE: usize = 4;
/// The number of pages that may arrive ahead and wait to be read.
const UNREAD: usize = 8;
/// The number of rows that a page shares with the next; as many may come or go between the two
/// without a second look.
const OVERLAP: usize = 10;
/// The number of repeated looks after which the list counts as too restless to be read.
const PATIENCE: u32 = 40;

/// A row of a list. One that cannot be read makes its page unreadable.
pub(crate) trait ListRow: DeserializeOwned + Send + 'static {
    /// Whether the page's length is sent with the request.
    const PAGE_IS_ASKED: bool = true;
    /// The row's identity, if it can be read.
    fn id(&self) -> Option<&str>;
}

/// A page with the time of its request; the answer came on the same UTC day.
#[derive(Debug)]
pub(crate) struct ListedPage<T> {
    pub rows: Vec<T>,
    pub asked_at: Moment,
}

/// A list that is being read. After an error it goes on from where it was.
pub(crate) struct PageReader<T> {
    list: Arc<List>,
    requests: FuturesUnordered<BoxFuture<'static, ArrivedPage>>,
    /// Pages that arrived and were not read yet, by their offsets.
    arrived: HashMap<usize, ArrivedPage>,
    /// The offset behind all requested pages.
    behind: usize,
    /// The length of the longest page's text.
    longest: usize,
    /// Whether one of the pages is so short that the list must end there.
    is_short: bool,
    at_once: usize,
    position: ListPosition,
    /// The number of steps back in a row; each is twice as long as the one before.
    back: u32,
    patience: u32,
    row_type: PhantomData<fn() -> T>,
}

struct List {
    provider: Provider,
    call: &'static Call,
    id: String,
    query: Vec<(String, String)>,
}

struct ArrivedPage {
    offset: usize,
    /// Whether it was its turn when it was requested.
    is_first: bool,
    /// Its text, with the time of its request.
    text: Result<(String, Moment)>,
}

/// The page that was trusted last.
#[derive(Debug, Default)]
struct BelievedPage {
    end: usize,
    ids: HashSet<String>,
}

/// How far a list was read.
#[derive(Debug, Default)]
struct ListPosition {
    next: usize,
    last: BelievedPage,
    /// The pages that brought something.
    pages: usize,
    is_done: bool,
}

impl<T: ListRow> PageReader<T> {
    pub(crate) fn new(
        provider: &Provider,
        call: &'static Call,
        id: &str,
        query: &[(&str, &str)],
    ) -> PageReader<T> {
        let mut query: Vec<_> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if T::PAGE_IS_ASKED {
            query.push(("limit".to_owned(), PAGE.to_string()));
        }
        PageReader {
            list: Arc::new(List {
                provider: provider.clone(),
                call,
                id: id.to_owned(),
                query,
            }),
            requests: FuturesUnordered::new(),
            arrived: HashMap::new(),
            behind: 0,
            longest: 0,
            is_short: false,
            at_once: 1,
            position: ListPosition::default(),
            back: 0,
            patience: PATIENCE,
            row_type: PhantomData,
        }
    }

    /// Every row to the end of the list, once. Each answer has a deadline of its own.
    pub(crate) async fn all(mut self, deadline: impl Fn() -> Deadline) -> Result<Vec<T>> {
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        while let Some(page) = self.next(deadline()).await? {
            rows.extend(
                page.rows
                    .into_iter()
                    .filter(|row| seen.insert(row.id().map(str::to_owned))),
            );
        }
        Ok(rows)
    }

    /// The next page; `None` after the end. It may repeat rows of any page before, and holds all
    /// that are new.
    pub(crate) async fn next(&mut self, deadline: Deadline) -> Result<Option<ListedPage<T>>> {
        while !self.position.is_done {
            let ArrivedPage {
                offset,
                is_first,
                text,
            } = self.next_arrival(deadline).await;
            let (body, asked_at) = match text {
                Ok(text) => text,
                Err(error) => {
                    self.forget_ahead();
                    // A page that was requested ahead of its turn is requested again.
                    if is_first {
                        return Err(error);
                    }
                    continue;
                }
            };
            let page = match json::data(&body) {
                Ok(rows) => ListedPage { rows, asked_at },
                Err(_) => {
                    // Requests ahead are dropped: nothing would read their answers, and each may
                    // hold the permit that this one waits for.
                    self.forget_ahead();
                    let (rows, asked_at) = self.list.ask(offset, deadline, json::data).await?;
                    ListedPage { rows, asked_at }
                }
            };
            if self.believe(offset, &page)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The number of the page that was read last.
    pub(crate) fn page(&self) -> usize {
        self.position.pages
    }

    /// The page whose turn it is. Before it is read, whatever else has arrived is stored and more
    /// is requested. So the provider works on the next pages while this one is parsed.
    async fn next_arrival(&mut self, deadline: Deadline) -> ArrivedPage {
        loop {
            self.ask_ahead(deadline);
            while let Some(Some(page)) = self.requests.next().now_or_never() {
                self.keep(page);
                self.ask_ahead(deadline);
            }
            // The new requests are sent by another task, which needs a turn first.
            tokio::task::yield_now().await;
            if let Some(page) = self.arrived.remove(&self.position.next) {
                return page;
            }
            match self.requests.next().await {
                Some(page) => self.keep(page),
                None => self.forget_ahead(),
            }
        }
    }

    fn keep(&mut self, page: ArrivedPage) {
        let length = page
            .text
            .as_ref()
            .map_or(self.longest, |(body, _)| body.len());
        self.longest = self.longest.max(length);
        self.is_short |= length < self.longest / 2;
        self.arrived.insert(page.offset, page);
    }

    /// Whether this page continues the list. Otherwise the list has ended, or the next look begins
    /// further back.
    fn believe(&mut self, offset: usize, page: &ListedPage<T>) -> Result<bool> {
        let count = page.rows.len();
        let is_full = count >= PAGE;
        // A row whose id cannot be read is handed on, but does not prove an overlap.
        let ids: HashSet<String> = page
            .rows
            .iter()
            .filter_map(|row| row.id().map(str::to_owned))
            .collect();
        if offset > 0 && ids.is_disjoint(&self.position.last.ids) {
            self.close_gap()?;
            return Ok(false);
        }
        let brings_nothing =
            count == 0 || (self.position.pages > 0 && ids.is_subset(&self.position.last.ids));
        if brings_nothing && !is_full {
            self.position.is_done = true;
            return Ok(false);
        }
        if brings_nothing {
            self.be_patient()?;
        } else {
            self.back = 0;
            self.position.pages += 1;
        }
        self.position.next = offset + count.saturating_sub(OVERLAP);
        self.at_once = if is_full { AT_ONCE } else { 1 };
        self.position.last = BelievedPage {
            end: offset + count,
            ids,
        };
        // Requests ahead assume a full page; after a page of another length their offsets are
        // wrong.
        if count != PAGE {
            self.forget_ahead();
        }
        Ok(true)
    }

    /// Steps back because rows came or went between two pages: each time twice as far, at last to
    /// the beginning.
    fn close_gap(&mut self) -> Result<()> {
        self.be_patient()?;
        self.back += 1;
        self.forget_ahead();
        self.at_once = 1;
        self.position.next = self
            .position
            .last
            .end
            .saturating_sub(OVERLAP << self.back.min(20));
        Ok(())
    }

    fn be_patient(&mut self) -> Result<()> {
        let Some(patience) = self.patience.checked_sub(1) else {
            return Err(not_begun(
                self.list.call,
                "the list changes faster than it can be read",
            ));
        };
        self.patience = patience;
        Ok(())
    }

    /// Requests as many pages as may be requested at once; behind a page that was not full there is
    /// nothing.
    fn ask_ahead(&mut self, deadline: Deadline) {
        let is_first = self.requests.is_empty() && self.arrived.is_empty();
        if is_first {
            (self.behind, self.is_short) = (self.position.next, false);
            self.ask(is_first, deadline);
        }
        let unread = UNREAD.min(self.at_once);
        while !self.is_short && self.requests.len() < self.at_once && self.arrived.len() < unread {
            self.ask(false, deadline);
        }
    }

    fn ask(&mut self, is_first: bool, deadline: Deadline) {
        let list = Arc::clone(&self.list);
        let offset = self.behind;
        self.requests.push(Box::pin(async move {
            let text = list.ask(offset, deadline, |body| Ok(body.to_owned())).await;
            ArrivedPage {
                offset,
                is_first,
                text,
            }
        }));
        self.behind += PAGE - OVERLAP;
    }

    fn forget_ahead(&mut self) {
        self.requests = FuturesUnordered::new();
        self.arrived.clear();
    }
}

impl List {
    /// Requests one page until `read` can read it. It is requested again if midnight passed before
    /// the answer, since the provider's counters of the day start again then.
    async fn ask<A>(
        &self,
        offset: usize,
        deadline: Deadline,
        read: impl Fn(&str) -> Result<A, Unreadable>,
    ) -> Result<(A, Moment)> {
        let offset = offset.to_string();
        let mut query: Vec<(&str, &str)> = self
            .query
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        query.push(("offset", &offset));
        loop {
            let asked_at = self.provider.clock.now();
            let request = CallRequest {
                query: &query,
                ..self.call.about(&self.id)
            };
            let answer = self.provider.ask(request, deadline, &read).await?;
            if utc_date(asked_at) == utc_date(self.provider.clock.now()) {
                return Ok((answer, asked_at));
            }
        }
    }
}
